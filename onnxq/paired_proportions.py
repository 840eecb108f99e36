"""Two models, the same rows: how often is each right? Score intervals and tests. numpy only.

A row *flips* where exactly one of the two is right: it is *lost* where the reference alone is
right, *gained* where the candidate alone is right. The drop is P(reference right) -
P(candidate right) = P(lost) - P(gained): positive is worse.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxq.distributions import binomial_tail, normal_quantile

CONFIDENCE = 0.95
"""Of every interval, unless a correction for several candidates asks for more."""

Floats: TypeAlias = NDArray[np.float64]

_BISECTIONS = 55


def two_sided_z(confidence: float) -> float:
    """Return the standard normal quantile of a two-sided interval: 1.96 at 0.95."""
    return normal_quantile((1 + confidence) / 2)


def score_limits(
    lost: ArrayLike, gained: ArrayLike, rows: int, *, confidence: float = CONFIDENCE
) -> tuple[Floats, Floats]:
    """Return Tango's score interval of the drop, with a corrected inner end.

    The end away from zero is Tango's (1998): the drops that the score test, with the share of
    gained rows at its restricted maximum of likelihood, does not reject. So is the end towards
    zero while it lies at zero or beyond. Where it would exclude zero, which says that there *is*
    a difference, the test there carries the continuity correction of one row that Edwards (1948)
    gave McNemar's test, and the end goes no further back than to zero.

    Why: with few flips, mostly of one kind, plain Tango covers 92.7 % (4 to 8 flips expected;
    exact enumeration), and all that is missing is missing at that end; corrected, the coverage
    is at least 95 % over 20 to 5000 rows and 0 to 10 % flips (``scripts/acceptance/coverage.py``).
    A limit of 0 or more on the drop is judged by plain Tango in every case, because the upper
    end is changed only where both values are 0 or below. Two-sided at 95 %, the upper end is
    the one-sided 97.5 % bound of a test of non-inferiority.

    Sources: T. Tango, Statistics in Medicine 17 (1998) 891-908; A. L. Edwards, Psychometrika 13
    (1948) 185-187.

    Args:
        lost: Rows that the reference alone gets right; any shape.
        gained: Rows that the candidate alone gets right; the same shape.
        rows: All rows, 1 or more; ``lost + gained`` is at most this.
        confidence: Two-sided.

    Returns:
        The lower and the upper ends, of that shape, within -1 and 1.
    """
    z = two_sided_z(confidence)
    b, c = np.asarray(lost, np.float64), np.asarray(gained, np.float64)
    return 0.0 - _upper_limit(c, b, rows, z), _upper_limit(b, c, rows, z)


def mcnemar(lost: int, gained: int) -> float:
    """Return the exact two-sided p value of "both models are right equally often".

    Args:
        lost: Rows that the reference alone gets right.
        gained: Rows that the candidate alone gets right.

    Returns:
        The p value of the sign test on the flips; 1 without flips.
    """
    return min(1.0, 2 * binomial_tail(max(lost, gained), lost + gained, 0.5))


def restricted_score(
    drop: Floats | np.float64, lost: ArrayLike, gained: ArrayLike, rows: int
) -> tuple[Floats, Floats]:
    """Return lost - gained, and its standard deviation if ``drop`` were true.

    The share of gained rows is at its maximum of likelihood under that drop: the larger root of
    ``2 q^2 + B q + C = 0`` (Tango's equation over the number of rows), written so that nothing
    cancels.

    Args:
        drop: The true drop that is assumed, -1 to 1.
        lost: Rows that the reference alone gets right; whole numbers are not needed.
        gained: Rows that the candidate alone gets right.
        rows: All rows.

    Returns:
        The observed difference and its standard deviation, in rows.
    """
    b, c = np.asarray(lost, np.float64), np.asarray(gained, np.float64)
    linear = (2 - (b - c) / rows) * drop - (b + c) / rows
    constant = -c / rows * drop * (1 - drop)
    root = np.sqrt(np.maximum(linear * linear - 8 * constant, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(linear > 0, -2 * constant / (root + linear), (root - linear) / 4)
    variance = np.maximum(2 * share + drop * (1 - drop), 0)
    return b - c, np.sqrt(rows * variance)


def _upper_limit(lost: Floats, gained: Floats, rows: int, z: float) -> Floats:
    plain = _tango_upper(lost, gained, rows, z, 0)
    corrected = np.minimum(_tango_upper(lost, gained, rows, z, 1), 0)
    return np.where(plain < 0, corrected, plain)


def _tango_upper(lost: Floats, gained: Floats, rows: int, z: float, correction: int) -> Floats:
    """Return the smallest drop above the observed one that the test rejects, by bisection."""
    low, high = (lost - gained) / rows, np.ones(np.broadcast(lost, gained).shape)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        observed, deviation = restricted_score(middle, lost, gained, rows)
        is_inside = rows * middle - observed - correction <= z * deviation
        low, high = np.where(is_inside, middle, low), np.where(is_inside, high, middle)
    return high
