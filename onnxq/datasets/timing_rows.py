"""The rows of one inference, for timing and for trying a model out.

Latency does not depend on the values in any kernel that onnxq measures, but integer inputs index
tables: they are never drawn from outside what the data or a declaration holds.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.values import EvaluationSet, NoRows
from onnxq.errors import SourceError, UsageError
from onnxq.sources import InputDeclaration
from onnxq.tensors import Signature, TensorSpec

_MOST_ELEMENTS = 2**28


def store_timing_rows(
    signature: Signature,
    rows: EvaluationSet | NoRows,
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
        if isinstance(rows, EvaluationSet):
            array = _repeat_rows(spec, Path(rows.rows.inputs[spec.name]), count)
        else:
            array = _random_rows(spec, declared, count, generator)
        path = folder / f"timing-{number}.npy"
        np.save(path, array)
        paths[spec.name] = str(path)
    return paths


def _check_size(spec: TensorSpec, sizes: Sequence[int]) -> None:
    if math.prod(sizes) > _MOST_ELEMENTS:
        message = f"one inference would take {sizes} elements of input {spec}."
        hint = "Use a smaller --batch."
        raise UsageError(message, code="OQ100", hint=hint)


def _repeat_rows(spec: TensorSpec, path: Path, count: int) -> Array:
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    _check_size(spec, [count, *stored.shape[1:]])
    return np.ascontiguousarray(stored[np.arange(count) % len(stored)])


def _random_rows(
    spec: TensorSpec,
    declared: tuple[InputDeclaration, ...],
    count: int,
    generator: np.random.Generator,
) -> Array:
    found = [one for one in declared if one.name == spec.name]
    shape = found[0].shape if found else spec.shape
    sizes = [count, *(dim for dim in shape[1:] if isinstance(dim, int))] if shape else []
    if len(sizes) != len(shape):
        axes = "x".join(str(dim) if isinstance(dim, int) else "SIZE" for dim in shape[1:])
        message = f"the size of input {spec} is not known, and there are no rows to tell it."
        hint = f"Give rows (--data), or the sizes: --input {spec.name}:Nx{axes}:{spec.dtype}"
        raise SourceError(message, code="OQ112", hint=hint)
    _check_size(spec, sizes)
    if spec.dtype == "bool":
        return generator.integers(0, 2, sizes).astype(bool)
    if spec.dtype.startswith(("float", "bfloat")):
        return generator.standard_normal(sizes).astype(spec.dtype)
    if not (found and found[0].has_values):
        axes = "x".join(map(str, sizes[1:]))
        message = f"input {spec} takes integers, and there are no rows to tell which."
        hint = (
            f"Give rows (--data), or the values: --input {spec.name}:Nx{axes}:{spec.dtype}:0..999"
        )
        raise SourceError(message, code="OQ112", hint=hint)
    return generator.integers(found[0].low, found[0].high + 1, sizes).astype(spec.dtype)
