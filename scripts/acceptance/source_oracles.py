"""Rows and what the source's own framework makes of them, stored beside the files made of it."""

from collections.abc import Callable, Sequence
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
    named = zip(model.outputs, compute(rows), strict=True)
    outputs = {f"out:{name}": values for name, values in named}
    arrays = {f"in:{name}": values for name, values in rows.items()} | outputs
    np.savez(folder / f"{model.key}.oracle.npz", **arrays)  # type: ignore[arg-type]


def by_name(rows: Rows, names: Sequence[str]) -> Rows:
    """Give arrays the names of a converted model: by their own where they are the same ones.

    Args:
        rows: Arrays in the source's order.
        names: The model's, in its order.

    Returns:
        In the model's order.
    """
    if rows.keys() == set(names):
        return {name: rows[name] for name in names}
    return dict(zip(names, rows.values(), strict=True))


def relative_l2(found: Rows, expected: Rows) -> float:
    """Compare outputs with those of an oracle by name; the worst one counts.

    Returns:
        Norm of the difference over the norm of what was expected.
    """
    worst = 0.0
    for name, values in found.items():
        wanted = np.asarray(expected[name], np.float64)[: len(values)]
        if wanted.shape != values.shape:
            return float("inf")
        difference = np.linalg.norm(values.astype(np.float64) - wanted)
        worst = max(worst, float(difference / np.linalg.norm(wanted)))
    return worst
