"""Integer kernels that compute right and slowly: what onnxruntime 1.31 has no fast code for on x86.

Its fast products on x86 are of uint8 activations and int8 weights. Measured on x86-64 with
AVX512-VNNI, one thread: int8 activations take its reference code (a ResNet-18 of them 430 ms, 25 in
float, 8.5 with uint8), uint8 weights 1.4 to 2.5 times as long as int8 ones, and ConvInteger 8 times
as long as a float convolution (MobileNetV2).
"""

from onnxq.graph.float_causes import REPAIR, Cause
from onnxq.graph.float_islands import Edges
from onnxq.graph.running_graph import Kernel

_OPERANDS = {
    "QLinearConv": (0, 3), "QLinearMatMul": (0, 3), "QGemm": (0, 3), "MatMulInteger": (0, 1),
    "MatMulIntegerToFloat": (0, 1), "DynamicQuantizeMatMul": (0, 1), "DynamicQuantizeLSTM": (0, 1),
}  # fmt: skip
"""Slots of activations and weights."""


def why_slow(kernel: Kernel, edges: Edges) -> Cause | None:
    """Say why an integer kernel is slow on x86.

    Args:
        kernel: Of the graph that is run.
        edges: Of that graph.

    Returns:
        The cause; None for kernels that are not known to be slow.
    """
    operator = kernel.node.op_type
    if operator == "ConvInteger":
        fix = "Quantize convolutions statically: onnxq quantize MODEL -r int8."
        return Cause("ConvInteger packs no weights and is slower than float", fix)
    if operator not in _OPERANDS:
        return None
    activation, weight = (kernel.node.input[slot] for slot in _OPERANDS[operator])
    if edges.dtypes.get(activation) == "int8":
        return Cause(
            f"the activations of {operator} are int8: only uint8 has fast code here", REPAIR
        )
    if weight in edges.constants and edges.dtypes.get(weight) == "uint8":
        return Cause(f"the weights of {operator} are uint8: only int8 has fast code here", REPAIR)
    return None
