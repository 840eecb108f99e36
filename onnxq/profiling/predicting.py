"""The stage that runs a model on rows and stores its outputs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from onnxq.arrays import Array, Predict
from onnxq.datasets.values import StoredRows
from onnxq.errors import InferenceError
from onnxq.events import Progressed, Tell
from onnxq.runtime import open_predict
from onnxq.stages import PREDICT, PredictRequest, PredictResult


def predict(request: PredictRequest, folder: Path, tell: Tell) -> PredictResult:
    """Run a model on rows, a batch at a time, and store its outputs row by row.

    The last batch is filled up with its own rows where the model's batch is fixed; what comes
    out for those is cut off.

    Args:
        request: The model and the rows.
        folder: Where the outputs go.
        tell: Told after each batch.

    Returns:
        Path of an ``.npy`` array by output name; axis 0 is rows.

    Raises:
        InferenceError: If a run fails, or an output has no row of its own for each row fed.
    """
    run = open_predict(request.model.path, threads=request.threads)
    rows = request.rows.rows
    stores: dict[str, Array] = {}
    paths: dict[str, str] = {}
    fixed = request.model.signature.fixed_batch_rows
    for start, outputs in _batches(run, rows, request.batch_rows, fixed):
        for number, (name, values) in enumerate(outputs.items()):
            if name not in stores:
                paths[name] = str(folder / f"output-{number}.npy")
                stores[name] = np.lib.format.open_memmap(
                    paths[name], "w+", values.dtype, (rows.count_rows, *values.shape[1:])
                )
            _store(stores[name], start, values, name)
        tell(Progressed(PREDICT.name, min(start + request.batch_rows, rows.count_rows),
                        rows.count_rows))  # fmt: skip
    return PredictResult(outputs=paths)


def _batches(
    run: Predict, rows: StoredRows, batch_rows: int, fixed: int
) -> Iterator[tuple[int, dict[str, Array]]]:
    """Yield the first row of each batch and the outputs of its rows."""
    stored = {name: np.load(path, mmap_mode="r") for name, path in rows.inputs.items()}
    size = fixed or batch_rows
    for start in range(0, rows.count_rows, size):
        count = min(size, rows.count_rows - start)
        taken = start + np.arange(size if fixed else count) % count
        outputs = run({name: np.ascontiguousarray(array[taken]) for name, array in stored.items()})
        for name, values in outputs.items():
            if values.ndim == 0 or len(values) != len(taken):
                raise _rowless(name, values, len(taken))
        yield start, {name: values[:count] for name, values in outputs.items()}


def _store(store: Array, start: int, values: Array, name: str) -> None:
    if store.shape[1:] != values.shape[1:]:
        message = (
            f"output {name!r} changes its shape from row to row: found {list(values.shape[1:])} "
            f"after {list(store.shape[1:])}; such outputs cannot be compared."
        )
        hint = "Export the model without its post-processing (such as NonMaxSuppression)."
        raise InferenceError(message, code="OQ173", hint=hint)
    store[start : start + len(values)] = values


def _rowless(name: str, values: Array, count: int) -> InferenceError:
    message = (
        f"output {name!r} has no row of its own for each row fed: found shape "
        f"{list(values.shape)} for a batch of {count}."
    )
    hint = "Export the model so that every output keeps the batch as its first axis."
    return InferenceError(message, code="OQ173", hint=hint)
