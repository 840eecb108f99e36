"""Rows of a length that nobody knows before: appended to unnamed files, and mapped at the end."""

import errno
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np

from onnxq.arrays import Array
from onnxq.errors import DatasetError

MAX_SPOOLED_BYTES = 8 * 2**30
"""Bytes of the rows that are kept in temporary files, at most."""

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Spool:
    """Rows that are appended to a temporary file without a name; used with ``with``.

    Args:
        title: The data, for messages.
        dtype: Of the rows.
        row_shape: Of one row.
    """

    def __init__(self, title: str, dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> None:
        self.dtype = dtype
        self.row_shape = row_shape
        self.count_rows = 0
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
        """Append rows of the spool's dtype and shape.

        Raises:
            DatasetError: OQ127, if there are too many, or the disk is full.
            ValueError: If they have another dtype or shape: a bug of the caller.
        """
        if (rows.dtype, rows.shape[1:]) != (self.dtype, self.row_shape):
            message = f"expected rows of {self.dtype} {self.row_shape}, got {rows.dtype}"
            raise ValueError(message + f" {rows.shape[1:]}")
        self.count_rows += len(rows)
        if self.count_rows * self.row_bytes > MAX_SPOOLED_BYTES:
            message = (
                f"the rows of {self._title} take more than {MAX_SPOOLED_BYTES / 2**30:.3g} GiB, "
                f"after {self.count_rows} rows."
            )
            hint = f"Use fewer:  --limit {MAX_SPOOLED_BYTES // max(1, 2 * self.row_bytes)}"
            raise DatasetError(message, code="OQ127", hint=hint)
        with full_disk_said(tempfile.gettempdir()):
            self._file.write(np.ascontiguousarray(rows).data)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * math.prod(self.row_shape)

    def map(self) -> Array:
        """Return all rows, mapped into memory and read-only."""
        shape = (self.count_rows, *self.row_shape)
        if not self.count_rows * self.row_bytes:
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
