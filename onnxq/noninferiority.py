"""Is the drop small enough? Paired evidence, its tests, and the rows that they need. numpy only.

The words are those of :mod:`onnxq.paired_proportions`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from onnxq.distributions import normal_quantile, normal_tail
from onnxq.paired_proportions import CONFIDENCE, restricted_score, score_limits, two_sided_z

POWER = 0.8
"""How often the rows that :func:`rows_to_settle` names would suffice."""

_BISECTIONS = 55
_MOST_ROWS = 10**12
_ROUNDING = 1e-9
_POWER_Z = normal_quantile(POWER)


@dataclass(frozen=True)
class Flips:
    """How two models differ on the same rows: what is known of a drop of a rate.

    Attributes:
        lost: Rows that the reference alone gets right.
        gained: Rows that the candidate alone gets right.
        rows: All rows, 1 or more.
    """

    lost: int
    gained: int
    rows: int

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the two ends of the drop's interval: see :func:`score_limits`."""
        low, high = score_limits(self.lost, self.gained, self.rows, confidence=confidence)
        return float(low), float(high)

    def p_value(self, max_drop: float) -> float:
        """Return the one-sided p value of "the true drop is ``max_drop`` or more".

        It inverts the upper end of the interval: the p value is at most ``a`` exactly where the
        upper end at confidence ``1 - 2a`` is at most ``max_drop`` (of 0 or more).
        """
        drop, deviation = restricted_score(np.float64(max_drop), self.lost, self.gained, self.rows)
        shortfall = float(self.rows * max_drop - drop)
        return normal_tail(shortfall / float(deviation)) if deviation > 0 else float(shortfall <= 0)

    def is_settled_by(self, more_rows: int, max_drop: float, confidence: float) -> bool:
        """Return whether so many more rows would show the drop to be small.

        The assumptions are those of :func:`rows_to_settle`.
        """
        share = (self.lost + self.gained) / self.rows
        rows, half = self.rows + more_rows, share * more_rows / 2
        drop, deviation = restricted_score(
            np.float64(max_drop), self.lost + half, self.gained + half, rows
        )
        spare = rows * max_drop - float(drop) - _POWER_Z * math.sqrt(share * more_rows)
        return spare >= two_sided_z(confidence) * float(deviation)


@dataclass(frozen=True)
class MeanDrop:
    """What is known of a drop that is a mean over rows, such as that of a squared error.

    Other confidences than 95 % are had by scaling, as if the mean were normal.

    Attributes:
        value: The drop.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        rows: All rows, 1 or more.
    """

    value: float
    low: float
    high: float
    rows: int

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the two ends of the drop's interval."""
        scale = two_sided_z(confidence) / two_sided_z(CONFIDENCE)
        below, above = self.value - self.low, self.high - self.value
        return self.value - scale * below, self.value + scale * above

    def p_value(self, max_drop: float) -> float:
        """Return the one-sided p value of "the true drop is ``max_drop`` or more"."""
        shortfall, error = max_drop - self.value, self._standard_error
        return normal_tail(shortfall / error) if error > 0 else float(shortfall < 0)

    def is_settled_by(self, more_rows: int, max_drop: float, confidence: float) -> bool:
        """Return whether so many more rows would show the drop to be small.

        The assumptions are those of :func:`rows_to_settle`.
        """
        rows, deviation = self.rows + more_rows, self._standard_error * math.sqrt(self.rows)
        spare = rows * max_drop - self.rows * self.value
        spare -= _POWER_Z * deviation * math.sqrt(more_rows)
        return spare >= two_sided_z(confidence) * deviation * math.sqrt(rows)

    @property
    def _standard_error(self) -> float:
        return (self.high - self.value) / two_sided_z(CONFIDENCE)


DropEvidence: TypeAlias = Flips | MeanDrop


def holm(p_values: Sequence[float], level: float) -> tuple[bool, ...]:
    """Return which hypotheses fall when the chance of any false one shall stay below a level.

    Holm (1979), Scandinavian Journal of Statistics 6, 65-70: from the smallest p value up, each
    is compared with the level over the number of hypotheses still standing; the first that
    stands lets the rest stand.

    Args:
        p_values: One per hypothesis.
        level: Such as 0.025 for one-sided tests.

    Returns:
        Whether each hypothesis is rejected, in the order given.
    """
    divisors = holm_divisors(p_values, level)
    return tuple(_falls(p, level / d) for p, d in zip(p_values, divisors, strict=True))


def holm_divisors(p_values: Sequence[float], level: float) -> tuple[int, ...]:
    """Return by what Holm's step divides the level for each hypothesis.

    Args:
        p_values: One per hypothesis.
        level: As in :func:`holm`.

    Returns:
        For a rejected hypothesis the divisor of its step; for one that stands the divisor of
        the step that stopped.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    divisors = [1] * len(order)
    standing, stopped = len(order), False
    for index in order:
        divisors[index] = standing
        stopped = stopped or not _falls(p_values[index], level / standing)
        standing -= 0 if stopped else 1
    return tuple(divisors)


def rows_to_settle(
    evidence: DropEvidence, max_drop: float, *, confidence: float = CONFIDENCE
) -> int:
    """Return how many more rows would show that the drop is small enough.

    It is assumed that the flip rate (or the rows' variance) stays and that the true drop is 0;
    the rows at hand stay in. So many suffice in :data:`POWER` of all cases.

    Args:
        evidence: What the rows at hand say.
        max_drop: The limit, above 0.
        confidence: Two-sided, of the interval that must end below the limit.

    Returns:
        The number of rows; 0 where the rows at hand settle it.

    Raises:
        ValueError: If ``max_drop`` is not above 0: no number of rows shows a drop of 0.
    """
    if max_drop <= 0:
        message = f"no number of rows can show a drop below {max_drop}"
        raise ValueError(message)
    return _fewest(lambda more: evidence.is_settled_by(more, max_drop, confidence))


def detectable_drop(rows: int, flip_rate: float, *, confidence: float = CONFIDENCE) -> float:
    """Return the smallest limit that so many rows can show to be kept if the true drop is 0.

    Args:
        rows: How many rows there are, 1 or more.
        flip_rate: Share of rows of which exactly one model is right.
        confidence: Two-sided.

    Returns:
        A drop between 0 and 1 that is shown in :data:`POWER` of all cases.
    """
    low, high, flips, z = 0.0, 1.0, rows * flip_rate, two_sided_z(confidence)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        _, deviation = restricted_score(np.float64(middle), flips / 2, flips / 2, rows)
        is_shown = rows * middle - _POWER_Z * math.sqrt(flips) >= z * float(deviation)
        low, high = (low, middle) if is_shown else (middle, high)
    return high


def _falls(p_value: float, level: float) -> bool:
    return p_value <= level * (1 + _ROUNDING)


def _fewest(suffices: Callable[[int], bool]) -> int:
    """Return the least number that suffices, where every larger one does, too."""
    if suffices(0):
        return 0
    enough = 1
    while not suffices(enough) and enough < _MOST_ROWS:
        enough *= 2
    short = enough // 2
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if suffices(middle) else (middle, enough)
    return enough
