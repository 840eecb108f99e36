"""Rows as runs take them: a few at a time, from memory or from a file, of one shape or ragged.

Files are read and not mapped. Mapped pages count as memory of the process that touches them, so
that its peak would grow with the rows; and a row that is read lies in memory of its own, which
is what a runtime wants.
"""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.npy_arrays import read_npy
from onnxq.datasets.splitting import Indices
from onnxq.datasets.values import StoredRows
from onnxq.errors import DatasetError

Shape: TypeAlias = tuple[int, ...]


class RowArray(Protocol):
    """The rows of one input."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of every row."""

    @property
    def shapes(self) -> Indices:
        """The shape of each row, int64 ``[rows, axes]``."""

    def take(self, rows: Sequence[int]) -> Array:
        """Read some rows of one shape.

        Args:
            rows: Their indices, one at least; one may occur more than once.

        Returns:
            The rows along axis 0, in C order, in memory of their own.
        """


@dataclass(frozen=True, eq=False)
class RowFile:
    """Rows in an ``.npy`` file, in C order.

    Attributes:
        path: The file.
        dtype: Of its values.
        offset_bytes: Where they begin.
        shapes: The shape of each row, int64 ``[rows, axes]``.
    """

    path: Path
    dtype: np.dtype[Any]
    offset_bytes: int
    shapes: Indices

    @cached_property
    def _starts(self) -> Indices:
        return _starts(self.shapes)

    def take(self, rows: Sequence[int]) -> Array:
        """Read rows; see :class:`RowArray`.

        Raises:
            DatasetError: OQ127, if the file is gone or was cut.
        """
        shape = tuple(map(int, self.shapes[rows[0]]))
        taken = np.empty((len(rows), *shape), self.dtype)
        flat = taken.reshape(len(rows), -1)
        try:
            # Opened each time, which costs microseconds: threads share no position, and nobody
            # has to close anything.
            with self.path.open("rb", buffering=0) as file:
                for first, count, at in _successive(rows):
                    _read(file, flat[at : at + count], self._offset_bytes(first))
        except OSError as error:
            message = f"the rows in {self.path.name} cannot be read: {error}."
            raise DatasetError(message, code="OQ127", hint="Store them again.") from error
        return taken

    def _offset_bytes(self, row: int) -> int:
        return self.offset_bytes + int(self._starts[row]) * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class HeldRows:
    """Rows in memory, or mapped into it.

    Attributes:
        rows: An array whose axis 0 is rows, or an array for each row.
    """

    rows: Array | Sequence[Array]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the first row."""
        first = self.rows if isinstance(self.rows, np.ndarray) else np.asarray(self.rows[0])
        return first.dtype

    @cached_property
    def shapes(self) -> Indices:
        """The shape of each row, int64 ``[rows, axes]``."""
        if isinstance(self.rows, np.ndarray):
            return same_shapes(self.rows.shape[1:], len(self.rows))
        return np.array([np.shape(row) for row in self.rows], np.int64)

    def take(self, rows: Sequence[int]) -> Array:
        """Copy rows; see :class:`RowArray`."""
        if isinstance(self.rows, np.ndarray):
            return np.ascontiguousarray(self.rows[list(rows)])
        return np.stack([self.rows[row] for row in rows])


@dataclass(frozen=True, eq=False)
class FlatRows:
    """Ragged rows in memory, or mapped into it, one after the other.

    Attributes:
        values: All values, on one axis.
        shapes: The shape of each row, int64 ``[rows, axes]``.
    """

    values: Array
    shapes: Indices

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of every row."""
        return self.values.dtype

    @cached_property
    def _starts(self) -> Indices:
        return _starts(self.shapes)

    def take(self, rows: Sequence[int]) -> Array:
        """Copy rows; see :class:`RowArray`."""
        parts = [self.values[self._starts[row] : self._starts[row + 1]] for row in rows]
        return np.stack(parts).reshape(len(rows), *self.shapes[rows[0]])


def open_row_arrays(rows: StoredRows) -> dict[str, RowArray]:
    """Open stored rows, of whatever shapes; only headers and shapes are read.

    Args:
        rows: The rows.

    Returns:
        The rows of each input.

    Raises:
        DatasetError: OQ127, if a file is damaged.
    """
    return {name: _open(rows, name) for name in rows.inputs}


def same_shapes(row_shape: Shape, count_rows: int) -> Indices:
    """Return the shapes of rows that have one shape; they take no memory.

    Args:
        row_shape: Of each row.
        count_rows: How many.

    Returns:
        int64 ``[rows, axes]``, read-only.
    """
    return np.broadcast_to(np.array(row_shape, np.int64), (count_rows, len(row_shape)))


