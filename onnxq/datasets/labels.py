"""Labels become classes or targets, and are checked against what the model can answer."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from onnxq.arrays import Array
from onnxq.errors import DatasetError
from onnxq.findings import Finding
from onnxq.tensors import Signature

RowNamer = Callable[[int], str]

_CLASS_HINT = (
    "Store the class of each row as an integer from 0:  "
    "np.unique(names, return_inverse=True)[1] numbers names"
)


@dataclass(frozen=True)
class Labels:
    """Labels of rows.

    Attributes:
        values: int64 ``[rows]`` for classes, floats of any shape for targets; empty without.
        classes: Number of classes that the values span; 0 for targets and without labels.
        findings: What was converted.
    """

    values: Array
    classes: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def are_given(self) -> bool:
        """Whether rows have labels."""
        return bool(len(self.values))


NO_LABELS = Labels(np.empty(0))


def read_labels(values: Array, signature: Signature, title: str, name_row: RowNamer) -> Labels:
    """Turn an array of labels into classes or targets.

    Integers ``[rows]`` or ``[rows, 1]`` are classes, and so are one-hot rows of any dtype; other
    floats are kept as they are, and so are integers of more axes where an output has as many
    elements a row, or a score per class for each. Which of them are targets is told beside the
    outputs (:func:`onnxq.profiling.metrics.choose_reading`).

    Args:
        values: As stored; axis 0 is rows.
        signature: The model's; classes are checked where its only output is ``[rows, classes]``.
        title: The file, for messages.
        name_row: Names a row for a person.

    Returns:
        The labels. Integers below 0 are targets where the outputs do not say that they score
        classes.

    Raises:
        DatasetError: OQ125, if they are neither, or out of the range of the model's classes;
            OQ123 if a target is not finite.
    """
    if values.dtype.kind not in "biuf":
        message = f"the labels in {title} are {values.dtype}: expected integers."
        raise DatasetError(message, code="OQ125", hint=_CLASS_HINT)
    if values.ndim > 1 and values.dtype.kind in "biu" and _are_positions(values, signature):
        return Labels(values.astype(np.int64))
    if values.ndim == 2 and values.shape[1] > 1 and _is_one_hot(values):  # noqa: PLR2004 - rows, classes
        message = f"One-hot labels were turned into classes 0 to {values.shape[1] - 1}."
        finding = Finding(code="OQ130", subject=title, message=message)
        return _classes(values.argmax(axis=1), signature, title, name_row, (finding,))
    if values.dtype.kind == "f":
        return _targets(values, title, name_row)
    if values.ndim == 1:
        return _classes(values, signature, title, name_row, ())
    if values.shape[1:] == (1,):
        return _classes(values[:, 0], signature, title, name_row, ())
    message = (
        f"the labels in {title} are {values.dtype} {list(values.shape)}: expected one class a row."
    )
    hint = _CLASS_HINT + ",\nor save the file without them: models are then judged by agreement."
    raise DatasetError(message, code="OQ125", hint=hint)


def _are_positions(values: Array, signature: Signature) -> bool:
    """Whether an output has a score per class for each label of a row, or a value for each.

    One-hot rows beside an output of their shape are classes all the same.
    """
    sizes = tuple(size for size in values.shape[1:] if size != 1)
    shapes = [tuple(size for size in output.shape[1:] if size != 1) for output in signature.outputs]
    per_class = any(
        len(shape) > len(sizes) > 0 and (_same(shape[:-1], sizes) or _same(shape[1:], sizes))
        for shape in shapes
    )
    per_value = any(_same(shape, sizes) for shape in shapes) and len(sizes) > 0
    return per_class or (per_value and not (values.ndim == 2 and _is_one_hot(values)))  # noqa: PLR2004 - rows, classes


def _same(shape: tuple[int | str | None, ...], sizes: tuple[int, ...]) -> bool:
    """Whether sizes fit a shape, of which axes may be free."""
    return len(shape) == len(sizes) and all(
        not isinstance(axis, int) or axis == size for axis, size in zip(shape, sizes, strict=True)
    )


def _is_one_hot(values: Array) -> bool:
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())


def _targets(values: Array, title: str, name_row: RowNamer) -> Labels:
    is_broken = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if is_broken.any():
        first = name_row(int(is_broken.argmax()))
        message = f"{is_broken.sum()} labels in {title} are not finite, first of row {first}."
        raise DatasetError(message, code="OQ123", hint="Leave such rows out.")
    if not (values == np.round(values)).all():
        return Labels(values)
    return Labels(values, findings=(_note_whole(values, title),))


def _note_whole(values: Array, title: str) -> Finding:
    """Say how whole numbers stored as floats are judged, which depends on the output."""
    message = f"The labels are {values.dtype}, though all are whole numbers: "
    if values[0].size > 1:
        message += "they are targets, and not classes."
        return Finding(code="OQ130", subject=title, message=message)
    are_flags = bool(((values == 0) | (values == 1)).all())
    one_a_row = "yes or no" if are_flags else "targets"
    message += (
        "they are classes of an output that scores classes, and "
        f"{one_a_row} where the output is one number a row."
    )
    fix = "If they are classes, store them as integers:  y=y.astype('int64')"
    return Finding(code="OQ130", subject=title, message=message, fix=fix)


def _classes(
    values: Array,
    signature: Signature,
    title: str,
    name_row: RowNamer,
    findings: tuple[Finding, ...],
) -> Labels:
    known = _known_classes(signature)
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 and not known:
        return Labels(values.astype(np.int64), 0, (*findings, _note_negative(lowest, title)))
    if lowest < 0 or (known and highest >= known):
        wrong = lowest if lowest < 0 else highest
        row = name_row(int((values == wrong).argmax()))
        wanted = f"0 to {known - 1}, the model's {known} classes"
        message = f"row {row} in {title} has the label {wrong}: expected {wanted}."
        hint = "Check that labels and model go together."
        if lowest == 1 and highest == known:
            hint = "Labels seem to count from 1. Store them from 0:  y=y - 1"
        raise DatasetError(message, code="OQ125", hint=hint)
    return Labels(values.astype(np.int64), highest + 1, findings)


def _note_negative(lowest: int, title: str) -> Finding:
    return Finding(
        code="OQ130",
        subject=title,
        message=f"The labels are integers from {lowest} up: they are targets, and not classes.",
        fix="If they are classes, such as -1 and 1, store them from 0.",
        severity="warning",
    )


def _known_classes(signature: Signature) -> int:
    """Return how many classes the model tells apart; 0 where its outputs do not say."""
    if len(signature.outputs) != 1:
        return 0
    shape = signature.outputs[0].shape
    size = shape[1] if len(shape) == 2 else 0  # noqa: PLR2004 - rows, classes
    return size if isinstance(size, int) and size > 1 else 0


def describe_classes(
    labels: Labels, names: tuple[str, ...], signature: Signature, title: str
) -> Labels:
    """Warn where numbering named classes in sorted order may be wrong.

    Args:
        labels: Of the rows.
        names: Names that were numbered in sorted order; empty if none were.
        signature: The model's.
        title: The folder, for messages.

    Returns:
        The labels, with what was noticed.
    """
    known = _known_classes(signature)
    numeric = all(name.isascii() and name.isdigit() for name in names)
    if numeric and list(names) != sorted(names, key=int):
        message = (
            "Class folders are named by numbers, but were numbered in sorted order as training "
            f"loaders do, so that {names[1]!r} is class 1."
        )
        fix = r"If the names are the classes:  --classes '^(\d+)/'"
    elif names and len(names) < known:
        message = (
            f"{len(names)} classes were numbered 0 to {len(names) - 1} in sorted order, and the "
            f"model tells {known} apart."
        )
        fix = "If these are not its first classes:  --classes FILE  with lines INDEX=NAME"
    else:
        return labels
    finding = Finding(code="OQ130", subject=title, message=message, fix=fix, severity="warning")
    return replace(labels, findings=(*labels.findings, finding))
