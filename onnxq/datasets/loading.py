"""Loading rows: the stage that stores them, and the first rows for those who only try them."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.arrays import RawArray, has_channels_last
from onnxq.datasets.choosing import ChosenRows, choose, describe_shapes
from onnxq.datasets.forms import open_origin
from onnxq.datasets.labels import NO_LABELS
from onnxq.datasets.matching import LABEL_KEY, find_labels
from onnxq.datasets.opening import OpenRows, describe_rows, fed_blocks, load_labels, open_rows
from onnxq.datasets.origins import Opening
from onnxq.datasets.overlaps import describe_overlap
from onnxq.datasets.pixels import preprocessed_shape
from onnxq.datasets.row_arrays import HeldRows, equal_stretches, kinds_of
from onnxq.datasets.splitting import Indices, choose_rows, split_rows
from onnxq.datasets.spooling import full_disk_said
from onnxq.datasets.storing import StoredPart, store_rows
from onnxq.datasets.tables import Table, feed_columns
from onnxq.datasets.values import (
    AsGiven,
    CalibrationSet,
    DataRequest,
    EvaluationSet,
    NoRows,
    PreprocessSpec,
)
from onnxq.errors import DatasetError
from onnxq.events import Progressed, Tell
from onnxq.findings import Finding
from onnxq.integer_tensors import real_signature
from onnxq.sources import InputDeclaration
from onnxq.stages import LOAD_ROWS, LoadRowsRequest, LoadRowsResult
from onnxq.tensors import DTYPES, DType, Signature, TensorSpec

MAX_STORED_BYTES = 8 * 2**30
"""Bytes of the rows that are stored in the work folder, at most."""

_EVALUATION = "evaluation"
_CALIBRATION = "calibration"


@dataclass(frozen=True)
class _Job:
    """Rows of one origin that are to be stored: positions in ``chosen`` by part."""

    chosen: ChosenRows
    parts: dict[str, Indices]

    @property
    def opened(self) -> OpenRows:
        return self.chosen.opened

    @property
    def indices(self) -> Indices:
        return self.chosen.indices


def load_rows(request: LoadRowsRequest, folder: Path, tell: Tell) -> LoadRowsResult:
    """Read, preprocess, fit, split and store rows: the stage function.

    Without rows to calibrate on, a seeded fifth of the rows, 256 at most, is set aside for that.
    Rows are stored in the order of the data, in C order, without their batch; memory stays flat.

    Args:
        request: Which rows, and what they must fit.
        folder: Where files go.
        tell: Told of progress, in rows of one input.

    Returns:
        The stored rows, and what was noticed.

    Raises:
        DatasetError: If rows do not fit (OQ121, OQ122), are not finite (OQ123), there are none
            (OQ124), labels are bad (OQ125), preprocessing does not apply (OQ126), or they cannot
            be read or stored (OQ127).
        MissingDependencyError: OQ108, if a form of data needs an extra.
    """
    jobs = _plan_jobs(request)
    _check_space(jobs, folder)
    findings = [one for job in jobs for one in describe_rows(job.opened, job.indices)]
    findings += [one for job in jobs for one in describe_shapes(job.chosen)]
    labels = NO_LABELS
    if request.judge:
        labels = load_labels(jobs[0].opened, jobs[0].indices, real_signature(request.signature))
    advance = _counter(tell, sum(len(job.indices) * len(job.opened.fits) for job in jobs))
    stored: dict[str, StoredPart] = {}
    with full_disk_said(str(folder)):
        for job in jobs:
            theirs = labels if job is jobs[0] else NO_LABELS
            stored |= store_rows(job.chosen, job.parts, theirs, folder, advance)
    findings += [*labels.findings, *_describe_overlap(jobs, stored)]
    return LoadRowsResult(
        evaluation=(EvaluationSet(stored[_EVALUATION].rows) if _EVALUATION in stored else NoRows()),
        calibration=(
            CalibrationSet(stored[_CALIBRATION].rows) if _CALIBRATION in stored else NoRows()
        ),
        labelled=labels.are_given,
        classes=labels.classes,
        findings=tuple(one for at, one in enumerate(findings) if one not in findings[:at]),
    )


def load_probe_rows(
    request: DataRequest,
    signature: Signature,
    *,
    count_rows: int,
    declared: tuple[InputDeclaration, ...] = (),
    trusted_folders: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Load the first rows, fit to a model, into memory.

    Args:
        request: Which rows; its limit and its seed do not matter here.
        signature: What the rows must fit.
        count_rows: Rows wanted; fewer come back where there are fewer, or where a later one
            differs from the first in shape, or in the values of an input without a batch axis.
        declared: Inputs as ``--input`` declares them.
        trusted_folders: Folders that user code may be imported from.

    Returns:
        An array for each input, by name; axis 0 is rows, even where the input has no batch axis.

    Raises:
        DatasetError: As for :func:`load_rows`.
        MissingDependencyError: OQ108, if a form of data needs an extra.
    """
    opened = open_rows(request, signature, declared, trusted_folders, most_rows=count_rows)
    first = np.arange(min(count_rows, opened.count_rows))
    describe_rows(opened, first)
    chosen = choose(opened, first)
    first = first[: min(next(equal_stretches(shapes))[1] for shapes in chosen.shapes)]
    fits = chosen.opened.fits
    fed = {fit.wanted.name: np.concatenate(list(fed_blocks(opened, fit, first))) for fit in fits}
    whole = tuple(fit.wanted.name for fit in fits if fit.is_whole)
    kinds = kinds_of({name: HeldRows(array) for name, array in fed.items()}, whole)
    alike = next((row for row, kind in enumerate(kinds) if kind != kinds[0]), len(kinds))
    return {name: array[:alike] for name, array in fed.items()}


