"""How a range is chosen from a tensor's statistics.

::

    TensorStatistics ──> find_outliers ──> histogram ──> a method ──> bounds ──> TensorRange
                                                            │
                     percentiles · least_error · auto · sigmoid_tails

Entropy (TensorRT's: S. Migacz, GTC 2017) is no method here. The Kullback-Leibler divergence knows
how many values were moved, not how far, so it cuts off too much: on six of seven models such
ranges were worse than MinMax, by 7 to 27 dB on four of them. That was with levels of the real
grid, 8192 bins and zeros left out; TensorRT's own form, in seven variants, came to the same.
"""

import numpy as np

from onnxq.calibration.auto import auto_magnitude, auto_range
from onnxq.calibration.least_error import Ends, least_error, least_error_magnitude
from onnxq.calibration.outliers import find_outliers
from onnxq.calibration.percentiles import percentile_range
from onnxq.calibration.sigmoid_tails import lowest_untied_top, sigmoid_range
from onnxq.calibration.statistics import (
    Histogram,
    TensorStatistics,
    bin_numbers,
    histogram,
)
from onnxq.range_methods import Auto, MeanSquaredError, MinMax, Percentile, RangeMethod
from onnxq.ranges import TensorRange
from onnxq.recipe_kinds import Activation
from onnxq.tensor_uses import INNER, TensorUse

_SATURATED_SHARE = 1e-4  # of all values; where so many sit on a bound, the bound is kept


def choose_range(
    statistics: TensorStatistics,
    method: RangeMethod,
    use: TensorUse = INNER,
    *,
    activation: Activation = "uint8",
    is_sampled: bool = False,
) -> TensorRange:
    """Choose the range of one tensor.

    Args:
        statistics: Of at least one row.
        method: How.
        use: What the tensor reaches, how errors come through there, and what bounds it.
        activation: The grid; ``int16`` gives a range that is symmetric about zero.
        is_sampled: Whether only some of the values were counted. Then ties cannot be ruled out,
            and the top is not cut off in front of a Sigmoid.

    Returns:
        A range that includes zero. Masks and stray rows, as :func:`find_outliers` tells them, are
        not part of it.

    Raises:
        ValueError: If no row was folded in.
    """
    if not statistics.count:
        message = "no rows were folded in"
        raise ValueError(message)
    low, high = (
        (0.0, 1.0) if use.is_share else _ends(statistics, method, use, activation, is_sampled)
    )
    if activation == "int16":
        high = max(-low, high)
        low = -high
    return TensorRange(low, high)


def _ends(
    statistics: TensorStatistics,
    method: RangeMethod,
    use: TensorUse,
    activation: Activation,
    is_sampled: bool,  # noqa: FBT001 - private, and called once
) -> Ends:
    """Choose both ends; for int16 only their magnitude counts."""
    plain = find_outliers(statistics)
    low, high = min(0.0, plain.low), max(0.0, plain.high)
    may_clip = use.tail == "inner" or (use.tail == "sigmoid" and activation == "uint8")
    if low == high or isinstance(method, MinMax) or not may_clip:
        return low, high
    bins = histogram(statistics, plain.low, plain.high)
    if use.tail == "sigmoid":
        return sigmoid_range(bins, high if is_sampled else lowest_untied_top(statistics, bins))
    if activation == "int16":
        top = _clip_magnitude(_magnitudes(bins), method, use)
        return _keep_bounds(statistics, use, 0.0, top)
    return _keep_bounds(statistics, use, *_clip(bins, method, use))


def _clip(bins: Histogram, method: Percentile | MeanSquaredError | Auto, use: TensorUse) -> Ends:
    match method:
        case Percentile(percent=percent):
            return percentile_range(bins, percent, one_sided=False)
        case MeanSquaredError():
            return least_error(bins)
        case Auto():
            return auto_range(bins, use.clipping_gain)


def _clip_magnitude(
    bins: Histogram, method: Percentile | MeanSquaredError | Auto, use: TensorUse
) -> float:
    match method:
        case Percentile(percent=percent):
            return percentile_range(bins, percent, one_sided=True)[1]
        case MeanSquaredError():
            return least_error_magnitude(bins)
        case Auto():
            return auto_magnitude(bins, use.clipping_gain)


def _magnitudes(bins: Histogram) -> Histogram:
    """Fold a histogram about zero; no bin holds values of both signs."""
    lows = np.where(bins.highs > 0, bins.lows, -bins.highs)
    highs = np.where(bins.highs > 0, bins.highs, -bins.lows)
    order = np.argsort(lows, kind="stable")
    return Histogram(np.maximum(lows, 0.0)[order], highs[order], bins.weights[order])


def _keep_bounds(statistics: TensorStatistics, use: TensorUse, low: float, high: float) -> Ends:
    """Put back a bound of the tensor that a mass of its values sits on."""
    if _saturates(statistics, use.low, statistics.low):
        low = min(0.0, use.low)
    if _saturates(statistics, use.high, statistics.high):
        high = max(0.0, use.high)
    return low, high


def _saturates(statistics: TensorStatistics, bound: float, extreme: float) -> bool:
    if not np.isfinite(bound) or not bound or extreme != np.float32(bound):
        return False
    at = int(bin_numbers(np.array([bound], np.float32))[0])
    # A bound inside a bin shares it with its neighbours, who are about as many in the next one.
    mass = int(statistics.counts[at]) - int(statistics.counts[at - 1])
    return mass >= _SATURATED_SHARE * statistics.count
