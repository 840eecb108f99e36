"""Items of an unknown number become arrays on disk; memory stays flat."""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.arrays import TEXT, RawArray
from onnxq.datasets.foreign_arrays import as_array
from onnxq.datasets.piecewise import Held, HeldRagged
from onnxq.datasets.readings import Reading, tell_reading
from onnxq.datasets.row_arrays import FlatRows, is_ragged
from onnxq.datasets.row_items import Names, take_apart
from onnxq.datasets.spooling import Spool
from onnxq.errors import DatasetError
from onnxq.tensors import TensorSpec
from onnxq.user_code import UserCode, describe_failure

MAX_ENDLESS_ROWS = 1_000_000
"""Rows that are taken where the user named no limit, at most."""


@dataclass(frozen=True)
class Gathered:
    """Rows that were gathered.

    Attributes:
        arrays: By name, mapped from temporary files; ragged where rows differ in shape.
        reading: Whether items were rows or batches.
        count_rows: Rows in each.
        is_cut: Whether the limit ended it, and not the items.
    """

    arrays: dict[str, Held | HeldRagged]
    reading: Reading
    count_rows: int
    is_cut: bool


@dataclass
class _Gathering:
    """Rows while they are gathered."""

    code: UserCode
    names: Names
    inputs: tuple[TensorSpec, ...]
    stack: ExitStack
    may_differ: frozenset[str]
    reading: Reading = Reading.UNCLEAR
    spools: dict[str, Spool] = field(default_factory=dict)
    texts: dict[str, list[Array]] = field(default_factory=dict)
    count_rows: int = 0

    def add(self, number: int, item: object, room: int) -> None:
        """Add the rows of an item, as many as there is room for."""
        arrays = self._arrays(number, item)
        if not self.count_rows and self.reading is Reading.UNCLEAR:
            self.reading = self._tell(arrays)
        if self.reading is Reading.ROW:
            arrays = {name: array[np.newaxis] for name, array in arrays.items()}
        if len({len(a) if a.ndim else -1 for a in arrays.values()}) != 1 or not arrays:
            raise _odd(self.code, number, "holds arrays that differ in rows", arrays)
        if self.count_rows and arrays.keys() != self.spools.keys() | self.texts.keys():
            held = ", ".join([*self.spools, *self.texts])
            raise _odd(
                self.code, number, f"differs from the items before, which hold {held}", arrays
            )
        for name, array in arrays.items():
            self._append(number, name, array[:room])
        self.count_rows += min(room, len(next(iter(arrays.values()))))

    def _arrays(self, number: int, item: object) -> dict[str, Array]:
        """Convert what is needed of an item: inputs and labels; all if that is not known."""
        parts = take_apart(item, self.names, self.code)
        wanted = {self.names.array_of(name) for name in self.names.inputs}
        if wanted and wanted <= parts.keys():
            parts = {n: p for n, p in parts.items() if n in wanted or self.names.is_label(n)}
        arrays: dict[str, Array] = {}
        failures: dict[str, Exception] = {}
        for name, part in parts.items():
            try:
                arrays[name] = as_array(part)
            except (ValueError, TypeError, RuntimeError) as error:  # frameworks have their own
                failures[name] = error
        needed = [name for name in failures if name in wanted or self.names.is_label(name)]
        if all(self.names.is_label(name) for name in arrays):
            needed += list(failures)
        for name in needed:
            message = (
                f"item {number} of {self.code.given}: {name!r} cannot become an array: "
                f"{describe_failure(failures[name])}."
            )
            hint = "Give numbers; pad sequences to one length."
            raise DatasetError(message, code="OQ121", hint=hint) from failures[name]
        return arrays

    def _tell(self, arrays: dict[str, Array]) -> Reading:
        by_array = {self.names.array_of(name): name for name in self.names.inputs}
        labels = tuple(a.shape for name, a in arrays.items() if self.names.is_label(name))
        shapes = {
            by_array.get(name, name): array.shape
            for name, array in arrays.items()
            if not self.names.is_label(name) and array.dtype.kind in "biuf"
        }
        reading = tell_reading(shapes, labels[:1], self.inputs)
        if reading is Reading.UNCLEAR and not shapes:
            return Reading.ROW if all(not a.ndim for a in arrays.values()) else Reading.BATCH
        if reading is Reading.UNCLEAR:
            held = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            wanted = " and ".join(map(str, self.inputs)) or "a model whose inputs are not known"
            message = (
                f"{self.code.given} gives items of {held}: whether that is a row or several, for "
                f"{wanted}, is not clear."
            )
            hint = "Give batches with rows along axis 0, or declare the input:  --input x:Nx3x32x32"
            raise DatasetError(message, code="OQ121", hint=hint)
        return reading

    def _append(self, number: int, name: str, rows: Array) -> None:
        if rows.dtype.kind in "US":
            self.texts.setdefault(name, []).append(rows)
            return
        if name not in self.spools:
            spool = Spool(self.code.given, rows.dtype.newbyteorder("="), rows.shape[1:])
            self.spools[name] = self.stack.enter_context(spool)
        spool = self.spools[name]
        differs = rows.shape[1:] != spool.row_shape
        if differs and name in self.may_differ and rows.ndim - 1 == len(spool.row_shape):
            differs = False
        if differs or not np.can_cast(rows.dtype, spool.dtype, "safe"):
            message = (
                f"item {number} of {self.code.given} holds rows of {name!r} as {rows.dtype} "
                f"{list(rows.shape[1:])}: expected {spool.dtype} {list(spool.row_shape)}, as the "
                "first item has."
            )
            hint = "Give all rows one dtype and one shape (pad sequences to one length)."
            raise DatasetError(message, code="OQ121", hint=hint)
        spool.append(rows.astype(spool.dtype, copy=False))

    def held(self) -> dict[str, Held | HeldRagged]:
        """Return what was gathered."""
        arrays: dict[str, Held | HeldRagged] = {}
        for name, spool in self.spools.items():
            array = RawArray(name, spool.dtype, (spool.count_rows, *spool.row_shape))
            values, shapes = spool.map(), spool.shapes
            if is_ragged(shapes):
                arrays[name] = HeldRagged(array, FlatRows(values, shapes))
            else:
                arrays[name] = Held(array, values)
        for name, parts in self.texts.items():
            values = np.concatenate(parts)
            arrays[name] = Held(RawArray(name, TEXT, values.shape), values)
        return arrays


