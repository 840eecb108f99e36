"""``.npy`` files as they are given: headers first, then rows by memory map, never a pickle."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.archives import BLOCK_BYTES, fetch_hint, parse_header
from onnxq.datasets.arrays import RawArray
from onnxq.datasets.splitting import Indices
from onnxq.errors import DatasetError


@dataclass(frozen=True)
class NpyFile:
    """An ``.npy`` file whose header was read.

    Attributes:
        path: The file.
        array: What it holds; the name is the file's, without its suffix.
        is_fortran: Whether it is in Fortran order.
        offset_bytes: Where values begin.
    """

    path: Path
    array: RawArray
    is_fortran: bool
    offset_bytes: int


def read_npy(path: Path) -> NpyFile:
    """Read the header of an ``.npy`` file.

    Args:
        path: The file.

    Returns:
        What it holds.

    Raises:
        DatasetError: OQ127, if it is no whole ``.npy`` file, or holds Python objects.
    """
    try:
        with path.open("rb") as file:
            shape, is_fortran, dtype = parse_header(file)
            offset = file.tell()
            held = file.seek(0, 2) - offset
    except (ValueError, TypeError, SyntaxError, EOFError, OSError) as error:
        message = f"{path.name} is not a whole .npy file: {error}."
        raise DatasetError(message, code="OQ127", hint=fetch_hint(path)) from error
    if dtype.hasobject:
        message = f"{path.name} holds Python objects, which are never loaded."
        hint = "Save numbers: rows of one shape, and labels as integers."
        raise DatasetError(message, code="OQ127", hint=hint)
    declared = dtype.itemsize * math.prod(shape)
    if declared != held or min(shape, default=0) < 0:
        message = f"{path.name} claims {dtype} {list(shape)}, {declared} bytes: found {held}."
        raise DatasetError(message, code="OQ127", hint="Fetch the file again: it is damaged.")
    return NpyFile(path, RawArray(path.stem, dtype, shape), is_fortran, offset)


def open_npy(file: NpyFile) -> Array:
    """Map a file into memory, read-only; its pages are read when they are used."""
    if not math.prod(file.array.shape):
        return np.empty(file.array.shape, file.array.dtype)
    mapped: Array = np.memmap(
        file.path,
        file.array.dtype,
        "r",
        file.offset_bytes,
        file.array.shape or (1,),
        "F" if file.is_fortran else "C",
    )
    return mapped if file.array.shape else mapped.reshape(())


def array_blocks(array: Array, indices: Indices) -> Iterator[Array]:
    """Copy some rows of an array, :data:`~onnxq.datasets.archives.BLOCK_BYTES` at a time.

    Args:
        array: In memory or mapped; axis 0 is rows.
        indices: Of the rows, ascending.

    Yields:
        Rows in order, one at least.
    """
    row_bytes = array.dtype.itemsize * math.prod(array.shape[1:])
    block_rows = max(1, BLOCK_BYTES // max(1, row_bytes))
    for start in range(0, len(indices), block_rows):
        yield np.asarray(array[indices[start : start + block_rows]])
