"""A table of models side by side, and below it what its marks mean."""

from collections.abc import Sequence

from rich.text import Text

from onnxq.cli.columns import front_of
from onnxq.cli.fitting import Column
from onnxq.cli.render_parts import fit, table, words
from onnxq.cli.screen import Screen
from onnxq.cli.side_by_side import SideBySide
from onnxq.reports import Measured


def side_by_side_part(report: SideBySide, columns: Sequence[Column], screen: Screen) -> Text:
    """Draw a table, as much of it as the screen has room for.

    Args:
        report: What the table is of.
        columns: The table: first the names.
        screen: Where it will be shown.

    Returns:
        The table; below it what the marks mean, and the speeds that had no room.
    """
    fitted = fit(screen, columns)
    return Text("\n").join([table(screen, fitted), *_legend(report, screen, columns, fitted)])


def _legend(
    report: SideBySide, screen: Screen, columns: Sequence[Column], fitted: Sequence[Column]
) -> list[Text]:
    ties = [v for v in report.variants if isinstance(v, Measured) and v.speed]
    marks = [
        *(["★ nothing here is both faster and better"] if front_of(report) else []),
        *(
            [f"= as fast as {report.reference}, within the noise"]
            if any(v.speed[0].is_tie and not v.speed[0].is_unknown for v in ties)
            else []
        ),
    ]
    shown = {column.title for column in fitted}
    hidden = [c for c in columns if "speed" in c.title[1] and _spelled(screen, c) not in shown]
    lines = ["   ".join(marks), *(_speed_line(columns[0], column) for column in hidden)]
    return [words(screen, line, "dim") for line in lines if line]


def _spelled(screen: Screen, column: Column) -> tuple[str, ...]:
    return tuple(map(screen.spell_line, column.title))


def _speed_line(names: Column, speeds: Column) -> str:
    """Write the speeds of a column that did not fit into one line, the reference's left out."""
    pairs = zip(names.cells, speeds.cells, strict=True)
    said = [f"{name.text} {speed.text}" for name, speed in pairs if "±" in speed.text]
    return f"speed at {speeds.title[0]}: {' · '.join(said)}"
