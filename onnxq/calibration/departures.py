"""Which tensors take other values on some rows than on those that they were calibrated on.

Two things must come together. *By chance* it must be next to impossible: if the rows of both sets
came from one source, every order of them by how far they reach would be equally likely, so that of
n calibration rows and m others the k farthest all belong to the m with probability
``C(m, k) / C(n + m, k)``, whatever the distribution (an exceedance test: Gumbel and von Schelling
1950). Tensors, ends and directions are paid for with Bonferroni's correction. And it must *matter*:
the noise to signal ratio that is predicted on these rows is well above that on calibration rows.

Where very few rows were calibrated on, or nothing but ranges is known, chance cannot be ruled out
so; then only what is far out of proportion counts.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.calibration.collecting import Statistics
from onnxq.calibration.noise_to_signal import ChosenRanges, noise_to_signal
from onnxq.calibration.statistics import TensorStatistics
from onnxq.ranges import TensorRange
from onnxq.recipe_kinds import Activation

Direction: TypeAlias = Literal["beyond", "within"]

CHANCE = 1e-3
"""Probability that a set of the same source is told to be of another."""

BEYOND_DB = 3.0
"""How much noisier a tensor must become to matter where rows leave its range: twice the noise."""

WITHIN_DB = 6.0
"""The same where rows use little of the range: one of 8 bits."""

FAR_RATIO = 4.0
"""Reaching so many times as far is far, whatever chance may do. On photos, one row of 64 reaches
2.4 times as far as all of 32 others, at most."""

UNUSED_RATIO = 8.0
"""A range that is so many times wider than what rows use has lost 3 of its 8 bits."""

_LEAST_ROWS = 16  # calibration rows beyond which a single far row is worth telling
_LEAST_RATIO: Mapping[Activation, float] = {"uint8": 1e-6, "int16": 1e-11}
"""Noise to signal where a range is used to the full; below it, values happen to lie on the grid."""


@dataclass(frozen=True)
class Departure:
    """A tensor that takes other values on the rows looked at than on calibration rows.

    Attributes:
        tensor: Its name.
        direction: ``beyond``: rows leave the range. ``within``: they use little of it.
        row: The run that reaches farthest.
        rows: Runs that reach farther than all of calibration; of ``within``: runs looked at.
        reach: Farthest value on the rows looked at, at the end that is told of.
        known_reach: Farthest value on calibration rows; the end of the range without statistics.
        excess_db: How much noisier the tensor is predicted to be than on calibration rows; 0
            where these are not known.
    """

    tensor: str
    direction: Direction
    row: int
    rows: int
    reach: float
    known_reach: float
    excess_db: float

    @property
    def ratio(self) -> float:
        """How many times as far rows reach as those of calibration; infinity beyond zero."""
        return abs(self.reach / self.known_reach) if self.known_reach else math.inf


def find_departures(
    seen: Statistics, chosen: ChosenRanges, calibration: Statistics
) -> tuple[Departure, ...]:
    """Find tensors that leave their ranges, or use little of them.

    Args:
        seen: Of the rows to look at.
        chosen: The ranges.
        calibration: Of the rows that they were chosen on; empty where they are not known.

    Returns:
        At most one departure a tensor, in the order of ``seen``.
    """
    tensors = [name for name in seen if name in chosen.ranges and seen[name].count]
    chance = CHANCE / max(1, 4 * len(tensors))
    found = []
    for name in tensors:
        known = calibration.get(name)
        limit, activation = chosen.ranges[name], chosen.activation
        if known is not None and known.count:
            departures = _against_rows(name, seen[name], known, (limit, activation), chance)
        else:
            departures = _against_range(name, seen[name], limit)
        found += [max(group, key=_weight) for group in [list(departures)] if group]
    return tuple(found)


def _weight(departure: Departure) -> tuple[bool, float]:
    return departure.direction == "beyond", departure.excess_db


@dataclass(frozen=True)
class _End:
    """How far runs reach towards one end, as magnitudes away from zero; 0 on the other side."""

    sign: int
    reaches: NDArray[np.float64]

    @property
    def farthest(self) -> float:
        return float(self.reaches.max(initial=0.0))


def _ends(statistics: TensorStatistics) -> tuple[_End, _End]:
    folded = statistics.row_folded
    lows = statistics.row_lows[folded].astype(np.float64)
    highs = statistics.row_highs[folded].astype(np.float64)
    return _End(1, np.maximum(highs, 0.0)), _End(-1, np.maximum(-lows, 0.0))


def _against_rows(
    name: str,
    seen: TensorStatistics,
    known: TensorStatistics,
    limit: tuple[TensorRange, Activation],
    chance: float,
) -> Iterator[Departure]:
    """Compare with the rows that the range was chosen on."""
    floor = _LEAST_RATIO[limit[1]]
    noise, before = (max(noise_to_signal(one, *limit), floor) for one in (seen, known))
    excess = 10.0 * math.log10(noise / before)
    for ours, theirs in zip(_ends(seen), _ends(known), strict=True):
        reach, known_reach = ours.farthest, theirs.farthest
        rows, others = len(ours.reaches), len(theirs.reaches)
        farther = int(np.count_nonzero(ours.reaches > known_reach))
        is_rare = _by_chance(farther, rows, others) <= chance
        is_far = reach > FAR_RATIO * known_reach and others >= _LEAST_ROWS
        if excess >= BEYOND_DB and (is_rare or is_far or _mostly_far(ours, known_reach)):
            yield _departure(name, "beyond", seen, (ours, known_reach), farther, excess)
        beaten = int(np.count_nonzero(theirs.reaches > reach))
        if excess >= WITHIN_DB and _by_chance(beaten, others, rows) <= chance:
            yield _departure(name, "within", seen, (ours, known_reach), rows, excess)


def _against_range(name: str, seen: TensorStatistics, limit: TensorRange) -> Iterator[Departure]:
    """Compare with the range alone: values that are cut off by design lie within a few times it."""
    ends = _ends(seen)
    for end, bound in zip(ends, (limit.high, -limit.low), strict=True):
        if _mostly_far(end, bound):
            farther = int(np.count_nonzero(end.reaches > bound))
            yield _departure(name, "beyond", seen, (end, bound), farther, 0.0)
    used = ends[0].farthest + ends[1].farthest
    if UNUSED_RATIO * used < limit.high - limit.low:
        end, bound = max(zip(ends, (limit.high, -limit.low), strict=True), key=lambda one: one[1])
        yield _departure(name, "within", seen, (end, bound), len(end.reaches), 0.0)


def _mostly_far(end: _End, known_reach: float) -> bool:
    return bool(np.median(end.reaches) > FAR_RATIO * known_reach)


def _by_chance(farthest: int, rows: int, others: int) -> float:
    """Return the probability that the farthest of all rows are all of the first kind."""
    ranks = np.arange(farthest)
    return float(np.prod((rows - ranks) / (rows + others - ranks)))


def _departure(
    name: str,
    direction: Direction,
    seen: TensorStatistics,
    end: tuple[_End, float],
    rows: int,
    excess_db: float,
) -> Departure:
    ours, known_reach = end
    return Departure(
        tensor=name,
        direction=direction,
        row=int(np.flatnonzero(seen.row_folded)[np.argmax(ours.reaches)]),
        rows=rows,
        reach=ours.sign * ours.farthest + 0.0,
        known_reach=ours.sign * known_reach + 0.0,  # no -0
        excess_db=excess_db,
    )
