"""How an output is read beside labels: as scores of classes, as classes, or as values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.arrays import Array

IGNORED = -100
"""The label of a position that does not count, such as padding; PyTorch's ``ignore_index``."""

_ELEMENTS_AT_ONCE = 1 << 21

RowFlags: TypeAlias = NDArray[np.bool_]
RowValues: TypeAlias = NDArray[np.float64]
ClassRows: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class ScoredClasses:
    """The output holds a score per class; the largest one, the first of equals, is the answer.

    Attributes:
        output: Its name.
        classes: How many, 2 or more.
        axis: Along which they lie, axes of size 1 left out.
        positions: Axes beside rows and classes: 1 for tokens, 2 for pixels; each position has
            a label of its own.
    """

    output: str
    classes: int
    axis: int = 1
    positions: int = 0


@dataclass(frozen=True)
class YesOrNo:
    """The output holds one score; above a threshold the answer is class 1, else class 0.

    Attributes:
        output: Its name.
        threshold: 0.5 for probabilities, 0 for logits.
        positions: Axes beside rows; each position has a score and a label of its own.
    """

    output: str
    threshold: float
    positions: int = 0


@dataclass(frozen=True)
class NamedClasses:
    """The output is an integer: the class itself, as behind an ArgMax.

    Attributes:
        output: Its name.
        positions: Axes beside rows; each position has a class and a label of its own.
    """

    output: str
    positions: int = 0


@dataclass(frozen=True)
class Targets:
    """The output is compared with targets of its own shape.

    Attributes:
        output: Its name.
    """

    output: str


Classifying: TypeAlias = ScoredClasses | YesOrNo | NamedClasses
Reading: TypeAlias = Classifying | Targets


def first_class(reading: Classifying, outputs: Array) -> ClassRows:
    """Return the class that each row, or each position of it, is given.

    Args:
        reading: How classes are read from the output.
        outputs: The output, ``[N, ...]``.

    Returns:
        ``[N]``, or ``[N, ...]`` where there are positions.
    """
    rows = without_unit_axes(outputs)
    match reading:
        case ScoredClasses(axis=axis):
            return np.asarray(rows.argmax(axis=axis), np.int64)
        case YesOrNo(threshold=threshold):
            return np.asarray(rows > threshold, np.int64)
        case NamedClasses():
            return np.asarray(rows, np.int64)


def class_labels(labels: Array, positions: int = 0) -> ClassRows:
    """Return labels as class numbers, whether they are numbers already or one-hot rows.

    Args:
        labels: ``[N]``, ``[N, 1]`` or one-hot ``[N, C]``; ``[N, ...]`` where there are positions.
        positions: Axes beside rows that have a label each.

    Returns:
        ``[N]``, or ``[N, ...]`` where there are positions.
    """
    rows = without_unit_axes(labels)
    return np.asarray(rows if rows.ndim == 1 + positions else rows.argmax(axis=1), np.int64)


def scores_of(reading: ScoredClasses, outputs: Array) -> Array:
    """Return scores with the classes last.

    Args:
        reading: How classes are read from the output.
        outputs: The output, ``[N, ...]``.

    Returns:
        ``[N, C]``, or ``[N, ..., C]`` where there are positions.
    """
    return np.moveaxis(without_unit_axes(outputs), reading.axis, -1)


def are_probabilities(reading: ScoredClasses, outputs: Array) -> bool:
    """Tell probabilities, which lie in 0..1 and sum to 1, from logits.

    Log-probabilities count as logits, which they are.

    Args:
        reading: How classes are read from the output.
        outputs: The float model's output.

    Returns:
        Whether every position's scores are probabilities, within half a per cent of rounding.
    """
    scores = scores_of(reading, outputs)
    return all(_sum_to_one(np.asarray(scores[part], np.float64)) for part in row_slices(scores))


def row_slices(array: Array) -> Iterator[slice]:
    """Cut the rows of a large array into pieces that fit into memory.

    Args:
        array: ``[N, ...]``.

    Yields:
        Slices of axis 0, in order.
    """
    rows = array.shape[0]
    step = max(1, _ELEMENTS_AT_ONCE * rows // max(array.size, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def without_unit_axes(array: Array) -> Array:
    """Return an array without its axes of size 1, but for axis 0."""
    sizes = [size for size in array.shape[1:] if size != 1]
    return array.reshape(array.shape[0], *sizes) if array.ndim else array


def _sum_to_one(scores: NDArray[np.float64]) -> bool:
    within = bool(((scores >= 0) & (scores <= 1)).all())
    return within and bool((np.abs(scores.sum(axis=-1) - 1) < 0.005).all())  # noqa: PLR2004 - of float16 and uint8 outputs
