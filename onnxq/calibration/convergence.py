"""How many rows are enough: ranges are chosen again and again, until more rows change nothing.

Rows are visited in rounds, each doubling what was seen: 32, 64, 128, … After each round the ranges
of the last one are held against the new ones, on all that was seen; the noise that they add is the
*gap*. What ranges of n rows lose against those of many more falls with 1/n where errors are
differentiable in the ends of a range (the excess risk of an M-estimator, van der Vaart 1998, §5.3),
so each gap should be half of the last, and what is still to come about as large as the last one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.calibration.collecting import Statistics
from onnxq.calibration.noise_to_signal import ChosenRanges, noise_ratios
from onnxq.calibrations import ConvergencePoint

Collect: TypeAlias = Callable[[Sequence[int]], Statistics]
"""Looks at some runs; returns the statistics of all that it looked at, in all rounds."""

Choose: TypeAlias = Callable[[Statistics], Sequence[ChosenRanges]]
"""Chooses the ranges of each recipe, in an order that stays."""

FIRST_ROUND = 32
"""Runs of the first round."""

TOLERANCE_DB = 0.05
"""What ranges of the rows seen may lose against those of all rows, as predicted: half of the 0.1 dB
that they are meant to, because it is a prediction. (To move the ends of all ranges by 0.2 % at
random changes the output's noise by 0.1 dB as well.)"""

_LEAST_NOISE = 1e-12  # -120 dB, where float32 ends
_LEAST_RATIO = 0.5  # of a gap to the one before it: they never fall faster than with 1/n
_LEAST_GAPS = 3  # one gap alone may be small by luck


@dataclass(frozen=True)
class Converged:
    """What was seen until ranges settled.

    Attributes:
        statistics: By tensor, of all runs that were looked at.
        points: How ranges settled: each round but the last one, compared with the next.
        runs_seen: Runs that were looked at.
        predicted_loss_db: What the ranges are predicted to lose against those of all runs; 0
            where all were looked at.
    """

    statistics: Statistics
    points: tuple[ConvergencePoint, ...]
    runs_seen: int
    predicted_loss_db: float


def converge(
    collect: Collect, choose: Choose, runs: int, *, batch_rows: int = 1, seed: int = 0
) -> Converged:
    """Look at runs until ranges settle, or at all of them.

    Ranges count as settled once :func:`predict_loss` is at most :data:`TOLERANCE_DB` for every
    recipe. That takes four rounds at least, and with them 256 runs: fewer are all looked at. What
    lies in rows that are rarer than one in those seen, nobody can know: it is an estimate and not
    a bound.

    Args:
        collect: Looks at runs. It is called once a round, with runs that it did not get before.
        choose: Chooses ranges. It is called once a round, as soon as a tensor has values; others
            may have none, or none that are finite.
        runs: How many there are.
        batch_rows: Rows of a run.
        seed: Of the order in which runs are visited.

    Returns:
        Statistics, and the way there. With the same seed always the same; the statistics do not
        depend on the seed where all runs were looked at.
    """
    order = spread_order(runs, seed)
    statistics: Statistics = {}
    chosen: Sequence[ChosenRanges] = ()
    points: list[ConvergencePoint] = []
    seen, loss = 0, math.inf
    for stop in _round_ends(runs):
        statistics = collect(order[seen:stop].tolist())
        before, chosen = chosen, _choose(choose, statistics)
        if before and chosen:
            gap = measure_gap(statistics, before, chosen)
            points.append(ConvergencePoint(rows=seen * batch_rows, gap_db=gap))
        seen = stop
        loss = predict_loss([point.gap_db for point in points], runs / seen)
        if loss <= TOLERANCE_DB:
            break
    return Converged(statistics, tuple(points), seen, loss)


def spread_order(runs: int, seed: int) -> NDArray[np.int64]:
    """Order runs such that the first ones of them are spread over all, however many one takes.

    Of two halves of the runs, one takes turns with the other; so within each, all the way down.
    Which half comes first is drawn at random each time, so that what is periodic in the rows does
    not show: a van der Corput sequence, scrambled as by Owen 1995. Rows that are sorted by class
    are met in the proportions of the whole set.

    Args:
        runs: How many.
        seed: Any integer; it counts modulo 2**32.

    Returns:
        Each run once, int64 ``[runs]``. For any k, the first 2^k hold one of each of 2^k nearly
        equal stretches.
    """
    # NumPy promises never to change this generator's stream (NEP 19).
    generator = np.random.RandomState(seed % 2**32)

    def spread(start: int, stop: int) -> NDArray[np.int64]:
        order = np.arange(start, stop, dtype=np.int64)
        if len(order) > 1:
            middle = (start + stop + generator.randint(2)) // 2
            halves = spread(start, middle), spread(middle, stop)
            first = generator.randint(2)
            if len(halves[0]) != len(halves[1]):
                first = int(len(halves[1]) > len(halves[0]))
            order[0::2], order[1::2] = halves[first], halves[1 - first]
        return order

    return spread(0, runs)


def measure_gap(
    statistics: Statistics, before: Sequence[ChosenRanges], after: Sequence[ChosenRanges]
) -> float:
    """Measure what ranges lose against later ones, on all that was seen until now.

    Noise that a layer makes reaches the output through the same layers as its signal, so the noise
    to signal ratios of tensors add up (Lin, Talathi and Annapureddy 2016, "Fixed point quantization
    of deep convolutional networks"). The worst tensor alone would be no measure: one of fifty whose
    noise grows by 1 dB adds little. A tensor that gains makes up for no other: ranges by percentile
    and minmax gain as often as they lose, and that is luck.

    Args:
        statistics: Of all runs seen.
        before: Ranges of fewer runs, by recipe.
        after: Ranges of all of them, in the same order.

    Returns:
        Decibels of the recipe that loses most; 0 where none loses.
    """
    pairs = zip(before, after, strict=True)
    return max((_gap(statistics, old, new) for old, new in pairs), default=0.0)


def _gap(statistics: Statistics, before: ChosenRanges, after: ChosenRanges) -> float:
    old, new = noise_ratios(statistics, before), noise_ratios(statistics, after)
    lost = sum(max(0.0, ratio - new.get(name, ratio)) for name, ratio in old.items())
    return 10.0 * math.log10(1.0 + lost / max(sum(new.values()), _LEAST_NOISE))


def predict_loss(gaps_db: Sequence[float], growth: float) -> float:
    """Predict what ranges lose against those of more rows.

    The coming gaps are taken for a geometric series. It starts from the last gap, or from what
    the two before it would have become if they had halved each time, whichever is largest: so a
    lucky round does not count. It falls as the last two did, but no faster than with 1/n, and it
    may fail to fall at all.

    Args:
        gaps_db: From one round to the next, twice as large one, the last one last.
        growth: How many times as many rows there are to be; at least 1.

    Returns:
        Decibels; 0 where there are no more rows, infinity where fewer than three gaps are known.
    """
    doublings = math.log2(growth)
    if not doublings:
        return 0.0
    if len(gaps_db) < _LEAST_GAPS:
        return math.inf
    earlier, before, last = gaps_db[-_LEAST_GAPS:]
    gap = max(last, before * _LEAST_RATIO, earlier * _LEAST_RATIO**2)
    ratio = min(1.0, max(_LEAST_RATIO, last / before)) if before else 1.0
    whole = int(doublings)
    coming = sum(gap * ratio**k for k in range(1, whole + 1))
    return coming + (doublings - whole) * gap * ratio ** (whole + 1)


def _round_ends(runs: int) -> list[int]:
    ends = []
    end = FIRST_ROUND
    while end < runs:
        ends.append(end)
        end *= 2
    return [*ends, runs]


def _choose(choose: Choose, statistics: Statistics) -> Sequence[ChosenRanges]:
    """Choose ranges, or none where no tensor has a finite value yet."""
    return choose(statistics) if any(one.count for one in statistics.values()) else ()
