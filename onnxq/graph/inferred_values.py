"""Types and shapes of all tensors of a graph, by ONNX's shape inference; weights are not copied."""

import math
from collections.abc import Iterable

import onnx
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper

_MOST_SHAPING = 1024
"""Values of a constant that may still be a shape; larger ones are weights."""


def infer_values(proto: ModelProto, *, through_shapes: bool = False) -> dict[str, ValueInfoProto]:
    """Infer what is known of each tensor of the top graph, its initializers left out.

    onnx 1.23 passes the model as bytes, there and back: most of the time goes into weights, whose
    shapes are all that inference needs. So they are passed as inputs.

    Args:
        proto: A model; not changed.
        through_shapes: Whether to compute with shapes, too, as ``Shape`` returns them.

    Returns:
        By name; only tensors of which something is known.
    """
    bare = ModelProto(
        ir_version=max(proto.ir_version, 4),  # below, initializers are inputs, too
        opset_import=proto.opset_import,
        functions=proto.functions,
    )
    graph = bare.graph
    graph.name = proto.graph.name
    graph.node.extend(proto.graph.node)
    graph.output.extend(proto.graph.output)
    graph.value_info.extend(proto.graph.value_info)
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    graph.input.extend(value for value in proto.graph.input if value.name not in weights)
    declare_weights(graph, weights.values())
    inferred = onnx.shape_inference.infer_shapes(bare, data_prop=through_shapes).graph
    return {
        value.name: value
        for value in (*inferred.value_info, *inferred.output, *inferred.input)
        if value.name not in weights
    }


def declare_weights(graph: GraphProto, weights: Iterable[TensorProto]) -> None:
    """Give a graph that only shapes are inferred of its weights: large ones as inputs.

    Args:
        graph: Of one's own copy; it is changed.
        weights: Initializers of the graph that it is a copy of.
    """
    for tensor in weights:
        if math.prod(tensor.dims) <= _MOST_SHAPING:
            graph.initializer.append(tensor)
        else:
            graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
