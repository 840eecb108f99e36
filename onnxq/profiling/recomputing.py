"""Resampling of a value that only a user's function can compute: the function is called again.

What it does with rows is not known, so it is tried out: which rows tell two models apart, and
how far one row pulls the value.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.corpus_estimates import Doubt, Drawn
from onnxq.profiling.metrics.scores import Recomputed
from onnxq.resampling import LEAST_NONZERO, Rows, resampled_counts

RESAMPLES_OF_CALLS = 1000
"""How often a function is called for an interval: few, for one call may take long."""

_LEFT_OUT = 50
_GROUPS = 40

Tick: TypeAlias = Callable[[int, int], None]
"""Told how many calls of how many are done."""


def draw_calls(scores: Recomputed, rows: int, seed: int, tick: Tick) -> Drawn:
    """Call a function on resamples, and on all rows but one, for a sample of rows.

    Args:
        scores: The function, and a model's outputs.
        rows: How many there are.
        seed: Of the draws; models that shall be paired share it.
        tick: Told after each call.

    Returns:
        The values.
    """
    numbers = np.arange(rows)
    left_out = np.random.default_rng(seed).permutation(rows)[:_LEFT_OUT]
    total = RESAMPLES_OF_CALLS + left_out.size
    draws, without = [], []
    for batch in resampled_counts(rows, seed, RESAMPLES_OF_CALLS):
        for counts in batch.astype(np.int64):
            draws.append(scores.compute(scores.outputs, np.repeat(numbers, counts)))
            tick(len(draws), total)
    if rows > 1:
        for row in left_out:
            without.append(scores.compute(scores.outputs, np.delete(numbers, row)))
            tick(len(draws) + len(without), total)
    return Drawn(scores.value, np.array(draws), np.array(without), rows, rows)


def doubt_of_calls(drawn: Drawn) -> Doubt:
    """Tell how many rows matter for a value: none where it is the same on every resample.

    Args:
        drawn: The value.

    Returns:
        How many rows matter, and what one can do: twice what leaving one out does.
    """
    draws = drawn.draws[np.isfinite(drawn.draws)]
    varies = bool(draws.size) and bool(np.ptp(draws) > 0)
    return Doubt(drawn.rows if varies else 0, _effect(drawn))


def doubt_between(reference: Recomputed, candidate: Recomputed, drawn: Drawn, seed: int) -> Doubt:
    """Tell how many rows tell two models apart.

    Rows are dealt into groups; in turn each group's outputs are taken from the reference. Where
    that changes the candidate's value, the group holds rows that matter.

    Args:
        reference: The float model's value.
        candidate: The candidate's.
        drawn: The reference's draws.
        seed: Of the dealing.

    Returns:
        How many groups matter, where they are few; else that enough rows do.
    """
    rows = drawn.rows
    differing = _differing_rows(reference, candidate, rows)
    dealt = np.random.default_rng(seed).permutation(differing)
    groups = [group for group in np.array_split(dealt, min(_GROUPS, dealt.size or 1)) if group.size]
    swapped = (_swapped(reference, candidate, group, rows) for group in groups)
    moved = [abs(value - candidate.value) for value in swapped if np.isfinite(value)]
    mattering = sum(move > 0 for move in moved)
    if mattering >= LEAST_NONZERO:
        return Doubt(rows, 0.0)
    return Doubt(mattering, max(_effect(drawn), rows * max(moved, default=0.0)))


def _swapped(
    reference: Recomputed, candidate: Recomputed, group: NDArray[np.int_], rows: int
) -> float:
    mixed = {name: np.array(array) for name, array in candidate.outputs.items()}
    for name, array in mixed.items():
        array[group] = reference.outputs[name][group]
    return candidate.compute(mixed, np.arange(rows))


def _differing_rows(reference: Recomputed, candidate: Recomputed, rows: int) -> NDArray[np.int_]:
    differs = np.zeros(rows, np.bool_)
    for name, array in candidate.outputs.items():
        unequal = np.asarray(array) != np.asarray(reference.outputs[name])
        differs |= unequal.reshape(rows, -1).any(axis=1)
    return np.flatnonzero(differs)


def _effect(drawn: Drawn) -> float:
    changes: Rows = np.abs(drawn.without - drawn.value)
    changes = changes[np.isfinite(changes)]
    return 2 * drawn.rows * float(changes.max(initial=0.0))
