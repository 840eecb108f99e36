"""How many values each tensor of a graph has, for inputs of given shapes; nothing is run."""

import math
from collections.abc import Mapping

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from onnxq.graph.inferred_values import declare_weights


def infer_sizes(proto: ModelProto, input_shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Infer how many values tensors have, by ONNX's shape inference with data propagation.

    Args:
        proto: A model; not changed.
        input_shapes: Of every input that is fed.

    Returns:
        Values by tensor name. Tensors are missing whose shape depends on values, or lies behind
        an operator that the inference does not know.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(
            _bare(proto, input_shapes), strict_mode=False, data_prop=True
        )
    except onnx.shape_inference.InferenceError:
        return {}
    sizes = {value.name: _size(value) for value in inferred.graph.value_info}
    return {name: size for name, size in sizes.items() if size >= 0}


def _bare(proto: ModelProto, input_shapes: Mapping[str, tuple[int, ...]]) -> ModelProto:
    """Copy a model without its weights, which would be copied again, and with known shapes.

    Weights become inputs. Outputs are left out: what a file says of their shapes may be symbols.
    """
    bare = ModelProto(
        ir_version=proto.ir_version, opset_import=proto.opset_import, functions=proto.functions
    )
    graph = bare.graph
    graph.name = proto.graph.name
    graph.node.extend(proto.graph.node)
    weights = {one.name: one for one in proto.graph.initializer}
    for value in proto.graph.input:
        if value.name not in weights:
            graph.input.append(_with_shape(value, input_shapes.get(value.name)))
    declare_weights(graph, weights.values())
    return bare


def _with_shape(value: ValueInfoProto, shape: tuple[int, ...] | None) -> ValueInfoProto:
    if shape is None:
        return value
    return helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, shape)


def _size(value: ValueInfoProto) -> int:
    """Return how many values a tensor has; -1 for unknown."""
    kind = value.type.tensor_type
    if kind.elem_type == TensorProto.UNDEFINED or not kind.HasField("shape"):
        return -1
    if not all(dim.HasField("dim_value") for dim in kind.shape.dim):
        return -1
    return math.prod(dim.dim_value for dim in kind.shape.dim)
