"""A report becomes the text that a run ends with."""

from collections.abc import Sequence

from rich.text import Text

from onnxq.cli.columns import front_of, report_columns
from onnxq.cli.fitting import Column
from onnxq.cli.notes import note_marks, report_notes
from onnxq.cli.render_operators import operators_parts
from onnxq.cli.render_parts import draw, fit, notes_grid, panel, table, words
from onnxq.cli.report_words import command_text, header_lines, next_text, seconds_text
from onnxq.cli.screen import Screen
from onnxq.reports import Measured, Report, VerdictKind

_FRAMES: dict[VerdictKind, str] = {
    "ship": "green",
    "keep_fp32": "",
    "cannot_tell": "yellow",
    "no_labels": "yellow",
}


def render_report(
    report: Report, screen: Screen, *, out: str = "", files: Sequence[str] = (), snippet: str = ""
) -> str:
    """Draw a report: what ran, the verdict, the table, why, where the time goes, what next.

    Args:
        report: What to draw; every number shown comes from it.
        screen: Where it will be shown.
        out: The output folder as the user named it.
        files: Names of the files that were written there; empty where none were.
        snippet: Code that serves the model; empty to leave it out.

    Returns:
        The text, with a line feed at the end.
    """
    notes = report_notes(report)
    columns = report_columns(report, note_marks(notes))
    fitted = fit(screen, columns)
    return draw(
        screen,
        [
            _header(report, screen),
            panel(
                screen,
                *_verdict(report),
                "" if report.interrupted else _FRAMES[report.verdict.kind],
            ),
            Text("\n").join([table(screen, fitted), *_legend(report, screen, columns, fitted)]),
            *([notes_grid(screen, notes)] if notes else []),
            *operators_parts(report, screen),
            *([words(screen, snippet.rstrip())] if snippet else []),
            _footer(report, screen, out, files),
        ],
    )


def _header(report: Report, screen: Screen) -> Text:
    first = words(screen, command_text(report.command), "bold")
    rest = [words(screen, line) for line in header_lines(report)]
    return Text("\n").join([first, *rest])


def _verdict(report: Report) -> tuple[str, str]:
    if report.interrupted:
        return "Interrupted: no verdict.", "Below stands what was found out until then."
    return report.verdict.sentence, report.verdict.detail


def _legend(
    report: Report, screen: Screen, columns: Sequence[Column], fitted: Sequence[Column]
) -> list[Text]:
    ties = [v for v in report.variants if isinstance(v, Measured) and v.speed]
    marks = [
        *(["★ nothing here is both faster and better"] if front_of(report) else []),
        *(["= as fast as fp32, within the noise"] if any(v.speed[0].is_tie for v in ties) else []),
    ]
    shown = {column.title for column in fitted}
    hidden = [c for c in columns if "speed" in c.title[1] and _spelled(screen, c) not in shown]
    lines = ["   ".join(marks), *(_speed_line(columns[0], column) for column in hidden)]
    return [words(screen, line, "dim") for line in lines if line]


def _spelled(screen: Screen, column: Column) -> tuple[str, ...]:
    return tuple(map(screen.spell_line, column.title))


def _speed_line(names: Column, speeds: Column) -> str:
    """Write the speeds of a column that did not fit into one line, fp32's own left out."""
    pairs = zip(names.cells, speeds.cells, strict=True)
    said = [f"{name.text} {speed.text}" for name, speed in pairs if "±" in speed.text]
    return f"speed at {speeds.title[0]}: {' · '.join(said)}"


def _footer(report: Report, screen: Screen, out: str, files: Sequence[str]) -> Text:
    wrote = f"Wrote {out.rstrip('/')}/  {', '.join(files)}" if files else "Wrote nothing."
    runtimes = {v.artefact.min_runtime for v in report.variants if isinstance(v, Measured)} - {""}
    needs = f"The models need onnxruntime {' or '.join(sorted(runtimes))} or later."
    following = next_text(report, out.rstrip("/"))
    lines = [
        wrote,
        *([needs] if runtimes and files else []),
        f"Took {seconds_text(report)}",
        *([f"Next  {following}"] if following else []),
    ]
    return Text("\n").join(words(screen, line) for line in lines)
