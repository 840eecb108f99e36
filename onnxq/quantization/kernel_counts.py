"""How many nodes that multiply onnxruntime runs on integer kernels, and how many in float."""

from collections import Counter
from pathlib import Path

from onnxq.graph.model_files import load_proto
from onnxq.graph.nodes import walk_nodes
from onnxq.runtime import open_session, session_options
from onnxq.stages import KernelCount

_INTEGER = frozenset({
    "QLinearConv", "QLinearMatMul", "QGemm", "MatMulInteger", "MatMulIntegerToFloat",
    "ConvInteger", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention", "NhwcConv",
})  # fmt: skip
_FLOAT = frozenset({
    "Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul",
    "FusedMatMul", "LSTM", "GRU", "RNN", "Attention", "MultiHeadAttention",
})  # fmt: skip
_CONVERSIONS = frozenset({"QuantizeLinear", "DequantizeLinear"})


def count_kernels(path: Path | str, folder: Path) -> KernelCount:
    """Count the kernels of the graph that onnxruntime makes of a model by default.

    Args:
        path: An ``.onnx`` file.
        folder: Where that graph is written for a moment.

    Returns:
        The counts, bodies of If, Loop and Scan included.

    Raises:
        InferenceError: If onnxruntime cannot load the model.
    """
    written = folder / "optimized.onnx"
    options = session_options()
    options.optimized_model_filepath = str(written)
    try:
        open_session(path, options)
        found = Counter(node.op_type for node in walk_nodes(load_proto(written).graph))
    finally:
        written.unlink(missing_ok=True)
    return KernelCount(
        integer=sum(found[operator] for operator in _INTEGER),
        floats=sum(found[operator] for operator in _FLOAT),
        conversions=sum(found[operator] for operator in _CONVERSIONS),
    )
