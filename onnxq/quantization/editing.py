"""How our own quantizers change a graph: a list of nodes in place of one, new initializers."""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from onnxq.arrays import Array
from onnxq.graph.edits import copy_of, fresh_name, initializers_of, taken_names

_MICROSOFT = "com.microsoft"


@dataclass
class GraphEditor:
    """A model of one's own whose nodes are replaced one by one.

    What becomes unused is dropped by :func:`onnxq.quantization.finishing.finish_quantized`.

    Attributes:
        proto: The model; changed by :meth:`finish` only.
        initializers: Its constants, by name.
    """

    proto: ModelProto
    initializers: dict[str, TensorProto]
    _taken: set[str]
    _added: list[TensorProto] = field(default_factory=list)
    _first: list[NodeProto] = field(default_factory=list)
    _instead: dict[str, list[NodeProto]] = field(default_factory=dict)

    def fresh(self, base: str) -> str:
        """Return a name that nothing has."""
        return fresh_name(base, self._taken)

    def constant(self, base: str, values: Array) -> str:
        """Add an initializer; return its name."""
        name = self.fresh(base)
        self._added.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def before_all(self, *nodes: NodeProto) -> None:
        """Add nodes that read constants alone."""
        self._first.extend(nodes)

    def replace(self, node: NodeProto, *nodes: NodeProto) -> None:
        """Put nodes in the place of one of the top graph, whose nodes have names of their own."""
        self._instead[node.name] = list(nodes)

    def finish(self) -> ModelProto:
        """Carry everything out; return the model."""
        graph = self.proto.graph
        nodes = [new for node in graph.node for new in self._instead.get(node.name, [node])]
        copies = [NodeProto.FromString(n.SerializeToString()) for n in (*self._first, *nodes)]
        del graph.node[:]
        graph.node.extend(copies)
        graph.initializer.extend(self._added)
        domains = {entry.domain for entry in self.proto.opset_import}
        if _MICROSOFT not in domains and any(node.domain == _MICROSOFT for node in copies):
            self.proto.opset_import.append(onnx.helper.make_opsetid(_MICROSOFT, 1))
        return self.proto


def edit(proto: ModelProto) -> GraphEditor:
    """Open a copy of a model for editing.

    Args:
        proto: A prepared model; not changed.
    """
    copy = copy_of(proto)
    return GraphEditor(copy, initializers_of(copy.graph), taken_names(copy.graph))
