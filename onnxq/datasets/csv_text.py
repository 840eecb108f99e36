"""The text of a ``.csv``: its delimiter, its header, its records."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from onnxq.errors import DatasetError
from onnxq.wording import count_noun

_DELIMITERS = (",", ";", "\t", "|")
_SNIFFED_LINES = 20
_SNIFFED_CHARACTERS = 2**18
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Record(NamedTuple):
    """A row of text.

    Attributes:
        line: Of the file where it ends, from 1.
        cells: One for each name in the header, without blanks around them.
    """

    line: int
    cells: list[str]


@dataclass(frozen=True)
class CsvFile:
    """A file whose header was read.

    Attributes:
        path: The file.
        delimiter: Between cells.
        names: Of the columns, in order; empty for a column without a name.
    """

    path: Path
    delimiter: str
    names: tuple[str, ...]


def read_header(path: Path) -> CsvFile:
    """Read the header, and find out which delimiter there is.

    The delimiter is the one of comma, semicolon, tab and bar that cuts the first lines into the
    most cells, as many in each line.

    Args:
        path: A text file in UTF-8, with or without a byte order mark.

    Returns:
        The file.

    Raises:
        DatasetError: OQ127, if it is no such text, has no header, or names repeat.
    """
    with _opened(path) as file:
        lines = file.read(_SNIFFED_CHARACTERS).splitlines(keepends=True)[: _SNIFFED_LINES + 1]
    if not any(line.strip() for line in lines):
        message = f"{path.name} is empty: expected a header with the names of columns."
        raise DatasetError(message, code="OQ124", hint="The first line names the columns.")
    delimiter = _sniff(lines[:_SNIFFED_LINES], path)
    with _opened(path) as file:
        header = next(cells for cells in csv.reader(file, delimiter=delimiter) if cells)
    names = tuple(name.strip() for name in header)
    _check_header(path, names)
    return CsvFile(path, delimiter, names)


def read_records(file: CsvFile) -> Iterator[Record]:
    """Read the rows; empty lines are left out.

    Args:
        file: From :func:`read_header`.

    Yields:
        Each row.

    Raises:
        DatasetError: OQ127, if a row has more or fewer cells than the header, or is no text.
    """
    with _opened(file.path) as text:
        reader = csv.reader(text, delimiter=file.delimiter)
        rows = (Record(reader.line_num, [cell.strip() for cell in c]) for c in reader if c)
        next(rows)
        for number, record in enumerate(rows):
            if len(record.cells) != len(file.names):
                message = (
                    f"row {number} (line {record.line}) of {file.path.name} has "
                    f"{count_noun(len(record.cells), 'cell')}: expected {len(file.names)}, as "
                    "the header has."
                )
                hint = 'Quote cells that hold the delimiter ("a, b"), and fill rows up.'
                raise DatasetError(message, code="OQ127", hint=hint)
            yield record


def is_number(cell: str) -> bool:
    """Whether a cell is a number as JSON, NumPy and spreadsheets write it."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _sniff(lines: list[str], path: Path) -> str:
    with _failures_said(path):
        widths = {
            delimiter: [len(cells) for cells in csv.reader(lines, delimiter=delimiter) if cells]
            for delimiter in _DELIMITERS
        }
    even = [one for one in _DELIMITERS if len(set(widths[one])) == 1 and widths[one][0] > 1]
    return max(even or _DELIMITERS, key=lambda delimiter: widths[delimiter][0])


def _check_header(path: Path, names: tuple[str, ...]) -> None:
    repeated = [name for name in names if name and names.count(name) > 1]
    if repeated:
        message = f"{path.name} has several columns called {repeated[0]!r}."
        hint = "Give every column a name of its own."
    elif all(map(is_number, names)):
        message = f"{path.name} has no header: its first line is {', '.join(names[:4])}."
        hint = "Put the names of the columns into the first line."
    else:
        return
    raise DatasetError(message, code="OQ127", hint=hint)


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    with _failures_said(path), path.open(encoding="utf-8-sig", newline="") as file:
        yield file


@contextmanager
def _failures_said(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        message = f"{path.name} is not text in UTF-8: {error.reason} at byte {error.start}."
        source = "UTF-16" if path.read_bytes()[:2] in _UTF_16 else "latin1"
        hint = f"Convert it:  iconv -f {source} -t UTF-8 {path.name} > utf8.csv"
        raise DatasetError(message, code="OQ127", hint=hint) from error
    except (csv.Error, OSError) as error:
        message = f"{path.name} cannot be read as a table: {error}."
        hint = "Expected text: a header, then rows; cells that hold the delimiter are quoted."
        raise DatasetError(message, code="OQ127", hint=hint) from error
