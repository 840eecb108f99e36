"""Scales and zero points of one element become scalars.

Pattern: a QuantizeLinear or DequantizeLinear of an activation whose scale is a tensor of one
element. Replacement: the same numbers without an axis. Bit-exact. Why: the specification calls a
scale for the whole tensor a scalar; onnxruntime 1.31.1 takes either, and then dies of its own
fusions ("QLinearAdd Scale and Zero-point must be a scalar") on files that PyTorch's FX quantization
exported.
"""

from onnx import ModelProto, NodeProto

from onnxq.graph.edits import copy_of
from onnxq.graph.grid_writing import GridWriter
from onnxq.graph.qdq_pairs import DEQUANTIZE, QUANTIZE, Pairs, index_pairs
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten


def flatten_grids(proto: ModelProto) -> Rewritten:
    """Write grids of one scale in the top graph as scalars.

    Args:
        proto: A model with pairs; not changed.

    Returns:
        The model, and the names of what is quantized or dequantized.
    """
    if not _found(index_pairs(proto.graph)):
        return Rewritten(proto, ())
    copy = copy_of(proto)
    pairs, writer = index_pairs(copy.graph), GridWriter(copy.graph)
    found = _found(pairs)
    for node, grid in [(node, pairs.grid(node)) for node in found]:
        if grid is not None:
            writer.assign(node, grid)
    return Rewritten(copy, tuple(node.input[0] for node in found))


def _found(pairs: Pairs) -> list[NodeProto]:
    return [
        node
        for node in pairs.graph.node
        if node.op_type in {QUANTIZE, DEQUANTIZE}
        and node.input[0] not in pairs.constants
        and any(name in pairs.constants and pairs.constants[name].dims for name in node.input[1:])
        for grid in [pairs.grid(node)]
        if grid is not None and grid.is_per_tensor
    ]


FLATTEN_GRIDS = Rewrite(
    "flatten grids",
    "bit-exact",
    "",
    flatten_grids,
    why="onnxruntime dies of its own fusions where a scale is a tensor of one element",
)
