"""How a range is chosen from a tensor's statistics.

Two grids are targets. Asymmetric uint8: ``q = clamp(round(x / s) + z, 0, 255)`` with
``s = (high - low) / 255`` and ``z = round(-low / s)``. Symmetric int16: ``q = clamp(round(x / s),
-32767, 32767)`` with ``s = high / 32767`` and ``low = -high``. Zero must be exact (padding and
ReLU live there), so every range includes it.
"""

import numpy as np

from onnxq.calibration.outliers import find_outliers
from onnxq.calibration.statistics import Float64s, Histogram, TensorStatistics, histogram
from onnxq.ranges import TensorRange
from onnxq.recipe_kinds import Activation, MeanSquaredError, MinMax, Percentile, RangeMethod

LEVELS = 255
"""Steps of a uint8 range."""

SYMMETRIC_LEVELS = 65534
"""Steps of a symmetric int16 range."""

_POINT_RATIO = 1e-9  # bins narrower than this part of their values are points
_OCTAVES = 10  # how far below the extremes a range may end: a factor of 1024
_NEGLIGIBLE = 2.0 ** -(_OCTAVES + 9)  # less than half a step at every range that is looked at
_COARSE = 2.0 ** -(np.arange(4 * _OCTAVES + 1) / 4.0)
_FINER = (2.0 ** (np.arange(-8, 9) / 32.0), 2.0 ** (np.arange(-8, 9) / 256.0))
_SWEEPS = 4


def choose_range(
    statistics: TensorStatistics,
    method: RangeMethod,
    *,
    may_clip: bool,
    activation: Activation = "uint8",
) -> TensorRange:
    """Choose the range of one tensor.

    Args:
        statistics: Of at least one row.
        method: How.
        may_clip: Whether values that occur may be cut off. They may not where they are what the
            model says: in front of a Sigmoid, a Softmax or a graph output.
        activation: The grid; ``int16`` gives a range that is symmetric about zero.

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
    is_symmetric = activation == "int16"
    if may_clip and low < high and not isinstance(method, MinMax):
        bins = histogram(statistics, plain.low, plain.high)
        bins = _magnitudes(bins) if is_symmetric else bins
        low, high = _clip(bins, method, is_symmetric=is_symmetric)
    if is_symmetric:
        high = max(-low, high)
        low = -high
    return TensorRange(low, high)


def _clip(
    bins: Histogram, method: MeanSquaredError | Percentile, *, is_symmetric: bool
) -> tuple[float, float]:
    match method:
        case Percentile(percent=percent):
            return _percentiles(bins, percent, one_sided=is_symmetric)
        case MeanSquaredError() if is_symmetric:
            return 0.0, _least_error_magnitude(bins)
        case MeanSquaredError():
            return _least_error(bins)


def _percentiles(bins: Histogram, percent: float, *, one_sided: bool) -> tuple[float, float]:
    """Cut a share of the values off, half of it at each end, or all of it at the upper one.

    Within a bin values are taken to be spread evenly, so that ends are interpolated as
    ``np.percentile`` does between its points; a bin is 1/128 of its values wide at most.
    """
    shares = np.concatenate([[0.0], np.cumsum(bins.weights)]) / bins.weights.sum()
    cut = (1.0 - percent / 100.0) / (1.0 if one_sided else 2.0)
    low = 0.0 if one_sided else _at_share(bins, shares, cut)
    return min(0.0, low), max(0.0, _at_share(bins, shares, 1.0 - cut))


def _at_share(bins: Histogram, shares: Float64s, share: float) -> float:
    """Return the value below which a share of all values lies."""
    at = int(np.clip(np.searchsorted(shares, share) - 1, 0, len(bins.weights) - 1))
    part = (share - shares[at]) / (shares[at + 1] - shares[at])
    low, high = float(bins.lows[at]), float(bins.highs[at])
    return low + (high - low) * float(np.clip(part, 0.0, 1.0))


def _magnitudes(bins: Histogram) -> Histogram:
    """Fold a histogram about zero; no bin holds values of both signs."""
    lows = np.where(bins.highs > 0, bins.lows, -bins.highs)
    highs = np.where(bins.highs > 0, bins.highs, -bins.lows)
    order = np.argsort(lows, kind="stable")
    return Histogram(np.maximum(lows, 0.0)[order], highs[order], bins.weights[order])


def _least_error_magnitude(bins: Histogram) -> float:
    """Find the symmetric range with the least expected error: one grid, then a finer one.

    Folded about zero, the right half of the grid holds half of the steps.
    """
    limit = float(bins.highs.max())
    best = limit
    for factors in (_COARSE, *_FINER):
        tops = np.minimum(best * factors, limit)
        tops = -np.sort(-tops)  # of equals the wider wins
        errors = expected_error(bins, np.zeros_like(tops), tops, levels=SYMMETRIC_LEVELS // 2)
        best = float(tops[np.argmin(errors)])
    return best


def expected_error(
    bins: Histogram, lows: Float64s, highs: Float64s, *, levels: int = LEVELS
) -> Float64s:
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
        levels: Steps from the lowest integer to the highest.

    Returns:
        Sum of squared errors over all values ``[candidates]``.
    """
    step = ((highs - lows) / levels)[:, np.newaxis]
    zero_point = np.rint(-lows[:, np.newaxis] / step)
    first, last = -zero_point * step, (levels - zero_point) * step

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
