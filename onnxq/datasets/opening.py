"""From a request to a plan: what feeds each input, decided before any row is read."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.archives import Archive
from onnxq.datasets.arrays import RawArray
from onnxq.datasets.fitting import RowFit, check_applies, describe_fit, fit_rows, plan_fit
from onnxq.datasets.folders import ImageFolder
from onnxq.datasets.labels import NO_LABELS, Labels, describe_classes, read_labels
from onnxq.datasets.matching import match_arrays
from onnxq.datasets.origins import (
    Origin,
    check_images,
    open_origin,
    origin_arrays,
    origin_title,
    read_blocks,
    row_names,
)
from onnxq.datasets.splitting import Indices
from onnxq.datasets.values import AsGiven, DataRequest, PreprocessSpec
from onnxq.errors import DatasetError
from onnxq.findings import Finding
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
        labels: The array of labels of an archive; empty without one.
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
        return origin_title(self.origin)

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
    request: DataRequest, signature: Signature, declared: tuple[InputDeclaration, ...]
) -> OpenRows:
    """Open data and fit it to a model.

    Args:
        request: What the user asked for.
        signature: What the rows must fit.
        declared: Sizes in it take the place of symbols in the signature.

    Returns:
        The rows, not read yet.

    Raises:
        DatasetError: If they cannot be opened, do not fit, or there are none.
        MissingDependencyError: OQ108, if images are read without Pillow.
    """
    origin = open_origin(request)
    title = origin_title(origin)
    inputs = tuple(_with_sizes(spec, declared) for spec in signature.inputs)
    if isinstance(origin, ImageFolder) and len(inputs) > 1:
        names = ", ".join(spec.name for spec in inputs)
        message = f"{title} feeds one input: the model has {len(inputs)}, {names}."
        hint = "Save rows by input:  np.savez('val.npz', " + ", ".join(
            f"{spec.name}=…" for spec in inputs
        )
        raise DatasetError(message, code="OQ121", hint=hint + ")")
    arrays = origin_arrays(origin, request.preprocess)
    matches = match_arrays(inputs, arrays, request.mapping, title)
    fits = tuple(
        plan_fit(spec, array, _preprocess_of(array, len(inputs), request.preprocess), title)
        for spec, array in ((spec, matches.inputs[spec.name]) for spec in inputs)
    )
    check_applies(fits, request.preprocess, title)
    opened = OpenRows(request, origin, fits, matches.labels, declared)
    if not opened.count_rows:
        message = f"{title} has no rows: {fits[0].array}."
        raise DatasetError(message, code="OQ124", hint="Give rows; 1000 or more tell accuracies.")
    return opened


def describe_rows(opened: OpenRows, indices: Indices) -> list[Finding]:
    """Check image headers, and say what is done to rows.

    Raises:
        DatasetError: OQ121, if images differ in size; OQ126 and OQ127, if one cannot be used.
    """
    request, array = opened.request, opened.fits[0].array
    findings = check_images(opened.origin, array, indices, request.preprocess)
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
    names = row_names(opened.origin, indices)
    broken: list[str] = []
    start = 0
    for block in read_blocks(opened.origin, fit.array, indices, opened.request.preprocess):
        here = names[start : start + len(block)]
        fed = fit_rows(block, fit, here.__getitem__)
        broken += [here[index] for index in _not_finite(fed)]
        _check_declared(opened, fit, fed, here)
        start += len(block)
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
    names = row_names(opened.origin, indices)
    if isinstance(opened.origin, Archive):
        if not opened.labels:
            return NO_LABELS
        _check_label_bytes(opened, len(indices))
        blocks = read_blocks(opened.origin, opened.labels[0], indices, AsGiven())
        values = np.concatenate(list(blocks))
        return read_labels(values, signature, opened.title, names.__getitem__)
    if not opened.origin.labels:
        return NO_LABELS
    values = np.array(opened.origin.labels, np.int64)[indices]
    labels = read_labels(values, signature, opened.title, names.__getitem__)
    return describe_classes(labels, opened.origin.class_names, signature, opened.title)


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
