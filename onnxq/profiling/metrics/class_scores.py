"""Precision, recall and F1, from counts of answers and labels by class."""

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.metric_choices import Score
from onnxq.profiling.metrics.readings import IGNORED, ClassRows, RowValues
from onnxq.profiling.metrics.scores import Sums, Totals, cells_of

Averaging: TypeAlias = Literal["binary", "macro", "micro", "weighted"]

_RIGHT, _ANSWERED, _LABELLED = range(3)


def score_classes(
    score: Score, averaging: Averaging, answers: ClassRows, truth: ClassRows, seed: int
) -> Totals:
    """Compute precision, recall or F1.

    The classes that are averaged over are those that occur in the labels, so that two models
    are averaged over the same ones; a class that is never answered has precision 0. On a
    resample without rows of a class, that class is left out. ``micro`` counts every answer: of
    classes that exclude each other it is top-1.

    Args:
        score: Which.
        averaging: ``binary`` looks at class 1 alone.
        answers: Class numbers, ``[N]`` or ``[N, ...]``.
        truth: The labels', of that shape; -100 does not count.
        seed: Of the dealing of rows into cells.

    Returns:
        The score as a function of counts.
    """
    rows = len(truth)
    answers, truth = answers.reshape(rows, -1), truth.reshape(rows, -1)
    counted = truth != IGNORED
    classes = np.array([1]) if averaging == "binary" else np.unique(truth[counted])
    sums = _counts_by_cell(answers, truth, classes, seed)
    return Totals(
        sums=sums.reshape(len(sums), -1),
        value_of=lambda sums: _value(score, averaging, sums.reshape(len(sums), 3, -1)),
        marks=np.where(counted, answers, IGNORED),
        imperfect=int(((answers != truth) & counted).any(axis=1).sum()),
        effect=_effect(score, averaging, sums, counted),
        bounds=(0.0, 1.0),
    )


def _counts_by_cell(
    answers: ClassRows, truth: ClassRows, classes: NDArray[np.int64], seed: int
) -> Sums:
    """Count ``[cells, 3, classes + 1]``: right, answered and labelled; last: all other classes."""
    others = len(classes)
    cells = cells_of(len(truth), 3 * (others + 1), seed)
    count = int(cells.max(initial=0)) + 1
    given, wanted = _places(answers, classes), _places(truth, classes)
    counted = truth != IGNORED
    lines = np.broadcast_to(cells[:, None], truth.shape)
    sums = np.empty((count, 3, others + 1))
    for kind, (places, chosen) in enumerate(
        ((given, counted & (answers == truth)), (given, counted), (wanted, counted))
    ):
        flat = lines[chosen] * (others + 1) + places[chosen]
        found = np.bincount(flat, minlength=count * (others + 1))
        sums[:, kind] = found.reshape(count, others + 1)
    return sums


def _places(numbers: ClassRows, classes: NDArray[np.int64]) -> NDArray[np.int_]:
    """Return the place of each class number; that behind the last where it is not in there."""
    places = np.minimum(np.searchsorted(classes, numbers), len(classes) - 1)
    return np.where(classes[places] == numbers, places, len(classes))


def _value(score: Score, averaging: Averaging, sums: Sums) -> RowValues:
    sums = sums.sum(axis=2, keepdims=True) if averaging == "micro" else sums[:, :, :-1]
    right, answered, labelled = (sums[:, kind] for kind in (_RIGHT, _ANSWERED, _LABELLED))
    by_class = _by_class(score, right, answered, labelled)
    weights = labelled if averaging == "weighted" else (labelled > 0).astype(np.float64)
    total = weights.sum(axis=1)
    mean = (by_class * weights).sum(axis=1) / np.where(total > 0, total, np.nan)
    return np.asarray(mean, np.float64)


def _by_class(score: Score, right: Sums, answered: Sums, labelled: Sums) -> Sums:
    match score:
        case "precision":
            above, below = right, answered
        case "recall":
            above, below = right, labelled
        case "f1":
            above, below = 2 * right, answered + labelled
    return np.where(below > 0, above / np.where(below > 0, below, 1), 0.0)


def _effect(score: Score, averaging: Averaging, sums: Sums, counted: NDArray[np.bool_]) -> float:
    """Return the most that one row can do, times the rows.

    An answer moves from one class to another: in one class a right answer comes or goes, in the
    other a wrong one. A row of many positions can move as many answers.
    """
    rows, answers = len(counted), float(counted.sum(axis=1).max(initial=1))
    if averaging == "micro":
        return float(rows * answers / max(counted.sum(), 1))
    right, answered, labelled = sums[:, :, :-1].sum(axis=0)
    as_it_is = _by_class(score, right, answered, labelled)
    weights = labelled if averaging == "weighted" else (labelled > 0).astype(np.float64)
    moves = []
    for known in (1, 0):
        more = _by_class(score, np.minimum(right + known, labelled), answered + 1, labelled)
        less = _by_class(score, np.maximum(right - known, 0), np.maximum(answered - 1, 0), labelled)
        moved = np.maximum(np.abs(more - as_it_is), np.abs(less - as_it_is)) * weights
        moves.append(float(moved.max(initial=0)) / max(float(weights.sum()), 1.0))
    most = max(moves) if averaging == "binary" else sum(moves)
    return float(min(rows * answers * most, rows))
