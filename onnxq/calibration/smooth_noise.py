"""Quantization noise without its ripple: from three cumulative sums, for thousands of ranges."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxq.calibration.quantization_noise import Noise
from onnxq.calibration.statistics import Float64s, Histogram


@dataclass(frozen=True)
class Moments:
    """Sums over all values up to a bin; a bin counts as a whole, at its middle.

    Attributes:
        middles: Of the bins, ascending ``[bins]``.
        count: Values in the bins before ``[bins + 1]``.
        first: Sum of those values ``[bins + 1]``.
        second: Sum of their squares ``[bins + 1]``.
    """

    middles: Float64s
    count: Float64s
    first: Float64s
    second: Float64s

    def noise(self, lows: Float64s, highs: Float64s, levels: int) -> Noise:
        """Tell what errors tend to with fine steps.

        Values below half a step become zero, and all of each is error; values above are off by a
        twelfth of the squared step on average; values beyond the ends by their distance.

        Args:
            lows: Lower ends ``[candidates]``, at most zero.
            highs: Upper ends ``[candidates]``, at least zero; above ``lows``.
            levels: Steps of the range.

        Returns:
            The errors.
        """
        step = (highs - lows) / levels
        below, above = self._at(lows), self._at(highs)
        start, end = (np.clip(self._at(half), below, above) for half in (-step / 2, step / 2))
        lost = self.second[end] - self.second[start]
        rounded = self.count[above] - self.count[below] - (self.count[end] - self.count[start])
        over = self._beyond(above, np.full_like(above, len(self.middles)), highs)
        under = self._beyond(np.zeros_like(below), below, lows)
        return Noise(
            rounding=lost + rounded * (step * step / 12.0),
            clipping=np.maximum(over + under, 0.0),
        )

    def _at(self, values: Float64s) -> NDArray[np.int64]:
        return np.searchsorted(self.middles, values)

    def _beyond(self, start: NDArray[np.int64], stop: NDArray[np.int64], end: Float64s) -> Float64s:
        """Sum squared distances from an end of the range over some bins."""
        count, first, second = (
            sums[stop] - sums[start] for sums in (self.count, self.first, self.second)
        )
        return second - 2.0 * end * first + end * end * count


def moments_of(bins: Histogram) -> Moments:
    """Take the sums of a histogram.

    Args:
        bins: Of finite values.
    """
    middles = (bins.lows + bins.highs) / 2.0
    spread = (bins.highs - bins.lows) ** 2 / 12.0

    def up_to(values: Float64s) -> Float64s:
        return np.concatenate([[0.0], np.cumsum(bins.weights * values)])

    return Moments(
        middles=middles,
        count=up_to(np.ones_like(middles)),
        first=up_to(middles),
        second=up_to(middles * middles + spread),
    )
