"""What a metric makes of one model's outputs: four kinds, each with its own estimator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.arrays import Array
from onnxq.measurements import MetricScale
from onnxq.profiling.metrics.readings import RowFlags, RowValues

_MOST_CELLS = 2000
_FEWEST_CELLS = 50
_MOST_SUMS = 1 << 22

Sums: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class RightRows:
    """A rate: which rows are right.

    Attributes:
        right: ``[N]``.
    """

    right: RowFlags


@dataclass(frozen=True)
class ValuedRows:
    """A mean: what each row is worth.

    Attributes:
        values: ``[N]``.
        effect: How far a row's value could plausibly move where none was seen to.
    """

    values: RowValues
    effect: float


@dataclass(frozen=True)
class Totals:
    """A function of totals over rows, such as F1 of counts; rows lie in cells.

    Attributes:
        sums: ``[cells, D]``: what each cell adds to the totals.
        value_of: From totals ``[B, D]`` to the metric ``[B]``; NaN where it is not defined.
        marks: ``[N, ...]``: equal in two models where a row adds the same to the totals.
            Integers are compared; of floats it is asked how many rows the difference rests on.
        imperfect: How many rows a perfect model would answer otherwise.
        effect: The most that one row can change the metric by, times the number of rows; 0
            tells it from what leaving out a row does.
        bounds: What the metric cannot leave.
        echoes: How many times over a row's change shows in the marks of all rows; float marks.
    """

    sums: Sums
    value_of: Callable[[Sums], RowValues]
    marks: Array
    imperfect: int
    effect: float
    bounds: tuple[float, float]
    echoes: int = 1


@dataclass(frozen=True)
class Recomputed:
    """A value that only a function knows how to compute, from whole rows.

    Attributes:
        value: Of all rows.
        outputs: The model's, by name; axis 0 is rows.
        compute: From outputs and the numbers of rows ``[M]`` to the value.
    """

    value: float
    outputs: Mapping[str, Array]
    compute: Callable[[Mapping[str, Array], NDArray[np.int_]], float]


Scores: TypeAlias = RightRows | ValuedRows | Totals | Recomputed


@dataclass(frozen=True)
class Metric:
    """A metric that is ready to be computed: what it needed to know of the float model is in it.

    Attributes:
        name: As :func:`onnxq.metric_choices.metric_name` writes it, nothing left open.
        higher_is_better: Its direction.
        scale: How it is told.
        score: From a model's outputs, by name, to what they are worth.
    """

    name: str
    higher_is_better: bool
    scale: MetricScale
    score: Callable[[Mapping[str, Array]], Scores]


def cells_of(rows: int, width: int, seed: int) -> NDArray[np.int_]:
    """Deal rows into cells, so few that their totals are small and quickly resampled.

    Args:
        rows: How many rows.
        width: Totals that a cell has.
        seed: Of the shuffling: files are often sorted by class.

    Returns:
        The cell of each row, ``[N]``, from 0; a cell each where there are few rows.
    """
    most = max(_FEWEST_CELLS, min(_MOST_CELLS, _MOST_SUMS // max(width, 1)))
    if rows <= most:
        return np.arange(rows)
    return np.random.default_rng(seed).permutation(rows) % most


def totals_by_cell(values: Sums, seed: int) -> Sums:
    """Add up values of rows by cell.

    Args:
        values: ``[N, D]``.
        seed: Of the shuffling.

    Returns:
        ``[cells, D]``.
    """
    rows, width = values.shape
    cells = cells_of(rows, width, seed)
    count = int(cells.max()) + 1
    columns = [np.bincount(cells, weights=column, minlength=count) for column in values.T]
    return np.stack(columns, axis=1)
