"""A conversion becomes text: what was written, what it takes, how it was proven."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from onnxq.cli.cells import size_text
from onnxq.cli.fitting import Cell, Column
from onnxq.cli.following import running_command
from onnxq.cli.notes import finding_notes
from onnxq.cli.render_parts import (
    draw,
    fit,
    lines_part,
    notes_grid,
    panel,
    signature_parts,
    table,
    words,
)
from onnxq.cli.report_words import (
    command_lines,
    command_text,
    exporter_text,
    parity_text,
    path_in,
    seconds_text,
    wrote_text,
)
from onnxq.cli.screen import Screen
from onnxq.documents import Conversion
from onnxq.reports import Parity, ParityProbe

_NAME = 16
_RANK_RELATIVE = 1


def render_conversion(
    done: Conversion, screen: Screen, *, out: str = "", files: Sequence[str] = ()
) -> str:
    """Draw what a conversion came to.

    Args:
        done: What was done.
        screen: Where it will be shown.
        out: The folder or file as the user named it.
        files: Names of the files that were written.

    Returns:
        The text, with a line feed at the end.
    """
    notes = finding_notes(done.findings)
    header = (f"onnxq {done.onnxq}", exporter_text(done.source))
    return draw(
        screen,
        [
            lines_part(screen, header, title=command_text(done.command)),
            panel(screen, _sentence(done), _detail(done), _frame(done)),
            *signature_parts(done.source.signature, screen),
            *_proof(done, screen),
            *([notes_grid(screen, notes)] if notes else []),
            lines_part(screen, _footer(done, screen, out or done.out, files)),
        ],
    )


def _sentence(done: Conversion) -> str:
    said = parity_text(done.source)
    return f"{said[0].upper()}{said[1:]}."


def _detail(done: Conversion) -> str:
    artefact = done.artefact
    size = size_text(artefact.size.file_bytes)
    needs = f", for onnxruntime {artefact.min_runtime} and later" if artefact.min_runtime else ""
    return f"{size}, opset {artefact.opset}{needs}"


def _frame(done: Conversion) -> str:
    if done.source.framework == "onnx":
        return ""
    checked = isinstance(done.source.parity, Parity) and done.source.parity.probes
    return "green" if checked else "yellow"


def _proof(done: Conversion, screen: Screen) -> list[RenderableType]:
    parity = done.source.parity
    if not isinstance(parity, Parity) or not parity.probes:
        return []
    title = words(screen, "Compared with the source", "bold")
    return [Text("\n").join([title, table(screen, fit(screen, _columns(parity.probes)))])]


def _columns(probes: Sequence[ParityProbe]) -> tuple[Column, ...]:
    return (
        Column(
            title=("output",),
            cells=tuple(Cell(probe.output) for probe in probes),
            numbers=False,
            crop_to=_NAME,
        ),
        Column(
            title=("inputs",), cells=tuple(Cell(probe.inputs) for probe in probes), numbers=False
        ),
        Column(title=("batch",), cells=tuple(Cell(str(probe.batch_rows)) for probe in probes)),
        Column(
            title=("largest difference",),
            cells=tuple(Cell(f"{probe.max_abs_difference:.1e}") for probe in probes),
        ),
        Column(
            title=("relative (L2)",),
            cells=tuple(Cell(f"{probe.relative_l2:.1e}") for probe in probes),
            drop_rank=_RANK_RELATIVE,
        ),
    )


def _footer(done: Conversion, screen: Screen, out: str, files: Sequence[str]) -> tuple[str, ...]:
    command, has_rows = running_command(done, path_in(out, done.artefact.file))
    before = "Next  " if has_rows else "Next  with rows of yours: "
    return (
        wrote_text(out, files),
        f"Took {seconds_text(done.seconds, sum(done.seconds.values()))}",
        *command_lines(before, command, screen.columns),
    )
