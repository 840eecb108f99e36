"""A profile becomes text: models side by side, in the report's columns."""

from rich.console import RenderableType

from onnxq.cli.cells import percent
from onnxq.cli.columns import (
    mark_column,
    name_column,
    size_columns,
    speed_columns,
    time_columns,
)
from onnxq.cli.fitting import Cell, Column
from onnxq.cli.notes import Note, note_marks, report_notes
from onnxq.cli.profile_rows import ProfileRows, rows_of, unavailable_lines
from onnxq.cli.profile_words import profile_header, remarks_of, summary
from onnxq.cli.quality_columns import ABSENT, quality_columns
from onnxq.cli.render_agreement import agreement_parts
from onnxq.cli.render_operators import operators_parts
from onnxq.cli.render_parts import draw, lines_part, notes_grid, panel
from onnxq.cli.render_side_by_side import side_by_side_part
from onnxq.cli.report_words import command_text, seconds_text
from onnxq.cli.screen import Screen
from onnxq.documents import Profile, Profiled

_DEFAULT = "cpu"


def render_profile(profile: Profile, screen: Screen) -> str:
    """Draw a profile: what ran where, who is fastest, the table, why, where the time goes.

    Args:
        profile: What was measured.
        screen: Where it will be shown.

    Returns:
        The text, with a line feed at the end.
    """
    rows = rows_of(profile)
    notes = report_notes(rows, remarks_of(rows))
    said = summary(rows)
    missing = unavailable_lines(profile)
    return draw(
        screen,
        [
            lines_part(screen, profile_header(profile), title=command_text(profile.command)),
            *([panel(screen, said, "", "")] if said else []),
            *_table(rows, notes, screen),
            *([lines_part(screen, missing, title="Not there")] if missing else []),
            *([notes_grid(screen, notes)] if notes else []),
            *agreement_parts(rows, screen, "model"),
            *operators_parts(rows, screen),
            lines_part(
                screen, [f"Took {seconds_text(profile.seconds, sum(profile.seconds.values()))}"]
            ),
        ],
    )


def _table(rows: ProfileRows, notes: tuple[Note, ...], screen: Screen) -> list[RenderableType]:
    if not rows.variants:
        return []
    return [side_by_side_part(rows, _columns(rows, note_marks(notes)), screen)]


def _columns(rows: ProfileRows, marks: dict[str, str]) -> tuple[Column, ...]:
    counts = max(
        (len(r.latencies) for r in rows.sources.values() if isinstance(r, Profiled)), default=0
    )
    speeds = speed_columns(rows.variants, rows.reference)
    return (
        name_column("model", (row.alias for row in rows.variants)),
        *size_columns(rows),
        *_fallback_columns(rows),
        *(
            column
            for place in range(counts)
            for column in (*time_columns(rows.variants, place), *speeds[place : place + 1])
        ),
        *quality_columns(rows),
        mark_column(rows, marks),
    )


def _fallback_columns(rows: ProfileRows) -> tuple[Column, ...]:
    """Lay out how much of each model another provider left to the default one."""

    def cell(name: str) -> Cell:
        row = rows.sources[name]
        if not isinstance(row, Profiled) or row.provider == _DEFAULT:
            return ABSENT
        return Cell(percent(row.fallback_share, 0))

    if all(row.provider == _DEFAULT for row in rows.sources.values()):
        return ()
    return (Column(title=("left to", "cpu %"), cells=tuple(map(cell, rows.sources))),)
