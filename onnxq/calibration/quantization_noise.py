"""What quantizing does to a tensor's values, as its histogram predicts it.

Two grids are targets. Asymmetric uint8: ``q = clamp(round(x / s) + z, 0, 255)`` with
``s = (high - low) / 255`` and ``z = round(-low / s)``. Symmetric int16: ``q = clamp(round(x / s),
-32767, 32767)`` with ``s = high / 32767`` and ``low = -high``. Zero must be exact (padding and
ReLU live there), so every range includes it.

Within a bin, values are taken to be spread evenly. On that assumption everything here is exact,
rounding of the zero point included: with ``r = t - s*round(t/s)``, the integral of the squared
rounding error from 0 to ``t`` is ``s^3/12 * round(t/s) + r^3/3``; beyond the ends of the grid the
error is the distance to the end, whose square integrates to a third of a cube.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from onnxq.calibration.statistics import Float64s, Histogram

LEVELS = 255
"""Steps of a uint8 range."""

SYMMETRIC_LEVELS = 65534
"""Steps of a symmetric int16 range."""

_POINT_RATIO = 1e-9  # bins narrower than this part of their values are points


@dataclass(frozen=True)
class Noise:
    """Errors of several ranges, each summed over all values; all arrays ``[candidates]``.

    Attributes:
        rounding: Squared errors of values within the grid.
        clipping: Squared errors of values beyond its ends.
    """

    rounding: Float64s
    clipping: Float64s

    @property
    def squares(self) -> Float64s:
        """All squared errors."""
        return self.rounding + self.clipping


@dataclass(frozen=True)
class NoiseModel:
    """A histogram, made ready for asking about many ranges.

    Sums over bins of differences between a bin's two ends are sums over ends: where two bins
    touch, the end is looked at once.

    Attributes:
        bins: Of finite values.
        levels: Steps from the lowest integer to the highest.
    """

    bins: Histogram
    levels: int = LEVELS

    def noise(self, lows: Float64s, highs: Float64s) -> Noise:
        """Predict the errors of ranges.

        Args:
            lows: Lower ends ``[candidates]``, at most zero.
            highs: Upper ends ``[candidates]``, at least zero; above ``lows``.

        Returns:
            The errors.
        """
        step = ((highs - lows) / self.levels)[:, np.newaxis]
        zero_point = np.rint(-lows[:, np.newaxis] / step)
        first, last = -zero_point * step, (self.levels - zero_point) * step
        ends, densities = self._ends
        inside = np.clip(ends, first, last)
        beyond = ends - inside
        rounded = np.rint(inside / step)
        rest = inside - rounded * step
        rounding = _sum(_cube(rest) / 3.0 + rounded * (_cube(step) / 12.0), densities)
        clipping = _sum(_cube(beyond), densities) / 3.0
        return self._with_points(Noise(rounding, clipping), step, first, last)

    def _with_points(self, noise: Noise, step: Float64s, first: Float64s, last: Float64s) -> Noise:
        points, weights = self._points
        if not points.size:
            return noise
        inside = np.clip(points, first, last)
        rest, beyond = inside - np.rint(inside / step) * step, points - inside
        return Noise(
            rounding=noise.rounding + _sum(rest * rest, weights),
            clipping=noise.clipping + _sum(beyond * beyond, weights),
        )

    @cached_property
    def _is_point(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        bins = self.bins
        size = np.maximum(np.abs(bins.lows), np.abs(bins.highs))
        is_point: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (
            bins.highs - bins.lows <= _POINT_RATIO * size
        )
        return is_point

    @cached_property
    def _points(self) -> tuple[Float64s, Float64s]:
        """Values that have a bin of their own, other than zero, which has no error."""
        bins, chosen = self.bins, self._is_point & (self.bins.lows != 0.0)
        return bins.lows[chosen], bins.weights[chosen]

    @cached_property
    def _ends(self) -> tuple[Float64s, Float64s]:
        """Each end of a bin once, with the density below it less the density above it."""
        bins, chosen = self.bins, ~self._is_point
        lows, highs = bins.lows[chosen], bins.highs[chosen]
        density = bins.weights[chosen] / (highs - lows)
        ends, where = np.unique(np.concatenate([highs, lows]), return_inverse=True)
        differences: Float64s = np.bincount(
            where, np.concatenate([density, -density]), len(ends)
        ).astype(np.float64)
        return ends, differences


def expected_error(
    bins: Histogram, lows: Float64s, highs: Float64s, *, levels: int = LEVELS
) -> Float64s:
    """Predict the squared quantization error of ranges.

    Args:
        bins: Of finite values.
        lows: Lower ends ``[candidates]``, at most zero.
        highs: Upper ends ``[candidates]``, at least zero; above ``lows``.
        levels: Steps from the lowest integer to the highest.

    Returns:
        Sum of squared errors over all values ``[candidates]``.
    """
    return NoiseModel(bins, levels).noise(lows, highs).squares


def _cube(values: Float64s) -> Float64s:
    return values * values * values  # 20 times faster than values**3


def _sum(errors: Float64s, weights: Float64s) -> Float64s:
    """Sum over values; BLAS, behind ``@``, would sum in an order that depends on its threads."""
    total: Float64s = np.einsum("cv,v->c", errors, weights)
    return total
