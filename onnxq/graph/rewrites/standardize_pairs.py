"""QuantizeLinear and DequantizeLinear of ``com.microsoft`` become those of the standard.

Pattern: either operator of that domain, on 8-bit integers (or int32 to be dequantized). Condition:
the standard operator set is of version 13 or above, from which it has scales for an axis.
Bit-exact: the same kernels. Why: runtimes beside onnxruntime have no such domain, and Quark writes
every pair in it.
"""

from onnx import ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import copy_of
from onnxq.graph.nodes import default_opset
from onnxq.graph.qdq_pairs import DEQUANTIZE, QUANTIZE, Pairs, index_pairs
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_CONTRIB = "com.microsoft"
_SINCE = 13
_HAD = frozenset({TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32})


def standardize_pairs(proto: ModelProto) -> Rewritten:
    """Take pairs of the top graph into the standard domain.

    Args:
        proto: A model with pairs; not changed.

    Returns:
        The model, and the names of the tensors that are quantized or dequantized.
    """
    if default_opset(proto) < _SINCE or not _found(index_pairs(proto.graph)):
        return Rewritten(proto, ())
    copy = copy_of(proto)
    found = _found(index_pairs(copy.graph))
    for node in found:
        node.domain = ""
    return Rewritten(copy, tuple(node.input[0] for node in found))


def _found(pairs: Pairs) -> list[NodeProto]:
    return [
        node
        for node in pairs.graph.node
        if node.domain == _CONTRIB and node.op_type in {QUANTIZE, DEQUANTIZE}
        for grid in [pairs.grid(node)]
        if grid is not None and grid.dtype in _HAD
    ]


STANDARDIZE_PAIRS = Rewrite(
    "standardize pairs",
    "bit-exact",
    "",
    standardize_pairs,
    why="only onnxruntime has QuantizeLinear of com.microsoft",
)
