"""Tables: columns by name, and which of them feed which input."""

import difflib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from onnxq.datasets.arrays import RawArray
from onnxq.datasets.matching import LABEL_KEY, find_labels
from onnxq.datasets.origins import Origin
from onnxq.errors import DatasetError

COLUMNS = "columns"
"""What the columns that feed the only input are called together."""
_MOST_SHOWN = 8


@dataclass(frozen=True)
class ArrowFiles:
    """Files that hold one table in the formats of Apache Arrow.

    Attributes:
        title: What messages call the data.
        paths: One after the other.
        is_parquet: Whether they are Parquet, or streams of Arrow's own format.
        images: Columns that hold encoded images.
    """

    title: str
    paths: tuple[Path, ...]
    is_parquet: bool
    images: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Unfit:
    """Why a column cannot be fed.

    Attributes:
        message: ``row 3 (line 5) holds 'Private'``.
        is_text: Whether text is the reason, and no single missing or broken value.
    """

    message: str
    is_text: bool


@dataclass(frozen=True, kw_only=True)
class Table(Origin):
    """Rows in columns.

    Attributes:
        unfit: Why columns cannot be fed, by name; only those are named.
    """

    unfit: dict[str, Unfit] = field(default_factory=dict)


class Fed(NamedTuple):
    """A table, with the arrays that inputs take from it.

    Attributes:
        table: Its arrays hold those made of several columns, too.
        mapping: Array name by input name.
    """

    table: Origin
    mapping: dict[str, str]


def feed_columns(table: Table, inputs: tuple[str, ...], mapping: dict[str, str]) -> Fed:
    """Put the columns together that feed an input side by side.

    An input takes the columns that ``mapping`` names (``age``, ``age,hours`` or ``first:last``),
    else the column of its own name; a single input takes all columns but the labels.

    Args:
        table: The columns.
        inputs: Names of the model's inputs; empty if they are not known.
        mapping: As ``--map`` gives it; ``labels`` names the column of labels.

    Returns:
        The table with what was put together.

    Raises:
        DatasetError: OQ121, if a column does not exist, is named twice, or has no numbers.
    """
    given = mapping.get(LABEL_KEY, "")
    if given and given not in table.arrays and LABEL_KEY not in inputs:
        raise _no_column(table, f"--map {LABEL_KEY}={given}", given)
    arrays = dict(table.arrays)
    labels = find_labels(
        arrays, {k: v for k, v in mapping.items() if v in arrays}, set(inputs), table.title
    )
    for name, text in mapping.items():
        if text not in arrays and name != LABEL_KEY:
            columns = _named_columns(table, name, text)
            _check_apart(table, f"--map {name}={text}", columns, labels)
            arrays[text] = _join(table, text, columns, name)
    rest = [name for name in inputs if name not in mapping and name not in arrays]
    if len(inputs) == 1 and rest:
        taken = {label.name for label in labels}
        columns = tuple(name for name in table.arrays if name not in taken)
        if len(columns) > 1 and all(not table.arrays[name].row_shape for name in columns):
            arrays[COLUMNS] = _join(table, COLUMNS, columns, rest[0])
            mapping = {**mapping, rest[0]: COLUMNS}
        elif len(columns) == 1:
            mapping = {**mapping, rest[0]: columns[0]}
    for name in inputs:
        _check_fit(table, arrays.get(mapping.get(name, name)), name)
    return Fed(replace(table, arrays=arrays), mapping)


def _named_columns(table: Table, name: str, text: str) -> tuple[str, ...]:
    """Resolve ``a,b`` and ``first:last`` into columns."""
    known = list(table.arrays)
    columns: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        first, colon, last = (end.strip() for end in part.partition(":"))
        if part in known:
            columns.append(part)
        elif colon and {first, last} <= set(known):
            columns += known[known.index(first) : known.index(last) + 1]
        else:
            wrong = next((end for end in (first, last) if end and end not in known), part)
            raise _no_column(table, f"--map {name}={text}", wrong)
    repeated = [column for column in columns if columns.count(column) > 1]
    if repeated or not columns:
        what = f"names the column {repeated[0]!r} twice" if repeated else "names no column"
        message = f"--map {name}={text} {what}: columns of {table.title} are {', '.join(known)}."
        raise DatasetError(message, code="OQ121", hint="A range is FIRST:LAST, in their order.")
    return tuple(columns)


def _check_apart(
    table: Table, option: str, columns: tuple[str, ...], labels: tuple[RawArray, ...]
) -> None:
    """Refuse to feed labels: a model that sees them is always right."""
    shared = [label.name for label in labels if label.name in columns]
    if shared:
        message = f"{option} feeds the column {shared[0]!r} of {table.title}, which is the labels."
        hint = "End the range before it, or name other labels:  --map labels=COLUMN"
        raise DatasetError(message, code="OQ121", hint=hint)


def _no_column(table: Table, option: str, wrong: str) -> DatasetError:
    known = list(table.arrays)
    near = difflib.get_close_matches(wrong, known, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    message = f"{option}: {table.title} has no column {wrong!r}, but {_listed(known)}.{guess}"
    hint = "--map INPUT=COLUMN, INPUT=A,B,C or INPUT=FIRST:LAST; --map labels=COLUMN"
    return DatasetError(message, code="OQ121", hint=hint)


def _join(table: Table, name: str, columns: tuple[str, ...], fed: str) -> RawArray:
    """Describe columns side by side.

    Raises:
        DatasetError: OQ121 to OQ123, if one of them holds no numbers.
    """
    parts = [table.arrays[column] for column in columns]
    for part in parts:
        _check_fit(table, part, fed)
        if part.row_shape:
            message = (
                f"column {part.name!r} of {table.title} holds {list(part.row_shape)} values a row: "
                "columns side by side hold one each."
            )
            hint = f"Feed it alone:  --map {fed}={part.name}"
            raise DatasetError(message, code="OQ121", hint=hint)
    return RawArray(
        name,
        np.result_type(*(part.dtype for part in parts)),
        (parts[0].count_rows, len(parts)),
        columns=columns,
        is_typed=all(part.is_typed for part in parts),
    )


def _check_fit(table: Table, array: RawArray | None, fed: str) -> None:
    if array is None or array.name not in table.unfit:
        return
    why = table.unfit[array.name]
    message = f"column {array.name!r} of {table.title} cannot be fed: {why.message}."
    if not why.is_text:
        hint = "Fill such cells in, or leave their rows out: a model takes a number everywhere."
        raise DatasetError(message, code="OQ123", hint=hint)
    hint = (
        "A model takes numbers: encode categories and tokenize text as in training, and save the "
        "arrays by input name:  np.savez('val.npz', x=x, y=labels)"
    )
    numbers = [
        name for name, one in table.arrays.items() if name not in table.unfit and not one.columns
    ]
    if numbers:
        hint += f"\nOr feed columns of numbers alone:  --map {fed}={_listed(numbers, ',')}"
    hint += f"\nIf it holds the labels:  --map labels={array.name}"
    raise DatasetError(message, code="OQ122", hint=hint)


def _listed(names: list[str], separator: str = ", ") -> str:
    more = [] if len(names) <= _MOST_SHOWN else ["…"]
    return separator.join([*names[:_MOST_SHOWN], *more])