def gather(
    items: Iterable[object],
    code: UserCode,
    names: Names,
    inputs: tuple[TensorSpec, ...],
    most_rows: int,
    may_differ: frozenset[str] = frozenset(),
) -> Gathered:
    """Gather the rows of items.

    Args:
        items: Rows or batches, as :func:`~onnxq.datasets.row_items.take_apart` takes them apart.
        code: Where they come from.
        names: What arrays are called.
        inputs: Of the model; empty if it is not known.
        most_rows: Where to stop; 0 takes all, but :data:`MAX_ENDLESS_ROWS` at most.
        may_differ: Arrays whose rows may differ in shape.

    Returns:
        The rows.

    Raises:
        DatasetError: OQ106 if an item is nothing that holds rows, or the user's code fails; OQ121
            if items differ; OQ124 if there are none; OQ127 if they do not end.
    """
    limit = most_rows or MAX_ENDLESS_ROWS
    is_cut = False
    with ExitStack() as stack:
        gathering = _Gathering(code, names, inputs, stack, may_differ)
        for number, item in enumerate(items):
            if not most_rows and gathering.count_rows >= limit:
                raise _endless(code, limit)
            gathering.add(number, item, limit - gathering.count_rows)
            if most_rows and gathering.count_rows >= limit:
                is_cut = True
                break
        if not gathering.count_rows:
            message = f"{code.given} gave no rows."
            raise DatasetError(
                message, code="OQ124", hint="Give rows; 1000 or more tell accuracies."
            )
        arrays = gathering.held()
    return Gathered(arrays, gathering.reading, gathering.count_rows, is_cut)


def _endless(code: UserCode, limit: int) -> DatasetError:
    message = f"{code.given} gave {limit} rows and does not end."
    hint = "Say how many rows are enough:  --limit 10000   (the first ones are taken)"
    return DatasetError(message, code="OQ127", hint=hint)


def _odd(code: UserCode, number: int, what: str, arrays: dict[str, Array]) -> DatasetError:
    held = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
    message = f"item {number} of {code.given} {what}: found {held or 'no arrays'}."
    hint = "Give the same arrays in every item, with as many rows in each of them."
    return DatasetError(message, code="OQ121", hint=hint)
