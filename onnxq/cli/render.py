"""A report becomes the text that a run ends with."""

from collections.abc import Sequence

from rich.text import Text

from onnxq.cli.columns import report_columns
from onnxq.cli.notes import note_marks, report_notes
from onnxq.cli.render_agreement import agreement_parts
from onnxq.cli.render_effort import effort_parts
from onnxq.cli.render_operators import operators_parts
from onnxq.cli.render_parts import draw, lines_part, notes_grid, panel, words
from onnxq.cli.render_side_by_side import side_by_side_part
from onnxq.cli.report_words import (
    command_lines,
    command_text,
    header_lines,
    next_step,
    runtimes_text,
    seconds_text,
    wrote_text,
)
from onnxq.cli.screen import Screen
from onnxq.reports import Measured, Report, VerdictKind

_FRAMES: dict[VerdictKind, str] = {
    "ship": "green",
    "keep_fp32": "",
    "cannot_tell": "yellow",
    "no_labels": "yellow",
    "quantized_already": "",
}


def render_report(
    report: Report,
    screen: Screen,
    *,
    out: str = "",
    files: Sequence[str] = (),
    snippet: str = "",
    everything: bool = False,
) -> str:
    """Draw a report: what ran, the verdict, the table, why, where the time goes, what next.

    Args:
        report: What to draw; every number shown comes from it.
        screen: Where it will be shown.
        out: The output folder as the user named it.
        files: Names of the files that were written there; empty where none were.
        snippet: Code that serves the model; empty to leave it out.
        everything: Show how the ranges settled.

    Returns:
        The text, with a line feed at the end.
    """
    notes = report_notes(report)
    return draw(
        screen,
        [
            _header(report, screen),
            panel(
                screen,
                *_verdict(report),
                "" if report.interrupted else _FRAMES[report.verdict.kind],
            ),
            side_by_side_part(report, report_columns(report, note_marks(notes)), screen),
            *([notes_grid(screen, notes)] if notes else []),
            *agreement_parts(report, screen),
            *operators_parts(report, screen, report.verdict.alias),
            *effort_parts(report.calibration, screen, everything=everything),
            *([words(screen, snippet.rstrip())] if snippet else []),
            _footer(report, screen, out, files),
        ],
    )


def _header(report: Report, screen: Screen) -> Text:
    return lines_part(screen, header_lines(report), title=command_text(report.command))


def _verdict(report: Report) -> tuple[str, str]:
    if report.interrupted:
        return "Interrupted: no verdict.", "Below stands what was found out until then."
    return report.verdict.sentence, report.verdict.detail


def _footer(report: Report, screen: Screen, out: str, files: Sequence[str]) -> Text:
    measured = [variant for variant in report.variants if isinstance(variant, Measured)]
    needs = runtimes_text({one.alias: one.artefact.min_runtime for one in measured})
    step, command = next_step(report, out.rstrip("/"))
    following = command_lines(f"Next  {step}", command, screen.columns) if step or command else ()
    lines = [
        wrote_text(out, files),
        *([needs] if needs and files else []),
        f"Took {seconds_text(report.seconds, report.work_seconds)}",
        *following,
    ]
    return lines_part(screen, lines)
