"""Constant nodes become initializers.

Pattern: a Constant node with a tensor, numbers or one number. Replacement: an initializer of the
same name in the same graph. Condition: its output is not an output of that graph, and it is not a
string or a sparse tensor. Bit-exact. Why: onnxruntime 1.31.1 quantizes weights that are
initializers only; a MatMul whose weight is a Constant node silently stays float.
"""

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import copy_of, walk_graphs
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten


def lift_constants(proto: ModelProto) -> Rewritten:
    """Turn every Constant node that can be into an initializer.

    Args:
        proto: Any model; not changed.

    Returns:
        The model, and the names of the tensors that became initializers.
    """
    if all(node.op_type != "Constant" for node in walk_nodes(proto.graph)):
        return Rewritten(proto, ())
    lifted = copy_of(proto)
    names = [name for graph in walk_graphs(lifted.graph) for name in _lift(graph)]
    return Rewritten(lifted, tuple(names))


def _lift(graph: GraphProto) -> list[str]:
    outputs = {output.name for output in graph.output}
    names = []
    for node in list(graph.node):
        if node.op_type != "Constant" or node.output[0] in outputs:
            continue
        tensors = _tensors(node)
        if tensors:
            graph.initializer.append(tensors[0])
            graph.node.remove(node)
            names.append(tensors[0].name)
    return names


def _tensors(node: NodeProto) -> list[TensorProto]:
    """Return the constant's tensor under its output's name; nothing if it has none."""
    attribute = node.attribute[0]
    match attribute.name:
        case "value":
            tensor = TensorProto()
            tensor.CopyFrom(attribute.t)
            tensor.name = node.output[0]
            return [tensor]
        case "value_float":
            array = np.array(attribute.f, dtype=np.float32)
        case "value_floats":
            array = np.array(attribute.floats, dtype=np.float32)
        case "value_int":
            array = np.array(attribute.i, dtype=np.int64)
        case "value_ints":
            array = np.array(attribute.ints, dtype=np.int64)
        case _:
            return []
    return [onnx.numpy_helper.from_array(array, node.output[0])]


LIFT_CONSTANTS = Rewrite(
    "lift constants",
    "bit-exact",
    "",
    lift_constants,
    why="onnxruntime's quantizers take weights from initializers alone",
)
