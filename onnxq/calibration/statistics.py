"""What is kept of a tensor's values while rows stream by: one pass, flat memory, mergeable.

The bins of the histogram are the high 16 bits of the float32 itself: its sign, its 8 exponent
bits and the first 7 bits of its mantissa. No range has to be chosen beforehand, every bin is at
most 1/128 of its values wide, a stray 1e6 disturbs nothing, and to merge two histograms is to add
integers. Minima and maxima are kept exactly, and by row, so that a row can be named. (With a
fixed batch, a "row" here stands for the rows that one run takes together.)
"""

from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.calibration.counting import high_halves, sampling_stride, thread_counter

Float32s: TypeAlias = NDArray[np.float32]
Float64s: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

BINS = 1 << 16
_INFINITY_BITS = 0x7F80
_SIGN_BIT = 0x8000


@dataclass(frozen=True, eq=False)
class TensorStatistics:
    """What is known of one tensor's values over some rows.

    A row whose values are not all finite is named and counted; nothing of it is folded in.

    Attributes:
        counts: Values by bin, int64 ``[65536]``; a bin's number is the high half of the float32.
            Where values were sampled, each counts for those that were passed over.
        row_seen: Whether a row was looked at, bool ``[rows]``.
        row_lows: Smallest value by row, float32 ``[rows]``; +inf where the row was not folded in.
        row_highs: Largest value by row, float32 ``[rows]``; -inf where it was not folded in.
        row_non_finite: NaN and infinite values by row, int64 ``[rows]``.
    """

    counts: Counts
    row_seen: Flags
    row_lows: Float32s
    row_highs: Float32s
    row_non_finite: Counts

    @property
    def count(self) -> int:
        """Values of the rows that were folded in; about as many where they were sampled."""
        return int(self.counts.sum())

    @property
    def zeros(self) -> int:
        """Values that are zero, or below 2^-133 in magnitude."""
        return int(self.counts[0] + self.counts[_SIGN_BIT])

    @property
    def low(self) -> float:
        """Smallest value; +inf before any row."""
        return float(self.row_lows.min(initial=np.inf))

    @property
    def high(self) -> float:
        """Largest value; -inf before any row."""
        return float(self.row_highs.max(initial=-np.inf))

    @property
    def non_finite(self) -> int:
        """NaN and infinite values in all rows."""
        return int(self.row_non_finite.sum())

    @property
    def row_folded(self) -> Flags:
        """Rows that have a part in the counts, bool ``[rows]``; one without values has none."""
        folded: Flags = self.row_lows <= self.row_highs
        return folded

    def merge(self, other: "TensorStatistics") -> "TensorStatistics":
        """Combine with the statistics of other rows of the same data.

        Associative, commutative and exact: in whatever order and grouping rows are merged, the
        result is the same, bit for bit.

        Args:
            other: Of the same tensor and of as many rows in all.

        Returns:
            The statistics of both.

        Raises:
            ValueError: If the two speak of different numbers of rows, or both saw the same row,
                which would then count twice.
        """
        if len(self.row_seen) != len(other.row_seen):
            message = f"rows differ: {len(self.row_seen)} and {len(other.row_seen)}"
            raise ValueError(message)
        twice = np.flatnonzero(self.row_seen & other.row_seen)
        if twice.size:
            message = f"row {twice[0]} would count twice"
            raise ValueError(message)
        return TensorStatistics(
            counts=self.counts + other.counts,
            row_seen=self.row_seen | other.row_seen,
            row_lows=np.minimum(self.row_lows, other.row_lows),
            row_highs=np.maximum(self.row_highs, other.row_highs),
            row_non_finite=self.row_non_finite + other.row_non_finite,
        )


def empty_statistics(rows: int) -> TensorStatistics:
    """Return the statistics of no row yet.

    Args:
        rows: How many there are to be.
    """
    return TensorStatistics(
        counts=np.zeros(BINS, np.int64),
        row_seen=np.zeros(rows, np.bool_),
        row_lows=np.full(rows, np.inf, np.float32),
        row_highs=np.full(rows, -np.inf, np.float32),
        row_non_finite=np.zeros(rows, np.int64),
    )


