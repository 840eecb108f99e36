"""Metrics against labels: one value per row, of the output that the labels fit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.arrays import Array
from onnxq.errors import DatasetError

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
    """

    output: str
    classes: int


@dataclass(frozen=True)
class YesOrNo:
    """The output holds one score; above a threshold the answer is class 1, else class 0.

    Attributes:
        output: Its name.
        threshold: 0.5 for probabilities, 0 for logits.
    """

    output: str
    threshold: float


@dataclass(frozen=True)
class NamedClasses:
    """The output is an integer: the class itself, as behind an ArgMax.

    Attributes:
        output: Its name.
    """

    output: str


@dataclass(frozen=True)
class SquaredError:
    """The output is compared with targets of its own shape.

    Attributes:
        output: Its name.
    """

    output: str


@dataclass(frozen=True)
class _SeveralFit:
    """The labels could be about more than one output."""


Classifying: TypeAlias = ScoredClasses | YesOrNo | NamedClasses
Metric: TypeAlias = Classifying | SquaredError


def top1(metric: Classifying, outputs: Array, labels: Array) -> RowFlags:
    """Return which rows are given the class of their label.

    Args:
        metric: How classes are read from the output.
        outputs: The output, ``[N, ...]``.
        labels: As :func:`class_labels` takes them.

    Returns:
        ``[N]``.
    """
    return np.asarray(first_class(metric, outputs) == class_labels(labels), np.bool_)


def squared_error(outputs: Array, targets: Array) -> RowValues:
    """Return the squared error of each row, its mean over the row's elements.

    Args:
        outputs: ``[N, ...]``.
        targets: As many elements per row.

    Returns:
        ``[N]``.
    """
    errors = np.empty(outputs.shape[0])
    for part in row_slices(outputs):
        found, expected = outputs[part], targets[part]
        flat = np.asarray(found, np.float64).reshape(found.shape[0], -1)
        difference = flat - np.asarray(expected, np.float64).reshape(flat.shape)
        errors[part] = (difference**2).mean(axis=1)
    return errors


def first_class(metric: Classifying, outputs: Array) -> ClassRows:
    """Return the class that each row is given.

    Args:
        metric: How classes are read from the output.
        outputs: The output, ``[N, ...]``.

    Returns:
        ``[N]``.
    """
    rows = _without_unit_axes(outputs)
    match metric:
        case ScoredClasses():
            return np.asarray(rows.argmax(axis=1), np.int64)
        case YesOrNo(threshold=threshold):
            return np.asarray(rows > threshold, np.int64)
        case NamedClasses():
            return np.asarray(rows, np.int64)


def class_labels(labels: Array) -> ClassRows:
    """Return labels as class numbers, whether they are numbers already or one-hot rows.

    Args:
        labels: ``[N]``, ``[N, 1]`` or one-hot ``[N, C]``.

    Returns:
        ``[N]``.
    """
    rows = _without_unit_axes(labels)
    return np.asarray(rows if rows.ndim == 1 else rows.argmax(axis=1), np.int64)


def choose_metric(
    outputs: Mapping[str, Array], labels: Array, row_names: Sequence[str] = ()
) -> Metric:
    """Choose the output that the labels are about, and how to compare them.

    Axes of size 1 besides the first do not count. Whole numbers, one per row: classes of the
    output ``[N, C]``; yes or no of the output ``[N]`` if they are 0 and 1 only (probabilities if
    every value of the reference is within 0 and 1, else logits); else targets of that output.
    One-hot rows are classes. Other labels are targets of the output of their shape.

    Where several outputs fit, scores win over other readings, then the output with exactly as
    many classes as the labels span; outputs that rank the same class first on every row, such
    as logits beside probabilities, are one.

    Args:
        outputs: The reference's, by name; axis 0 is rows.
        labels: Labels or targets; axis 0 is rows.
        row_names: What to call rows in messages; their numbers where empty.

    Returns:
        What to compute.

    Raises:
        DatasetError: If no output fits, if several do, or if a label is not finite or not the
            number of a class; the row is named.
    """
    _check_finite(labels, row_names)
    fits = [fit for name, array in outputs.items() for fit in _fits(name, array, labels)]
    found = f"labels {_describe('', labels)}"
    has = ", ".join(_describe(name, array) for name, array in outputs.items())
    if not fits:
        message = f"the labels do not fit an output of the model: {found}; outputs {has}."
        hint = (
            "Give class numbers of shape [N] for scores of shape [N, C], or targets of an "
            "output's own shape; without labels the agreement with the float model is shown."
        )
        raise DatasetError(message, code="OQ125", hint=hint)
    metric = _only(fits, outputs, labels)
    if isinstance(metric, _SeveralFit):
        message = f"the labels fit several outputs of the model: {found}; outputs {has}."
        hint = "Leave one of these outputs in the model, or leave the labels out."
        raise DatasetError(message, code="OQ125", hint=hint)
    if isinstance(metric, ScoredClasses):
        _check_range(metric, labels, row_names)
    return metric


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


