"""What a metric makes of two models becomes an accuracy: a value, a drop, their intervals."""

from typing import NoReturn, TypeAlias

import numpy as np

from onnxq.corpus_estimates import (
    Doubt,
    Drawn,
    corpus_drop,
    corpus_value,
    draw_values,
    effective_rows,
)
from onnxq.errors import DatasetError
from onnxq.estimates import Estimate, mean_over_rows, paired_drop, paired_mean_difference, wilson
from onnxq.measurements import Accuracy
from onnxq.profiling.metrics.readings import RowValues
from onnxq.profiling.metrics.scores import (
    Metric,
    Recomputed,
    RightRows,
    Scores,
    Totals,
    ValuedRows,
)
from onnxq.profiling.recomputing import Tick, doubt_between, doubt_of_calls, draw_calls

_Estimates: TypeAlias = tuple[Estimate, Estimate, int]
"""The candidate's value, its drop, and how many rows differ."""


def estimate_accuracy(
    metric: Metric, reference: Scores, candidate: Scores, rows: int, seed: int, tick: Tick
) -> Accuracy:
    """Estimate what a candidate is worth, and how much worse than the reference.

    A rate has Wilson's interval, and its drop Tango's; means and functions of totals are
    bootstrapped over rows, the two models on the same draws.

    Args:
        metric: What was computed.
        reference: Of the float model.
        candidate: Of the candidate, or of the float model itself.
        rows: How many independent rows there are.
        seed: Of the bootstrap.
        tick: Told how far slow estimates are.

    Returns:
        The accuracy.

    Raises:
        DatasetError: If the metric is not defined on these rows.
    """
    try:
        match reference, candidate:
            case RightRows(), RightRows():
                value, drop, differing = _of_rates(reference, candidate)
            case ValuedRows(), ValuedRows():
                value, drop, differing = _of_means(metric, reference, candidate, seed)
            case Totals(), Totals():
                value, drop, differing = _of_totals(metric, reference, candidate, rows, seed)
            case Recomputed(), Recomputed():
                value, drop, differing = _of_calls(metric, reference, candidate, rows, seed, tick)
            case _:
                _refuse("it is of another kind for the candidate than for the float model")
    except ValueError as error:
        message = f"{metric.name} is not defined on these rows: {error}."
        hint = "Give other rows, or take another metric."
        raise DatasetError(message, code="OQ134", hint=hint) from error
    return Accuracy(
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        value=value,
        drop=drop,
        discordant_rows=differing,
        scale=metric.scale,
    )


def _of_rates(reference: RightRows, candidate: RightRows) -> _Estimates:
    value = wilson(int(candidate.right.sum()), candidate.right.size)
    drop = paired_drop(reference.right, candidate.right)
    return value, drop, int((candidate.right != reference.right).sum())


def _of_means(
    metric: Metric, reference: ValuedRows, candidate: ValuedRows, seed: int
) -> _Estimates:
    for values in (reference.values, candidate.values):
        _check_finite(values)
    differences = candidate.values - reference.values
    drop = paired_mean_difference(
        -differences if metric.higher_is_better else differences,
        seed=seed,
        scale=reference.effect,
    )
    return mean_over_rows(candidate.values, seed=seed), drop, int(np.count_nonzero(differences))


def _of_totals(
    metric: Metric, reference: Totals, candidate: Totals, rows: int, seed: int
) -> _Estimates:
    drawn, expected = (_draw(totals, rows, seed) for totals in (candidate, reference))
    own = Doubt(candidate.imperfect, _effect(candidate, drawn))
    changed = _changed_rows(reference, candidate)
    doubt = Doubt(changed, max(own.effect, _effect(reference, expected)))
    value = corpus_value(drawn, own, bounds=candidate.bounds)
    drop = corpus_drop(expected, drawn, doubt, higher_is_better=metric.higher_is_better)
    return value, drop, changed


def _of_calls(
    metric: Metric, reference: Recomputed, candidate: Recomputed, rows: int, seed: int, tick: Tick
) -> _Estimates:
    drawn = draw_calls(candidate, rows, seed, tick)
    expected = drawn if candidate is reference else draw_calls(reference, rows, seed, tick)
    doubt = doubt_between(reference, candidate, expected, seed)
    value = corpus_value(drawn, doubt_of_calls(drawn))
    drop = corpus_drop(expected, drawn, doubt, higher_is_better=metric.higher_is_better)
    return value, drop, doubt.mattering


def _draw(totals: Totals, rows: int, seed: int) -> Drawn:
    sums = totals.sums
    return draw_values(lambda counts: totals.value_of(counts @ sums), rows, len(sums), seed=seed)


def _effect(totals: Totals, drawn: Drawn) -> float:
    """Return the most that one row can do; a cell of several rows counts as one."""
    if totals.effect:
        return totals.effect
    changes = np.abs(drawn.without - drawn.value)
    return 2 * drawn.rows * float(changes[np.isfinite(changes)].max(initial=0.0))


def _changed_rows(reference: Totals, candidate: Totals) -> int:
    old, new = reference.marks, candidate.marks
    if old.dtype.kind == "f":
        return effective_rows(new - old) // reference.echoes
    return int((old != new).reshape(len(old), -1).any(axis=1).sum())


def _check_finite(values: RowValues) -> None:
    broken = np.flatnonzero(~np.isfinite(values))
    if broken.size:
        _refuse(f"it is {values[broken[0]]} on row {broken[0]}")


def _refuse(reason: str) -> NoReturn:
    raise ValueError(reason)
