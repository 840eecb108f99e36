"""Rows of a length that nobody knows before: appended to unnamed files, and mapped at the end."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.row_arrays import is_ragged, same_shapes
from onnxq.datasets.splitting import Indices
from onnxq.errors import DatasetError

MAX_SPOOLED_BYTES = 8 * 2**30
"""Bytes of the rows that are kept in temporary files, at most."""

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Spool:
    """Rows that are appended to a temporary file without a name; used with ``with``.

    Args:
        title: The data, for messages.
        dtype: Of the rows.
        row_shape: Of the first row; others may have another shape with as many axes.
    """

    def __init__(self, title: str, dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> None:
        self.dtype = dtype
        self.row_shape = row_shape
        self.count_rows = 0
        self._shapes: list[tuple[int, tuple[int, ...]]] = []  # how many rows, of which shape
        self._bytes = 0
        self._title = title
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - __exit__ closes it

    def __enter__(self) -> Self:
        """Return the spool."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; what was mapped from it stays."""
        self._file.close()

    def append(self, rows: Array) -> None:
        """Append rows of one shape.

        Raises:
            DatasetError: OQ127, if there are too many, or the disk is full.
            ValueError: If they have another dtype or number of axes: a bug of the caller.
        """
        if (rows.dtype, rows.ndim - 1) != (self.dtype, len(self.row_shape)):
            message = f"expected rows of {self.dtype} {self.row_shape}, got {rows.dtype}"
            raise ValueError(message + f" {rows.shape[1:]}")
        self.count_rows += len(rows)
        self._shapes.append((len(rows), rows.shape[1:]))
        self._bytes += rows.nbytes
        if self._bytes > MAX_SPOOLED_BYTES:
            message = (
                f"the rows of {self._title} take more than {MAX_SPOOLED_BYTES / 2**30:.3g} GiB, "
                f"after {self.count_rows} rows."
            )
            row_bytes = self._bytes // self.count_rows
            hint = f"Use fewer:  --limit {MAX_SPOOLED_BYTES // max(1, 2 * row_bytes)}"
            raise DatasetError(message, code="OQ127", hint=hint)
        with full_disk_said(tempfile.gettempdir()):
            self._file.write(np.ascontiguousarray(rows).data)

    @property
    def shapes(self) -> Indices:
        """The shape of each row, int64 ``[rows, axes]``."""
        if all(shape == self.row_shape for _, shape in self._shapes):
            return same_shapes(self.row_shape, self.count_rows)
        counts = [count for count, _ in self._shapes]
        return np.repeat(np.array([shape for _, shape in self._shapes], np.int64), counts, axis=0)

    def map(self) -> Array:
        """Return all rows, mapped into memory and read-only.

        Returns:
            Rows along axis 0; where they differ in shape all values on one axis, row after row.
        """
        shape: tuple[int, ...] = (self.count_rows, *self.row_shape)
        if is_ragged(self.shapes):
            shape = (self._bytes // self.dtype.itemsize,)
        if not self._bytes:
            return np.empty(shape, self.dtype)
        with full_disk_said(tempfile.gettempdir()):
            self._file.flush()
        return np.memmap(self._file, self.dtype, "r", shape=shape)


@contextmanager
def full_disk_said(folder: str) -> Iterator[None]:
    """Turn a full disk into one sentence.

    Raises:
        DatasetError: OQ127, if the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        message = f"the disk is full: rows could not be stored in {folder}."
        hint = "Free some space, or use fewer rows:  --limit 1000"
        raise DatasetError(message, code="OQ127", hint=hint) from error