def row_blocks(rows: RowArray, indices: Indices, block_bytes: int) -> Iterator[Array]:
    """Read some rows in blocks of one shape.

    Args:
        rows: The rows.
        indices: Of those to read, ascending.
        block_bytes: Bytes of a block, at most, as long as that is a row or more.

    Yields:
        Rows in order; those of a block follow one another and have one shape.
    """
    for start, stop in equal_stretches(rows.shapes[indices]):
        row_bytes = rows.dtype.itemsize * int(rows.shapes[indices[start]].prod())
        step = max(1, block_bytes // max(1, row_bytes))
        for first in range(start, stop, step):
            yield rows.take(indices[first : min(first + step, stop)].tolist())


def equal_stretches(shapes: Indices) -> Iterator[tuple[int, int]]:
    """Yield where rows of one shape follow one another: the first, and the one after the last.

    Args:
        shapes: int64 ``[rows, axes]``.
    """
    changes = np.flatnonzero((shapes[1:] != shapes[:-1]).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(shapes)]
    yield from ((a, b) for a, b in itertools.pairwise(edges) if a < b)


def kinds_of(arrays: Mapping[str, RowArray], whole: Collection[str]) -> list[bytes]:
    """Tell which rows can go through a model together: those of one kind.

    Args:
        arrays: By input name.
        whole: Inputs without a batch axis, whose values all rows of a run share.

    Returns:
        What rows of one kind have in common, by row: shapes, and the values of whole inputs.
    """
    count = len(next(iter(arrays.values())).shapes)
    ragged = [one.shapes for one in arrays.values() if is_ragged(one.shapes)]
    return [
        b"".join(
            [
                *(shapes[row].tobytes() for shapes in ragged),
                *(arrays[name].take([row]).tobytes() for name in whole),
            ]
        )
        for row in range(count)
    ]


def is_ragged(shapes: Indices) -> bool:
    """Whether shapes of rows differ."""
    return len(shapes) > 1 and bool((shapes != shapes[0]).any())


def sizes_of(arrays: Mapping[str, RowArray]) -> Indices:
    """Return how many values each row has in all inputs, int64 ``[rows]``."""
    sizes: Indices = np.sum([a.shapes.prod(axis=1, dtype=np.int64) for a in arrays.values()], 0)
    return sizes


def typical_row(arrays: Mapping[str, RowArray]) -> int:
    """Return the row of median size; of several the first.

    Args:
        arrays: By input name; they have rows.
    """
    sizes = sizes_of(arrays)
    median = np.sort(sizes)[(len(sizes) - 1) // 2]
    return int(np.argmax(sizes == median))


def _open(rows: StoredRows, name: str) -> RowFile:
    file = read_npy(Path(rows.inputs[name]))
    array = file.array
    if file.is_fortran and len(array.shape) > 1:
        message = f"{file.path.name} is in Fortran order: expected C order."
        raise DatasetError(message, code="OQ127", hint="Store np.ascontiguousarray(rows).")
    shapes = same_shapes(array.row_shape, array.count_rows)
    if name in rows.shapes:
        shapes = np.load(rows.shapes[name], allow_pickle=False)
    values = int(shapes.prod(axis=1, dtype=np.int64).sum())
    if len(shapes) != rows.count_rows or values != math.prod(array.shape):
        message = (
            f"{file.path.name} holds {len(shapes)} rows and {math.prod(array.shape)} values: "
            f"expected {rows.count_rows} rows and {values} values."
        )
        raise DatasetError(message, code="OQ127", hint="Store them again.")
    return RowFile(file.path, array.dtype, file.offset_bytes, shapes)


def _starts(shapes: Indices) -> Indices:
    """Return where each row begins, in values; one entry more than rows."""
    return np.concatenate([[0], np.cumsum(shapes.prod(axis=1, dtype=np.int64))])


def _successive(rows: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield stretches of rows that follow one another: first row, how many, position in rows."""
    start = 0
    for at in range(1, len(rows) + 1):
        if at == len(rows) or rows[at] != rows[at - 1] + 1:
            yield rows[start], at - start, start
            start = at


def _read(file: FileIO, into: Array, offset_bytes: int) -> None:
    """Fill an array with what stands in a file."""
    buffer = into.reshape(-1).view(np.uint8).data
    file.seek(offset_bytes)
    while buffer:
        read = file.readinto(buffer)
        if not read:
            message = "it ends too early"
            raise OSError(message)
        buffer = buffer[read:]
