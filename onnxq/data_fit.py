"""Whether rows fit a model, and how they would be fed: questions with answers, nothing is run."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from onnxq.datasets.loading import data_specs, load_rows
from onnxq.datasets.row_arrays import open_row_arrays
from onnxq.datasets.values import DataRequest, NoRows, StoredRows
from onnxq.errors import OnnxqError
from onnxq.events import tell_nobody
from onnxq.findings import Finding
from onnxq.sources import InputDeclaration
from onnxq.stages import FitAnswer, LoadRowsRequest, LoadRowsResult, NoDataRequest
from onnxq.tensors import Signature, TensorSpec
from onnxq.wording import count_noun

TRIED_ROWS = 1000
"""Rows that are read where the user sets no limit."""

_NOT_ABOUT_ROWS = frozenset({"OQ105", "OQ106", "OQ108"})
"""A function that is not there or fails, a package that is missing: rows are not known then."""

_FEW_ROWS = 100
_MATRIX_RANK = 2


def answer_fit(
    data: DataRequest,
    signature: Signature,
    folder: Path,
    *,
    declared: tuple[InputDeclaration, ...] = (),
    trusted_folders: tuple[str, ...] = (),
) -> tuple[FitAnswer, ...]:
    """Try rows on a model's inputs, as ``run`` would.

    Args:
        data: Which rows; at most 1000 are read unless it has a limit of its own.
        signature: Of the model.
        folder: Takes the rows, as ``.npy`` files.
        declared: Inputs as ``--input`` declares them.
        trusted_folders: Folders that user code of the rows may be imported from.

    Returns:
        Answers about each input, the rows and the labels; where rows do not fit, the reason and
        the fix alone.

    Raises:
        MissingDependencyError: If reading such data needs an extra.
    """
    limited = msgspec.structs.replace(data, limit_rows=data.limit_rows or TRIED_ROWS)
    request = LoadRowsRequest(
        data=limited,
        calibration=NoDataRequest(),
        signature=signature,
        declared=declared,
        split=False,
        trusted_folders=trusted_folders,
    )
    try:
        loaded = load_rows(request, folder, tell_nobody)
    except OnnxqError as error:
        if error.code in _NOT_ABOUT_ROWS:
            raise
        return (FitAnswer(fits=False, subject=data.spec, text=error.message, fix=error.hint),)
    return tuple(_answers(limited, signature, loaded, trusted_folders))


def _answers(
    data: DataRequest, signature: Signature, loaded: LoadRowsResult, folders: tuple[str, ...]
) -> Iterator[FitAnswer]:
    if isinstance(loaded.evaluation, NoRows):
        yield FitAnswer(fits=False, subject=data.spec, text="There are no rows.")
        return
    rows = loaded.evaluation.rows
    sources = _sources(data, signature, folders)
    yield from (_input_answer(spec, rows, sources) for spec in signature.inputs)
    yield from map(_finding_answer, loaded.findings)
    yield _count_answer(data, rows)
    yield _label_answer(signature, loaded)


def _sources(
    data: DataRequest, signature: Signature, folders: tuple[str, ...]
) -> dict[str, TensorSpec]:
    """Return the array that feeds each input, as the data has it, where its name tells."""
    unmapped = msgspec.structs.replace(data, mapping={})
    arrays = {
        spec.name: spec
        for spec in data_specs(unmapped, channels_first=False, trusted_folders=folders)
    }
    named = {spec.name: data.mapping.get(spec.name, spec.name) for spec in signature.inputs}
    if len(arrays) == len(named) == 1 and not named.keys() & arrays.keys():
        named = dict.fromkeys(named, next(iter(arrays)))
    return {name: arrays[array] for name, array in named.items() if array in arrays}


def _input_answer(spec: TensorSpec, rows: StoredRows, sources: dict[str, TensorSpec]) -> FitAnswer:
    fed = open_row_arrays(rows)[spec.name]
    dims = spec.shape if spec.name in rows.whole else spec.shape[1:]
    sizes = [
        str(axis[0]) if (axis == axis[0]).all() else str(dim)
        for dim, axis in zip(dims, fed.shapes.T, strict=True)
    ]
    shape = ", ".join(["N", *sizes])
    source = f"from {sources[spec.name].name!r}, " if spec.name in sources else ""
    text = f"It wants {spec.dtype} [{', '.join(map(str, spec.shape))}] and is fed {source}"
    return FitAnswer(fits=True, subject=spec.name, text=f"{text}{fed.dtype} [{shape}].")


def _finding_answer(finding: Finding) -> FitAnswer:
    return FitAnswer(fits=True, subject=finding.subject, text=finding.message, fix=finding.fix)


def _count_answer(data: DataRequest, rows: StoredRows) -> FitAnswer:
    counted = count_noun(rows.count_rows, "row")
    if rows.count_rows == data.limit_rows:
        return FitAnswer(fits=True, subject="rows", text=f"{counted} were read; there may be more.")
    fix = ""
    if rows.count_rows < _FEW_ROWS:
        fix = "Give more: a drop of 1 pp cannot be told from chance on fewer than 1000 rows or so."
    return FitAnswer(fits=True, subject="rows", text=f"There are {counted}.", fix=fix)


def _label_answer(signature: Signature, loaded: LoadRowsResult) -> FitAnswer:
    if not loaded.labelled:
        return FitAnswer(
            fits=False,
            subject="labels",
            text="There are none: agreement with the float model is measured, not accuracy.",
            fix="Add an array y to the file, name one with --map labels=ARRAY, or sort images "
            "into class folders.",
        )
    if not loaded.classes:
        return FitAnswer(
            fits=True, subject="labels", text="There are labels, which are no classes."
        )
    scores = [spec.shape[-1] for spec in signature.outputs if len(spec.shape) == _MATRIX_RANK]
    beside = f"; the model scores {scores[0]}" if scores and isinstance(scores[0], int) else ""
    text = f"There are labels, which span {loaded.classes} classes{beside}."
    return FitAnswer(fits=True, subject="labels", text=text)
