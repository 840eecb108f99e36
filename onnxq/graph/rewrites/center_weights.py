"""Weights of small convolutions get the zero point 0 and a scale for each channel.

Pattern: ``Conv`` on a dequantized activation, int8 weights with another zero point, depthwise or of
fewer than 512 products a sum. Replacement: int8 weights that are symmetric, channel by channel.
Approximate: each weight is rounded again, to a 127th of the largest one of its channel. Why:
onnxruntime has kernels for small convolutions with symmetric weights alone, and copies the windows
of all others apart: MobileNetV2 as quantize_static writes it with uint8 weights takes 9.2 ms, 7.3
ms repaired without this and 3.6 ms with it (1 thread, x86-64 with AVX512-VNNI). Large ones are left
as they are: with AMX they are no slower.
"""

import math

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import copy_of
from onnxq.graph.grid_writing import GridWriter
from onnxq.graph.qdq_pairs import DEQUANTIZE, Grid, Pairs, index_pairs
from onnxq.graph.rewrites.rewrite import X86, Rewrite, Rewritten

_WEIGHT = 1
_LARGE_PRODUCTS = 512
_HIGHEST = 127


def center_weights(proto: ModelProto) -> Rewritten:
    """Make weights of small Conv nodes of the top graph symmetric.

    Args:
        proto: A model with pairs; not changed.

    Returns:
        The model, and the names of the nodes.
    """
    if not any(_is_found(node, index_pairs(proto.graph)) for node in proto.graph.node):
        return Rewritten(proto, ())
    copy = copy_of(proto)
    pairs, writer = index_pairs(copy.graph), GridWriter(copy.graph)
    found = [node for node in copy.graph.node if _is_found(node, pairs)]
    for node in found:
        dequantizer = pairs.producers[node.input[_WEIGHT]]
        grid, integers = pairs.grid(dequantizer), pairs.constant(dequantizer.input[0])
        if grid is not None and integers is not None:
            centered, scale = _center(grid, integers)
            dequantizer.input[0] = writer.constant(centered, f"{dequantizer.input[0]}_centered")
            points = np.zeros(scale.shape, np.int8)
            writer.assign(dequantizer, Grid(scale, points, TensorProto.INT8, 0))
    return Rewritten(copy, tuple(node.name or node.output[0] for node in found))


def _is_found(node: NodeProto, pairs: Pairs) -> bool:
    dequantizer = (
        pairs.producer(node.input[_WEIGHT], DEQUANTIZE) if node.op_type == "Conv" else None
    )
    if dequantizer is None or pairs.producer(node.input[0], DEQUANTIZE) is None:
        return False
    grid, integers = pairs.grid(dequantizer), pairs.constant(dequantizer.input[0])
    if grid is None or integers is None or len(pairs.readers(dequantizer.output[0])) != 1:
        return False
    is_shifted = grid.dtype == TensorProto.INT8 and bool(grid.zero_point.any())
    is_small = math.prod(integers.shape[1:]) < _LARGE_PRODUCTS
    return is_shifted and is_small and (grid.is_per_tensor or grid.axis == 0)


def _center(
    grid: Grid, integers: NDArray[np.generic]
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantize weights again; channels of zeros keep a scale that is above 0."""
    layout = (-1, *[1] * (integers.ndim - 1))
    point, step = (
        np.asarray(one, np.float64).reshape(layout) for one in (grid.zero_point, grid.scale)
    )
    real = (integers.astype(np.float64) - point) * step
    most = np.abs(real).reshape(len(real), -1).max(axis=1)
    usual = np.broadcast_to(step.ravel(), most.shape)
    scale = np.where(most > 0, most / _HIGHEST, usual).astype(np.float32)
    rounded = np.rint(real / scale.reshape(layout).astype(np.float64))
    return np.clip(rounded, -_HIGHEST, _HIGHEST).astype(np.int8), scale


CENTER_WEIGHTS = Rewrite(
    "center weights",
    "approximate",
    "weights of small convolutions were rounded again, to a symmetric grid for each channel",
    center_weights,
    why="small convolutions with other zero points have no kernel: 2.0x on MobileNetV2",
    targets=X86,
)
