"""What nobody reads any more after a rewrite of a quantized graph."""

from onnx import GraphProto

from onnxq.graph.edits import captured_names, interface_names
from onnxq.graph.qdq_pairs import DEQUANTIZE, QUANTIZE

_PAIRED = frozenset({QUANTIZE, DEQUANTIZE})


def drop_unread(graph: GraphProto) -> None:
    """Drop pairs that nobody reads, then initializers that nobody reads.

    Args:
        graph: The top graph of a model of one's own; edited.
    """
    kept = interface_names(graph) | captured_names(graph)
    while True:
        read = {name for node in graph.node for name in node.input} | kept
        dead = [
            node for node in graph.node if node.op_type in _PAIRED and node.output[0] not in read
        ]
        if not dead:
            break
        for node in dead:
            graph.node.remove(node)
    stored = [tensor for tensor in graph.initializer if tensor.name in read]
    if len(stored) < len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(stored)


def inherit_names(graph: GraphProto, heirs: dict[str, str]) -> None:
    """Give initializers the names of those that they stand for, once these are gone.

    Reports know weights by their names.

    Args:
        graph: The top graph of a model of one's own; edited.
        heirs: New initializers, by the name of the old one; an old one that others still read
            keeps its name.
    """
    stored = {tensor.name for tensor in graph.initializer}
    names = {new: old for old, new in heirs.items() if old not in stored}
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in graph.node:
        for slot, name in enumerate(node.input):
            if name in names:
                node.input[slot] = names[name]
