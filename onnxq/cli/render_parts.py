"""What every report is drawn with. Names never become markup; the console asks nobody.

rich eats markup in names, takes widths and colours from the environment, and colours numbers
that it recognizes; so names are :class:`~rich.text.Text`, and the console is told every fact
about the screen.
"""

import io
from collections.abc import Iterable
from dataclasses import replace

from rich import box
from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from onnxq.cli.charset import one_line, text_columns
from onnxq.cli.fitting import GAP, Cell, Column, Tone, fit_columns
from onnxq.cli.message_lines import break_at_commas
from onnxq.cli.notes import Note
from onnxq.cli.screen import Screen
from onnxq.tensors import Signature

STYLES: dict[Tone, str] = {
    "plain": "",
    "good": "green",
    "bad": "red",
    "doubtful": "yellow",
    "quiet": "dim",
}
_MANY_LINES = 1000
_SUBJECT_SHARE = 4


def draw(screen: Screen, parts: Iterable[RenderableType]) -> str:
    """Draw parts from top to bottom, an empty line between two.

    Args:
        screen: Where it will be shown.
        parts: What to draw.

    Returns:
        The text, no line ending in spaces, with a line feed at the end.
    """
    stream = io.StringIO()
    console = make_console(screen, stream)
    for place, part in enumerate(parts):
        if place:
            console.print()
        console.print(part)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().split("\n")[:-1])


def make_console(screen: Screen, stream: io.StringIO, *, record: bool = False) -> Console:
    """Make a console that knows its screen and does not ask.

    rich takes 80 columns where ``TERM`` is ``dumb``, whatever width it is told, unless it is
    told a height as well.
    """
    return Console(
        file=stream,
        width=screen.columns,
        height=_MANY_LINES,
        force_terminal=screen.color,
        color_system="standard" if screen.color else None,
        no_color=not screen.color,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
        legacy_windows=False,
        record=record,
    )


def words(screen: Screen, text: str, style: str = "") -> Text:
    """Return text that the screen can show, wrapped between words and broken inside long ones."""
    return Text(screen.spell(text), style=style, overflow="fold")


def lines_part(screen: Screen, lines: Iterable[str], title: str = "") -> Text:
    """Return lines, below a title in bold where there is one."""
    first = [words(screen, title, "bold")] if title else []
    parts = (part for line in lines for part in break_at_commas(line, screen.columns))
    return Text("\n").join([*first, *(words(screen, part) for part in parts)])


def signature_parts(signature: Signature, screen: Screen) -> list[RenderableType]:
    """Return a model's inputs and its outputs, one a line."""
    sides = {"Inputs": signature.inputs, "Outputs": signature.outputs}
    return [
        lines_part(screen, (f"  {spec}" for spec in specs), title=title)
        for title, specs in sides.items()
    ]


def panel(screen: Screen, sentence: str, detail: str, style: str) -> Panel:
    """Frame a sentence and what qualifies it."""
    text = words(screen, sentence, "bold")
    if detail:
        text.append_text(words(screen, f"\n{detail}", "not bold"))
    frame = box.ASCII if screen.ascii_only else box.ROUNDED
    return Panel(text, box=frame, expand=False, border_style=style)


def fit(screen: Screen, columns: Iterable[Column]) -> tuple[Column, ...]:
    """Spell columns for a screen and make them fit it."""
    spelled = [_spell(screen, column) for column in columns]
    return fit_columns(spelled, screen.columns, screen.ellipsis)


def table(screen: Screen, columns: tuple[Column, ...]) -> Text:
    """Draw columns that fit: a title of one or more lines, a rule, the rows."""
    titles = max(len(column.title) for column in columns)
    lines = [_line(columns, [Cell(c.title[row]) for c in columns], "bold") for row in range(titles)]
    while not lines[0].plain.strip():
        lines.pop(0)
    rows = [_line(columns, row) for row in zip(*(c.cells for c in columns), strict=True)]
    width = max(text_columns(line.plain.rstrip()) for line in (*lines, *rows))
    rule = Text(("-" if screen.ascii_only else "─") * width, style="dim")
    return Text("\n", no_wrap=True, overflow="crop").join([*lines, rule, *rows])


def _spell(screen: Screen, column: Column) -> Column:
    def spell(cells: Iterable[Cell]) -> tuple[Cell, ...]:
        return tuple(replace(cell, text=screen.spell_line(cell.text)) for cell in cells)

    return replace(
        column,
        title=tuple(map(screen.spell, column.title)),
        shorter_title=tuple(map(screen.spell, column.shorter_title)),
        cells=spell(column.cells),
        shorter=spell(column.shorter),
    )


def _line(columns: Iterable[Column], cells: Iterable[Cell], style: str = "") -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for column, cell in zip(columns, cells, strict=True):
        pad = " " * (column.width - text_columns(cell.text))
        gap = " " * GAP if line else ""
        line.append(gap + pad if column.numbers else gap)
        line.append(cell.text, style or STYLES[cell.tone])
        line.append("" if column.numbers else pad)
    return line


def notes_grid(screen: Screen, notes: Iterable[Note]) -> Table:
    """Draw notes: mark, subject, text; the text wraps beside the other two."""
    notes = tuple(notes)
    subject = max((text_columns(screen.spell_line(note.subject)) for note in notes), default=0)
    has_marks = any(note.mark for note in notes)
    grid = Table.grid(padding=(0, 1))
    if has_marks:
        grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", max_width=min(subject, screen.columns // _SUBJECT_SHARE))
    grid.add_column(overflow="fold")
    for note in notes:
        style = "yellow" if note.mark == "!" else ""
        grid.add_row(
            *([Text(note.mark, style=style)] if has_marks else []),
            words(screen, one_line(note.subject), style or "bold"),
            words(screen, note.text),
        )
    return grid
