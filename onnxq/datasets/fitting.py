"""One array to one input: what must be done to rows, decided before any is read."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from msgspec import structs

from onnxq.arrays import Array
from onnxq.datasets.arrays import RawArray, has_channels_last
from onnxq.datasets.casts import Cast, apply_cast, plan_cast
from onnxq.datasets.layouts import (
    Layout,
    change_layout,
    changed_shape,
    fitting_layouts,
    fitting_ways,
)
from onnxq.datasets.misfits import explain_misfit, text_misfit, unclear_layout
from onnxq.datasets.pixels import (
    arrange_pixels,
    channels_last_rows,
    has_arithmetic,
    preprocessed_shape,
    scale_pixels,
)
from onnxq.datasets.preprocess import render_preprocess
from onnxq.datasets.values import AsGiven, PreprocessSpec
from onnxq.errors import DatasetError
from onnxq.findings import Finding
from onnxq.tensors import Dim, TensorSpec

RowNamer = Callable[[int], str]


@dataclass(frozen=True)
class RowFit:
    """What is done to the rows of an array, in this order, to feed an input.

    Attributes:
        wanted: The input.
        array: The array.
        preprocess: Of bytes; as given for everything else.
        layout: How axes are changed.
        cast: How the dtype is changed.
        is_whole: Whether the input has no batch axis, and a row is all that a run is fed.
    """

    wanted: TensorSpec
    array: RawArray
    preprocess: PreprocessSpec | AsGiven
    layout: Layout
    cast: Cast
    is_whole: bool = False

    @property
    def row_dims(self) -> tuple[Dim, ...]:
        """What the input wants a row to be."""
        return self.wanted.shape if self.is_whole else self.wanted.shape[1:]

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """The dtype of rows as they are fed: the input's own."""
        return np.dtype(self.wanted.dtype)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row as it is fed."""
        return changed_shape(self.preprocessed_shape(self.array.row_shape), self.layout)

    def preprocessed_shape(self, row_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape that a row of some shape has after preprocessing.

        Raises:
            DatasetError: OQ126, if the preprocessing does not apply to it.
        """
        array = replace(self.array, shape=(self.array.count_rows, *row_shape))
        return _preprocessed(array, self.preprocess).row_shape


def plan_fit(
    wanted: TensorSpec,
    array: RawArray,
    preprocess: PreprocessSpec | AsGiven,
    title: str,
    *,
    may_be_whole: bool = False,
) -> RowFit:
    """Decide how the rows of an array are fed to an input.

    Args:
        wanted: The input; axis 0 is the batch.
        array: The array.
        preprocess: Applied to ``uint8`` rows alone.
        title: The file, for messages.
        may_be_whole: Whether a row may be all of the input, where it is no row of a batch
            (:func:`~onnxq.datasets.layouts.may_be_whole`).

    Returns:
        What to do.

    Raises:
        DatasetError: OQ121 if no change of layout makes rows fit, or more than one does; OQ122 if
            the dtype cannot be fed; OQ126 if the preprocessing does not apply.
    """
    if array.is_text:
        raise text_misfit(wanted, array, title)
    spec = preprocess if array.is_bytes else AsGiven()
    fed = _preprocessed(array, spec)
    ways = fitting_ways(fed.row_shape, wanted, may_be_whole=may_be_whole)
    if not array.shape or not ways:
        raise explain_misfit(wanted, array, fed, spec, title)
    layout, is_whole = ways[0]
    layouts = tuple(way.layout for way in ways if way.is_whole == is_whole)
    dims = wanted.shape if is_whole else wanted.shape[1:]
    differ = len(layouts) > 1 and math.prod(fed.row_shape) > 1
    if differ and (layout is not Layout.AS_IS or _is_open(array, fed, dims)):
        raise unclear_layout(wanted, array, layouts, title)
    if isinstance(spec, PreprocessSpec) and wanted.dtype == "uint8" and not has_arithmetic(spec):
        fed = replace(fed, dtype=np.dtype(np.uint8))
    cast = plan_cast(_as_fed(wanted, fed), fed, title)
    return RowFit(wanted, array, spec, layout, cast, is_whole)


def _as_fed(wanted: TensorSpec, fed: RawArray) -> TensorSpec:
    """Take rows for real numbers where steps of a scale are wanted, unless they are such steps."""
    if wanted.stands_for_reals and fed.dtype != np.dtype(wanted.dtype):
        return structs.replace(wanted, dtype="float32")
    return wanted