def _fits(name: str, array: Array, labels: Array) -> tuple[Metric, ...]:
    shape, rows = _without_unit_axes(array).shape, _without_unit_axes(labels)
    if not shape or shape[:1] != rows.shape[:1] or labels.dtype.kind not in "iufb":
        return ()
    numbered = rows.ndim == 1 and bool((rows == np.round(rows)).all())
    match array.dtype.kind, shape:
        case "f", (_, classes) if numbered or (rows.shape == shape and _is_one_hot(rows)):
            return (ScoredClasses(name, classes),)
        case "f", (_,) if numbered and set(np.unique(rows)) <= {0, 1}:
            return (YesOrNo(name, _threshold(array)),)
        case "f", _ if shape == rows.shape:
            return (SquaredError(name),)
        case "i" | "u" | "b", (_,) if numbered:
            return (NamedClasses(name),)
        case _:
            return ()


def _only(
    fits: Sequence[Metric], outputs: Mapping[str, Array], labels: Array
) -> Metric | _SeveralFit:
    scored = [fit for fit in fits if isinstance(fit, ScoredClasses)]
    if len(scored) <= 1:
        return (scored or fits)[0] if scored or len(fits) == 1 else _SeveralFit()
    span = int(class_labels(labels).max()) + 1
    exact = [fit for fit in scored if fit.classes == span] or scored
    answers = [first_class(fit, outputs[fit.output]) for fit in exact]
    same = all(np.array_equal(answers[0], answer) for answer in answers)
    return exact[0] if same else _SeveralFit()


def _check_finite(labels: Array, row_names: Sequence[str]) -> None:
    if labels.dtype.kind != "f" or not labels.ndim or np.isfinite(labels).all():
        return
    row, *rest = np.argwhere(~np.isfinite(labels))[0]
    value = labels[(row, *rest)]
    message = f"the label of row {_row(int(row), row_names)} is {value}; expected a finite number."
    raise DatasetError(message, code="OQ125", hint="Leave out rows whose label is not known.")


def _check_range(metric: ScoredClasses, labels: Array, row_names: Sequence[str]) -> None:
    numbers = class_labels(labels)
    wrong = np.flatnonzero((numbers < 0) | (numbers >= metric.classes))
    if not wrong.size:
        return
    row, last = int(wrong[0]), metric.classes - 1
    message = (
        f"the label of row {_row(row, row_names)} is {numbers[row]}; output {metric.output!r} "
        f"has {metric.classes} classes, expected 0 to {last}."
    )
    starts_at_one = numbers.min() == 1 and numbers.max() == metric.classes
    hint = (
        "The labels seem to count from 1: subtract 1 from each."
        if starts_at_one
        else f"{wrong.size} of {numbers.size} labels are out of range: are they of this model?"
    )
    raise DatasetError(message, code="OQ125", hint=hint)


def _threshold(array: Array) -> float:
    """A logit head all of whose values on these rows lie within 0 and 1 is not provided for."""
    return 0.5 if bool(((array >= 0) & (array <= 1)).all()) else 0.0


def _is_one_hot(rows: Array) -> bool:
    return bool((((rows == 0) | (rows == 1)).all(axis=1) & (rows.sum(axis=1) == 1)).all())


def _without_unit_axes(array: Array) -> Array:
    sizes = [size for size in array.shape[1:] if size != 1]
    return array.reshape(array.shape[0], *sizes) if array.ndim else array


def _row(row: int, row_names: Sequence[str]) -> str:
    return row_names[row] if row < len(row_names) else str(row)


def _describe(name: str, array: Array) -> str:
    return f"{name} {array.dtype} {list(array.shape)}".strip()
