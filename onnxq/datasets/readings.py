"""Whether an array is one row or several: told by what the model wants, or by the labels.

Files and functions hand over rows or batches, and nothing in them says which.
"""

from enum import Enum

from onnxq.datasets.layouts import fitting_layouts, may_be_whole
from onnxq.findings import Finding
from onnxq.tensors import Dim, TensorSpec

Shape = tuple[int, ...]


class Reading(Enum):
    """How an array is read; its value says it in words."""

    ROW = "one row"
    BATCH = "rows along axis 0"
    UNCLEAR = "unclear"


def tell_reading(
    shapes: dict[str, Shape], labels: tuple[Shape, ...], inputs: tuple[TensorSpec, ...]
) -> Reading:
    """Tell how arrays that belong together are read.

    The first of these that decides: only one reading has the very sizes that the model wants; only
    one fits after a change of layout; only rows fit, if inputs without a batch axis are given as
    they are; a label is a scalar, or there are as many labels as
    there are rows along axis 0; only one reading has as many axes as the model wants.

    Args:
        shapes: Of what feeds inputs, by name.
        labels: Shape of the labels; empty without.
        inputs: Of the model; empty if it is not known.

    Returns:
        The reading.
    """
    pairs = _pairs(shapes, inputs)
    for fits in (_is_wanted, _fits):
        reading = _only(
            row=bool(pairs) and all(fits(shape, spec.shape[1:]) for shape, spec in pairs),
            batch=bool(pairs) and all(s and fits(s[1:], spec.shape[1:]) for s, spec in pairs),
        )
        if reading is not Reading.UNCLEAR:
            return reading
    if pairs and all(_is_row(shape, spec, inputs) for shape, spec in pairs):
        return Reading.ROW
    if labels:
        reading = _by_labels(tuple(shapes.values()), labels[0])
        if reading is not Reading.UNCLEAR:
            return reading
    return _only(
        row=bool(pairs) and all(len(shape) == len(spec.shape) - 1 for shape, spec in pairs),
        batch=bool(pairs) and all(len(shape) == len(spec.shape) for shape, spec in pairs),
    )


def note_reading(title: str, message: str) -> Finding:
    """Say how data was read that could have been read in another way."""
    return Finding(code="OQ133", subject=title, message=message)


def _pairs(
    shapes: dict[str, Shape], inputs: tuple[TensorSpec, ...]
) -> list[tuple[Shape, TensorSpec]]:
    named = [(shapes[spec.name], spec) for spec in inputs if spec.name in shapes]
    if not named and len(shapes) == len(inputs) == 1:
        return [(next(iter(shapes.values())), inputs[0])]
    return named


def _is_row(shape: Shape, spec: TensorSpec, inputs: tuple[TensorSpec, ...]) -> bool:
    """Whether an array may be a row, be it one of a batch or all of an input without one."""
    is_whole = may_be_whole(spec, inputs) and _fits(shape, spec.shape)
    return is_whole or bool(spec.shape and _fits(shape, spec.shape[1:]))


def _by_labels(shapes: tuple[Shape, ...], label: Shape) -> Reading:
    if not label:
        return Reading.ROW
    counts = {shape[0] if shape else 0 for shape in shapes}
    return Reading.BATCH if counts == {label[0]} else Reading.UNCLEAR


def _only(*, row: bool, batch: bool) -> Reading:
    if row == batch:
        return Reading.UNCLEAR
    return Reading.ROW if row else Reading.BATCH


def _is_wanted(shape: Shape, wanted: tuple[Dim, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        isinstance(dim, str) or dim == size for size, dim in zip(shape, wanted, strict=True)
    )


def _fits(shape: Shape, wanted: tuple[Dim, ...]) -> bool:
    return bool(fitting_layouts(shape, wanted))
