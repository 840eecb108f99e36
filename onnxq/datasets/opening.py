"""From a request to a plan: what feeds each input, decided before any row is read."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.arrays import RawArray
from onnxq.datasets.fitting import (
    RowFit,
    check_applies,
    describe_fit,
    fit_rows,
    plan_fit,
)
from onnxq.datasets.folders import read_classes
from onnxq.datasets.forms import open_origin
from onnxq.datasets.labels import NO_LABELS, Labels, describe_classes, read_labels
from onnxq.datasets.layouts import may_be_whole
from onnxq.datasets.matching import LABEL_KEY, match_arrays
from onnxq.datasets.origins import Opening, Origin
from onnxq.datasets.piecewise import Piecewise, repeat_constant
from onnxq.datasets.row_arrays import is_ragged
from onnxq.datasets.row_files import Images, RowFiles
from onnxq.datasets.splitting import Indices
from onnxq.datasets.tables import Table, feed_columns
from onnxq.datasets.text_labels import NumberedTexts, number_texts
from onnxq.datasets.values import AsGiven, DataRequest, PreprocessSpec
from onnxq.errors import DatasetError
from onnxq.findings import Finding
from onnxq.integer_tensors import integer_tensor, quantize_feeds
from onnxq.sources import InputDeclaration
from onnxq.tensors import Dim, Signature, TensorSpec

_LEAST_IMAGE_RANK = 2
"""Axes of one grey image."""

MAX_LABEL_BYTES = 2**30
"""Bytes of labels, which are held in memory, at most."""


@dataclass(frozen=True)
class OpenRows:
    """Rows that fit a model's inputs; none of them was read.

    Attributes:
        request: What the user asked for.
        origin: Where rows come from.
        fits: What is done for each input, in the model's order.
        labels: The array of labels; empty without one.
        declared: Inputs as the user declared them.
    """

    request: DataRequest
    origin: Origin
    fits: tuple[RowFit, ...]
    labels: tuple[RawArray, ...]
    declared: tuple[InputDeclaration, ...]

    @property
    def title(self) -> str:
        """What messages call the data."""
        return self.origin.title

    @property
    def count_rows(self) -> int:
        """Rows that there are."""
        return self.fits[0].array.count_rows


def _preprocess_of(
    array: RawArray, inputs: int, preprocess: PreprocessSpec | AsGiven
) -> PreprocessSpec | AsGiven:
    """Keep what is meant for pixels away from the flags and tokens of other inputs."""
    has_pixels = len(array.row_shape) >= _LEAST_IMAGE_RANK
    return preprocess if inputs == 1 or has_pixels else AsGiven()


def open_rows(
    request: DataRequest,
    signature: Signature,
    declared: tuple[InputDeclaration, ...],
    folders: tuple[str, ...] = (),
    *,
    labelled: bool = True,
    most_rows: int = 0,
) -> OpenRows:
    """Open data and fit it to a model.

    Args:
        request: What the user asked for.
        signature: What the rows must fit.
        declared: Sizes in it take the place of symbols in the signature.
        folders: Folders that user code may be imported from.
        labelled: Whether labels matter; rows to calibrate on need none, wherever they lie.
        most_rows: Rows that are enough, where they must be computed to be counted; 0 wants all.

    Returns:
        The rows, not read yet.

    Raises:
        DatasetError: If they cannot be opened, do not fit, or there are none.
        MissingDependencyError: OQ108, if a form needs an extra.
    """
    inputs = tuple(_with_sizes(spec, declared) for spec in signature.inputs)
    asked = request if labelled else msgspec.structs.replace(request, classes="")
    origin = open_origin(asked, Opening(inputs=inputs, folders=folders, most_rows=most_rows))
    mapping = request.mapping
    if not labelled and mapping.get(LABEL_KEY) not in origin.arrays:
        mapping = {name: array for name, array in mapping.items() if name != LABEL_KEY}
    _check_one_input(origin, inputs)
    if isinstance(origin, Table):
        origin, mapping = feed_columns(origin, tuple(spec.name for spec in inputs), mapping)
    matches = match_arrays(inputs, origin.arrays, mapping, origin.title)
    if matches.constants and isinstance(origin, Piecewise):
        by_row = (a for name, a in matches.inputs.items() if name not in matches.constants)
        count = next(by_row).count_rows
        for name in matches.constants:
            origin = repeat_constant(origin, matches.inputs[name].name, count)
        matches = match_arrays(inputs, origin.arrays, mapping, origin.title)
    fits = tuple(
        plan_fit(
            spec,
            array,
            _preprocess_of(array, len(inputs), request.preprocess),
            origin.title,
            may_be_whole=may_be_whole(spec, inputs),
        )
        for spec, array in ((spec, matches.inputs[spec.name]) for spec in inputs)
    )
    check_applies(fits, request.preprocess, origin.title)
    opened = OpenRows(asked, origin, fits, matches.labels, declared)
    if not opened.count_rows:
        message = f"{origin.title} has no rows: {fits[0].array}."
        raise DatasetError(message, code="OQ124", hint="Give rows; 1000 or more tell accuracies.")
    return opened


def _check_one_input(origin: Origin, inputs: tuple[TensorSpec, ...]) -> None:
    if isinstance(origin, Images) and len(inputs) > 1:
        names = ", ".join(spec.name for spec in inputs)
        message = f"{origin.title} feeds one input: the model has {len(inputs)}, {names}."
        hint = "Save rows by input:  np.savez('val.npz', " + ", ".join(
            f"{spec.name}=…" for spec in inputs
        )
        raise DatasetError(message, code="OQ121", hint=hint + ")")


def describe_rows(opened: OpenRows, indices: Indices) -> list[Finding]:
    """Check image headers, and say what is done to rows.

    Raises:
        DatasetError: OQ127, if an image cannot be used.
    """
    findings = [*opened.origin.findings, *opened.origin.check_rows(indices)]
    for fit in opened.fits:
        findings += describe_fit(fit, opened.title)
    return findings


def fed_blocks(opened: OpenRows, fit: RowFit, indices: Indices) -> Iterator[Array]:
    """Read the rows of one input, as they are fed.

    Args:
        opened: The rows.
        fit: One of its fits.
        indices: Of the rows, ascending.

    Yields:
        Rows in C order, a few megabytes at a time.

    Raises:
        DatasetError: OQ122 or OQ121, if a value cannot be fed or was declared to be another; OQ123
            after the last row, if some are not finite.
    """
    names = opened.origin.name_rows(indices)
    broken: list[str] = []
    start = 0
    for block in opened.origin.read_blocks(fit.array, indices):
        here = names[start : start + len(block)]
        fed = fit_rows(block, fit, here.__getitem__)
        broken += [here[index] for index in _not_finite(fed)]
        _check_declared(opened, fit, fed, here)
        start += len(block)
        if fit.wanted.stands_for_reals and not broken:
            name = fit.wanted.name
            fed = quantize_feeds({name: fed}, [integer_tensor(fit.wanted)])[name]
        yield fed
    if broken:
        message = (
            f"{len(broken)} of {len(indices)} rows in {opened.title} hold values that are not "
            f"finite as {fit.wanted.dtype}, first row {broken[0]} of {fit.array.name!r} for the "
            f"input {fit.wanted.name!r}."
        )
        raise DatasetError(message, code="OQ123", hint="Repair such rows, or leave them out.")


def load_labels(opened: OpenRows, indices: Indices, signature: Signature) -> Labels:
    """Read and check the labels of some rows.

    Raises:
        DatasetError: OQ125 or OQ123, as :func:`~onnxq.datasets.labels.read_labels` raises it.
    """
    request, origin = opened.request, opened.origin
    is_text = bool(opened.labels) and opened.labels[0].is_text
    if request.classes and not is_text and not isinstance(origin, RowFiles):
        message = f"--classes {request.classes} numbers names, and {origin.title} has none."
        hint = "Leave --classes out: it is for class folders and for labels that are text."
        raise DatasetError(message, code="OQ125", hint=hint)
    if not opened.labels:
        return NO_LABELS
    names = origin.name_rows(indices)
    if is_text:
        texts = _number_texts(opened, indices)
        labels = read_labels(texts.values, signature, origin.title, names.__getitem__)
        labels = replace(labels, findings=(*texts.findings, *labels.findings))
        return describe_classes(labels, texts.class_names, signature, origin.title)
    values = _label_values(opened, indices)
    labels = read_labels(values, signature, origin.title, names.__getitem__)
    return describe_classes(labels, origin.class_names, signature, origin.title)


def _label_values(opened: OpenRows, indices: Indices) -> Array:
    _check_label_bytes(opened, len(indices))
    shapes = opened.origin.shapes_of(opened.labels[0], indices)
    if is_ragged(shapes):
        found = " and ".join(str(shape) for shape in np.unique(shapes, axis=0)[:2].tolist())
        message = f"labels in {opened.title} differ in shape, {found}: expected labels of one form."
        hint = "Pad them to one length; --metric FILE.py:fn can leave the padding out."
        raise DatasetError(message, code="OQ125", hint=hint)
    return np.concatenate(list(opened.origin.read_blocks(opened.labels[0], indices)))


def _number_texts(opened: OpenRows, indices: Indices) -> NumberedTexts:
    classes = opened.request.classes
    number_of = read_classes(Path(classes)) if classes else None
    every = np.arange(opened.labels[0].count_rows)
    return number_texts(_label_values(opened, every), indices, number_of, opened.title)


def _check_label_bytes(opened: OpenRows, count_rows: int) -> None:
    array = opened.labels[0]
    needed = count_rows * math.prod(array.row_shape) * array.dtype.itemsize
    if needed > MAX_LABEL_BYTES:
        message = (
            f"the labels in {opened.title} take {needed} bytes, {array}: expected "
            f"{MAX_LABEL_BYTES} at most."
        )
        raise DatasetError(message, code="OQ127", hint="Use fewer rows:  --limit 1000")


def _with_sizes(spec: TensorSpec, declared: tuple[InputDeclaration, ...]) -> TensorSpec:
    found = [one.shape for one in declared if one.name == spec.name]
    if not found or len(found[0]) != len(spec.shape):
        return spec
    shape: tuple[Dim, ...] = tuple(
        there if isinstance(here, str) and axis else here
        for axis, (here, there) in enumerate(zip(spec.shape, found[0], strict=True))
    )
    return msgspec.structs.replace(spec, shape=shape)


def _not_finite(rows: Array) -> list[int]:
    if rows.dtype.kind != "f":
        return []
    is_finite = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
    return [int(index) for index in np.flatnonzero(~is_finite)]


def _check_declared(opened: OpenRows, fit: RowFit, rows: Array, names: list[str]) -> None:
    """Check integers against the values that the user declared."""
    found = [one for one in opened.declared if one.name == fit.wanted.name and one.has_values]
    if not found or rows.dtype.kind not in "iu":
        return
    outside = (rows < found[0].low) | (rows > found[0].high)
    if outside.any():
        row = names[int(outside.reshape(len(rows), -1).any(axis=1).argmax())]
        message = (
            f"row {row} in {opened.title} holds {rows[outside][0]} for the input "
            f"{fit.wanted.name!r}: --input declares {found[0].low}..{found[0].high}."
        )
        raise DatasetError(message, code="OQ121", hint="Declare the values that the rows have.")
