"""What is quantized twice on one grid is quantized once.

Pattern: DequantizeLinear followed by QuantizeLinear of the same grid; or several QuantizeLinear of
one tensor and one grid. Replacement: the integers that are there already; the first of them.
Condition: one scale for the tensor, 8-bit integers. Bit-exact: ``(q - z) * s / s`` rounds to
``q - z``, being off by less than one part in 2^22. Why: onnxruntime 1.31 fuses an operator only
where exactly one QuantizeLinear reads it.
"""

from onnx import ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import copy_of
from onnxq.graph.qdq_pairs import DEQUANTIZE, QUANTIZE, Grid, Pairs, index_pairs
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_BYTES = frozenset({TensorProto.INT8, TensorProto.UINT8})


def merge_equal_pairs(proto: ModelProto) -> Rewritten:
    """Merge QuantizeLinear nodes of the top graph that find or repeat integers that are there.

    Args:
        proto: A model with pairs; not changed.

    Returns:
        The model, and the names of the tensors that were quantized twice.
    """
    copy, subjects = copy_of(proto), list[str]()
    while True:
        renamed = _renamed(index_pairs(copy.graph))
        if not renamed:
            return Rewritten(copy if subjects else proto, tuple(dict.fromkeys(subjects)))
        for node in list(copy.graph.node):
            if node.op_type == QUANTIZE and node.output[0] in renamed:
                subjects.append(node.input[0])
                copy.graph.node.remove(node)
                continue
            for slot, name in enumerate(node.input):
                node.input[slot] = renamed.get(name, name)
        _drop_unread(copy)


def _renamed(pairs: Pairs) -> dict[str, str]:
    """Return integer tensors that can go, each with the equal one that stays."""
    renamed: dict[str, str] = {}
    first: dict[str, list[tuple[Grid, str]]] = {}
    for node in pairs.graph.node:
        grid = pairs.grid(node) if node.op_type == QUANTIZE else None
        if grid is None or not grid.is_per_tensor or grid.dtype not in _BYTES:
            continue
        if node.output[0] in pairs.kept or not pairs.readers(node.output[0]):
            continue
        same = _source(node, grid, pairs)
        known = first.setdefault(node.input[0], [])
        same = same or next((name for other, name in known if other.equals(grid)), "")
        if same and same not in renamed:
            renamed[node.output[0]] = same
        else:
            known.append((grid, node.output[0]))
    return renamed


def _source(node: NodeProto, grid: Grid, pairs: Pairs) -> str:
    """Return the integers behind a DequantizeLinear of the same grid; empty if there are none."""
    behind = pairs.producer(node.input[0], DEQUANTIZE)
    other = None if behind is None else pairs.grid(behind)
    if behind is None or other is None or not other.equals(grid):
        return ""
    return "" if behind.input[0] in pairs.constants else behind.input[0]


def _drop_unread(proto: ModelProto) -> None:
    pairs = index_pairs(proto.graph)
    for node in list(proto.graph.node):
        is_pair = node.op_type in {QUANTIZE, DEQUANTIZE}
        if is_pair and node.output[0] not in pairs.kept and not pairs.readers(node.output[0]):
            proto.graph.node.remove(node)


MERGE_EQUAL_PAIRS = Rewrite(
    "merge equal pairs",
    "bit-exact",
    "",
    merge_equal_pairs,
    why="an operator that two QuantizeLinear read is not fused",
)