def data_specs(
    request: DataRequest,
    *,
    channels_first: bool,
    names: tuple[str, ...] = (),
    trusted_folders: tuple[str, ...] = (),
) -> tuple[TensorSpec, ...]:
    """Describe what rows would look like to a model that takes any shape.

    Args:
        request: Which rows; with ``mapping``, only arrays that it maps to inputs are described.
        channels_first: Whether images are shown as ``[N, channels, height, width]``, as PyTorch
            modules take them.
        names: Of the model's inputs, where they are known: columns of a table feed a single
            input side by side.
        trusted_folders: Folders that user code may be imported from.

    Returns:
        A spec for each array of numbers but the labels, under the name of its input where it is
        mapped, the batch axis being ``N``. Bytes become float32, and so does float64.

    Raises:
        DatasetError: If the data cannot be opened, or preprocessing does not apply.
        MissingDependencyError: OQ108, if a form of data needs an extra.
    """
    origin = open_origin(request, Opening(folders=trusted_folders, most_rows=1))
    mapping, arrays = request.mapping, origin.arrays
    if isinstance(origin, Table):
        origin, mapping = feed_columns(origin, names, mapping)
        arrays = origin.arrays
    inputs = {name: array for name, array in mapping.items() if name != LABEL_KEY}
    known = {name: array for name, array in mapping.items() if array in arrays}
    labels = find_labels(arrays, known, set(inputs), origin.title)
    arrays = {name: array for name, array in arrays.items() if array not in labels}
    if inputs:
        arrays = {name: arrays[array] for name, array in inputs.items() if array in arrays}
    return tuple(
        _spec(name, array, request.preprocess, channels_first=channels_first)
        for name, array in arrays.items()
        if array.is_numeric
    )


def _spec(
    name: str, array: RawArray, preprocess: PreprocessSpec | AsGiven, *, channels_first: bool
) -> TensorSpec:
    shape = array.row_shape
    if array.is_bytes and isinstance(preprocess, PreprocessSpec):
        shape = preprocessed_shape(array, preprocess)
    if channels_first and has_channels_last(shape):
        shape = (shape[2], *shape[:2])
    found: DType = next((dtype for dtype in DTYPES if dtype == array.dtype.name), "float32")
    dtype: DType = "float32" if found in {"uint8", "float64"} else found
    return TensorSpec(name, dtype, ("N", *shape))


def _plan_jobs(request: LoadRowsRequest) -> list[_Job]:
    """Plan what is stored: first the rows to evaluate on, then those of ``--calib``."""
    if not request.judge:
        chosen = _choose(request, request.data, labelled=False)
        return [_Job(chosen, {_CALIBRATION: np.arange(len(chosen.indices))})]
    chosen = _choose(request, request.data)
    every = {_EVALUATION: np.arange(len(chosen.indices))}
    if isinstance(request.calibration, DataRequest):
        others = _choose(request, request.calibration, labelled=False)
        return [
            _Job(chosen, every),
            _Job(others, {_CALIBRATION: np.arange(len(others.indices))}),
        ]
    if not request.split:
        return [_Job(chosen, every)]
    count, seed = len(chosen.indices), request.data.seed
    for_ranges, for_judging = split_rows(count, seed, request.calibration_rows)
    parts = {_CALIBRATION: for_ranges, _EVALUATION: for_judging}
    return [_Job(chosen, {name: part for name, part in parts.items() if len(part)})]


def _choose(request: LoadRowsRequest, data: DataRequest, *, labelled: bool = True) -> ChosenRows:
    opened = open_rows(
        data,
        request.signature,
        request.declared,
        request.trusted_folders,
        labelled=labelled,
    )
    return choose(opened, choose_rows(opened.count_rows, data.limit_rows, data.seed))


def _check_space(jobs: list[_Job], folder: Path) -> None:
    needed = sum(job.chosen.stored_bytes for job in jobs)
    free = shutil.disk_usage(folder).free
    room = min(MAX_STORED_BYTES, free)
    if needed <= room:
        return
    title, limit = jobs[0].opened.title, f"{MAX_STORED_BYTES / 2**30:.3g} GiB are stored at most"
    if room == free:
        limit = f"{free / 2**30:.1f} GiB are free in the work folder"
    message = f"the rows in {title} would take {needed / 2**30:.3g} GiB: {limit}."
    rows = sum(len(job.indices) for job in jobs) * room // needed
    rows -= rows % 10 ** (len(str(rows)) - 1)
    hint = f"Use fewer:  --limit {rows}" if rows else "Rows are too large: check their shape."
    raise DatasetError(message, code="OQ127", hint=hint)


def _describe_overlap(jobs: list[_Job], stored: dict[str, StoredPart]) -> tuple[Finding, ...]:
    if not {_CALIBRATION, _EVALUATION} <= set(stored):
        return ()
    titles = jobs[-1].opened.title, jobs[0].opened.title
    return describe_overlap(
        stored[_CALIBRATION], stored[_EVALUATION], titles, is_split=len(jobs) == 1
    )


def _counter(tell: Tell, total: int) -> Callable[[int], None]:
    done = 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        tell(Progressed(stage=LOAD_ROWS.name, done=done, total=total))

    return advance
