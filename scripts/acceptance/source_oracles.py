"""Rows and what the source's own framework makes of them, stored beside the files made of it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from source_models import Model

Rows = dict[str, NDArray[np.generic]]


def random_rows(model: Model) -> Rows:
    """Draw rows for each input of a model, the same at each call."""
    generator = np.random.default_rng(7)
    rows: Rows = {}
    for tensor in model.inputs:
        shape = (model.oracle_rows, *tensor.shape)
        if tensor.dtype == "float32":
            drawn = generator.uniform(tensor.least, tensor.most, shape).astype(np.float32)
            rows[tensor.name] = drawn
        else:
            drawn_integers = generator.integers(int(tensor.least), int(tensor.most) + 1, shape)
            rows[tensor.name] = drawn_integers.astype(tensor.dtype)
    return rows


def write_oracle(
    model: Model, folder: Path, compute: Callable[[Rows], Sequence[NDArray[np.generic]]]
) -> None:
    """Store random rows of a model with its outputs, in order."""
    rows = random_rows(model)
    outputs = {f"out{i}": values for i, values in enumerate(compute(rows))}
    arrays = {f"in:{name}": values for name, values in rows.items()} | outputs
    np.savez(folder / f"{model.key}.oracle.npz", **arrays)  # type: ignore[arg-type]


def relative_l2(found: Sequence[NDArray[np.generic]], oracle: Mapping[str, Rows]) -> float:
    """Compare outputs with stored ones, output by output; the largest difference counts.

    Args:
        found: Outputs of the converted model, in its order.
        oracle: An opened oracle.

    Returns:
        Norm of the difference over the norm of the oracle.
    """
    worst = 0.0
    for position, values in enumerate(found):
        expected = np.asarray(oracle[f"out{position}"], np.float64)[: len(values)]
        if expected.shape != values.shape:
            return float("inf")
        difference = np.linalg.norm(values.astype(np.float64) - expected)
        worst = max(worst, float(difference / np.linalg.norm(expected)))
    return worst
