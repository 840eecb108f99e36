"""Arrays that lie in one piece or in several, one after the other along their rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.archives import BLOCK_BYTES, Archive, read_member
from onnxq.datasets.archives import read_blocks as read_archive_blocks
from onnxq.datasets.arrays import RawArray
from onnxq.datasets.npy_arrays import NpyFile, array_blocks, open_npy
from onnxq.datasets.origins import Origin
from onnxq.datasets.row_arrays import RowArray, row_blocks
from onnxq.datasets.splitting import Indices
from onnxq.errors import DatasetError


@dataclass(frozen=True)
class Member:
    """One array of an ``.npz`` file.

    Attributes:
        archive: The file.
        array: Which of its arrays.
    """

    archive: Archive
    array: RawArray


@dataclass(frozen=True)
class Held:
    """An array in memory, or mapped into it.

    Attributes:
        array: Its description.
        values: Its values.
    """

    array: RawArray
    values: Array


@dataclass(frozen=True)
class HeldRagged:
    """Rows that differ in shape, in memory or mapped into it.

    Attributes:
        array: Its description; the shape is that of the first row.
        rows: The rows.
    """

    array: RawArray
    rows: RowArray


Piece: TypeAlias = Member | NpyFile | Held | HeldRagged


@dataclass(frozen=True, kw_only=True)
class Piecewise(Origin):
    """Arrays in pieces.

    Attributes:
        pieces: Of each array, in order; none is empty.
        row_numbers: What rows are called, where it is not their index; empty otherwise.
    """

    pieces: dict[str, tuple[Piece, ...]]
    row_numbers: tuple[int, ...] = ()

    def read_blocks(self, array: RawArray, indices: Indices) -> Iterator[Array]:
        """Read rows; see :class:`~onnxq.datasets.origins.Origin`."""
        start = 0
        for piece in self.pieces[array.name]:
            stop = start + piece.array.count_rows
            first, last = np.searchsorted(indices, [start, stop])
            if first < last:
                yield from _piece_blocks(piece, indices[first:last] - start)
            start = stop

    def shapes_of(self, array: RawArray, indices: Indices) -> Indices:
        """Return the shape of rows; see :class:`~onnxq.datasets.origins.Origin`."""
        match self.pieces[array.name]:
            case (HeldRagged(rows=rows),):
                return rows.shapes[indices]
            case _:
                return super().shapes_of(array, indices)

    def name_rows(self, indices: Indices) -> list[str]:
        """Return what rows are called."""
        if not self.row_numbers:
            return super().name_rows(indices)
        return [str(self.row_numbers[index]) for index in indices]


def repeat_constant(origin: Piecewise, name: str, count_rows: int) -> Piecewise:
    """Make rows of an array that is the same for every row; it takes no more memory.

    Args:
        origin: What holds it.
        name: Of the array.
        count_rows: Rows of the others.

    Returns:
        The origin with that array as rows.

    Raises:
        DatasetError: OQ127, if it cannot be read.
    """
    values = _whole(origin.pieces[name][0])
    array = replace(origin.arrays[name], shape=(count_rows, *values.shape))
    rows = Held(array, np.broadcast_to(values, array.shape))
    return replace(
        origin, arrays=origin.arrays | {name: array}, pieces=origin.pieces | {name: (rows,)}
    )


def join_pieces(name: str, pieces: tuple[Piece, ...], title: str) -> RawArray:
    """Describe an array that lies in pieces.

    Args:
        name: Of the array.
        pieces: One at least.
        title: The data, for messages.

    Returns:
        The array; its dtype is that of all pieces.

    Raises:
        DatasetError: OQ127, if rows differ in dtype or shape.
    """
    first, *others = (piece.array for piece in pieces)
    for piece, other in zip(pieces[1:], others, strict=True):
        if (other.dtype, other.row_shape) != (first.dtype, first.row_shape) or not other.shape:
            message = (
                f"{name!r} in {title} is {first.dtype} {list(first.shape)} in "
                f"{_place(pieces[0])} and {other.dtype} {list(other.shape)} in {_place(piece)}: "
                "expected rows of one dtype and shape."
            )
            raise DatasetError(message, code="OQ127", hint="Save all parts in the same form.")
    if not others:
        return replace(first, name=name)
    count = sum(piece.array.count_rows for piece in pieces)
    return replace(first, name=name, shape=(count, *first.row_shape))


def _piece_blocks(piece: Piece, indices: Indices) -> Iterator[Array]:
    match piece:
        case Member(archive=archive, array=array):
            return read_archive_blocks(archive, array.name, indices)
        case NpyFile():
            return array_blocks(open_npy(piece), indices)
        case Held(values=values):
            return array_blocks(values, indices)
        case HeldRagged(rows=rows):
            return row_blocks(rows, indices, BLOCK_BYTES)


def _whole(piece: Piece) -> Array:
    match piece:
        case Member(archive=archive, array=array):
            return read_member(archive, array.name)
        case NpyFile():
            return open_npy(piece)
        case Held(values=values):
            return values
        case HeldRagged(rows=rows):  # rows that differ are no constant
            return rows.take([0])


def _place(piece: Piece) -> str:
    match piece:
        case Member(archive=archive):
            return archive.path.name
        case NpyFile(path=path):
            return path.name
        case Held() | HeldRagged():
            return "memory"
