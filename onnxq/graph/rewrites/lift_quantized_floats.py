"""A quantized model whose floats are float16 computes in float32.

Pattern: float16, bfloat16 or float64 tensors between QuantizeLinear and DequantizeLinear.
Replacement: float32. Condition: inputs and outputs of the model are of other types already, so
that its interface stays. Approximate: what was rounded to float16 after each operator no longer
is. Why: onnxruntime has no kernels for float16 on CPUs; it casts each tensor to float32 and back,
and fuses nothing with the casts in between.
"""

from onnx import ModelProto, TensorProto

from onnxq.graph.float_lifting import lift_floats
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_OTHERS = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE})


def lift_quantized_floats(proto: ModelProto) -> Rewritten:
    """Take the floats inside of a model to float32.

    Args:
        proto: A model with pairs; not changed.

    Returns:
        The model, and the name of the type that it had.
    """
    interface = (*proto.graph.input, *proto.graph.output)
    if any(value.type.tensor_type.elem_type in _OTHERS for value in interface):
        return Rewritten(proto, ())
    lifted = lift_floats(proto)
    return Rewritten(lifted.proto, (lifted.dtype,) if lifted.dtype else ())


LIFT_QUANTIZED_FLOATS = Rewrite(
    "lift quantized floats",
    "approximate",
    "floats between the quantized tensors became float32, which rounds less",
    lift_quantized_floats,
    why="float16 has no kernels on CPUs: each tensor is cast to float32 and back",
)
