"""Which output the labels are about, and how the two are compared: told from their shapes."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onnxq.arrays import Array
from onnxq.errors import DatasetError, UsageError
from onnxq.metric_choices import (
    Auroc,
    Automatic,
    MetricChoice,
    Perplexity,
    Psnr,
    TopK,
    ValueScore,
    metric_name,
)
from onnxq.profiling.metrics.readings import (
    IGNORED,
    Classifying,
    NamedClasses,
    Reading,
    ScoredClasses,
    Targets,
    YesOrNo,
    class_labels,
    first_class,
    without_unit_axes,
)

_OF_CLASSES_PER_ROW = "[N] beside scores [N, C], or 0 or 1 beside one score [N]"
_OF_CLASSES = (
    f"Give class numbers: {_OF_CLASSES_PER_ROW}, or one class per position, [N, T] beside "
    "[N, T, C] or [N, C, T]"
)
_OF_TARGETS = "Give targets of the output's own shape"


@dataclass(frozen=True)
class _SeveralFit:
    """The labels could be about more than one output."""


def choose_reading(
    outputs: Mapping[str, Array],
    labels: Array,
    metric: MetricChoice = Automatic(),  # noqa: B008 - a frozen value
    output: str = "",
    row_names: Sequence[str] = (),
) -> Reading:
    """Choose the output that the labels are about, and how to compare them.

    Axes of size 1 besides the first do not count. Whole numbers, one per row: classes of the
    output ``[N, C]``; yes or no of the output ``[N]`` if they are 0 and 1 only (probabilities if
    every value of the reference is within 0 and 1, else logits); else targets of that output.
    One-hot rows are classes. Integers, one per position: classes of the output ``[N, ..., C]``,
    or of ``[N, C, ...]`` where only that fits. Other labels are targets of the output of their
    shape. A metric that is asked for leaves the readings that it can be computed by.

    Where several outputs fit, scores win over other readings, then the output with exactly as
    many classes as the labels span; outputs that rank the same class first on every row, such
    as logits beside probabilities, are one.

    Args:
        outputs: The reference's, by name; axis 0 is rows.
        labels: Labels or targets; axis 0 is rows.
        metric: What shall be computed; not a user's function, which reads what it likes.
        output: The only output to look at; empty for any.
        row_names: What to call rows in messages; their numbers where empty.

    Returns:
        How to read outputs and labels.

    Raises:
        UsageError: If there is no output of that name.
        DatasetError: If no output fits, if several do, or if a label is not finite or not the
            number of a class; the row is named.
    """
    asked = {output: named_output(outputs, output)} if output else outputs
    _check_finite(labels, row_names)
    fits = [fit for name, array in asked.items() for fit in _fits(name, array, labels, metric)]
    found = f"labels {_describe('', labels)}"
    has = ", ".join(_describe(name, array) for name, array in asked.items())
    if not fits:
        wanted = "" if isinstance(metric, Automatic) else f" as {metric_name(metric)} needs them"
        message = f"the labels do not fit an output of the model{wanted}: {found}; outputs {has}."
        raise DatasetError(message, code="OQ125", hint=_fitting_hint(metric))
    reading = _only(fits, asked, labels)
    if isinstance(reading, _SeveralFit):
        message = f"the labels fit several outputs of the model: {found}; outputs {has}."
        hint = f"Name the one that they are about:  --judge-output {next(iter(asked))}"
        raise DatasetError(message, code="OQ125", hint=hint)
    if isinstance(reading, ScoredClasses):
        _check_range(reading, labels, row_names)
    return reading


def named_output(outputs: Mapping[str, Array], name: str) -> Array:
    """Return an output by its name.

    Args:
        outputs: By name.
        name: The output that was asked for (``--judge-output``).

    Returns:
        The output.

    Raises:
        UsageError: If there is none of that name; the names that there are are listed.
    """
    if name in outputs:
        return outputs[name]
    near = difflib.get_close_matches(name, outputs, n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    message = f"--judge-output {name}: the model has no output of this name."
    raise UsageError(message, code="OQ100", hint=f"{guess}Outputs: {', '.join(outputs)}.")


def row_name(row: int, row_names: Sequence[str]) -> str:
    """Return what to call a row: its name, or its number where it has none."""
    return row_names[row] if row < len(row_names) else str(row)


def _fits(name: str, array: Array, labels: Array, metric: MetricChoice) -> tuple[Reading, ...]:
    shape, rows = without_unit_axes(array).shape, without_unit_axes(labels)
    if not shape or shape[:1] != rows.shape[:1] or labels.dtype.kind not in "iufb":
        return ()
    classes = _class_fits(name, array, rows)
    targets = (Targets(name),) if shape == rows.shape and array.dtype.kind in "iufb" else ()
    match metric:
        case Automatic():
            certain = tuple(fit for fit in classes if not _is_a_mask(fit))
            return certain or (targets if array.dtype.kind == "f" else ())
        case ValueScore() | Psnr():
            return targets
        case _:
            return tuple(fit for fit in classes if _suits(fit, metric))


def _suits(fit: Classifying, metric: MetricChoice) -> bool:
    """Whether a metric of classes can be computed by a reading."""
    match metric:
        case TopK(k=k):
            return k == 1 or isinstance(fit, ScoredClasses)
        case Perplexity():
            return isinstance(fit, ScoredClasses)
        case Auroc():
            return not (isinstance(fit, NamedClasses) or fit.positions)
        case _:
            return True


def _class_fits(name: str, array: Array, rows: Array) -> tuple[Classifying, ...]:
    shape, positions = without_unit_axes(array).shape, rows.ndim - 1
    whole = bool((rows == np.round(rows)).all())
    axis = _class_axis(shape, rows.shape)
    match array.dtype.kind:
        case "f" if len(shape) == 2 and shape == rows.shape and _is_one_hot(rows):  # noqa: PLR2004 - rows, classes
            return (ScoredClasses(name, shape[1]),)
        case "f" if whole and axis:
            return (ScoredClasses(name, shape[axis], axis, positions),)
        case "f" if shape == rows.shape and set(np.unique(rows)) <= _flags(positions):
            return (YesOrNo(name, _threshold(array), positions),)
        case "i" | "u" | "b" if whole and shape == rows.shape and _names_classes(array, positions):
            return (NamedClasses(name, positions),)
        case _:
            return ()


def _class_axis(shape: tuple[int, ...], labelled: tuple[int, ...]) -> int:
    """Return the axis that labels lack, the last one where that fits; 0 where none does."""
    if shape[:-1] == labelled:
        return len(shape) - 1
    is_second = len(shape) > len(labelled) and shape[:1] + shape[2:] == labelled
    return 1 if is_second else 0


def _is_a_mask(fit: Classifying) -> bool:
    """Whether 0 and 1 per position could be classes as well as values to be reached."""
    return isinstance(fit, YesOrNo) and fit.positions > 0


def _flags(positions: int) -> set[int]:
    return {0, 1, IGNORED} if positions else {0, 1}


def _names_classes(array: Array, positions: int) -> bool:
    """Whether integers are classes: per position only those of ArgMax, for pixels are uint8."""
    return not positions or array.dtype in {np.dtype(np.int32), np.dtype(np.int64)}


def _only(
    fits: Sequence[Reading], outputs: Mapping[str, Array], labels: Array
) -> Reading | _SeveralFit:
    scored = [fit for fit in fits if isinstance(fit, ScoredClasses)]
    if len(scored) <= 1:
        return (scored or fits)[0] if scored or len(fits) == 1 else _SeveralFit()
    span = int(class_labels(labels, scored[0].positions).max()) + 1
    exact = [fit for fit in scored if fit.classes == span] or scored
    answers = [first_class(fit, outputs[fit.output]) for fit in exact]
    same = all(np.array_equal(answers[0], answer) for answer in answers)
    return exact[0] if same else _SeveralFit()


def _check_finite(labels: Array, row_names: Sequence[str]) -> None:
    if labels.dtype.kind != "f" or not labels.ndim or np.isfinite(labels).all():
        return
    row, *rest = np.argwhere(~np.isfinite(labels))[0]
    value, named = labels[(row, *rest)], row_name(int(row), row_names)
    message = f"the label of row {named} is {value}; expected a finite number."
    raise DatasetError(message, code="OQ125", hint="Leave out rows whose label is not known.")


def _check_range(reading: ScoredClasses, labels: Array, row_names: Sequence[str]) -> None:
    numbers, last = class_labels(labels, reading.positions), reading.classes - 1
    ignored = (numbers == IGNORED) if reading.positions else np.zeros(numbers.shape, bool)
    wrong = ~ignored & ((numbers < 0) | (numbers > last))
    if not wrong.any():
        return
    first = tuple(np.argwhere(wrong)[0])
    message = (
        f"the label of row {row_name(int(first[0]), row_names)} is {numbers[first]}; output "
        f"{reading.output!r} has {reading.classes} classes, expected 0 to {last}."
    )
    counted = numbers[~ignored]
    hint = f"{wrong.sum()} of {counted.size} labels are out of range: are they of this model?"
    if counted.min() == 1 and counted.max() == reading.classes:
        hint = "The labels seem to count from 1: subtract 1 from each."
    elif reading.positions and (counted < 0).any():
        hint = f"Mark positions that do not count, such as padding, with {IGNORED}."
    raise DatasetError(message, code="OQ125", hint=hint)


def _fitting_hint(metric: MetricChoice) -> str:
    match metric:
        case Automatic():
            advice = f"{_OF_CLASSES}. {_OF_TARGETS}, for the mean squared error"
            return f"{advice}. Without labels the agreement with the float model is shown."
        case Auroc():
            return f"Give classes: {_OF_CLASSES_PER_ROW}; auroc is of rows, not of positions."
        case ValueScore() | Psnr():
            return f"{_OF_TARGETS}, or take a metric of classes: --metric top1"
        case _:
            return f"{_OF_CLASSES}; or take a metric of values: --metric mse"


def _threshold(array: Array) -> float:
    """A logit head all of whose values on these rows lie within 0 and 1 is not provided for."""
    return 0.5 if bool(((array >= 0) & (array <= 1)).all()) else 0.0


def _is_one_hot(rows: Array) -> bool:
    return bool((((rows == 0) | (rows == 1)).all(axis=1) & (rows.sum(axis=1) == 1)).all())


def _describe(name: str, array: Array) -> str:
    return f"{name} {array.dtype} {list(array.shape)}".strip()
