"""Who makes and who reads each tensor of a graph."""

from collections import defaultdict
from dataclasses import dataclass

import onnx

from onnxq.graph.edits import captured_names, initializers_of, producers_of


@dataclass(frozen=True)
class TensorFlow:
    """The edges of a graph, indexed.

    Attributes:
        nodes: Nodes of the main graph in topological order.
        producers: The node that makes a tensor, by tensor name.
        readers: The nodes that read a tensor, by tensor name, once for each slot.
        initializers: Constants, by name.
        kept: Names that must stay readable as they are: graph outputs and tensors that a
            subgraph captures.
        outputs: Names of the graph's outputs.
    """

    nodes: tuple[onnx.NodeProto, ...]
    producers: dict[str, onnx.NodeProto]
    readers: dict[str, tuple[onnx.NodeProto, ...]]
    initializers: dict[str, onnx.TensorProto]
    kept: frozenset[str]
    outputs: frozenset[str]

    def read_by(self, tensor: str) -> tuple[onnx.NodeProto, ...]:
        """Return the nodes that read a tensor."""
        return self.readers.get(tensor, ())

    def has_one_reader(self, tensor: str) -> bool:
        """Whether exactly one slot of one node reads a tensor, and nothing else does."""
        return len(self.read_by(tensor)) == 1 and tensor not in self.kept


def trace_tensors(graph: onnx.GraphProto) -> TensorFlow:
    """Index a graph's edges.

    Args:
        graph: A main graph, in topological order as the ONNX specification requires.

    Returns:
        Its edges. Subgraphs are not entered; what they capture is in ``kept``.
    """
    readers: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in filter(None, node.input):
            readers[name].append(node)
    outputs = frozenset(value.name for value in graph.output)
    return TensorFlow(
        nodes=tuple(graph.node),
        producers=producers_of(graph),
        readers={name: tuple(nodes) for name, nodes in readers.items()},
        initializers=initializers_of(graph),
        kept=outputs | captured_names(graph),
        outputs=outputs,
    )
