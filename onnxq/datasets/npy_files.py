"""Rows on disk: ``.npy`` files that are written once, from front to back.

They are appended to rather than memory-mapped: a full disk is then an error that can be caught,
and not a signal that kills the process.
"""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from onnxq.arrays import Array


class NpyWriter:
    """An ``.npy`` file of a known shape that is being written; used with ``with``.

    Args:
        path: The file; must not exist yet.
        dtype: Of its elements.
        shape: Axis 0 is rows.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.path = path
        self._dtype = dtype
        self._missing_rows = shape[0]
        self._row_shape = shape[1:]
        self._is_abandoned = False
        self._file = path.open("xb")
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(self._file, header)

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file.

        Raises:
            ValueError: If rows are missing though nothing failed: a bug of the caller.
        """
        self._file.close()
        if self._is_abandoned:
            self.path.unlink()
        if kind is None and self._missing_rows:
            message = f"{self.path.name} lacks {self._missing_rows} rows"
            raise ValueError(message)

    def abandon(self) -> None:
        """Give the file up: it may lack rows, and is removed at the end."""
        self._missing_rows = 0
        self._is_abandoned = True

    def append_values(self, values: Array) -> None:
        """Append values to a file of one axis, in C order whatever shape they have here.

        Raises:
            ValueError: As :meth:`append` does.
            OSError: If the disk is full.
        """
        self.append(np.ascontiguousarray(values).reshape(-1))

    def append(self, rows: Array) -> None:
        """Append rows.

        Raises:
            ValueError: If they do not have the file's dtype and shape, or are too many.
            OSError: If the disk is full.
        """
        if rows.dtype != self._dtype or rows.shape[1:] != self._row_shape:
            message = f"{self.path.name} holds {self._dtype} {self._row_shape}: got {rows.dtype} "
            raise ValueError(message + str(rows.shape[1:]))
        if len(rows) > self._missing_rows:
            message = f"{self.path.name} has place for {self._missing_rows} rows: got {len(rows)}"
            raise ValueError(message)
        self._missing_rows -= len(rows)
        self._file.write(np.ascontiguousarray(rows).data)
