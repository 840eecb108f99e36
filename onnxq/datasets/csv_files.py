"""``.csv`` and ``.tsv`` files: numbers are parsed once, text is read when it is asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.arrays import TEXT, RawArray
from onnxq.datasets.csv_text import CsvFile, Record, is_number, read_header, read_records
from onnxq.datasets.npy_arrays import array_blocks
from onnxq.datasets.readings import note_reading
from onnxq.datasets.splitting import Indices
from onnxq.datasets.spooling import Spool
from onnxq.datasets.tables import Table, Unfit
from onnxq.errors import DatasetError
from onnxq.findings import Finding
from onnxq.wording import count_noun, shorten

_BLOCK_ROWS = 4096
_MAX_WHOLE = 2.0**53
_MISSING = frozenset({"", "na", "n/a", "null", "none", "?", "-", "nan"})
"""What stands, in lower case, where a value is missing."""


@dataclass(frozen=True, kw_only=True)
class CsvRows(Table):
    """The rows of a file.

    Attributes:
        file: The file.
        values: float64 ``[rows, columns]``, mapped; NaN where a cell is no number.
    """

    file: CsvFile
    values: Array

    def read_blocks(self, array: RawArray, indices: Indices) -> Iterator[Array]:
        """Read rows; see :class:`~onnxq.datasets.origins.Origin`."""
        if array.is_text:
            yield from self._text_blocks(self.file.names.index(array.name), indices)
            return
        positions = [self.file.names.index(name) for name in array.columns or (array.name,)]
        for block in array_blocks(self.values, indices):
            numbers = block[:, positions].astype(array.dtype)
            yield numbers if array.columns else numbers[:, 0]

    def _text_blocks(self, position: int, indices: Indices) -> Iterator[Array]:
        cells = (record.cells[position] for record in read_records(self.file))
        start = 0
        while block := list(islice(cells, _BLOCK_ROWS)):
            first, last = np.searchsorted(indices, [start, start + len(block)])
            if first < last:
                yield np.array(block, TEXT)[indices[first:last] - start]
            start += len(block)


@dataclass
class _Columns:
    """What is known about columns while they are parsed.

    Attributes:
        are_whole: Whether all numbers so far are written without a fraction, by name.
        unfit: Why columns cannot be fed.
    """

    are_whole: dict[str, bool]
    unfit: dict[str, Unfit] = field(default_factory=dict)


def open_csv(path: Path) -> CsvRows:
    """Parse a table in text.

    Args:
        path: The file.

    Returns:
        Its columns: int64 where all numbers are written without a fraction, else float64, or
        text. Columns without a name are left out, and a finding says so.

    Raises:
        DatasetError: OQ127, if it is no table.
    """
    file = read_header(path)
    columns = _Columns({name: True for name in file.names if name})
    with Spool(path.name, np.dtype(np.float64), (len(file.names),)) as spool:
        records = read_records(file)
        while block := list(islice(records, _BLOCK_ROWS)):
            spool.append(_parse_block(file, block, spool.count_rows, columns))
        values = spool.map()
    arrays = {name: _describe(name, len(values), columns) for name in columns.are_whole}
    if not arrays:
        message = f"{path.name} has no column with a name."
        raise DatasetError(message, code="OQ127", hint="The first line names the columns.")
    return CsvRows(
        title=path.name,
        arrays=arrays,
        findings=_nameless(file),
        unfit=columns.unfit,
        file=file,
        values=values,
    )


def _describe(name: str, count_rows: int, columns: _Columns) -> RawArray:
    if name in columns.unfit and columns.unfit[name].is_text:
        return RawArray(name, TEXT, (count_rows,))
    is_whole = columns.are_whole[name] and name not in columns.unfit
    dtype = np.dtype(np.int64 if is_whole else np.float64)
    return RawArray(name, dtype, (count_rows,), is_typed=False)


def _nameless(file: CsvFile) -> tuple[Finding, ...]:
    count = file.names.count("")
    if not count:
        return ()
    message = f"{count_noun(count, 'column')} of {file.path.name} without a name was left out."
    return (note_reading(file.path.name, message),)


def _parse_block(file: CsvFile, block: list[Record], start: int, columns: _Columns) -> Array:
    values = np.full((len(block), len(file.names)), np.nan)
    for position, name in enumerate(file.names):
        is_text = name in columns.unfit and columns.unfit[name].is_text
        if name and not is_text:
            cells = [record.cells[position] for record in block]
            try:
                values[:, position], is_whole = _numbers(cells)
            except (ValueError, OverflowError):
                values[:, position] = _repaired(name, cells, block, start, columns)
                is_whole = False
            columns.are_whole[name] &= is_whole
    return values


def _numbers(cells: list[str]) -> tuple[Array, bool]:
    """Parse cells; and say whether all are whole numbers, written so."""
    if "_" in "".join(cells):  # Python takes 1_000 for a number, and nobody else does
        raise ValueError(cells)
    try:
        whole = np.array([int(cell) for cell in cells], np.float64)
    except ValueError:
        return np.array([float(cell) for cell in cells]), False
    if np.abs(whole).max(initial=0) > _MAX_WHOLE:
        raise ValueError(cells)
    return whole, True


def _repaired(
    name: str, cells: list[str], block: list[Record], start: int, columns: _Columns
) -> Array:
    """Parse cells of which some are no numbers, and keep the first reason for that."""
    is_missing = [cell.lower() in _MISSING for cell in cells]
    filled = ["nan" if miss else cell for cell, miss in zip(cells, is_missing, strict=True)]
    try:
        values, _ = _numbers(filled)
        first, is_text = is_missing.index(True), False
        what = f"has no value ({cells[first]!r})"
    except (ValueError, OverflowError):
        values, is_text = np.full(len(cells), np.nan), True
        first = next((i for i, cell in enumerate(filled) if not is_number(cell)), -1)
        what = f"holds {shorten(cells[first])!r}"
        if first < 0:
            first = max(range(len(cells)), key=lambda i: len(cells[i]))
            what = f"holds {shorten(cells[first])}, more than a float64 can count"
    why = Unfit(f"row {start + first} (line {block[first].line}) {what}", is_text)
    if is_text or name not in columns.unfit:
        columns.unfit[name] = why
    return values
