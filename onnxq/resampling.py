"""The bootstrap: rows drawn again with replacement, and the ends of an interval. numpy only."""

import math
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.distributions import normal_quantile, normal_tail
from onnxq.paired_proportions import two_sided_z

RESAMPLES = 4000
"""Of every bootstrap: 10 of them lie beyond the end of a 99.5 % interval."""

LEAST_NONZERO = 10
"""Values other than 0 that a bootstrap needs: below that it knows no tail."""

_COUNTS_AT_ONCE = 1 << 21
_UNLUCKY = 1e-12

Rows: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.float64]


def resampled_counts(cells: int, seed: int, resamples: int = RESAMPLES) -> Iterator[Counts]:
    """Draw cells with replacement, as many as there are, and count how often each came.

    The same seed gives the same counts: two models that are resampled by it are paired.

    Args:
        cells: Rows, or groups of them; 1 or more.
        seed: Of the draws.
        resamples: How often to draw.

    Yields:
        Counts ``[B, cells]``, each line of the sum ``cells``; all ``B`` together are
        ``resamples``.
    """
    generator = np.random.default_rng(seed)
    step = max(1, _COUNTS_AT_ONCE // cells)
    for start in range(0, resamples, step):
        lines = min(step, resamples - start)
        drawn = generator.integers(0, cells, (lines, cells))
        drawn += cells * np.arange(lines)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=lines * cells)
        yield counts.reshape(lines, cells).astype(np.float64)


def accelerated_ends(
    draws: Rows, centre: float, acceleration: float, confidence: float
) -> tuple[float, float]:
    """Return the ends of a bias-corrected and accelerated interval.

    Source: B. Efron, Journal of the American Statistical Association 82 (1987) 171-185.

    Args:
        draws: The statistic on each resample; finite.
        centre: The statistic on the rows that were resampled.
        acceleration: From :func:`acceleration_of`.
        confidence: Two-sided.

    Returns:
        The lower and the upper end.
    """
    below = float(np.mean(draws < centre) + np.mean(draws == centre) / 2)
    bias = normal_quantile(min(max(below, 1 / draws.size), 1 - 1 / draws.size))
    ends = []
    for sign in (-1, 1):
        z = bias + sign * two_sided_z(confidence)
        corrected = bias + z / max(1 - acceleration * z, _UNLUCKY)
        ends.append(float(np.quantile(draws, 1 - normal_tail(corrected))))
    return ends[0], ends[1]


def acceleration_of(influences: Rows, cells: int) -> float:
    """Return the acceleration of a statistic: a sixth of its skewness.

    Args:
        influences: How far each cell pulls the statistic up, in any unit; all cells, or a
            random sample of them.
        cells: How many cells there are.

    Returns:
        A number about 0; 0 where nothing varies.
    """
    deviations = influences - influences.mean()
    variance = float((deviations**2).mean())
    if variance <= 0:
        return 0.0
    skewness = float((deviations**3).mean()) / variance**1.5
    return float(skewness / (6 * math.sqrt(cells)))
