"""What no quantizer of onnxruntime turns into a model that can be believed: refused in words."""

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto

from onnxq.errors import QuantizationError, SourceError
from onnxq.graph.edits import element_types, initializers_of, uses_of
from onnxq.graph.nodes import default_opset
from onnxq.graph.operator_kinds import MULTIPLIERS

LOWEST_OPSET = 13
"""Below it, per-channel DequantizeLinear has no axis and dynamic int8 is garbage at times."""

_OTHER_FLOATS: dict[int, str] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "float64",
}
_FLOATS: frozenset[int] = frozenset({TensorProto.FLOAT, *_OTHER_FLOATS})


def check_quantizable(proto: ModelProto) -> None:
    """Raise where a float model cannot be quantized by any recipe.

    Args:
        proto: A model with its external data loaded.

    Raises:
        SourceError: OQ111 if its opset is below 13 or it computes in another float type than
            float32.
        QuantizationError: OQ113 if a weight holds NaN, or a weight of a multiplying operator
            holds infinities; infinities elsewhere (masks, bounds of Clip) are fine.
    """
    _check_opset(proto)
    _check_float32(proto)
    _check_finite(proto)


def _check_opset(proto: ModelProto) -> None:
    opset = default_opset(proto)
    if opset < LOWEST_OPSET:
        message = f"the model is of opset {opset}, quantizing needs {LOWEST_OPSET} or above."
        hint = "Convert it first: onnxq convert MODEL lifts the opset."
        raise SourceError(message, code="OQ111", hint=hint)


def _check_float32(proto: ModelProto) -> None:
    types = element_types(proto)
    for node in proto.graph.node:
        found = [types.get(name, 0) for name in node.input]
        other = next((_OTHER_FLOATS[t] for t in found if t in _OTHER_FLOATS), "")
        if node.op_type in MULTIPLIERS and other:
            message = (
                f"{node.op_type} {node.name or node.output[0]!r} computes in {other}, "
                "expected float32: onnxruntime's quantizers write invalid models from it, or "
                "silently quantize nothing."
            )
            hint = (
                "Export the model in float32 (model.float() in PyTorch, policy float32 in Keras)."
            )
            raise SourceError(message, code="OQ111", hint=hint)


def _check_finite(proto: ModelProto) -> None:
    uses = uses_of(proto.graph)
    for name, tensor in initializers_of(proto.graph).items():
        if tensor.data_type not in _FLOATS:
            continue
        array = onnx.numpy_helper.to_array(tensor).astype(np.float64)
        nans = int(np.isnan(array).sum())
        infinities = int(np.isinf(array).sum())
        reader = next((use.node for use in uses.get(name, []) if _multiplies(use.node)), None)
        if nans or (infinities and reader is not None):
            where = f", which {reader.op_type} {reader.name!r} reads" if reader else ""
            message = (
                f"{name!r}{where}, holds {nans} NaN and {infinities} infinite values "
                f"among {array.size}."
            )
            hint = "Train or load the model again: no quantizer can give such a weight a scale."
            raise QuantizationError(message, code="OQ113", hint=hint)


def _multiplies(node: NodeProto) -> bool:
    return node.op_type in MULTIPLIERS
