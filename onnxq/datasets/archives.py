"""``.npz`` files: headers first, then rows in blocks, never a pickle.

An array is read as a stream, so that a small file that claims to be large costs neither memory
nor more disk than was agreed on. The header is checked against the size in the archive's
directory before anything is read.
"""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.arrays import RawArray
from onnxq.datasets.splitting import Indices
from onnxq.errors import DatasetError

BLOCK_BYTES = 4 * 2**20
"""Bytes of an array that are read at once, as long as that is a row or more."""
MAX_ROW_BYTES = 2**30
"""Bytes of the largest row that is read."""
MAX_FORTRAN_BYTES = 2**30
"""Bytes of the largest array in Fortran order, which cannot be read by rows."""

_SUFFIX = ".npy"
_LFS_MARK = b"version https://git-lfs"


@dataclass(frozen=True)
class Archive:
    """An ``.npz`` file whose headers were read.

    Attributes:
        path: The file.
        arrays: What it holds, by name.
        fortran: Names of arrays in Fortran order.
    """

    path: Path
    arrays: dict[str, RawArray]
    fortran: frozenset[str]


def read_archive(path: Path) -> Archive:
    """Read the headers of an ``.npz`` file.

    Args:
        path: The file.

    Returns:
        What it holds; arrays of Python objects are described, and refused when they are read.

    Raises:
        DatasetError: OQ127, if it is no whole ``.npz`` file, or an array claims another size than
            the file has.
    """
    arrays: dict[str, RawArray] = {}
    fortran: set[str] = set()
    with _opened(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(_SUFFIX):
                name = member.filename.removesuffix(_SUFFIX)
                with archive.open(member) as stream:
                    arrays[name], is_fortran = _read_header(path, name, stream, member)
                fortran |= {name} if is_fortran else set()
    if not arrays:
        message = f"{path.name} holds no arrays."
        raise DatasetError(message, code="OQ127", hint=_SAVE_HINT)
    return Archive(path, arrays, frozenset(fortran))


def read_blocks(archive: Archive, name: str, indices: Indices) -> Iterator[Array]:
    """Read some rows of an array, in blocks.

    Args:
        archive: The file.
        name: Of the array.
        indices: Of the rows, ascending.

    Yields:
        The rows in order, :data:`BLOCK_BYTES` or less at a time but one row at least.

    Raises:
        DatasetError: OQ127, if the file ends too early, is damaged, holds Python objects, or rows
            are too large.
    """
    array = archive.arrays[name]
    _check_objects(archive, array)
    row_bytes = array.dtype.itemsize * math.prod(array.row_shape)
    _check_row_bytes(archive, name, row_bytes)
    if name in archive.fortran:
        yield from _fortran_blocks(archive, array, indices)
        return
    block_rows = max(1, BLOCK_BYTES // max(1, row_bytes))
    stop = int(indices[-1]) + 1 if len(indices) else 0
    with _opened(archive.path) as file, file.open(name + _SUFFIX) as stream:
        parse_header(stream)
        for start in range(0, stop, block_rows):
            count = min(block_rows, array.count_rows - start)
            rows = _read_array(archive.path, array, stream, (count, *array.row_shape))
            first, last = np.searchsorted(indices, [start, start + count])
            if first < last:
                yield rows[indices[first:last] - start]


def read_member(archive: Archive, name: str) -> Array:
    """Read a whole array; for files that hold one row.

    Args:
        archive: The file.
        name: Of the array.

    Returns:
        The array.

    Raises:
        DatasetError: OQ127, if there is none of that name, it holds Python objects, is too large,
            or the file is damaged.
    """
    if name not in archive.arrays:
        message = f"{archive.path.name} has no array {name!r}, but {', '.join(archive.arrays)}."
        raise DatasetError(message, code="OQ127", hint="Save the same arrays in every file.")
    array = archive.arrays[name]
    _check_objects(archive, array)
    _check_row_bytes(archive, name, array.dtype.itemsize * math.prod(array.shape))
    is_fortran = name in archive.fortran
    shape = array.shape[::-1] if is_fortran else array.shape
    with _opened(archive.path) as file, file.open(name + _SUFFIX) as stream:
        parse_header(stream)
        values = _read_array(archive.path, array, stream, shape)
    return values.transpose() if is_fortran else values


def _check_objects(archive: Archive, array: RawArray) -> None:
    if array.dtype.hasobject:
        message = (
            f"{array.name!r} in {archive.path.name} holds Python objects, which are never loaded."
        )
        hint = "Save numbers: rows of one shape, and labels as integers."
        raise DatasetError(message, code="OQ127", hint=hint)


def _check_row_bytes(archive: Archive, name: str, row_bytes: int) -> None:
    if row_bytes > MAX_ROW_BYTES:
        message = f"a row of {name!r} in {archive.path.name} has {row_bytes} bytes."
        hint = f"Rows may have {MAX_ROW_BYTES} bytes. Is axis 0 the rows?"
        raise DatasetError(message, code="OQ127", hint=hint)


def _fortran_blocks(archive: Archive, array: RawArray, indices: Indices) -> Iterator[Array]:
    total_bytes = array.dtype.itemsize * math.prod(array.shape)
    if total_bytes > MAX_FORTRAN_BYTES:
        message = f"{array.name!r} in {archive.path.name} is in Fortran order and too large."
        hint = "Save it by rows:  np.savez(path, x=np.ascontiguousarray(x))"
        raise DatasetError(message, code="OQ127", hint=hint)
    with _opened(archive.path) as file, file.open(array.name + _SUFFIX) as stream:
        parse_header(stream)
        whole = _read_array(archive.path, array, stream, array.shape[::-1]).transpose()
    block_rows = max(1, BLOCK_BYTES * array.count_rows // max(1, total_bytes))
    for start in range(0, len(indices), block_rows):
        yield whole[indices[start : start + block_rows]]


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        message = f"{path.name} is not a whole .npz file: {error}."
        raise DatasetError(message, code="OQ127", hint=fetch_hint(path)) from error
    except RuntimeError as error:  # what zipfile raises for a member under a password
        message = f"{path.name} cannot be read: {error}."
        raise DatasetError(message, code="OQ127", hint=_SAVE_HINT) from error


def fetch_hint(path: Path) -> str:
    """Say how to get a file that is not what its suffix says: many are pointers of Git LFS."""
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(_LFS_MARK)) == _LFS_MARK:
                return "It is a Git LFS pointer:  git lfs pull"
    return "Fetch the file again: it is damaged, or something else."


_SAVE_HINT = "Save arrays by the names of the model's inputs:  np.savez('val.npz', x=x, y=labels)"


def _read_header(
    path: Path, name: str, stream: IO[bytes], member: zipfile.ZipInfo
) -> tuple[RawArray, bool]:
    try:
        shape, is_fortran, dtype = parse_header(stream)
    except (ValueError, TypeError, SyntaxError) as error:
        message = f"{name!r} in {path.name} is not an array: {error}."
        raise DatasetError(message, code="OQ127", hint=_SAVE_HINT) from error
    declared = dtype.itemsize * math.prod(shape)
    held = member.file_size - stream.tell()
    if (declared != held and not dtype.hasobject) or min(shape, default=0) < 0:
        message = (
            f"{name!r} in {path.name} claims {dtype} {list(shape)}, {declared} bytes: found {held}."
        )
        hint = "Fetch the file again: it is damaged."
        raise DatasetError(message, code="OQ127", hint=hint)
    return RawArray(name, dtype, shape), is_fortran


def parse_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Parse the header of an array as NumPy stores it (NEP 1), format 1.0 or 2.0.

    Args:
        stream: At its start; it stands at the first value afterwards.

    Returns:
        Shape, whether it is in Fortran order, dtype.

    Raises:
        ValueError: If it is no such header. TypeError and SyntaxError are raised as well, by
            headers that were made up.
    """
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    message = f"its format is version {version}: expected 1.0 or 2.0"
    raise ValueError(message)


def _read_array(path: Path, array: RawArray, stream: IO[bytes], shape: tuple[int, ...]) -> Array:
    wanted = array.dtype.itemsize * math.prod(shape)
    content = stream.read(wanted)
    if len(content) != wanted:
        message = f"{array.name!r} in {path.name} ends too early."
        raise DatasetError(message, code="OQ127", hint="Fetch the file again: it is damaged.")
    return np.frombuffer(content, array.dtype).reshape(shape)
