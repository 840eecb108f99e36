"""A calibration becomes text: what it took, the ranges, what was noticed; nothing was built."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from onnxq.cli.following import merging_command, quantizing_command
from onnxq.cli.notes import Note, finding_notes
from onnxq.cli.range_columns import different_sets, range_columns, shown_sets, widest_first
from onnxq.cli.render_effort import effort_parts
from onnxq.cli.render_parts import draw, fit, lines_part, notes_grid, table, words
from onnxq.cli.report_words import (
    calibration_rows_text,
    command_lines,
    command_text,
    path_in,
    preprocess_lines,
    seconds_text,
    source_text,
    wrote_text,
)
from onnxq.cli.screen import Screen
from onnxq.documents import CalibratedSet, Calibration
from onnxq.reports import NoData
from onnxq.wording import count_noun

_SHOWN, _NAMES_SHOWN = 10, 3
_RANGES, _STATISTICS = ".ranges.json", ".statistics"


def render_calibration(
    done: Calibration,
    screen: Screen,
    *,
    out: str = "",
    files: Sequence[str] = (),
    everything: bool = False,
) -> str:
    """Draw what a calibration came to.

    Args:
        done: What was done, by ``calibrate`` or by ``merge``.
        screen: Where it will be shown.
        out: The folder as the user named it.
        files: Names of the files that lie there.
        everything: Show the range of every tensor, not of the widest alone, and how the
            ranges settled.

    Returns:
        The text, with a line feed at the end.
    """
    notes = (*_kept_float(done.sets), *finding_notes(done.findings))
    return draw(
        screen,
        [
            lines_part(screen, _header(done), title=command_text(done.command)),
            *effort_parts(done.effort, screen, everything=everything),
            *_ranges_parts(done.sets, screen, everything=everything),
            *([notes_grid(screen, notes)] if notes else []),
            lines_part(screen, _footer(done, screen, out or done.out, files)),
        ],
    )


def _header(done: Calibration) -> tuple[str, ...]:
    return (
        f"onnxq {done.onnxq}",
        source_text(done.source),
        _rows_text(done),
        *preprocess_lines(done.data),
    )


def _rows_text(done: Calibration) -> str:
    if isinstance(done.data, NoData):
        return "on the rows of all parts"
    shard = done.shard
    part = f"part {shard.number} of {shard.total} of " if shard.total > 1 else ""
    return f"on {part}{calibration_rows_text(done.data)}"


def _ranges_parts(
    sets: Sequence[CalibratedSet], screen: Screen, *, everything: bool
) -> list[RenderableType]:
    different = different_sets(sets)
    names = widest_first(different)
    if not names:
        return []
    shown = names if everything else names[:_SHOWN]
    rest = len(names) - len(shown)
    title = f"Ranges of {count_noun(len(names), 'tensor')}, the widest first"
    columns = fit(screen, range_columns(shown, different))
    more = [f"and {rest} more: -v or --json shows them"] if rest else []
    hidden = ", ".join(one.name for one in different[shown_sets(columns) :])
    more += [f"no room for {hidden}: a wider screen or --json shows them"] if hidden else []
    below = [words(screen, line) for line in more]
    return [Text("\n").join([words(screen, title, "bold"), table(screen, columns), *below])]


def _kept_float(sets: Sequence[CalibratedSet]) -> tuple[Note, ...]:
    """Say which nodes stay float because no range could serve them, by their first outputs."""
    return tuple(
        Note(mark="i", subject=one.alias, text=f"no range could serve {_some(one.kept_float)}.")
        for one in sets
        if one.kept_float
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    stay = "it stays" if len(names) == 1 else "they stay"
    return f"{shown}{f' and {more} more' if more > 0 else ''}: {stay} in float"


def _footer(done: Calibration, screen: Screen, out: str, files: Sequence[str]) -> tuple[str, ...]:
    return (
        wrote_text(out, files),
        f"Took {seconds_text(done.seconds, sum(done.seconds.values()))}",
        *(_following(done, screen, out) if files else ()),
    )


def _following(done: Calibration, screen: Screen, out: str) -> tuple[str, ...]:
    """Quantize with the ranges; of one part of several there are none before all are merged."""
    rest = done.shard.total - 1
    ranges = [path_in(out, name) for name in done.files if name.endswith(_RANGES)]
    if ranges:
        return command_lines("Next  ", quantizing_command(done, ranges[0]), screen.columns)
    statistics = [path_in(out, name) for name in done.files if name.endswith(_STATISTICS)]
    others = "that of the other part" if rest == 1 else f"those of the other {rest} parts"
    merging = merging_command(done, statistics)
    return command_lines(f"Next  with {others}: ", merging, screen.columns)
