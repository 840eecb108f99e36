"""Estimates of a value that only all rows together have, such as F1 or a perplexity. numpy only.

It is computed again on rows drawn with replacement; two models are paired by being computed on
the same draws.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.estimates import Estimate, method_name, wilson
from onnxq.paired_proportions import CONFIDENCE
from onnxq.resampling import (
    LEAST_NONZERO,
    RESAMPLES,
    Counts,
    Rows,
    accelerated_ends,
    acceleration_of,
    resampled_counts,
)

OfCounts: TypeAlias = Callable[[Counts], Rows]
"""A corpus value under how often each cell counts: ``[B, cells]`` to ``[B]``."""

_LEAST_DEFINED = 0.9
_LEFT_OUT_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Drawn:
    """A corpus value: as it is, on resamples, and without single cells.

    Attributes:
        value: Of all rows.
        draws: Of each resample, ``[B]``; NaN where it is not defined.
        without: Of all cells but one, ``[M]``; of each cell, or of a random sample of cells.
        rows: How many independent rows there are.
        cells: How many cells they make: rows, or groups of them.
    """

    value: float
    draws: Rows
    without: Rows
    rows: int
    cells: int


@dataclass(frozen=True)
class Doubt:
    """What bounds a corpus value where too few rows matter for a bootstrap.

    Attributes:
        mattering: Rows that tell the value from the one it is compared with: those that differ
            between two models, or those that a model gets wrong.
        effect: The most that one row can change the value by, times the number of rows.
    """

    mattering: int
    effect: float


def draw_values(
    evaluate: OfCounts, rows: int, cells: int, *, seed: int, resamples: int = RESAMPLES
) -> Drawn:
    """Compute a corpus value on all rows, on resamples, and without each cell.

    Args:
        evaluate: The value.
        rows: How many independent rows there are.
        cells: How many cells they make.
        seed: Of the draws; models that shall be paired share it.
        resamples: How often to draw.

    Returns:
        The values.
    """
    batches = [evaluate(counts) for counts in resampled_counts(cells, seed, resamples)]
    return Drawn(
        value=float(evaluate(np.ones((1, cells)))[0]),
        draws=np.concatenate(batches),
        without=values_without(evaluate, cells, np.arange(cells)),
        rows=rows,
        cells=cells,
    )


def values_without(evaluate: OfCounts, cells: int, left_out: NDArray[np.int_]) -> Rows:
    """Compute a corpus value without one cell, for each of some cells.

    Args:
        evaluate: The value.
        cells: How many there are.
        left_out: Numbers of the cells to leave out, one at a time.

    Returns:
        The values, in the order of ``left_out``; NaN where one is not defined.
    """
    step = max(1, _LEFT_OUT_AT_ONCE // cells)
    found = []
    for start in range(0, len(left_out), step):
        part = left_out[start : start + step]
        counts = np.ones((len(part), cells))
        counts[np.arange(len(part)), part] = 0
        found.append(evaluate(counts))
    return np.concatenate(found)


def corpus_value(
    drawn: Drawn,
    doubt: Doubt,
    *,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Estimate a corpus value.

    The interval is a bias-corrected and accelerated bootstrap over rows. Where fewer than
    :data:`~onnxq.resampling.LEAST_NONZERO` rows matter, as those that a nearly perfect
    classifier gets wrong, a bootstrap would be far too sure: see :func:`corpus_drop`.

    Args:
        drawn: The value and its draws.
        doubt: Rows that a perfect model would answer otherwise, and what one can do.
        bounds: What the value cannot leave.
        confidence: Two-sided.

    Returns:
        The value, with its interval.

    Raises:
        ValueError: If it is not defined on all rows, or on too many resamples.
    """
    made = _interval(drawn, doubt, confidence)
    low, high = (min(max(end, bounds[0]), bounds[1]) for end in (made.low, made.high))
    value = min(max(drawn.value, bounds[0]), bounds[1])
    return Estimate(value, min(low, value), max(high, value), made.n, made.method)


def corpus_drop(
    reference: Drawn,
    candidate: Drawn,
    doubt: Doubt,
    *,
    higher_is_better: bool,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Estimate how much worse a candidate's corpus value is than the reference's.

    The interval is a bias-corrected and accelerated bootstrap of the difference, both models on
    the same draws. Where fewer than :data:`~onnxq.resampling.LEAST_NONZERO` rows differ, the
    interval says instead: the share of rows that differ is at most the upper end of Wilson's
    interval, and each of them changes the value by at most ``doubt.effect`` over the rows.

    Args:
        reference: The float model's value and its draws.
        candidate: The candidate's, on the same draws.
        doubt: Rows that differ, and what one can do.
        higher_is_better: Direction of the value.
        confidence: Two-sided.

    Returns:
        The drop: positive is worse.

    Raises:
        ValueError: If it is not defined on all rows, or on too many resamples.
    """
    sign = 1.0 if higher_is_better else -1.0
    drop = Drawn(
        value=sign * (reference.value - candidate.value),
        draws=sign * (reference.draws - candidate.draws),
        without=sign * (reference.without - candidate.without),
        rows=reference.rows,
        cells=reference.cells,
    )
    return _interval(drop, doubt, confidence)


def effective_rows(differences: Rows) -> int:
    """Return how many rows a sum over rows rests on.

    Kish's effective number, ``(sum |d|)^2 / sum d^2``: the number of rows where all of them
    contribute alike, and hardly more than 1 where one outweighs the others.

    Args:
        differences: One per row.

    Returns:
        The number, rounded down; 0 where nothing differs.
    """
    sizes = np.abs(differences)
    largest = float(sizes.max(initial=0))
    if largest <= 0:
        return 0
    sizes = sizes / largest
    return int(sizes.sum() ** 2 / (sizes**2).sum() + 1e-9)


def _interval(drawn: Drawn, doubt: Doubt, confidence: float) -> Estimate:
    value, rows = drawn.value, drawn.rows
    if not np.isfinite(value):
        message = f"the value of all rows is {value}"
        raise ValueError(message)
    if doubt.mattering < LEAST_NONZERO:
        share = wilson(min(doubt.mattering, rows), rows, confidence=confidence).high
        half = share * doubt.effect
        method = method_name("bounded", confidence)
        return Estimate(value, value - half, value + half, rows, method)
    draws = drawn.draws[np.isfinite(drawn.draws)]
    if draws.size < _LEAST_DEFINED * drawn.draws.size:
        message = f"it is defined on {draws.size} of {drawn.draws.size} resamples only"
        raise ValueError(message)
    influences = value - drawn.without[np.isfinite(drawn.without)]
    acceleration = acceleration_of(influences, drawn.cells) if influences.size else 0.0
    low, high = accelerated_ends(draws, value, acceleration, confidence)
    method = method_name("bca", confidence)
    return Estimate(value, min(low, value), max(high, value), rows, method)
