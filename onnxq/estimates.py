"""Numbers with their uncertainty, and the estimators that make them. numpy only."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from onnxq.distributions import binomial_tail, student_quantile
from onnxq.paired_proportions import CONFIDENCE, score_limits, two_sided_z
from onnxq.resampling import (
    LEAST_NONZERO,
    Rows,
    accelerated_ends,
    acceleration_of,
    resampled_counts,
)

_MOST_CELLS = 10_000

PAIRED_METHOD = "tango"
"""How the methods of drops begin that rest on flips of rows alone."""

RowFlags: TypeAlias = NDArray[np.bool_]


class Estimate(Struct, frozen=True, tag="estimate"):
    """A measured number.

    Attributes:
        value: The point estimate.
        low: Lower end of the interval; equals ``value`` where nothing varies.
        high: Upper end of the interval.
        n: How many independent observations stand behind it.
        method: How the interval was made, such as ``wilson-95`` or ``exact``.
    """

    value: float
    low: float
    high: float
    n: int
    method: str

    def __post_init__(self) -> None:
        """Refuse an interval that does not hold its value.

        Raises:
            ValueError: If ``low <= value <= high`` does not hold (so no NaN either).
        """
        if not self.low <= self.value <= self.high:
            message = f"{self.value} does not lie in [{self.low}, {self.high}]"
            raise ValueError(message)


def method_name(method: str, confidence: float) -> str:
    """Return how an interval was made, such as ``bca-95``."""
    return f"{method}-{100 * confidence:.4g}"


def exact(value: float) -> Estimate:
    """Return a number that has no uncertainty, such as a size in bytes."""
    return Estimate(value, value, value, 1, "exact")


def wilson(successes: int, n: int, *, confidence: float = CONFIDENCE) -> Estimate:
    """Estimate a share from independent rows.

    Wilson's score interval: Wilson (1927), Journal of the American Statistical Association 22,
    209-212.

    Args:
        successes: Rows that count, 0 to ``n``.
        n: All rows, 1 or more.
        confidence: Two-sided.

    Returns:
        The share, 0 to 1.

    Raises:
        ValueError: If the counts are impossible.
    """
    if not 0 <= successes <= n or n < 1:
        message = f"{successes} of {n} rows is not a share"
        raise ValueError(message)
    z, share = two_sided_z(confidence), successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Estimate(share, low, high, n, method_name("wilson", confidence))


def paired_drop(
    reference_correct: RowFlags, candidate_correct: RowFlags, *, confidence: float = CONFIDENCE
) -> Estimate:
    """Estimate by how much a candidate is right less often than the reference, on the same rows.

    Tango's score interval with a corrected inner end: see
    :func:`onnxq.paired_proportions.score_limits`. The upper end is the bound of a test of
    non-inferiority: one-sided 97.5 % where ``confidence`` is 95 %.

    Args:
        reference_correct: Whether the reference is right, one per row.
        candidate_correct: Whether the candidate is right, the same rows.
        confidence: Two-sided; Holm's correction for several candidates asks for more.

    Returns:
        P(reference right) - P(candidate right): positive is worse, -1 to 1.

    Raises:
        ValueError: If there are no rows, or the arrays are not of the same rows.
    """
    if reference_correct.shape != candidate_correct.shape or not reference_correct.size:
        message = f"rows of {reference_correct.shape} and {candidate_correct.shape} do not pair"
        raise ValueError(message)
    lost = int(np.count_nonzero(reference_correct & ~candidate_correct))
    gained = int(np.count_nonzero(~reference_correct & candidate_correct))
    rows = reference_correct.size
    low, high = score_limits(lost, gained, rows, confidence=confidence)
    return Estimate(
        (lost - gained) / rows,
        float(low),
        float(high),
        rows,
        method_name(PAIRED_METHOD, confidence),
    )


def paired_mean_difference(
    differences: Rows, *, seed: int, confidence: float = CONFIDENCE, scale: float = 0.0
) -> Estimate:
    """Estimate the mean of differences between two models, one per row.

    With :data:`LEAST_NONZERO` differences other than 0 the interval is a bias-corrected and
    accelerated bootstrap (Efron 1987, Journal of the American Statistical Association 82,
    171-185). With fewer a bootstrap would be far too sure. Then the interval says: the share of
    rows with a difference of either sign is at most the upper end of Wilson's interval, and each
    is at most as large as the largest seen, or as ``scale``; an unseen row that differs by more
    is not provided for.

    Args:
        differences: Candidate's value minus reference's value, one per row; finite.
        seed: Of the bootstrap.
        confidence: Two-sided.
        scale: How large a difference could be where none was seen, such as the largest error of
            a row. At 0, differences that are all 0 make the interval [0, 0].

    Returns:
        The mean, in the unit of the differences.

    Raises:
        ValueError: If there are no rows or a difference is not finite.
    """
    if not differences.size or not np.isfinite(differences).all():
        message = f"{differences.size} differences, not all finite, have no mean"
        raise ValueError(message)
    if np.count_nonzero(differences) >= LEAST_NONZERO:
        return _bootstrapped_mean(differences, seed, confidence)
    mean, n = float(differences.mean()), differences.size
    largest = max(scale, float(np.abs(differences).max()))
    above = wilson(int((differences > 0).sum()), n, confidence=confidence).high * largest
    below = wilson(int((differences < 0).sum()), n, confidence=confidence).high * largest
    return Estimate(mean, -below, above, n, method_name("bounded", confidence))


def mean_over_rows(values: Rows, *, seed: int, confidence: float = CONFIDENCE) -> Estimate:
    """Estimate the mean of a value that each row has, such as a squared error.

    Args:
        values: One per row; finite.
        seed: Of the bootstrap.
        confidence: Two-sided.

    Returns:
        The mean, with a bootstrapped interval; with fewer than :data:`LEAST_NONZERO` rows the
        interval spans the values.

    Raises:
        ValueError: If there are no rows or a value is not finite.
    """
    if not values.size or not np.isfinite(values).all():
        message = f"{values.size} values, not all finite, have no mean"
        raise ValueError(message)
    if values.size >= LEAST_NONZERO:
        return _bootstrapped_mean(values, seed, confidence)
    low, high = float(values.min()), float(values.max())
    return Estimate(min(max(float(values.mean()), low), high), low, high, values.size, "range")


def ratio_over_blocks(log_ratios: Sequence[float], *, confidence: float = CONFIDENCE) -> Estimate:
    """Estimate a ratio of times from blocks of fresh processes.

    Args:
        log_ratios: Natural logarithm of the ratio, one per block; 2 or more.
        confidence: Two-sided.

    Returns:
        The geometric mean of the ratios, with Student's t interval on their logarithms.

    Raises:
        ValueError: If there are fewer than 2 blocks: they show no spread.
    """
    blocks = len(log_ratios)
    if blocks < 2:  # noqa: PLR2004 - a spread needs two
        message = f"{blocks} block shows no spread: at least 2 are needed"
        raise ValueError(message)
    logs = np.asarray(log_ratios, np.float64)
    mean, error = float(logs.mean()), float(logs.std(ddof=1)) / math.sqrt(blocks)
    half = student_quantile((1 + confidence) / 2, blocks - 1) * error
    low, high = math.exp(mean - half), math.exp(mean + half)
    return Estimate(math.exp(mean), low, high, blocks, method_name("blocks-t", confidence))


def median_over_blocks(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Estimate:
    """Estimate a median from one value per block.

    The interval runs between two order statistics, the narrowest such pair that keeps the
    confidence; below 6 blocks, where none keeps 95 %, between the least and the largest, and
    the method says what confidence that is. No distribution is assumed.

    Args:
        values: One per block, 1 or more.
        confidence: Two-sided.

    Returns:
        The median.

    Raises:
        ValueError: If there are no values.
    """
    if not values:
        message = "no blocks have no median"
        raise ValueError(message)
    ordered, blocks = sorted(values), len(values)
    ranks = range((blocks - 1) // 2, 0, -1)
    rank = next((r for r in ranks if _order_confidence(r, blocks) >= confidence), 0)
    kept = confidence if _order_confidence(rank, blocks) >= confidence else 1 - 2.0 ** (1 - blocks)
    return Estimate(
        float(np.median(ordered)),
        float(ordered[rank]),
        float(ordered[blocks - 1 - rank]),
        blocks,
        method_name("order", kept),
    )


def _order_confidence(rank: int, n: int) -> float:
    """Return how surely the median lies between the order statistics ``rank`` from either end."""
    return 1 - 2 * (1 - binomial_tail(rank + 1, n, 0.5))


def _bootstrapped_mean(values: Rows, seed: int, confidence: float) -> Estimate:
    mean, cells = float(values.mean()), _cells(values)
    draws = [counts @ cells / cells.size for counts in resampled_counts(cells.size, seed)]
    acceleration = acceleration_of(cells, cells.size)
    low, high = accelerated_ends(
        np.concatenate(draws), float(cells.mean()), acceleration, confidence
    )
    method = method_name("bca", confidence)
    return Estimate(mean, min(low, mean), max(high, mean), values.size, method)


def _cells(values: Rows) -> Rows:
    """Return means of runs of rows, few enough to resample; the rows themselves where few."""
    run = -(-values.size // _MOST_CELLS)
    whole = values.size // run * run
    means: Rows = values[:whole].reshape(-1, run).mean(axis=1)
    return means
