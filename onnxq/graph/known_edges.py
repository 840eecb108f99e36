"""The edges of one graph on several scopes, and what they are for: each found once."""

from dataclasses import dataclass, field
from typing import TypeAlias

import onnx

from onnxq.graph.qdq_edges import QdqEdges, find_qdq_edges
from onnxq.graph.uses import find_uses
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
    _uses: dict[int, dict[str, TensorUse]] = field(default_factory=dict)

    def find(self, scope: QuantizationScope, kept_float: tuple[str, ...] = ()) -> QdqEdges:
        """Find the edges, as :func:`onnxq.graph.qdq_edges.find_qdq_edges` does."""
        if (scope, kept_float) not in self._edges:
            edges = find_qdq_edges(self.graph, scope, kept_float=kept_float)
            self._edges[scope, kept_float] = edges
        return self._edges[scope, kept_float]

    def uses(self, edges: QdqEdges) -> dict[str, TensorUse]:
        """Find out what leaders are for, as :func:`onnxq.graph.uses.find_uses` does.

        Args:
            edges: That :meth:`find` found.
        """
        if id(edges) not in self._uses:
            self._uses[id(edges)] = find_uses(self.graph, edges)
        return self._uses[id(edges)]
