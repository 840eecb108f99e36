"""The edges of one graph on several scopes, and what they are for: each found once."""

from dataclasses import dataclass, field
from typing import TypeAlias

import onnx

from onnxq.graph.qdq_edges import QdqEdges, find_qdq_edges
from onnxq.graph.uses import find_uses
from onnxq.range_methods import Auto, RangeMethod
from onnxq.scopes import QuantizationScope
from onnxq.tensor_uses import TensorUse

_Question: TypeAlias = tuple[QuantizationScope, tuple[str, ...]]


@dataclass(frozen=True)
class KnownEdges:
    """Answers what a static recipe makes of a graph, and remembers the answers.

    Attributes:
        graph: The prepared float graph; it must not be changed meanwhile.
    """

    graph: onnx.GraphProto
    _edges: dict[_Question, QdqEdges] = field(default_factory=dict)
    _uses: dict[tuple[int, bool], dict[str, TensorUse]] = field(default_factory=dict)

    def find(self, scope: QuantizationScope, kept_float: tuple[str, ...] = ()) -> QdqEdges:
        """Find the edges, as :func:`onnxq.graph.qdq_edges.find_qdq_edges` does."""
        if (scope, kept_float) not in self._edges:
            edges = find_qdq_edges(self.graph, scope, kept_float=kept_float)
            self._edges[scope, kept_float] = edges
        return self._edges[scope, kept_float]

    def uses(self, edges: QdqEdges, method: RangeMethod) -> dict[str, TensorUse]:
        """Find out what leaders are for, as :func:`onnxq.graph.uses.find_uses` does.

        Args:
            edges: That :meth:`find` found.
            method: Of the recipe; it says whether clipping gains are wanted.
        """
        with_gains = any(isinstance(one, Auto) for one in (method, *edges.methods.values()))
        if (id(edges), with_gains) not in self._uses:
            found = find_uses(self.graph, edges, with_gains=with_gains)
            self._uses[id(edges), with_gains] = found
        return self._uses[id(edges), with_gains]
