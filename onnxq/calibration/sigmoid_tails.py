"""The range of what a Sigmoid reads, judged behind it, where users rank by the result.

A logit of 9 that becomes 8 moves its score by 0.0002; a logit of 0.1 that becomes 0 moves it by
0.025. So errors are taken behind the Sigmoid, value by value. But scores are also compared: two
values of one row that share the highest integer cannot be told apart. So the top may be cut off
only where no row has two values there.
"""

from dataclasses import dataclass

import numpy as np

from onnxq.calibration.least_error import COARSE, FINER, Ends
from onnxq.calibration.quantization_noise import LEVELS
from onnxq.calibration.statistics import Float64s, Histogram, TensorStatistics

_POINTS = 2  # samples of a bin, each for an equal part of its values
_TOPS = 9
_SATURATED = 80.0  # a Sigmoid is 0 or 1 beyond, to double precision and far below it


@dataclass(frozen=True)
class _Samples:
    values: Float64s
    weights: Float64s
    scores: Float64s


def sigmoid_range(bins: Histogram, lowest_top: float) -> Ends:
    """Find the asymmetric uint8 range with the least squared error behind a Sigmoid.

    Args:
        bins: Of values that are not all zero.
        lowest_top: From :func:`lowest_untied_top`.

    Returns:
        The range; it includes zero.
    """
    lowest, highest = min(0.0, float(bins.lows[0])), max(0.0, float(bins.highs[-1]))
    samples = _sample(bins)
    tops = np.linspace(highest, min(highest, max(0.0, lowest_top)), _TOPS)
    low, high = lowest, highest
    for factors in (COARSE, *FINER):
        low, high = _best(samples, np.maximum(low * factors, lowest), np.array([high]))
        low, high = _best(samples, np.array([low]), tops)
    return low, high


def lowest_untied_top(statistics: TensorStatistics, bins: Histogram) -> float:
    """Tell how far down the top of a range may go before two values of a row share it.

    Args:
        statistics: Of the tensor, every value counted.
        bins: Its histogram, between the ends that a range may have.

    Returns:
        The least upper end at which no row has two values that become the highest integer,
        as far as bins can tell them apart; the highest value where there is none.
    """
    low, high = min(0.0, float(bins.lows[0])), float(bins.highs[-1])
    row_highs = np.sort(statistics.row_highs[statistics.row_highs <= high].astype(np.float64))
    values = np.cumsum(bins.weights[::-1])[::-1]
    rows = len(row_highs) - np.searchsorted(row_highs, bins.lows)
    tied = np.flatnonzero(values != rows)
    untied = bins.lows[tied[-1] + 1 :] if tied.size else bins.lows
    if not untied.size:
        return high
    # What lies less than half a step below the end becomes the highest integer as well.
    halves = 2 * LEVELS
    return min(high, float((untied[0] * halves - low) / (halves - 1)))


def _sample(bins: Histogram) -> _Samples:
    parts = (np.arange(_POINTS) + 0.5) / _POINTS
    values = (bins.lows[:, np.newaxis] + (bins.highs - bins.lows)[:, np.newaxis] * parts).ravel()
    weights = np.repeat(bins.weights / _POINTS, _POINTS)
    return _Samples(values, weights, _sigmoid(values))


def _best(samples: _Samples, lows: Float64s, highs: Float64s) -> Ends:
    """Return the range with the least error of all pairs; of equals the widest."""
    pairs = [(float(low), float(high)) for low in lows for high in highs if low < high]
    widest_first = sorted(set(pairs), key=lambda pair: pair[0] - pair[1])
    return min(widest_first, key=lambda pair: _error(samples, *pair))


def _error(samples: _Samples, low: float, high: float) -> float:
    step = (high - low) / LEVELS
    zero_point = np.rint(-low / step)
    integers = np.clip(np.rint(samples.values / step), -zero_point, LEVELS - zero_point)
    levels = _sigmoid((np.arange(LEVELS + 1) - zero_point) * step)
    errors = levels[(integers + zero_point).astype(np.intp)] - samples.scores
    return float(np.sum(errors * errors * samples.weights))


def _sigmoid(values: Float64s) -> Float64s:
    scores: Float64s = 1.0 / (1.0 + np.exp(-np.clip(values, -_SATURATED, _SATURATED)))
    return scores
