"""Sums of two products that do not fit int16: on x86 without VNNI they saturate, without a word.

There onnxruntime multiplies uint8 activations and int8 weights with ``vpmaddubsw``: it adds two
neighbouring products in int16, and what does not fit becomes 32767 or -32768. Activations reach
255 by construction (a calibrated range is mapped onto 0 to 255), so the weights alone decide: two
of the same sign whose magnitudes add up to more than 128 overflow, for 255 * 128 = 32640 fits and
255 * 129 = 32895 does not; of two signs never, for 255 * 128 = 32640 of one of them fits.

Which two are neighbours is the packing of onnxruntime's kernels (MLAS; 1.31.1, run under
``qemu-user`` as a Haswell with two activations of 255 at every two places; the acceptance script
``scripts/acceptance/overflow`` does it again):

* Gemm and MatMul: two rows of the weights, the first even, from row 0 on;
* Conv: the same of its im2col matrix, whose rows go by kernel position first and by channel of
  the group last, whatever layout the graph has;
* a Conv with one channel in and one out for each group (depthwise) has a kernel of its own, which
  multiplies in 32 bits: none. So have CPUs without AVX2.

The usual remedy, ``reduce_range``, halves the levels of all weights. Here the scale of a channel
is widened until none of its pairs overflows, which is at most one bit (64 of 127 levels), and
nothing at all where no pair does. Measured so, output signal to noise of a MobileNetV2 (random
weights) in dB, with VNNI and as a Haswell: 14.0 and 9.7 as it is, 13.8 and 13.8 widened, bit for
bit the same outputs, 13.4 and 13.4 with half of all levels.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from onnxq.graph.edits import attribute_int

SAFE_SUM = 128
"""Magnitudes of two weights of the same sign that may add up to this, and not to more."""

CONVS = frozenset({"Conv", "ConvInteger", "QLinearConv"})

_LEVELS = 127
_SAFE_LEVELS = SAFE_SUM // 2
_MATRIX_RANK = 2

_Floats = NDArray[np.float64]
Number = TypeVar("Number", bound=np.generic)


def packed_rows(node: NodeProto, weights: NDArray[Number], axis: int) -> NDArray[Number]:
    """Arrange weights as the kernels read them.

    Args:
        node: A Conv, Gemm or MatMul, or their integer kin.
        weights: Of any dtype, as the node has them.
        axis: Of its output channels.

    Returns:
        ``[channels, products]``: neighbours, from an even place on, are added in int16. No
        products at all where the kernel adds in 32 bits.
    """
    channels = weights.shape[axis]
    if node.op_type not in CONVS:
        return np.moveaxis(weights, axis, 0).reshape(channels, -1)
    groups = attribute_int(node, "group", 1)
    is_depthwise = weights.shape[1] == 1 and channels == groups > 1
    rows = np.moveaxis(weights, 1, -1).reshape(channels, -1)
    return rows[:, :0] if is_depthwise else rows


def pair_sums(rows: NDArray[np.generic]) -> _Floats:
    """Add the magnitudes of neighbours of the same sign.

    Args:
        rows: ``[channels, products]``, as :func:`packed_rows` returns them.

    Returns:
        float64 ``[channels, pairs]``: what two activations of the same size are multiplied with
        at most, in either direction.
    """
    odd = rows.shape[1] % 2
    pairs = np.pad(rows.astype(np.float64), ((0, 0), (0, odd))).reshape(len(rows), -1, 2)
    upward = np.maximum(pairs, 0.0).sum(axis=2)
    downward = np.maximum(-pairs, 0.0).sum(axis=2)
    worse: _Floats = np.maximum(upward, downward)
    return worse


def count_overflowing(rows: NDArray[np.int8]) -> NDArray[np.int64]:
    """Count the pairs of integer weights that overflow int16 for some activations.

    Args:
        rows: ``[channels, products]``, as :func:`packed_rows` returns them.

    Returns:
        ``[channels]``.
    """
    found: NDArray[np.int64] = np.count_nonzero(pair_sums(rows) > SAFE_SUM, axis=1)
    return found


def round_rows(rows: NDArray[np.floating], scales: _Floats) -> NDArray[np.int8]:
    """Round weights to integers as the quantizers do.

    Args:
        rows: ``[channels, products]``.
        scales: ``[channels]``, or one for all.

    Returns:
        Of the same shape.
    """
    steps = rows.astype(np.float32) / scales.astype(np.float32)[:, np.newaxis]
    integers: NDArray[np.int8] = np.clip(np.rint(steps), -_LEVELS - 1, _LEVELS).astype(np.int8)
    return integers


def widen_for_pairs(rows: NDArray[np.floating], scales: _Floats) -> _Floats:
    """Widen scales until no two neighbouring weights overflow.

    Args:
        rows: ``[channels, products]``, as :func:`packed_rows` returns them.
        scales: ``[channels]``, or one for all; positive. Weights reach 127 steps of them at most.

    Returns:
        The same for channels without overflow; else as little more as will do, in levels of the
        largest weight that these scales allow, 64 of 127 at the least.
    """
    each = np.broadcast_to(scales, len(rows))
    levels = np.full(len(rows), _LEVELS)
    for _ in range(_LEVELS - _SAFE_LEVELS):
        integers = round_rows(rows, each * (_LEVELS / levels))
        worst = pair_sums(integers).max(axis=1, initial=0.0)
        if len(scales) == 1:
            worst = np.full_like(worst, worst.max(initial=0.0))
        overflowing = worst > SAFE_SUM
        if not overflowing.any():
            break
        # Rounding moves a sum by a step at most: no level above this one can do.
        wanted = np.floor(levels * (SAFE_SUM + 1) / np.maximum(worst - 1.0, 1.0))
        levels = np.where(overflowing, np.minimum(levels - 1, wanted), levels)
        levels = np.maximum(levels, _SAFE_LEVELS)
    widened: _Floats = each * (_LEVELS / levels)
    return widened[:1] if len(scales) == 1 else widened


def widen_matrices(
    weights: NDArray[np.floating], scales: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Widen the scales of a matrix, or of the matrices of an LSTM, as :func:`widen_for_pairs`.

    Args:
        weights: ``[products, channels]`` of a MatMul; of an LSTM ``[directions, 4 * hidden,
            products]`` or ``[directions * 4 * hidden, products]``.
        scales: One for each index of an axis.
        axis: That axis: the last of a MatMul, the first of an LSTM.

    Returns:
        The widened scales.
    """
    matrices = np.moveaxis(weights, axis, 0)
    if matrices.ndim == _MATRIX_RANK:
        return widen_for_pairs(matrices, scales.astype(np.float64)).astype(np.float32)
    each = [
        widen_for_pairs(matrix, np.atleast_1d(scale.astype(np.float64)))
        for matrix, scale in zip(matrices, scales, strict=True)
    ]
    return np.concatenate(each).astype(np.float32)
