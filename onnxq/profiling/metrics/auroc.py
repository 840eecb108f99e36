"""The area under the receiver operating characteristic, and how far each row pulls it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxq.corpus_estimates import effective_rows
from onnxq.errors import DatasetError
from onnxq.profiling.metrics.readings import ClassRows, RowValues
from onnxq.profiling.metrics.scores import Sums, Totals, totals_by_cell

_ECHOES = 4
"""A row that passes many rows of the other side moves the share of each of them a little: all of
them together by as much as its own, so that Kish's effective number comes to 4 for each such row.
"""


def score_auroc(scores: RowValues, truth: ClassRows, seed: int) -> Totals:
    """Compute the area, of several classes the mean over one class against the rest.

    The area is the share of pairs of a row of the class and another one that the scores put in
    order; ties count half. A pair is no row: what is resampled is each row's influence on the
    area, after E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Biometrics 44 (1988)
    837-845; a mean of areas has the mean of influences.

    Args:
        scores: ``[N]`` of class 1, or ``[N, C]``.
        truth: Class numbers, ``[N]``. Classes without rows are left out, and so is a class that
            all rows have: their area is not defined.
        seed: Of the dealing of rows into cells.

    Returns:
        The area as a function of the mean influence.

    Raises:
        DatasetError: If all rows are of one class.
    """
    sides = [(scores, truth == 1)]
    if scores.ndim > 1:
        sides = [(scores[:, number], truth == number) for number in np.unique(truth)]
    defined = [(column, is_class) for column, is_class in sides if 0 < is_class.sum() < truth.size]
    if not defined:
        message = "auroc is not defined on these rows: all of them are of one class."
        raise DatasetError(message, code="OQ134", hint="Give rows of other classes, too.")
    areas = [_area(column, is_class) for column, is_class in defined]
    shares = np.stack([is_class.mean() for _, is_class in defined])
    return _linear(areas, shares, truth.size, seed)


@dataclass(frozen=True)
class _Area:
    """An area, and what each row does for it.

    Attributes:
        value: The area.
        placed: The share of rows of the other side that a row beats, or is beaten by.
        weights: One over the share of rows that are on a row's side.
    """

    value: float
    placed: RowValues
    weights: RowValues


def _area(scores: RowValues, is_class: NDArray[np.bool_]) -> _Area:
    inside, outside = np.sort(scores[is_class]), np.sort(scores[~is_class])
    placed = np.empty(scores.size)
    placed[is_class] = _share_below(scores[is_class], outside)
    placed[~is_class] = 1 - _share_below(scores[~is_class], inside)
    share = is_class.mean()
    weights = np.where(is_class, 1 / share, 1 / (1 - share))
    return _Area(float(placed[is_class].mean()), placed, weights)


def _share_below(scores: RowValues, others: RowValues) -> RowValues:
    below = np.searchsorted(others, scores, side="left")
    upto = np.searchsorted(others, scores, side="right")
    return np.asarray((below + upto) / (2 * others.size), np.float64)


def _linear(areas: list[_Area], shares: RowValues, rows: int, seed: int) -> Totals:
    area = float(np.mean([one.value for one in areas]))
    influences = np.mean([(one.placed - one.value) * one.weights for one in areas], axis=0)
    lost = np.mean([(1 - one.placed) * one.weights for one in areas], axis=0)

    def value_of(sums: Sums) -> RowValues:
        return np.asarray(area + sums[:, 0] / np.maximum(sums[:, 1], 1), np.float64)

    return Totals(
        sums=totals_by_cell(np.stack([influences, np.ones(rows)], axis=1), seed),
        value_of=value_of,
        marks=np.mean([one.placed * one.weights for one in areas], axis=0),
        imperfect=effective_rows(lost) // _ECHOES,
        effect=_effect(shares, rows),
        bounds=(0.0, 1.0),
        echoes=_ECHOES,
    )


def _effect(shares: RowValues, rows: int) -> float:
    """Bound what one row can do, times the rows: it goes from one end of every order to the other.

    A row of a class weighs one over the class's share in its own area, and one over the share of
    the others in each other area.
    """
    others = 1 / (1 - shares)
    own = 1 / shares if len(shares) > 1 else np.maximum(1 / shares, others)
    return float(min((own + others.sum() - others).max() / len(shares), rows))
