"""Calibration rows that alone decide how wide ranges are, though no single value of theirs is odd.

A row that is fed on another scale than the others, or is damaged, reaches a few times or a few
hundred times as far as they do, in nearly all tensors at once. That tells it from the largest row
that every set has, which is the largest in one tensor and not in the next. Values that are out of
all proportion are left out of ranges anyway, and told by :mod:`onnxq.calibration.oddities`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxq.calibration.outliers import find_outliers
from onnxq.calibration.statistics import Float64s, TensorStatistics, histogram
from onnxq.findings import Finding
from onnxq.wording import count_noun, listed_rows

LEAST_GAIN_DB = 6.0
"""Noise that must go with the rows: that of one bit. On photos, the best that leaving out a row of
8 brings is 4.5 dB, and a row of 64 2.2 dB."""

LEAST_ROWS = 8
"""With fewer rows, each of them decides."""

_SHARE = 50  # at most one row in so many, or one
_WIDER_RATIO = 2.0  # what counts as a tensor whose range a row decides
_LEAST_REACH = 2.0**-20  # of the median: how short a row may fall before it is as good as zero


@dataclass(frozen=True, eq=False)
class _Reaches:
    """How far rows reach in each tensor; values out of proportion are cut off.

    Attributes:
        tensors: Names.
        rows: Numbers of the rows that were folded in everywhere.
        lows: At most zero ``[tensors, rows]``.
        highs: At least zero ``[tensors, rows]``.
    """

    tensors: tuple[str, ...]
    rows: NDArray[np.int64]
    lows: Float64s
    highs: Float64s

    def widths(self, kept: NDArray[np.int64]) -> Float64s:
        """Return the widths of the ranges that hold every value of some rows."""
        widths: Float64s = self.highs[:, kept].max(axis=1) - self.lows[:, kept].min(axis=1)
        return widths

    def farthest_first(self) -> NDArray[np.int64]:
        """Order rows by how far they reach over all tensors, against the median row."""
        reaches = np.maximum(self.highs, -self.lows)
        usual = np.median(reaches, axis=1, keepdims=True)
        relative = reaches[usual[:, 0] > 0] / usual[usual[:, 0] > 0]
        scores = np.log2(np.maximum(relative, _LEAST_REACH)).sum(axis=0)
        order: NDArray[np.int64] = np.argsort(-scores, kind="stable")
        return order


def describe_influence(
    statistics: Mapping[str, TensorStatistics], row_names: Sequence[str]
) -> tuple[Finding, ...]:
    """Say which rows make ranges so wide that all others are quantized worse.

    Rows are left out one by one, the farthest first, one in 50 at most. What that gains is the
    noise of ranges that hold every value, over the signal of the rows that stay, all tensors added
    up. Ranges by percentile or least error follow such rows as well: it takes a share of the values
    or of the error to move them, and whole rows are one.

    Args:
        statistics: By tensor.
        row_names: A name for each row.

    Returns:
        One OQ150 that names the fewest rows that bring :data:`LEAST_GAIN_DB`, or nothing.
    """
    reaches = _reaches(statistics)
    count = len(reaches.rows)
    if count < LEAST_ROWS or not reaches.tensors:
        return ()
    order = reaches.farthest_first()
    most = max(1, count // _SHARE)
    signals = _signals(reaches, np.sort(order[most:]), statistics)
    heard = signals > 0.0
    before = reaches.widths(order)
    for left_out in range(1, most + 1):
        after = reaches.widths(order[left_out:])
        noise = [float((widths[heard] ** 2 / signals[heard]).sum()) for widths in (before, after)]
        gain = 10.0 * float(np.log10(noise[0] / noise[1])) if noise[1] else 0.0
        if gain >= LEAST_GAIN_DB:
            named = [row_names[row] for row in reaches.rows[order[:left_out]]]
            return (_finding(named, count, gain, reaches.tensors, (before, after)),)
    return ()


def _reaches(statistics: Mapping[str, TensorStatistics]) -> _Reaches:
    tensors = tuple(name for name, one in statistics.items() if one.count)
    if not tensors:
        return _Reaches((), np.empty(0, np.int64), np.empty((0, 0)), np.empty((0, 0)))
    folded = np.all([statistics[name].row_folded for name in tensors], axis=0)
    plain = {name: find_outliers(statistics[name]) for name in tensors}
    lows = [np.clip(statistics[t].row_lows[folded], plain[t].low, 0.0) for t in tensors]
    highs = [np.clip(statistics[t].row_highs[folded], 0.0, plain[t].high) for t in tensors]
    return _Reaches(
        tensors,
        np.flatnonzero(folded),
        np.array(lows, np.float64),
        np.array(highs, np.float64),
    )


def _signals(
    reaches: _Reaches, kept: NDArray[np.int64], statistics: Mapping[str, TensorStatistics]
) -> Float64s:
    """Return the mean square of each tensor's values, as far as the rows that stay reach."""
    lows, highs = reaches.lows[:, kept].min(axis=1), reaches.highs[:, kept].max(axis=1)
    signals = []
    for name, low, high in zip(reaches.tensors, lows, highs, strict=True):
        bins = histogram(statistics[name], float(low), float(high))
        squares = bins.lows**2 + bins.lows * bins.highs + bins.highs**2
        signals.append(float(squares @ bins.weights) / 3.0 / max(bins.weights.sum(), 1.0))
    return np.array(signals)


def _finding(
    named: Sequence[str],
    count: int,
    gain_db: float,
    tensors: tuple[str, ...],
    widths: tuple[Float64s, Float64s],
) -> Finding:
    before, after = widths
    ratios = before / np.maximum(after, np.finfo(np.float64).tiny)
    decided = np.flatnonzero(ratios >= _WIDER_RATIO)
    shown = int(decided[0]) if decided.size else int(np.argmax(ratios))  # nearest to the input
    rows, one = listed_rows(named), len(named) == 1
    return Finding(
        code="OQ150",
        subject=rows,
        message=(
            f"{'It is' if one else 'They are'} {len(named)} of "
            f"{count_noun(count, 'calibration row')} and at least {'doubles' if one else 'double'} "
            f"the ranges of {len(decided)} of {count_noun(len(tensors), 'activation')}, "
            f"{tensors[shown]} from {after[shown]:.3g} to {before[shown]:.3g} wide: "
            f"{gain_db:.0f} dB more noise in all other rows."
        ),
        evidence={
            "tensor": tensors[shown],
            "row": named[0],
            "rows": len(named),
            "calibration_rows": count,
            "tensors": len(decided),
            "gain_db": gain_db,
            "width": float(before[shown]),
            "width_without": float(after[shown]),
        },
        fix=f"Look at {rows}: leave what is damaged, or on another scale, out of --calib.",
        severity="warning",
    )
