"""The rows of one inference, for timing and for trying a model out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.random_rows import check_declared, check_elements, draw_rows
from onnxq.datasets.row_arrays import RowArray, is_ragged, open_row_arrays, typical_row
from onnxq.datasets.values import CalibrationSet, EvaluationSet, NoRows, StoredRows
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
        rows: Rows to take: the first ones, or where rows differ in shape one of median size, as
            often as there are rows in the inference. Random values are made where there are none.
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
    taken = _Taken({}, ()) if isinstance(rows, NoRows) else _take(rows.rows)
    check_declared((one for one in signature.inputs if one.name not in taken.arrays), declared)
    for number, spec in enumerate(signature.inputs):
        count = spec.shape[0] if spec.shape and isinstance(spec.shape[0], int) else batch_rows
        if spec.name in taken.arrays:
            array = _repeat_rows(spec, taken, count)
        else:
            array = draw_rows(spec, declared, count, generator)
        path = folder / f"timing-{number}.npy"
        np.save(path, array)
        paths[spec.name] = str(path)
    return paths


@dataclass(frozen=True)
class _Taken:
    """Rows to take from: all, or the typical one alone, and inputs without a batch axis."""

    arrays: Mapping[str, RowArray]
    whole: Collection[str]
    rows: Sequence[int] = ()


def _take(stored: StoredRows) -> _Taken:
    arrays = open_row_arrays(stored)
    if stored.whole or any(is_ragged(one.shapes) for one in arrays.values()):
        return _Taken(arrays, stored.whole, [typical_row(arrays)])
    return _Taken(arrays, stored.whole, range(stored.count_rows))


def _repeat_rows(spec: TensorSpec, taken: _Taken, count: int) -> Array:
    array, row = taken.arrays[spec.name], taken.rows[0]
    if spec.name in taken.whole:
        return array.take([row])[0, ...]
    check_elements(spec, [count, *array.shapes[row].tolist()])
    return array.take([taken.rows[at % len(taken.rows)] for at in range(count)])
