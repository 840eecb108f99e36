"""A table is made to fit the screen: columns get shorter, then fewer; no row ever wraps."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from onnxq.cli.charset import crop, text_columns

Tone: TypeAlias = Literal["plain", "good", "bad", "doubtful", "quiet"]

GAP = 2
KEEP = 0


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What it says.
        tone: What the colour, where there is one, repeats of what the text says.
    """

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        title: One or two lines.
        cells: From top to bottom.
        shorter: The cells in fewer characters; empty where there is no shorter form.
        shorter_title: The title of the shorter form.
        numbers: Whether the cells are set flush right.
        drop_rank: The column with the highest rank is left out first. Below 0: only when the
            others are gone and short. :data:`KEEP`: never.
        crop_to: Characters that long cells may be cut to, if it must be; 0 forbids cutting.
    """

    title: tuple[str, ...]
    cells: tuple[Cell, ...]
    shorter: tuple[Cell, ...] = ()
    shorter_title: tuple[str, ...] = ()
    numbers: bool = True
    drop_rank: int = KEEP
    crop_to: int = 0

    @property
    def width(self) -> int:
        """Screen columns of the widest line."""
        lines = (*self.title, *(cell.text for cell in self.cells))
        return max(map(text_columns, lines), default=0)

    def compact(self) -> "Column":
        """Return the column in its shorter form."""
        title = self.shorter_title or self.title
        return replace(self, cells=self.shorter, title=title, shorter=())


def total_width(columns: Iterable[Column]) -> int:
    """Return the characters of a row, gaps included."""
    widths = [column.width for column in columns]
    return sum(widths) + GAP * (len(widths) - 1)


def fit_columns(columns: Iterable[Column], width: int, ellipsis: str) -> tuple[Column, ...]:
    """Make columns fit a line.

    Long names count as cut, as far as their column bears, while columns are left out by rank,
    then those that have a shorter form take it, then those are left out that only a very narrow
    screen has no room for; last, names are cut as far as it takes, to one character at least.

    Args:
        columns: In the order shown.
        width: Characters of a line.
        ellipsis: One character that stands where a cell was cut.

    Returns:
        Columns whose rows fit, as far as the columns that must stay allow.
    """
    fitting = tuple(columns)
    fitting = _drop(
        fitting, width, [column.drop_rank for column in fitting if column.drop_rank > KEEP]
    )
    while _cropped_width(fitting) > width and any(column.shorter for column in fitting):
        chosen = next(column for column in fitting if column.shorter)
        fitting = tuple(column.compact() if column is chosen else column for column in fitting)
    fitting = _drop(
        fitting, width, [column.drop_rank for column in fitting if column.drop_rank < KEEP]
    )
    widths = _cropped_widths(fitting, width)
    return tuple(
        _crop(column, narrow, ellipsis) if column.crop_to else column
        for column, narrow in zip(fitting, widths, strict=True)
    )


def _drop(columns: tuple[Column, ...], width: int, ranks: Iterable[int]) -> tuple[Column, ...]:
    for rank in sorted(set(ranks), reverse=True):
        if _cropped_width(columns) > width:
            columns = tuple(column for column in columns if column.drop_rank != rank)
    return columns


def _cropped_width(columns: Iterable[Column]) -> int:
    """Return the characters of a row whose long names are cut as far as is bearable."""
    columns = tuple(columns)
    saved = sum(max(c.width - c.crop_to, 0) for c in columns if c.crop_to)
    return total_width(columns) - saved


def _cropped_widths(columns: tuple[Column, ...], width: int) -> list[int]:
    """Cut the columns that may be cut, first the one that is longest over what it bears."""
    widths = [column.width for column in columns]
    excess = total_width(columns) - width
    while excess > 0:
        over = [
            (own - column.crop_to, place)
            for place, (column, own) in enumerate(zip(columns, widths, strict=True))
            if column.crop_to and own > 1
        ]
        if not over:
            break
        widths[max(over)[1]] -= 1
        excess -= 1
    return widths


def _crop(column: Column, width: int, ellipsis: str) -> Column:
    cells = (replace(cell, text=crop(cell.text, width, ellipsis)) for cell in column.cells)
    title = tuple(crop(line, width, ellipsis) for line in column.title)
    return replace(column, title=title, cells=tuple(cells))
