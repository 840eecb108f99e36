"""Which tensors are a graph's inputs, whatever their shape has become."""

import onnx

from onnxq.graph.operator_kinds import MOVING


def find_moved_inputs(graph: onnx.GraphProto) -> dict[str, str]:
    """Find tensors whose values are those of an input, moved at most.

    Args:
        graph: A prepared float graph.

    Returns:
        The input, by the name of such a tensor; inputs stand for themselves.
    """
    inputs = {value.name: value.name for value in graph.input}
    for node in graph.node:
        if node.op_type in MOVING and node.input[0] in inputs:
            inputs.update(dict.fromkeys(node.output, inputs[node.input[0]]))
    return inputs
