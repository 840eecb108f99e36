"""How a range is chosen from a tensor's statistics.

The target is asymmetric uint8: ``q = clamp(round(x / s) + z, 0, 255)`` with
``s = (high - low) / 255`` and ``z = round(-low / s)``. Zero must be exact (padding and ReLU live
there), so every range includes it.
"""

import numpy as np

from onnxq.calibration.outliers import find_outliers
from onnxq.calibration.statistics import Float64s, Histogram, TensorStatistics, histogram
from onnxq.ranges import TensorRange
from onnxq.recipes import MeanSquaredError, MinMax, RangeMethod

LEVELS = 255
"""Steps of a uint8 range."""

_POINT_RATIO = 1e-9  # bins narrower than this part of their values are points
_OCTAVES = 10  # how far below the extremes a range may end: a factor of 1024
_NEGLIGIBLE = 2.0 ** -(_OCTAVES + 9)  # less than half a step at every range that is looked at
_COARSE = 2.0 ** -(np.arange(4 * _OCTAVES + 1) / 4.0)
_FINER = (2.0 ** (np.arange(-8, 9) / 32.0), 2.0 ** (np.arange(-8, 9) / 256.0))
_SWEEPS = 4


def choose_range(
    statistics: TensorStatistics, method: RangeMethod, *, may_clip: bool
) -> TensorRange:
    """Choose the range of one tensor.

    Args:
        statistics: Of at least one row.
        method: How.
        may_clip: Whether values that occur may be cut off. They may not where they are what the
            model says: in front of a Sigmoid, a Softmax or a graph output.

    Returns:
        A range that includes zero. Masks and stray rows, as :func:`find_outliers` tells them, are
        not part of it.

    Raises:
        ValueError: If no row was folded in.
    """
    if not statistics.count:
        message = "no rows were folded in"
        raise ValueError(message)
    plain = find_outliers(statistics)
    low, high = min(0.0, plain.low), max(0.0, plain.high)
    match method:
        case MinMax():
            return TensorRange(low, high)
        case MeanSquaredError():
            if not may_clip or low == high:
                return TensorRange(low, high)
            return TensorRange(*_least_error(histogram(statistics, plain.low, plain.high)))


def expected_error(bins: Histogram, lows: Float64s, highs: Float64s) -> Float64s:
    """Predict the squared quantization error of ranges.

    Within a bin, values are taken to be spread evenly; on that assumption the result is exact,
    rounding of the zero point included. With step ``s`` and ``r = t - s*round(t/s)``, the integral
    of the squared rounding error from 0 to ``t`` is ``s^3/12 * round(t/s) + r^3/3``; beyond the
    ends of the grid the error is the distance to the end, whose square integrates to a third of
    a cube.

    Args:
        bins: Of finite values.
        lows: Lower ends ``[candidates]``, at most zero.
        highs: Upper ends ``[candidates]``, at least zero; above ``lows``.

    Returns:
        Sum of squared errors over all values ``[candidates]``.
    """
    step = ((highs - lows) / LEVELS)[:, np.newaxis]
    zero_point = np.rint(-lows[:, np.newaxis] / step)
    first, last = -zero_point * step, (LEVELS - zero_point) * step

    def integral(values: Float64s) -> Float64s:
        inside = np.clip(values, first, last)
        rounded = np.rint(inside / step)
        rounding = _cube(inside - rounded * step) / 3.0 + rounded * (_cube(step) / 12.0)
        return rounding + _cube(values - inside) / 3.0

    width = bins.highs - bins.lows
    is_point = width <= _POINT_RATIO * np.maximum(np.abs(bins.lows), np.abs(bins.highs))
    spread = integral(bins.highs) - integral(bins.lows)
    mean = spread / np.where(is_point, 1.0, width)
    if is_point.any():
        points = bins.lows[is_point]
        nearest = np.clip(np.rint(points / step) * step, first, last)
        mean[:, is_point] = (points - nearest) ** 2
    total: Float64s = mean @ bins.weights
    return total


def _cube(values: Float64s) -> Float64s:
    return values * values * values  # 20 times faster than values**3


def _least_error(bins: Histogram) -> tuple[float, float]:
    """Find the range with the least expected error, as Nagel et al. 2021 (§3.1, "MSE") propose.

    They search a grid; so is it here, one end at a time. That finds the minimum: with fine steps
    the mean error tends to ``(high-low)^2/12/255^2 + E[max(x-high, 0)^2] + E[max(low-x, 0)^2]``
    (rounding noise and clipping noise, as in Banner et al. 2019), which is convex and smooth in
    both ends, and such a function has no other point at which neither end can be improved alone.
    The grid is then refined round the best point, where the exact error ripples. Of equals the
    wider range wins.
    """
    low, high = min(0.0, bins.lows[0]), max(0.0, bins.highs[-1])
    limits = (low, high)
    negligible = _NEGLIGIBLE * max(-low, high)
    matters = (bins.highs > negligible) | (bins.lows < -negligible)
    bins = Histogram(bins.lows[matters], bins.highs[matters], bins.weights[matters])
    for _ in range(_SWEEPS):
        before = (low, high)
        low, high = _best(bins, low, limits[1] * _COARSE)
        low, high = _best(bins, limits[0] * _COARSE, high)
        if (low, high) == before:
            break
    for factors in _FINER:
        low, high = _best(bins, low, np.minimum(high * factors, limits[1]))
        low, high = _best(bins, np.maximum(low * factors, limits[0]), high)
    return low, high


def _best(bins: Histogram, low: Float64s | float, high: Float64s | float) -> tuple[float, float]:
    """Return the range with the least error of several that differ in one end."""
    lows, highs = np.broadcast_arrays(np.float64(low), np.float64(high))
    widest_first = np.argsort(lows - highs, kind="stable")
    lows, highs = lows[widest_first], highs[widest_first]
    least = np.argmin(expected_error(bins, lows, highs))
    return float(lows[least]), float(highs[least])
