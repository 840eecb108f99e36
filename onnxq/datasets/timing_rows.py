"""The rows of one inference, for timing and for trying a model out."""

from pathlib import Path

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.random_rows import check_elements, draw_rows
from onnxq.datasets.values import CalibrationSet, EvaluationSet, NoRows
from onnxq.sources import InputDeclaration
from onnxq.tensors import Signature, TensorSpec


def store_timing_rows(
    signature: Signature,
    rows: EvaluationSet | CalibrationSet | NoRows,
    declared: tuple[InputDeclaration, ...],
    *,
    batch_rows: int,
    seed: int,
    folder: Path,
) -> dict[str, str]:
    """Write the inputs of one inference as ``.npy`` files.

    Args:
        signature: Of the model.
        rows: Rows to take; random values are made where there are none.
        declared: Sizes of free axes and values of integers where there are no rows.
        batch_rows: Rows of the inference, where the batch axis is free.
        seed: Of random values.
        folder: Where to write.

    Returns:
        Path by input name.

    Raises:
        SourceError: If an input's sizes or integer values are not known.
        UsageError: If a batch would take more than 2^28 elements.
    """
    generator = np.random.default_rng(seed)
    paths: dict[str, str] = {}
    for number, spec in enumerate(signature.inputs):
        count = spec.shape[0] if spec.shape and isinstance(spec.shape[0], int) else batch_rows
        if not isinstance(rows, NoRows):
            array = _repeat_rows(spec, Path(rows.rows.inputs[spec.name]), count)
        else:
            array = draw_rows(spec, declared, count, generator)
        path = folder / f"timing-{number}.npy"
        np.save(path, array)
        paths[spec.name] = str(path)
    return paths


def _repeat_rows(spec: TensorSpec, path: Path, count: int) -> Array:
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    check_elements(spec, [count, *stored.shape[1:]])
    return np.ascontiguousarray(stored[np.arange(count) % len(stored)])
