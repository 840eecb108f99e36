"""What does not belong into a range: masks and stray rows.

Every rule reads merged statistics alone, so it does not depend on the order of the rows.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from onnxq.calibration.statistics import (
    BINS,
    Counts,
    Float64s,
    TensorStatistics,
    bin_edges,
)

OutlierKind: TypeAlias = Literal["none", "mask", "stray", "proportion"]

PROPORTION_RATIO = 10_000
"""A value is out of proportion beyond this many times the median magnitude."""

_PROPORTION_OCTAVES = 14  # the least power of two above PROPORTION_RATIO
_MASK_GAP_OCTAVES = 10  # empty octaves (a factor of 1000) that set a mask apart
_MASK = 2.0**26  # masks are -1e9, -1e30, -3.4e38; uint8 cannot hold such values beside others
_STRAY_RATIO = 1000.0  # how far a stray row reaches beyond all others
_STRAY_SHARE = 100  # strays are at most one row, or one row in so many
_EXPONENT_BIAS = 127


@dataclass(frozen=True)
class Outliers:
    """Values of a tensor that are out of proportion, and the ends of the others.

    Attributes:
        kind: ``mask``: of the size of a mask, and nothing near them; ``stray``: in very few rows,
            which reach 1000 times farther than all others; ``proportion``: large, but part of the
            tensor. Masks and strays are left out of ranges.
        rows: Indices of the rows that hold such values, sorted.
        median: Upper end of the octave that holds the median magnitude of the values besides
            zero.
        low: Smallest value of a range.
        high: Largest value of a range.
    """

    kind: OutlierKind
    rows: tuple[int, ...]
    median: float
    low: float
    high: float


def find_outliers(statistics: TensorStatistics) -> Outliers:
    """Tell which values of a tensor should not decide its range.

    Args:
        statistics: Of at least one row.

    Returns:
        The outliers. ``low`` and ``high`` are exact minima and maxima; where a mask was left out
        they may be the outer ends of the last bins within, 1/128 too far at most.
    """
    low, high = statistics.low, statistics.high
    octaves = _by_octave(statistics.counts)
    occupied = np.flatnonzero(octaves)
    if not occupied.size:
        return Outliers("none", (), 0.0, low, high)
    middle = int(np.searchsorted(np.cumsum(octaves), (octaves.sum() + 1) // 2))
    median, disproportionate = _power(middle + 1), _power(middle + _PROPORTION_OCTAVES)
    extremes = _row_extremes(statistics)
    mask = _mask_threshold(occupied)
    if np.isfinite(mask):
        return Outliers("mask", _from(extremes, mask), median, *_ends_within(statistics, mask))
    if extremes.max() < disproportionate:
        return Outliers("none", (), median, low, high)
    stray = _stray_threshold(extremes)
    if stray >= disproportionate and np.isfinite(stray):
        others = (extremes >= 0) & (extremes < stray)
        low = float(statistics.row_lows[others].min())
        high = float(statistics.row_highs[others].max())
        return Outliers("stray", _from(extremes, stray), median, low, high)
    return Outliers("proportion", _from(extremes, disproportionate), median, low, high)


def _by_octave(counts: Counts) -> Counts:
    """Count magnitudes by binary exponent, ``[256]``; zeros and subnormal values do not count."""
    octaves: Counts = counts.reshape(2, 256, BINS // 512).sum(axis=(0, 2))
    octaves[0] = 0
    return octaves


def _power(exponent: int) -> float:
    return float(2.0 ** (exponent - _EXPONENT_BIAS))


def _row_extremes(statistics: TensorStatistics) -> Float64s:
    """Return the largest magnitude of each row; -1 for rows that were not folded in."""
    folded = statistics.row_lows <= statistics.row_highs
    extremes = np.maximum(np.abs(statistics.row_lows), np.abs(statistics.row_highs))
    return np.where(folded, extremes, -1.0).astype(np.float64)


def _from(extremes: Float64s, threshold: float) -> tuple[int, ...]:
    return tuple(np.flatnonzero(extremes >= threshold).tolist())


def _mask_threshold(occupied: Counts) -> float:
    """Return the magnitude above the first wide gap where a mask begins; +inf without one."""
    after_gap = occupied[1:][np.diff(occupied) > _MASK_GAP_OCTAVES]
    return next((p for p in map(_power, after_gap.tolist()) if p >= _MASK), np.inf)


def _stray_threshold(extremes: Float64s) -> float:
    """Return the magnitude from which on rows are strays; +inf without any."""
    ordered = np.sort(extremes[extremes >= 0])[::-1]
    most = min(max(1, len(ordered) // _STRAY_SHARE), len(ordered) - 1)
    for strays in range(1, most + 1):
        if 0.0 < ordered[strays] * _STRAY_RATIO < ordered[strays - 1]:
            return float(ordered[strays - 1])
    return np.inf


def _ends_within(statistics: TensorStatistics, threshold: float) -> tuple[float, float]:
    """Return the ends of the values below a magnitude; exact where nothing lies beyond."""
    bins = np.flatnonzero(statistics.counts)
    lows, highs = bin_edges(bins)
    within = np.maximum(np.abs(lows), np.abs(highs)) <= threshold
    low = max(statistics.low, float(lows[within].min()))
    high = min(statistics.high, float(highs[within].max()))
    return low, high
