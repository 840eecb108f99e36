"""What is kept of a tensor's values while rows stream by: one pass, flat memory, mergeable.

The bins of the histogram are the high 16 bits of the float32 itself: its sign, its 8 exponent
bits and the first 7 bits of its mantissa. No range has to be chosen beforehand, every bin is at
most 1/128 of its values wide, a stray 1e6 disturbs nothing, and to merge two histograms is to add
integers. Minima and maxima are kept exactly, and by row, so that a row can be named. (With a
fixed batch, a "row" here stands for the rows that one run takes together.)
"""

import sys
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Float32s: TypeAlias = NDArray[np.float32]
Float64s: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]

BINS = 1 << 16
_HIGH_HALF = 1 if sys.byteorder == "little" else 0
_INFINITY_BITS = 0x7F80
_SIGN_BIT = 0x8000
_FEW_VALUES = 1 << 13  # below, counting in place is faster than a histogram of its own


@dataclass(frozen=True)
class TensorStatistics:
    """What is known of one tensor's values over some rows.

    Rows whose values are not all finite are named and counted; nothing of theirs is folded in.

    Attributes:
        count: Values seen, of the rows that were folded in.
        zeros: Values that equal zero.
        low: Smallest value; +inf before any row.
        high: Largest value; -inf before any row.
        counts: Values by bin, int64 ``[65536]``; a bin's number is the high half of the float32.
        row_lows: Smallest value by row, float32 ``[rows]``; +inf where the row was not folded in.
        row_highs: Largest value by row, float32 ``[rows]``; -inf where it was not folded in.
        row_non_finite: NaN and infinite values by row, int64 ``[rows]``.
    """

    count: int
    zeros: int
    low: float
    high: float
    counts: Counts
    row_lows: Float32s
    row_highs: Float32s
    row_non_finite: Counts

    @property
    def non_finite(self) -> int:
        """NaN and infinite values in all rows."""
        return int(self.row_non_finite.sum())

    def merge(self, other: "TensorStatistics") -> "TensorStatistics":
        """Combine with the statistics of other rows of the same data.

        Associative, commutative and exact: in whatever order and grouping rows are merged, the
        result is the same, bit for bit.

        Args:
            other: Of the same tensor and of as many rows in all.

        Returns:
            The statistics of both.

        Raises:
            ValueError: If the two speak of different numbers of rows.
        """
        if len(self.row_lows) != len(other.row_lows):
            message = f"rows differ: {len(self.row_lows)} and {len(other.row_lows)}"
            raise ValueError(message)
        return TensorStatistics(
            count=self.count + other.count,
            zeros=self.zeros + other.zeros,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            counts=self.counts + other.counts,
            row_lows=np.minimum(self.row_lows, other.row_lows),
            row_highs=np.maximum(self.row_highs, other.row_highs),
            row_non_finite=self.row_non_finite + other.row_non_finite,
        )


class StatisticsCollector:
    """Folds arrays into statistics; safe to call from several threads.

    One collector serves all threads, so memory does not grow with them: 512 KiB and 16 bytes a
    row.

    Args:
        rows: How many rows there are in all.
    """

    def __init__(self, rows: int) -> None:
        self._count = 0
        self._zeros = 0
        self._counts: Counts = np.zeros(BINS, np.int64)
        self._row_lows = np.full(rows, np.inf, np.float32)
        self._row_highs = np.full(rows, -np.inf, np.float32)
        self._row_non_finite = np.zeros(rows, np.int64)
        self._lock = Lock()

    def fold(self, row: int, values: Float32s) -> None:
        """Fold in the values of one row.

        Args:
            row: Its index, below ``rows``; minima and maxima are kept under it.
            values: Any shape; all finite.
        """
        if not values.size:
            return
        low, high = values.min(), values.max()
        zeros = int(np.count_nonzero(values == 0))
        bins = bin_numbers(values)
        few = bins.size < _FEW_VALUES
        counts = self._counts[:0] if few else np.bincount(bins, minlength=BINS)
        with self._lock:
            self._count += values.size
            self._zeros += zeros
            self._row_lows[row] = min(low, self._row_lows[row])
            self._row_highs[row] = max(high, self._row_highs[row])
            if few:
                np.add.at(self._counts, bins, 1)
            else:
                self._counts += counts

    def leave_out(self, row: int, values: Float32s) -> None:
        """Count the values of one row that are not finite, and fold in nothing.

        Args:
            row: Its index, below ``rows``.
            values: Any shape.
        """
        with self._lock:
            self._row_non_finite[row] += values.size - np.count_nonzero(np.isfinite(values))

    def statistics(self) -> TensorStatistics:
        """Return what was folded in so far."""
        with self._lock:
            return TensorStatistics(
                count=self._count,
                zeros=self._zeros,
                low=float(self._row_lows.min(initial=np.inf)),
                high=float(self._row_highs.max(initial=-np.inf)),
                counts=self._counts.copy(),
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
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    return flat.view(np.uint16)[_HIGH_HALF::2]


def is_finite(values: Float32s) -> bool:
    """Whether no value is NaN or infinite; reads the values twice and allocates nothing."""
    return not values.size or bool(np.isfinite(values.min()) and np.isfinite(values.max()))


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