class StatisticsCollector:
    """Folds arrays into statistics; safe to call from several threads.

    One collector serves all threads, so memory does not grow with them: 512 KiB and 17 bytes a
    row.

    Args:
        start: What is known already; it is copied.
        stride: About every so-many-th value is counted (:func:`sampling_stride` says exactly
            which); 1 counts each. Extremes are exact anyway.
    """

    def __init__(self, start: TensorStatistics, *, stride: int = 1) -> None:
        self._counts = start.counts.copy()
        self._row_seen = start.row_seen.copy()
        self._row_lows = start.row_lows.copy()
        self._row_highs = start.row_highs.copy()
        self._row_non_finite = start.row_non_finite.copy()
        self._stride = stride
        self._lock = Lock()

    def has_seen(self, row: int) -> bool:
        """Whether a row was folded in or left out already."""
        return bool(self._row_seen[row])

    def fold(self, row: int, values: Float32s) -> None:
        """Fold in the values of one row, or leave the row out where they are not all finite.

        Args:
            row: Its index; minima and maxima are kept under it.
            values: Any shape.

        Raises:
            ValueError: If the row was seen before.
        """
        counter = thread_counter()
        flat, stride = self._counted(values)
        found = counter.count(flat, stride)
        with self._lock:
            if self._row_seen[row]:
                message = f"row {row} was folded in before"
                raise ValueError(message)
            self._row_seen[row] = True
            self._row_non_finite[row] = found.non_finite
            if not found.non_finite:
                # Zero added: of equal zeros it is left to chance which sign an extreme has.
                self._row_lows[row], self._row_highs[row] = found.low + 0.0, found.high + 0.0
                counter.move(self._counts, stride)

    def fold_out(self, row: int, values: Float32s) -> None:
        """Take a row out again that was folded in: another tensor is not finite on it.

        Args:
            row: Its index.
            values: The very values that were folded in.
        """
        counter = thread_counter()
        flat, stride = self._counted(values)
        counter.count(flat, stride)
        with self._lock:
            if self._row_lows[row] <= self._row_highs[row]:
                self._row_lows[row], self._row_highs[row] = np.inf, -np.inf
                counter.move(self._counts, -stride)

    def _counted(self, values: Float32s) -> tuple[Float32s, int]:
        flat = np.ascontiguousarray(values, np.float32).reshape(-1)
        return flat, sampling_stride(self._stride, flat.size)

    def statistics(self) -> TensorStatistics:
        """Return a copy of what was folded in so far; each row in it whole, or not at all."""
        with self._lock:
            return TensorStatistics(
                counts=self._counts.copy(),
                row_seen=self._row_seen.copy(),
                row_lows=self._row_lows.copy(),
                row_highs=self._row_highs.copy(),
                row_non_finite=self._row_non_finite.copy(),
            )


def bin_numbers(values: Float32s) -> NDArray[np.uint16]:
    """Return the bin of each value: the high half of its bits, without arithmetic.

    Args:
        values: Any shape.

    Returns:
        uint16, flat, in C order.
    """
    return high_halves(np.ascontiguousarray(values, np.float32).reshape(-1))


def bin_edges(bins: Counts) -> tuple[Float64s, Float64s]:
    """Return the smallest and the largest value that finite bins may hold.

    Args:
        bins: Bin numbers below infinity, of either sign.

    Returns:
        Lower and upper edges; the edge nearer to zero belongs to the bin, the other does not.
    """
    sign = np.where(bins & _SIGN_BIT, -1.0, 1.0)
    magnitude = (bins & (_SIGN_BIT - 1)).astype(np.uint32)
    near = sign * (magnitude << 16).view(np.float32).astype(np.float64)
    far = sign * _next_magnitude(magnitude)
    return np.minimum(near, far), np.maximum(near, far)


def _next_magnitude(magnitude: NDArray[np.uint32]) -> Float64s:
    """Return where the next bin begins; 2^128 after the last finite one."""
    following = ((magnitude + 1) << 16).astype(np.uint32).view(np.float32).astype(np.float64)
    return np.where(magnitude + 1 < _INFINITY_BITS, following, 2.0**128)


@dataclass(frozen=True)
class Histogram:
    """The occupied bins of finite values, from the lowest to the highest.

    Attributes:
        lows: Lower edges.
        highs: Upper edges; equal to the lower edge where a bin holds one value alone.
        weights: Values by bin; positive.
    """

    lows: Float64s
    highs: Float64s
    weights: Float64s


def histogram(statistics: TensorStatistics, low: float, high: float) -> Histogram:
    """Read the histogram between two values that occur.

    Args:
        statistics: Of a tensor.
        low: Smallest value to look at; cuts off the lowest bin.
        high: Largest value to look at; cuts off the highest bin.

    Returns:
        The occupied bins that overlap ``[low, high]``; the two at the ends end there exactly.
    """
    bins = np.flatnonzero(statistics.counts)
    lows, highs = bin_edges(bins)
    inside = (highs >= low) & (lows <= high)
    order = np.argsort(lows[inside], kind="stable")
    return Histogram(
        lows=np.clip(lows[inside][order], low, high),
        highs=np.clip(highs[inside][order], low, high),
        weights=statistics.counts[bins[inside][order]].astype(np.float64),
    )
