"""Weights as integers: symmetric, so that zero stays zero; per channel, or in blocks.

The layout of blocks is that of ``com.microsoft.MatMulNBits`` (onnxruntime's ContribOperators.md):
a matrix ``[K, N]`` is stored by column, each column in blocks of ``block_size`` rows, the last one
padded; a byte holds 8 // bits values, the first in its low bits; zero is ``2**(bits - 1)``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxq.arrays import Array

_INT8_LARGEST = 127
_EMPTY_SCALE = np.float32(2.0**-100)
"""Of weights that are all zero, or too small for a scale. Not 1: MatMulNBits corrects for the zero
point by sums that cancel to float32's rounding only, and would return noise in scale's size where
zero is due. Not smaller: its products shall not be subnormal, which are slow."""

_SHRINKS = np.linspace(1.0, 0.7, 13, dtype=np.float32)
"""Parts of the full scale that are tried for few levels: clipping a little may err less."""


@dataclass(frozen=True)
class ChannelWeights:
    """A weight as int8, one scale per channel.

    Attributes:
        integers: int8, of the weight's shape; -127 to 127.
        scales: float32, finite and above zero, of the weight's rank: 1 along all axes but that
            of the channels.
    """

    integers: NDArray[np.int8]
    scales: NDArray[np.float32]


@dataclass(frozen=True)
class BlockWeights:
    """A matrix ``[K, N]`` as MatMulNBits stores it.

    Attributes:
        packed: uint8 ``[N, blocks, block_size * bits / 8]``.
        scales: float32 ``[N, blocks]``, finite and above zero.
    """

    packed: NDArray[np.uint8]
    scales: NDArray[np.float32]


def quantize_channels(weight: Array, axis: int) -> ChannelWeights:
    """Quantize a weight to int8 with one scale per channel.

    Args:
        weight: float32, finite.
        axis: Of the channels.

    Returns:
        ``round(weight / scale)``, the scale being the channel's largest magnitude over 127.
    """
    others = tuple(other for other in range(weight.ndim) if other != axis)
    scales = _scales(np.abs(weight).max(axis=others, keepdims=True), _INT8_LARGEST)
    return ChannelWeights(_rounded(weight, scales, -_INT8_LARGEST, _INT8_LARGEST), scales)


def quantize_blocks(matrix: Array, bits: int, block_size: int) -> BlockWeights:
    """Quantize a matrix in blocks along its rows.

    Args:
        matrix: float32 ``[K, N]``, finite.
        bits: 8 or 4.
        block_size: Rows that share a scale.

    Returns:
        8 bits: ``round(weight / scale)`` from -127 to 127. 4 bits: from -8 to 7, the scale of
        each block being that of several which has the least squared error.
    """
    blocks = _in_blocks(matrix, block_size)
    largest = (1 << (bits - 1)) - 1
    least = -largest if bits == 8 else -largest - 1  # noqa: PLR2004 - a byte
    scales = _scales(np.abs(blocks).max(axis=2, keepdims=True), largest)
    if bits < 8:  # noqa: PLR2004 - a byte
        scales = _least_error(blocks, scales, least, largest)
    integers = _rounded(blocks, scales, least, largest)
    levels = (integers.astype(np.int16) + (1 << (bits - 1))).astype(np.uint8)
    return BlockWeights(_packed(levels, bits), scales[:, :, 0])


def fitting_block(rows: int, sizes: Sequence[int]) -> int:
    """Choose the largest block that a matrix fills well.

    Args:
        rows: K; what a block has beyond them is padding.
        sizes: Block sizes to choose from, ascending.

    Returns:
        The largest size whose padding adds an eighth of the rows at most; else the smallest.
    """
    filled = [size for size in sizes if -rows % size <= rows // 8]
    return filled[-1] if filled else sizes[0]


def packed_bytes(rows: int, columns: int, bits: int, block_size: int) -> int:
    """Return what a matrix ``[rows, columns]`` weighs in blocks, padding and scales included."""
    blocks = -(-rows // block_size)
    return columns * blocks * (block_size * bits // 8 + np.dtype(np.float32).itemsize)


def unpack_bits(packed: Array, bits: int) -> Array:
    """Unpack bytes along the last axis, low bits first.

    Args:
        packed: uint8 ``[..., bytes]``.
        bits: Of each value: 8, 4, 2 or 1.

    Returns:
        uint8 ``[..., bytes * 8 / bits]``, 0 to ``2**bits - 1``.
    """
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    levels: Array = (packed[..., np.newaxis] >> shifts) & ((1 << bits) - 1)
    return levels.reshape(*packed.shape[:-1], -1)


def _in_blocks(matrix: Array, block_size: int) -> Array:
    """Return ``[N, blocks, block_size]``, padded with zeros."""
    columns = np.ascontiguousarray(matrix.T)
    padding = -columns.shape[1] % block_size
    padded = np.pad(columns, ((0, 0), (0, padding)))
    return padded.reshape(columns.shape[0], -1, block_size)


def _scales(largest: Array, levels: int) -> NDArray[np.float32]:
    """Return scales above zero, also where all weights are zero."""
    scales = largest.astype(np.float32) / np.float32(levels)
    usable = scales >= np.finfo(np.float32).tiny
    result: NDArray[np.float32] = np.where(usable, scales, _EMPTY_SCALE).astype(np.float32)
    return result


def _rounded(weight: Array, scales: Array, least: int, largest: int) -> NDArray[np.int8]:
    clipped: NDArray[np.int8] = np.clip(np.rint(weight / scales), least, largest).astype(np.int8)
    return clipped


def _least_error(blocks: Array, scales: Array, least: int, largest: int) -> NDArray[np.float32]:
    best, error = scales, np.full(scales.shape, np.inf)
    for shrink in _SHRINKS:
        tried = scales * shrink
        lost = _rounded(blocks, tried, least, largest) * tried - blocks
        now = np.square(lost, dtype=np.float64).sum(axis=2, keepdims=True)
        best, error = np.where(now < error, tried, best), np.minimum(now, error)
    chosen: NDArray[np.float32] = best.astype(np.float32)
    return chosen


def _packed(levels: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    per_byte = 8 // bits
    parts = levels.reshape(*levels.shape[:2], -1, per_byte)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(parts << shifts, axis=3).astype(np.uint8)
    return packed
