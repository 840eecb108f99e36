"""The inputs that a source and its export are compared on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.random_rows import check_declared, draw_rows
from onnxq.sources import InputDeclaration
from onnxq.tensors import Signature

_BATCHES = (1, 3, 4)
_SCALE = 3.0


@dataclass(frozen=True)
class Probe:
    """One batch to compare on.

    Attributes:
        kind: ``rows`` as given, ``negated`` or ``scaled`` floats beside the same integers,
            ``values`` for integers alone, ``random`` normal floats, or those ``random scaled``.
        batch_rows: Rows in the batch.
        inputs: An array by each input's name.
        derived: Whether the source may refuse it: it was made from rows that it must take.
    """

    kind: str
    batch_rows: int
    inputs: dict[str, Array]
    derived: bool


def make_probes(
    signature: Signature,
    rows: dict[str, Array],
    declared: tuple[InputDeclaration, ...],
    *,
    traced_rows: int,
    seed: int,
) -> Iterator[Probe]:
    """Make batches at two sizes other than the traced one, of other signs and scales.

    A model may be right at the batch that it was traced at and wrong elsewhere, or right on the
    branch that one example took. Integers are never drawn from outside the rows or a declared
    range: they index tables.

    Args:
        signature: Of the export. A fixed batch is the only size that is tried.
        rows: An array by each input's name, axis 0 being rows; empty where there are none.
        declared: Sizes of free axes and values of integers, used where there are no rows.
        traced_rows: Rows of the batch that the source was traced at; 0 for none.
        seed: Of random values and of the choice of rows.

    Yields:
        The probes, smaller batches first.

    Raises:
        SourceError: If there are no rows, and an input's sizes or integers are not known.
    """
    if not rows:
        check_declared(signature.inputs, declared)
    generator = np.random.default_rng(seed)
    fixed = signature.fixed_batch_rows
    others = [batch for batch in _BATCHES if batch != traced_rows][:2]
    for batch in [fixed] if fixed else others:
        base = (
            _chosen(signature, rows, batch, generator)
            if rows
            else {
                spec.name: draw_rows(spec, declared, batch, generator) for spec in signature.inputs
            }
        )
        yield from _variations(base, batch, is_random=not rows, generator=generator)


def _variations(
    base: dict[str, Array], batch: int, *, is_random: bool, generator: np.random.Generator
) -> Iterator[Probe]:
    if not any(_is_float(array) for array in base.values()):
        yield Probe("values", batch, base, derived=False)
        if batch > 1:
            order = generator.permutation(batch)
            permuted = {name: array[order] if array.ndim else array for name, array in base.items()}
            yield Probe("values", batch, permuted, derived=False)
        return
    yield Probe("random" if is_random else "rows", batch, base, derived=False)
    if not is_random:  # normal floats have both signs already
        yield Probe("negated", batch, _scaled(base, -1.0), derived=True)
    kind = "random scaled" if is_random else "scaled"
    yield Probe(kind, batch, _scaled(base, _SCALE), derived=True)


def _scaled(inputs: dict[str, Array], factor: float) -> dict[str, Array]:
    return {
        name: (array * factor).astype(array.dtype) if _is_float(array) else array
        for name, array in inputs.items()
    }


def _chosen(
    signature: Signature, rows: dict[str, Array], batch: int, generator: np.random.Generator
) -> dict[str, Array]:
    """Take rows in a random order, over and over where there are too few."""
    count = min(len(rows[spec.name]) for spec in signature.inputs)
    order = np.resize(generator.permutation(count), batch)
    return {
        spec.name: rows[spec.name][0]  # has no batch axis, and the same values in all rows
        if rows[spec.name].ndim > len(spec.shape)
        else np.ascontiguousarray(rows[spec.name][order])
        for spec in signature.inputs
    }


def _is_float(array: Array) -> bool:
    return bool(np.issubdtype(array.dtype, np.floating))
