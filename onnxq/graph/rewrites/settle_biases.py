"""Biases take the scale that integer kernels give them.

Pattern: Conv or Gemm on a dequantized activation and a dequantized weight, with a constant bias:
float, or int32 of another scale than that of the activation times that of the weight.
Replacement: int32 of that scale. Condition: the activation has one scale, the weight's zero points
are 0. Approximate: a bias moves by half of that scale at most. Why: onnxruntime 1.31.1 fuses no
Conv whose int32 bias has another scale, and one that is a few percent off it takes for the right
one; a float bias it quantizes itself, at every load.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import attribute_float, copy_of
from onnxq.graph.grid_writing import GridWriter
from onnxq.graph.qdq_pairs import DEQUANTIZE, QUANTIZE, Grid, Pairs, index_pairs
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_BIAS = 2
_TOLERANCE = 1e-6
"""Relative: scales were multiplied in float32, by whatever wrote the file."""


def settle_biases(proto: ModelProto) -> Rewritten:
    """Quantize biases of the top graph as kernels read them.

    Args:
        proto: A model with pairs; not changed.

    Returns:
        The model, and the names of the nodes.
    """
    copy, subjects = copy_of(proto), list[str]()
    pairs, writer = index_pairs(copy.graph), GridWriter(copy.graph)
    made: list[NodeProto] = []
    for node in copy.graph.node:
        scale = _product(node, pairs) if node.op_type in {"Conv", "Gemm"} else None
        real = None if scale is None else _real_bias(node, scale, pairs)
        if scale is None or real is None or (real.shape != scale.shape and scale.size > 1):
            continue
        made.append(_write(node, real, scale, writer))
        subjects.append(node.name or node.output[0])
    for node in made:  # they read constants alone: the first place is as good as any
        copy.graph.node.insert(0, node)
    return Rewritten(copy if subjects else proto, tuple(subjects))


def _product(node: NodeProto, pairs: Pairs) -> NDArray[np.float32] | None:
    """Return the scale of the sums of a node that onnxruntime fuses; None for any other."""
    readers = pairs.readers(node.output[0])
    if len(node.input) <= _BIAS or not node.input[_BIAS] or len(readers) != 1:
        return None
    if readers[0].op_type != QUANTIZE or attribute_float(node, "beta", 1.0) != 1.0:
        return None
    grids = []
    for name in node.input[:_BIAS]:
        dequantizer = pairs.producer(name, DEQUANTIZE)
        grids.append(None if dequantizer is None else pairs.grid(dequantizer))
    data, weight = grids
    if data is None or weight is None or not data.is_per_tensor or weight.zero_point.any():
        return None
    alpha = np.float32(attribute_float(node, "alpha", 1.0))
    return np.atleast_1d(data.scale * weight.scale * alpha).astype(np.float32)


def _real_bias(
    node: NodeProto, scale: NDArray[np.float32], pairs: Pairs
) -> NDArray[np.float64] | None:
    """Return the real numbers of a bias that does not have the scale; None if it has."""
    plain = pairs.constant(node.input[_BIAS])
    if plain is not None:
        return plain.astype(np.float64) if plain.ndim == 1 and plain.dtype.kind == "f" else None
    dequantizer = pairs.producer(node.input[_BIAS], DEQUANTIZE)
    grid = None if dequantizer is None else pairs.grid(dequantizer)
    integers = None if dequantizer is None else pairs.constant(dequantizer.input[0])
    if grid is None or integers is None or integers.ndim != 1:
        return None
    same = np.allclose(grid.scale, scale, rtol=_TOLERANCE, atol=0.0)
    if same and grid.dtype == TensorProto.INT32 and not grid.zero_point.any():
        return None
    scale, point = grid.scale.astype(np.float64), grid.zero_point.astype(np.float64)
    real: NDArray[np.float64] = (integers.astype(np.float64) - point) * scale
    return real


def _write(
    node: NodeProto,
    real: NDArray[np.float64],
    scale: NDArray[np.float32],
    writer: GridWriter,
) -> NodeProto:
    limits = np.iinfo(np.int32)
    integers = np.clip(np.rint(real / scale), limits.min, limits.max).astype(np.int32)
    base = node.input[_BIAS]
    stored = writer.constant(integers, f"{base}_int32")
    grid = Grid(scale, np.zeros(scale.shape, np.int32), TensorProto.INT32, 0)
    if scale.size == 1:
        grid = Grid(scale.reshape(()), np.zeros((), np.int32), TensorProto.INT32, -1)
    node.input[_BIAS] = writer.name(f"{base}_settled")
    return writer.dequantizer(stored, grid, node.input[_BIAS])


SETTLE_BIASES = Rewrite(
    "settle biases",
    "approximate",
    "biases were rounded to the scale that integer kernels give them",
    settle_biases,
    why="a Conv whose bias has another scale than its sums is not fused",
)
