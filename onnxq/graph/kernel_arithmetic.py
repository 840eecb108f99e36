"""What a kernel computes with, by its operator and by the types of what it reads and writes."""

from collections.abc import Sequence

from onnx import NodeProto

from onnxq.graph.edits import attribute_int
from onnxq.measurements import Arithmetic

CONVERSIONS = frozenset({
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "ReorderInput",
    "ReorderOutput",
})  # fmt: skip
"""Operators that only write numbers another way."""

_INTEGER = frozenset({
    "QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger", "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention", "QLinearAdd", "QLinearMul",
    "QLinearConcat", "QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax", "QLinearWhere",
    "QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearReduceMean",
    "QEmbedLayerNormalization",
})  # fmt: skip
"""Operators that compute with quantized integers whatever their outputs are."""

_QUANTIZED = frozenset({"uint8", "int8", "uint16", "int16", "uint4", "int4", "uint2", "int2"})
_FLOAT = frozenset({"float", "float16", "bfloat16", "double"})
_INT8_COMPUTE = 4
"""``accuracy_level`` of MatMulNBits at which activations become int8."""


def arithmetic_of(node: NodeProto, inputs: Sequence[str], outputs: Sequence[str]) -> Arithmetic:
    """Tell what a kernel computes with.

    Args:
        node: Of the graph that onnxruntime runs.
        inputs: Types of its tensors as onnxruntime names them, such as ``uint8``.
        outputs: The same of its outputs.

    Returns:
        ``integer`` for quantized integers, moved or computed with; ``conversion`` between
        integers and floats or between layouts; ``other`` for shapes and the like.
    """
    if node.op_type in CONVERSIONS:
        return "conversion"
    if node.op_type in _INTEGER:
        return "integer"
    if node.op_type == "MatMulNBits":
        level = attribute_int(node, "accuracy_level", 0)
        return "integer" if level == _INT8_COMPUTE else "float"
    if _FLOAT.intersection(outputs):
        return "float"
    if _QUANTIZED.intersection(outputs):
        return "integer"
    return "float" if not outputs and _FLOAT.intersection(inputs) else "other"
