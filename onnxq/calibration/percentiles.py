"""The range that holds a share of a tensor's values."""

import numpy as np

from onnxq.calibration.statistics import Float64s, Histogram


def percentile_range(bins: Histogram, percent: float, *, one_sided: bool) -> tuple[float, float]:
    """Cut a share of the values off, half of it at each end, or all of it at the upper one.

    Within a bin values are taken to be spread evenly, so that ends are interpolated as
    ``np.percentile`` does between its points (Hyndman and Fan 1996, definition 7, to within a
    bin); a bin is 1/128 of its values wide at most.

    Args:
        bins: Of finite values; of magnitudes where ``one_sided``.
        percent: Share of the values to keep, above 50, up to 100.
        one_sided: Whether only the largest are cut off.

    Returns:
        Lower and upper end; the range includes zero.
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
