"""Stored rows become what a session is fed, one run at a time, in any order."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.row_arrays import (
    HeldRows,
    RowArray,
    RowFile,
    is_ragged,
    kinds_of,
    open_row_arrays,
    sizes_of,
)
from onnxq.datasets.values import StoredRows
from onnxq.errors import DatasetError
from onnxq.findings import Finding
from onnxq.wording import count_noun

InputRows: TypeAlias = Array | Sequence[Array] | RowArray
"""Rows of one input: along axis 0, or an array for each row where they differ in shape."""


@dataclass(frozen=True, eq=False)
class Feeds(Sequence[dict[str, Array]]):
    """The inputs of each run over some rows.

    A model whose batch is fixed at B takes B rows a run: rows of one shape, and with the same
    values for what has no batch axis. The rows of a last, partial batch are left out and counted:
    to fill it up with rows that occurred before would count those twice in every histogram. Only
    where there are fewer than B such rows in all are they repeated, to make the one run without
    which there would be nothing to learn from them.

    Attributes:
        arrays: By input name; as many rows in each.
        batch_rows: Rows a run.
        whole: Inputs without a batch axis, such as scalars: a row is all that a run is fed.
    """

    arrays: Mapping[str, InputRows]
    batch_rows: int = 1
    whole: Collection[str] = ()

    def __post_init__(self) -> None:
        """Check that the arrays have rows, equally many, each input's with as many axes.

        Raises:
            DatasetError: If there are none, or they differ in number or axes.
            ValueError: If ``batch_rows`` is not positive.
        """
        if self.batch_rows < 1:
            message = f"batch_rows must be positive: {self.batch_rows}"
            raise ValueError(message)
        found = {name: _count(array) for name, array in self.arrays.items()}
        if not found or not all(found.values()):
            message = f"there are no rows to calibrate on: found {found}."
            raise DatasetError(message, code="OQ124", hint="Give rows for each input: --calib FILE")
        if len(set(found.values())) > 1:
            message = f"inputs have different numbers of rows: {found}."
            hint = "Store one row of each input per example: axis 0 is rows."
            raise DatasetError(message, code="OQ121", hint=hint)
        for name, array in self.arrays.items():
            _check_axes(name, array)

    @cached_property
    def rows(self) -> dict[str, RowArray]:
        """The rows of each input."""
        return {
            name: HeldRows(array) if isinstance(array, Sequence | np.ndarray) else array
            for name, array in self.arrays.items()
        }

    @property
    def count_rows(self) -> int:
        """Rows in all."""
        return _count(next(iter(self.arrays.values())))

    @property
    def dropped_rows(self) -> int:
        """Rows of last, partial batches, which no run takes."""
        return self.count_rows - sum(self._distinct_rows)

    @property
    def repeated_rows(self) -> int:
        """How often a row is fed that was fed in the same run before, to fill it."""
        return len(self) * self.batch_rows - sum(self._distinct_rows)

    @cached_property
    def _distinct_rows(self) -> list[int]:
        """How many rows each run takes."""
        return [len(set(self.rows_of(run))) for run in range(len(self))]

    @property
    def largest_run(self) -> int:
        """The run that is fed the most values, the first of several: it takes the most memory."""
        sizes = sizes_of(self.rows)
        return int(np.argmax([sizes[self.rows_of(run)].sum() for run in range(len(self))]))

    @cached_property
    def _batches(self) -> tuple[list[int], ...]:
        groups: dict[bytes, list[int]] = {}
        for row, kind in enumerate(kinds_of(self.rows, self.whole)):
            groups.setdefault(kind, []).append(row)
        return tuple(batch for rows in groups.values() for batch in _cut(rows, self.batch_rows))

    @cached_property
    def are_of_kinds(self) -> bool:
        """Whether not all rows can go into one run: they differ in shape or in whole inputs."""
        ragged = any(is_ragged(one.shapes) for one in self.rows.values())
        return self.batch_rows > 1 and (ragged or bool(self.whole))

    def __len__(self) -> int:
        """Return the number of runs."""
        if self.are_of_kinds:
            return len(self._batches)
        return max(1, self.count_rows // self.batch_rows)

    def __getitem__(self, run: int) -> dict[str, Array]:  # type: ignore[override]  # no slices
        """Return the inputs of one run, C-ordered, in memory of their own."""
        rows = self.rows_of(run)
        return {
            name: one.take(rows[:1])[0, ...] if name in self.whole else one.take(rows)
            for name, one in self.rows.items()
        }

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
        if self.are_of_kinds:
            return self._batches[run]
        first = run * self.batch_rows
        return [row % self.count_rows for row in range(first, first + self.batch_rows)]


def open_feeds(rows: StoredRows, batch_rows: int = 1) -> Feeds:
    """Open stored rows as feeds.

    Args:
        rows: Rows as ``.npy`` files.
        batch_rows: Rows a run.

    Returns:
        The feeds; no values are read yet.

    Raises:
        DatasetError: If a file cannot be read, or there are no rows.
    """
    return Feeds(open_row_arrays(rows), batch_rows, rows.whole)


def describe_batches(feeds: Feeds) -> tuple[Finding, ...]:
    """Say which rows did not go into full batches, of a model whose batch is fixed.

    Args:
        feeds: What it is calibrated on.

    Returns:
        OQ153, or nothing where each row is fed once.
    """
    dropped, repeated = feeds.dropped_rows, feeds.repeated_rows
    if not dropped and not repeated:
        return ()
    counted = count_noun(feeds.count_rows, "calibration row")
    said = [f"{dropped} of {counted} were left over and not used"] if dropped else []
    if repeated:
        places = f"{count_noun(repeated, 'place')} in batches"
        said.append(f"{places} were filled with rows that stood in them already")
    alike, sentence = "", ", and ".join(said)
    if feeds.are_of_kinds:
        alike = ", of one shape and with the same values where inputs have no batch axis"
    return (
        Finding(
            code="OQ153",
            subject="calibration",
            message=f"The model takes {feeds.batch_rows} rows at a time{alike}: {sentence}.",
            evidence={
                "rows": feeds.count_rows,
                "dropped_rows": dropped,
                "repeated_rows": repeated,
            },
            fix="Give a multiple of that, or export the model with a free batch axis.",
        ),
    )


def _cut(rows: list[int], size: int) -> Iterator[list[int]]:
    """Cut rows that may go together into full batches."""
    if len(rows) < size:
        yield [rows[index % len(rows)] for index in range(size)]
    for start in range(0, len(rows) - size + 1, size):
        yield rows[start : start + size]


def _count(array: InputRows) -> int:
    if isinstance(array, np.ndarray):
        return len(array) if array.ndim else 0
    return len(array) if isinstance(array, Sequence) else len(array.shapes)


def _check_axes(name: str, array: InputRows) -> None:
    if isinstance(array, np.ndarray | RowFile) or not isinstance(array, Sequence):
        return
    kinds = {(np.asarray(row).dtype, np.ndim(row)) for row in array}
    if len(kinds) > 1:
        found = " and ".join(sorted(f"{dtype} of {axes} axes" for dtype, axes in kinds))
        message = f"rows of {name!r} are {found}: expected one dtype and one number of axes."
        raise DatasetError(message, code="OQ121", hint="Sizes may differ, and nothing else.")
