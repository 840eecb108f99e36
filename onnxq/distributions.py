"""Quantiles and tails of the distributions that the estimators need. Standard library and numpy."""

import math
from statistics import NormalDist

import numpy as np

_STANDARD_NORMAL = NormalDist()
_BISECTIONS = 80


def normal_quantile(probability: float) -> float:
    """Return the standard normal quantile, such as 1.96 at 0.975.

    Args:
        probability: Between 0 and 1, both excluded.

    Raises:
        ValueError: If ``probability`` is not inside (0, 1).
    """
    _check_probability(probability)
    return _STANDARD_NORMAL.inv_cdf(probability)


def normal_tail(z: float) -> float:
    """Return P(Z >= z) of a standard normal Z; exact far into the upper tail."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def student_quantile(probability: float, degrees: int) -> float:
    """Return the quantile of Student's t distribution.

    The distribution function has a closed form for whole degrees of freedom, a finite sum of
    powers of a cosine (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4); it is inverted by
    bisection on the angle, which cannot fail to converge.

    Args:
        probability: Between 0 and 1, both excluded.
        degrees: Degrees of freedom, 1 or more.

    Returns:
        The t below which the probability lies.

    Raises:
        ValueError: If ``probability`` is not inside (0, 1) or ``degrees`` is below 1.
    """
    _check_probability(probability)
    if degrees < 1:
        message = f"Student's t needs 1 degree of freedom or more, not {degrees}"
        raise ValueError(message)
    central = abs(2 * probability - 1)
    low, high = 0.0, math.pi / 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_central(middle, degrees) < central else (low, middle)
    return math.copysign(math.sqrt(degrees) * math.tan(low), probability - 0.5)


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """Return P(X >= successes) of a binomial X, summed exactly.

    Args:
        successes: The least count that is in the tail.
        trials: Number of trials.
        probability: Of one success, 0 to 1.

    Returns:
        The one-sided p value of ``successes`` against ``probability``.
    """
    if successes <= 0:
        return 1.0
    if successes > trials or probability <= 0:
        return 0.0
    if probability >= 1:
        return 1.0
    counts = np.arange(successes, trials + 1)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    log_terms = (
        log_factorials[trials]
        - log_factorials[counts]
        - log_factorials[trials - counts]
        + counts * math.log(probability)
        + (trials - counts) * math.log1p(-probability)
    )
    return min(1.0, float(np.exp(log_terms).sum()))


def _check_probability(probability: float) -> None:
    if not 0 < probability < 1:
        message = f"a probability lies between 0 and 1, not at {probability}"
        raise ValueError(message)


def _student_central(angle: float, degrees: int) -> float:
    """Return P(|T| <= tan(angle) * sqrt(degrees))."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 + odd, degrees, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
