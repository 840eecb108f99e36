"""Rows are looked up in a table of integers, and dequantized then.

Pattern: ``DequantizeLinear(constant) -> Gather``. Replacement: ``Gather(constant) ->
DequantizeLinear``. Condition: one scale for the whole table. Bit-exact: every number is
dequantized as before, only fewer are. Why: onnxruntime 1.31 does not fold the DequantizeLinear, and
dequantizes the whole table at every inference: 46 % of the time of BERT-small as its own
quantize_static writes it by default.
"""

import onnx
from onnx import ModelProto, NodeProto

from onnxq.graph.edits import copy_of
from onnxq.graph.grid_writing import GridWriter
from onnxq.graph.qdq_pairs import DEQUANTIZE, Pairs, index_pairs
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten


def gather_integers(proto: ModelProto) -> Rewritten:
    """Look rows of the top graph up before they are dequantized.

    Args:
        proto: A model with pairs; not changed.

    Returns:
        The model, and the names of the tables.
    """
    if not _found(index_pairs(proto.graph)):
        return Rewritten(proto, ())
    copy = copy_of(proto)
    pairs, writer = index_pairs(copy.graph), GridWriter(copy.graph)
    found = _found(pairs)
    for gather, dequantizer in found:
        _swap(copy, gather, dequantizer, writer)
    now = index_pairs(copy.graph)
    for name in dict.fromkeys(dequantizer.output[0] for _, dequantizer in found):
        if not now.readers(name) and name not in now.kept:
            copy.graph.node.remove(now.producers[name])
    return Rewritten(copy, tuple(dequantizer.input[0] for _, dequantizer in found))


def _found(pairs: Pairs) -> list[tuple[NodeProto, NodeProto]]:
    """Return each Gather with the DequantizeLinear of its table."""
    return [
        (node, dequantizer)
        for node in pairs.graph.node
        if node.op_type == "Gather"
        for dequantizer in [pairs.producer(node.input[0], DEQUANTIZE)]
        if dequantizer is not None and dequantizer.input[0] in pairs.constants
        for grid in [pairs.grid(dequantizer)]
        if grid is not None and grid.is_per_tensor
    ]


def _swap(proto: ModelProto, gather: NodeProto, dequantizer: NodeProto, writer: GridWriter) -> None:
    output, rows = gather.output[0], writer.name(f"{gather.output[0]}_quantized")
    gather.input[0], gather.output[0] = dequantizer.input[0], rows
    behind = onnx.helper.make_node(
        DEQUANTIZE,
        [rows, *dequantizer.input[1:]],
        [output],
        writer.name(f"{output}_{DEQUANTIZE}"),
        domain=dequantizer.domain,
    )
    proto.graph.node.insert(list(proto.graph.node).index(gather) + 1, behind)


GATHER_INTEGERS = Rewrite(
    "gather integers",
    "bit-exact",
    "",
    gather_integers,
    why="a quantized table of words is dequantized whole at every inference: 46 % of BERT-small",
)
