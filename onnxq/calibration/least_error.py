"""The range with the least expected error, found on the histogram."""

from typing import TypeAlias

import numpy as np

from onnxq.calibration.quantization_noise import LEVELS, SYMMETRIC_LEVELS, Noise, NoiseModel
from onnxq.calibration.smooth_noise import moments_of
from onnxq.calibration.statistics import Float64s, Histogram

Ends: TypeAlias = tuple[float, float]
"""Lower and upper end of a range."""

_OCTAVES = 10  # how far below the extremes a range may end: a factor of 1024
COARSE = 2.0 ** -(np.arange(4 * _OCTAVES + 1) / 4.0)
FINER = (2.0 ** (np.arange(-8, 9) / 32.0), 2.0 ** (np.arange(-8, 9) / 256.0))
_NARROWEST = 0.5  # what the finer grids leave of the coarse choice, at least


def least_error(bins: Histogram, gain: float = 1.0) -> Ends:
    """Find the asymmetric uint8 range with the least expected error.

    Nagel et al. 2021 (§3.1, "MSE") search a grid of ranges. So is it here, in two stages. First
    all pairs of ends of a coarse grid, by what the error tends to with fine steps: rounding noise
    of a twelfth of a squared step for values of half a step and more, the values themselves below
    that, and what lies beyond the ends (as in Banner et al. 2019), each from sums that are taken
    once. Then finer grids round the best pair by the exact expectation, which ripples, one end at
    a time. Of equals the wider range wins.

    Args:
        bins: Of values that are not all zero.
        gain: How many times more clipping counts than rounding; 1 makes it the mean squared
            error.

    Returns:
        The range; it includes zero.
    """
    limits = min(0.0, float(bins.lows[0])), max(0.0, float(bins.highs[-1]))
    low, high = _coarse(bins, gain, limits, LEVELS)
    model = NoiseModel(_without_negligible(bins, _NARROWEST * (high - low) / LEVELS), LEVELS)
    for factors in FINER:
        low, high = least_of(model, gain, low, np.minimum(high * factors, limits[1]))
        low, high = least_of(model, gain, np.maximum(low * factors, limits[0]), high)
    return low, high


def least_error_magnitude(bins: Histogram, gain: float = 1.0) -> float:
    """Find the symmetric int16 range with the least expected error.

    Args:
        bins: Of magnitudes, not all zero: folded about zero, the right half of the grid holds
            half of the steps.
        gain: How many times more clipping counts than rounding.

    Returns:
        Its upper end.
    """
    limit = float(bins.highs.max())
    levels = SYMMETRIC_LEVELS // 2
    _, high = _coarse(bins, gain, (0.0, limit), levels)
    model = NoiseModel(bins, levels)
    for factors in FINER:
        _, high = least_of(model, gain, 0.0, np.minimum(high * factors, limit))
    return high


def least_of(
    model: NoiseModel, gain: float, lows: Float64s | float, highs: Float64s | float
) -> Ends:
    """Return the range with the least error of several; of equals the widest.

    Args:
        model: Of the tensor's values.
        gain: How many times more clipping counts than rounding.
        lows: Lower ends, or one for all.
        highs: Upper ends, or one for all.

    Returns:
        The best of them.
    """
    all_lows, all_highs = np.broadcast_arrays(np.float64(lows), np.float64(highs))
    pairs = np.unique(np.stack([all_lows, -all_highs], axis=-1).reshape(-1, 2), axis=0)
    lows, highs = pairs[:, 0], -pairs[:, 1]
    widest_first = np.argsort(lows - highs, kind="stable")
    lows, highs = lows[widest_first], highs[widest_first]
    least = np.argmin(weighted_error(model.noise(lows, highs), gain))
    return float(lows[least]), float(highs[least])


def weighted_error(noise: Noise, gain: float) -> Float64s:
    """Add errors up as they come through.

    Args:
        noise: Of several ranges.
        gain: How many times more clipping counts than rounding.

    Returns:
        Squared errors, summed over all values ``[candidates]``.
    """
    return noise.rounding + gain * noise.clipping


def _coarse(bins: Histogram, gain: float, limits: Ends, levels: int) -> Ends:
    """Choose among all pairs of ends of a coarse grid by the smooth expectation."""
    lows, highs = (limit * (COARSE if limit else np.ones(1)) for limit in limits)
    all_lows, all_highs = (pairs.reshape(-1) for pairs in np.meshgrid(lows, highs, indexing="ij"))
    errors = weighted_error(moments_of(bins).noise(all_lows, all_highs, levels), gain)
    least = np.flatnonzero(errors == errors.min())
    widest = least[np.argmax(all_highs[least] - all_lows[least])]
    return float(all_lows[widest]), float(all_highs[widest])


def _without_negligible(bins: Histogram, step: float) -> Histogram:
    """Drop values that become zero at every range that is still looked at."""
    matters = (bins.highs > step / 2.0) | (bins.lows < -step / 2.0)
    return Histogram(bins.lows[matters], bins.highs[matters], bins.weights[matters])
