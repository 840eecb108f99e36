"""Stored rows become what a session is fed, one run at a time, in any order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.values import StoredRows
from onnxq.errors import DatasetError


@dataclass(frozen=True)
class Feeds(Sequence[dict[str, Array]]):
    """The inputs of each run over some rows.

    A model whose batch is fixed at B takes B rows a run. The rows of a last, partial batch are
    left out and counted: to fill it up with rows that occurred before would count those twice in
    every histogram. Only where there are fewer than B rows in all are they repeated, to make the
    one run without which there would be nothing to learn from.

    Attributes:
        arrays: By input name; axis 0 is rows, of equal number.
        batch_rows: Rows a run.
    """

    arrays: Mapping[str, Array]
    batch_rows: int = 1

    def __post_init__(self) -> None:
        """Check that the arrays have rows, and equally many.

        Raises:
            DatasetError: If there are none, or their numbers differ.
            ValueError: If ``batch_rows`` is not positive.
        """
        if self.batch_rows < 1:
            message = f"batch_rows must be positive: {self.batch_rows}"
            raise ValueError(message)
        found = {name: len(array) if array.ndim else 0 for name, array in self.arrays.items()}
        if not found or not all(found.values()):
            message = f"there are no rows to calibrate on: found {found}."
            raise DatasetError(message, code="OQ124", hint="Give rows for each input: --calib FILE")
        if len(set(found.values())) > 1:
            message = f"inputs have different numbers of rows: {found}."
            hint = "Store one row of each input per example: axis 0 is rows."
            raise DatasetError(message, code="OQ121", hint=hint)

    @property
    def count_rows(self) -> int:
        """Rows in all."""
        return len(next(iter(self.arrays.values())))

    @property
    def dropped_rows(self) -> int:
        """Rows of a last, partial batch, which no run takes."""
        return max(0, self.count_rows - len(self) * self.batch_rows)

    def __len__(self) -> int:
        """Return the number of runs."""
        return max(1, self.count_rows // self.batch_rows)

    def __getitem__(self, run: int) -> dict[str, Array]:  # type: ignore[override]  # no slices
        """Return the inputs of one run, C-ordered, in memory of their own."""
        rows = self.rows_of(run)
        return {name: np.ascontiguousarray(array[rows]) for name, array in self.arrays.items()}

    def __iter__(self) -> Iterator[dict[str, Array]]:
        """Yield the inputs of each run in order."""
        return (self[run] for run in range(len(self)))

    def rows_of(self, run: int) -> list[int]:
        """Return which rows a run takes.

        Raises:
            IndexError: If there is no such run.
        """
        if not 0 <= run < len(self):
            message = f"run {run} of {len(self)}"
            raise IndexError(message)
        first = run * self.batch_rows
        return [row % self.count_rows for row in range(first, first + self.batch_rows)]


def open_feeds(rows: StoredRows, batch_rows: int = 1) -> Feeds:
    """Map stored rows into memory as feeds.

    Args:
        rows: Rows as ``.npy`` files.
        batch_rows: Rows a run.

    Returns:
        The feeds; nothing is read yet.

    Raises:
        DatasetError: If a file cannot be read, or there are no rows.
    """
    return Feeds({name: _map(Path(path)) for name, path in rows.inputs.items()}, batch_rows)


def _map(path: Path) -> Array:
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        message = f"the rows in {path.name} cannot be read: {error}"
        raise DatasetError(message, code="OQ127", hint="Store them with numpy.save.") from error
    return array
