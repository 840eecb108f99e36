"""The stage that runs a model on rows and stores its outputs."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from onnxq.arrays import Array, Predict
from onnxq.datasets.npy_files import NpyWriter
from onnxq.datasets.row_arrays import RowArray, kinds_of, open_row_arrays
from onnxq.datasets.values import StoredRows
from onnxq.errors import DatasetError, InferenceError, OutputError
from onnxq.events import Progressed, Tell
from onnxq.findings import Finding
from onnxq.integer_tensors import dequantize_outputs, integer_io, quantize_feeds
from onnxq.runtime import open_predict
from onnxq.stages import PREDICT, PredictRequest, PredictResult
from onnxq.tensors import Signature

_NUMBERS = "biufc"
_ALIKE_HINT = (
    "Judge it on rows of one shape (images: --preprocess …,resize=240x320; sequences: padded to "
    "one length) by --data, and calibrate on these by --calib; or export the model without its "
    "post-processing."
)


@dataclass(frozen=True)
class _Batch:
    """A run: from which row on, how many rows of its own, and what came out for those fed."""

    start: int
    count: int
    fed: int
    outputs: dict[str, Array]


@dataclass(frozen=True)
class _Store:
    """An output that is being written."""

    name: str
    writer: NpyWriter
    row_shape: tuple[int, ...]


def predict(request: PredictRequest, folder: Path, tell: Tell) -> PredictResult:
    """Run a model on rows, a batch at a time, and store its outputs row by row.

    Where the model's batch is fixed the rows are fed at that batch, the last one filled up with
    rows that it holds already; what comes out for those is cut off. Only rows that follow one
    another, of one shape and with the same values for inputs without a batch axis, are fed
    together; where no input has one, a row's outputs are all that comes out of a run.

    Args:
        request: The model and the rows.
        folder: Where the outputs go.
        tell: Told after each batch.

    Returns:
        Path of an ``.npy`` array by output name; axis 0 is rows. An output that has no row of
        its own for each row fed, or whose rows differ in shape, is left out, with a finding.

    Raises:
        DatasetError: If there are no rows.
        InferenceError: If the model cannot be loaded, a run fails, or no output has rows of one
            shape.
        OutputError: If the outputs cannot be written.
    """
    rows, title = request.rows.rows, Path(request.model.path).name
    if not rows.count_rows:
        message = f"there are no rows to run {title} on."
        raise DatasetError(message, code="OQ124", hint="Give rows: --data ROWS.npz")
    fixed = request.model.signature.fixed_batch_beside(rows.whole)
    run = _open(request)
    stores: tuple[_Store, ...] = ()
    findings: tuple[Finding, ...] = ()
    with ExitStack() as stack, _naming_full_disk(title):
        for batch in _run_batches(run, rows, fixed or request.batch_rows, fill=fixed > 0):
            if not stores:
                sized = _sized_outputs(request.model.signature, rows.whole)
                kept, findings = _choose_outputs(batch, sized, title)
                stores = tuple(_open_store(stack, folder, n, rows, batch) for n in kept)
            odd = tuple(store for store in stores if not _has_shape(store, batch))
            if odd:
                stores = tuple(store for store in stores if store not in odd)
                findings += tuple(_give_up(store, batch, last=not stores) for store in odd)
            for store in stores:
                store.writer.append(batch.outputs[store.name][: batch.count])
            tell(Progressed(PREDICT.name, batch.start + batch.count, rows.count_rows))
    return PredictResult(outputs={s.name: str(s.writer.path) for s in stores}, findings=findings)


def _open(request: PredictRequest) -> Predict:
    """Open a model as a function of real numbers, whatever its inputs and outputs are."""
    predict = open_predict(request.model.path, threads=request.threads, provider=request.provider)
    io = request.io or integer_io(request.model.signature)
    if not io:
        return predict

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return dequantize_outputs(predict(quantize_feeds(inputs, io)), io)

    return run


@contextmanager
def _naming_full_disk(title: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"the outputs of {title} cannot be stored: {error.strerror or error}."
        hint = "Free space for temporary files, name another place (TMPDIR), or use --limit."
        raise OutputError(message, code="OQ192", hint=hint) from error


def _open_store(
    stack: ExitStack, folder: Path, name: str, rows: StoredRows, batch: _Batch
) -> _Store:
    values = batch.outputs[name]
    path = folder / f"output-{list(batch.outputs).index(name)}.npy"
    writer = NpyWriter(path, values.dtype, (rows.count_rows, *values.shape[1:]))
    return _Store(name, stack.enter_context(writer), values.shape[1:])


def _run_batches(run: Predict, rows: StoredRows, size: int, *, fill: bool) -> Iterator[_Batch]:
    arrays = open_row_arrays(rows)
    has_batch = len(rows.whole) < len(rows.inputs)
    for start, count in _cut(rows, arrays, size if has_batch else 1):
        fed = size if fill and has_batch else count
        taken = [start + at % count for at in range(fed)]
        inputs = {
            name: array.take([start])[0, ...] if name in rows.whole else array.take(taken)
            for name, array in arrays.items()
        }
        try:
            outputs = run(inputs)
        except InferenceError as error:
            message = f"on rows {start} to {start + count - 1}: {error.message}"
            raise InferenceError(message, code=error.code, hint=error.hint) from error
        if not has_batch:
            outputs = {name: values[np.newaxis] for name, values in outputs.items()}
        yield _Batch(start, count, fed, outputs)


def _cut(rows: StoredRows, arrays: Mapping[str, RowArray], size: int) -> Iterator[tuple[int, int]]:
    """Cut rows into batches of rows that can be fed together: the first, and how many."""
    kinds = [b""] * rows.count_rows
    if size > 1 and (rows.shapes or rows.whole):
        kinds = kinds_of(arrays, rows.whole)
    start = 0
    for _, alike in groupby(kinds):
        stop = start + len(list(alike))
        for first in range(start, stop, size):
            yield first, min(size, stop - first)
        start = stop


def _choose_outputs(
    batch: _Batch, sized: frozenset[str], model: str
) -> tuple[list[str], tuple[Finding, ...]]:
    """Return the outputs that have rows of numbers, and what is to be said of the others."""
    kept = [
        name
        for name, values in batch.outputs.items()
        if _has_rows(values, batch.fed) and name not in sized
    ]
    if not kept:
        found = {name: list(values.shape) for name, values in batch.outputs.items()}
        message = (
            f"no output of {model} has a row of its own for each row fed: found shapes {found} "
            f"for a batch of {batch.fed}."
        )
        hint = "Export the model without its post-processing (such as NonMaxSuppression)."
        raise InferenceError(message, code="OQ173", hint=hint)
    return kept, tuple(
        Finding(
            code="OQ174",
            subject=name,
            message=(
                f"output {name} has no row of its own for each row fed (found shape "
                f"{list(values.shape)} for a batch of {batch.fed}): it is not judged."
            ),
            severity="warning",
        )
        for name, values in batch.outputs.items()
        if name not in kept
    )


def _has_rows(values: Array, fed: int) -> bool:
    return values.dtype.kind in _NUMBERS and values.ndim > 0 and len(values) == fed


def _sized_outputs(signature: Signature, whole: Collection[str]) -> frozenset[str]:
    """Name the outputs of a fixed length in a model whose batch is free: not rows.

    A length of 1 is not believed: exporters write it for a batch that is free.
    """
    if signature.fixed_batch_beside(whole) or len(whole) == len(signature.inputs):
        return frozenset()
    lengths = {spec.name: spec.shape[0] for spec in signature.outputs if spec.shape}
    return frozenset(n for n, length in lengths.items() if isinstance(length, int) and length > 1)


def _has_shape(store: _Store, batch: _Batch) -> bool:
    return batch.outputs[store.name].shape == (batch.fed, *store.row_shape)


def _give_up(store: _Store, batch: _Batch, *, last: bool) -> Finding:
    """Leave out an output whose rows cannot be compared with one another.

    Raises:
        InferenceError: If there is no other.
    """
    message = (
        f"output {store.name} changes its shape from batch to batch: found "
        f"{list(batch.outputs[store.name].shape)} at row {batch.start}, expected "
        f"{[batch.fed, *store.row_shape]}"
    )
    if last:
        raise InferenceError(message + ".", code="OQ173", hint=_ALIKE_HINT)
    store.writer.abandon()
    return Finding(
        code="OQ174",
        subject=store.name,
        message=f"{message}: it is not judged.",
        severity="warning",
    )
