"""Activations move between uint8 and int8: the same real numbers, zero points 128 apart.

Only the integers change that DequantizeLinear nodes alone read. Inputs and outputs of the graph,
and what a subgraph reads, are left alone; the writer and all readers change together. Constants
that are added to activations, multiplied with them or joined to them move along, since kernels
want both of one dtype; weights of Conv, Gemm and MatMul stay. It is bit-exact:
``saturate(round(x / s) + z)`` moves by 128 as a whole, and ``(q - z) * s`` does not move at all.
"""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import copy_of
from onnxq.graph.grid_writing import GridWriter, shifted
from onnxq.graph.qdq_pairs import DEQUANTIZE, QUANTIZE, Pairs, index_pairs

_JOINING = frozenset({"Add", "Mul", "Where", "Concat"})
_OTHER: dict[int, int] = {TensorProto.UINT8: TensorProto.INT8, TensorProto.INT8: TensorProto.UINT8}


def move_activations(proto: ModelProto, dtype: int) -> tuple[ModelProto, tuple[str, ...]]:
    """Move 8-bit activations of the top graph to one dtype.

    Args:
        proto: A model with pairs; not changed.
        dtype: ``TensorProto.UINT8`` or ``TensorProto.INT8``.

    Returns:
        The model, the one that was given where nothing moved, and the names of the float tensors
        whose integers moved.
    """
    copy = copy_of(proto)
    pairs, writer = index_pairs(copy.graph), GridWriter(copy.graph)
    subjects = []
    for node in copy.graph.node:
        group = _group(node, pairs)
        grids = [pairs.grid(one) for one in group]
        if not group or any(grid is None or grid.dtype != _OTHER[dtype] for grid in grids):
            continue
        for one, grid in zip(group, grids, strict=True):
            if grid is not None:
                writer.assign(one, shifted(grid, dtype))
        subjects.append(node.input[0])
    subjects += _move_constants(pairs, writer, dtype) if subjects else []
    return copy if subjects else proto, tuple(subjects)


def _move_constants(pairs: Pairs, writer: GridWriter, dtype: int) -> list[str]:
    """Move constants that no multiplier takes for its weight."""
    moved = []
    by, kind = (128, np.uint8) if dtype == TensorProto.UINT8 else (-128, np.int8)
    for name, tensor in pairs.constants.items():
        readers = pairs.readers(name) if tensor.data_type == _OTHER[dtype] else []
        grids = [pairs.grid(node) for node in readers]
        values = pairs.constant(name)
        known = [grid for grid in grids if grid is not None]
        if values is None or not readers or len(known) < len(readers) or name in pairs.kept:
            continue
        if not all(_is_operand(node, name, pairs) for node in readers):
            continue
        integers = (values.astype(np.int16) + by).astype(kind)
        stored = writer.constant(integers, f"{name}_{np.dtype(kind).name}")
        for node, grid in zip(readers, known, strict=True):
            node.input[0] = stored
            writer.assign(node, shifted(grid, dtype))
        moved.append(name)
    return moved


def _is_operand(node: NodeProto, name: str, pairs: Pairs) -> bool:
    """Tell whether a DequantizeLinear gives a constant to nodes that want two of one dtype."""
    uses = pairs.uses.get(node.output[0], []) if node.op_type == DEQUANTIZE else []
    is_data = bool(uses) and node.input[0] == name
    return is_data and all(use.node.op_type in _JOINING for use in uses)


def _group(node: NodeProto, pairs: Pairs) -> list[NodeProto]:
    """Return a quantizer of an activation and all readers of its integers; empty if others read."""
    if node.op_type != QUANTIZE or node.input[0] in pairs.constants:
        return []
    readers = pairs.readers(node.output[0])
    is_closed = node.output[0] not in pairs.kept and readers
    return [node, *readers] if is_closed and all(r.op_type == DEQUANTIZE for r in readers) else []