def fit_rows(rows: Array, fit: RowFit, name_row: RowNamer) -> Array:
    """Apply a fit to some rows.

    Args:
        rows: As they were read; axis 0 is rows.
        fit: From :func:`plan_fit`.
        name_row: Names a row of this block for a person.

    Returns:
        The rows in C order, as the input wants them.

    Raises:
        DatasetError: OQ122, if an integer cannot be cast without changing.
    """
    if isinstance(fit.preprocess, PreprocessSpec):
        rows = arrange_pixels(channels_last_rows(rows), fit.preprocess)
        rows = rows if fit.cast.source == np.uint8 else scale_pixels(rows, fit.preprocess)
    fed, changed = apply_cast(change_layout(rows, fit.layout), fit.cast)
    if changed:
        message = (
            f"{fit.array.name!r} holds {fit.array.dtype} values that {fit.wanted.dtype} cannot "
            f"hold, first in row {name_row(changed[0])}: the input {fit.wanted.name!r} is "
            f"{fit.wanted.dtype}."
        )
        hint = "Check that the array is meant for this input, or store it in that dtype."
        raise DatasetError(message, code="OQ122", hint=hint)
    return np.ascontiguousarray(fed)


def describe_fit(fit: RowFit, title: str) -> list[Finding]:
    """Say which casts and changes of layout are made, with their reasons."""
    findings: list[Finding] = []
    layout = _whole_change(fit)
    has_layout = fit.array.is_typed and not fit.array.images  # image files and text have none
    if layout is not Layout.AS_IS and has_layout:
        message = (
            f"{layout.value.capitalize()} in {fit.array.name!r}, because the model wants rows "
            f"of {list(fit.row_dims)} for {fit.wanted.name!r}."
        )
        findings.append(
            Finding(
                code="OQ129",
                subject=title,
                message=message,
                evidence={"input": fit.wanted.name, "layout": layout.name},
            )
        )
    if fit.cast.changes and fit.array.is_typed and fit.preprocess == AsGiven():
        message = (
            f"{fit.array.name!r} was cast from {fit.cast.source} to {fit.cast.target}, because "
            f"the model's input {fit.wanted.name!r} {_wants(fit)}."
        )
        fix = _SCALE_FIX if fit.array.is_bytes and fit.cast.target.kind == "f" else ""
        findings.append(
            Finding(
                code="OQ128",
                subject=title,
                message=message,
                evidence={"input": fit.wanted.name, "dtype": fit.cast.target.name},
                fix=fix,
            )
        )
    return findings


def _wants(fit: RowFit) -> str:
    """Say what an input takes that rows were cast for; a quantized one takes what it stands for."""
    if fit.cast.target == np.dtype(fit.wanted.dtype):
        return f"is {fit.wanted.dtype}"
    return f"is {fit.wanted.dtype} and stands for {fit.cast.target}, which is quantized for it"


_SCALE_FIX = "If the model was trained on scaled pixels:  --preprocess zero-one"


def check_applies(
    fits: tuple[RowFit, ...], preprocess: PreprocessSpec | AsGiven, title: str
) -> None:
    """Check that asked-for preprocessing is applied to something.

    Raises:
        DatasetError: OQ126, if no array holds bytes.
    """
    if isinstance(preprocess, AsGiven) or any(fit.array.is_bytes for fit in fits):
        return
    held = ", ".join(str(fit.array) for fit in fits)
    shown = render_preprocess(preprocess)
    message = f"--preprocess {shown} applies to bytes (uint8): {title} has {held}."
    hint = "Leave --preprocess out: these rows are fed as they are."
    raise DatasetError(message, code="OQ126", hint=hint)


def _preprocessed(array: RawArray, spec: PreprocessSpec | AsGiven) -> RawArray:
    """Describe an array as it is after preprocessing."""
    if isinstance(spec, AsGiven):
        return array
    shape = array.shape[:1] + preprocessed_shape(array, spec)
    return replace(array, dtype=np.dtype(np.float32), shape=shape)


def _whole_change(fit: RowFit) -> Layout:
    """Return the change from the array to the input, preprocessing's own changes included."""
    found = fitting_layouts(fit.array.row_shape, fit.row_shape)
    return found[0] if found else fit.layout


def _is_open(array: RawArray, fed: RawArray, dims: tuple[Dim, ...]) -> bool:
    """Whether a model's symbols leave open where it wants the channels of an image."""
    if not (array.is_bytes and has_channels_last(fed.row_shape)):
        return False
    return isinstance(dims[0], str) and isinstance(dims[-1], str)
