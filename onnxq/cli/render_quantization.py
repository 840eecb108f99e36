"""A quantization becomes text: what was built and how small it is; nothing was measured."""

from collections.abc import Sequence

from rich.console import RenderableType

from onnxq.calibrations import CalibrationEffort
from onnxq.cli.build_columns import build_columns
from onnxq.cli.cells import size_text
from onnxq.cli.following import profiling_command
from onnxq.cli.notes import (
    Note,
    finding_notes,
    finding_text,
    nodes_sentence,
    note_marks,
    numbered_notes,
    state_sentences,
)
from onnxq.cli.render_effort import effort_parts
from onnxq.cli.render_parts import draw, fit, lines_part, notes_grid, table, words
from onnxq.cli.report_words import (
    calibration_rows_text,
    command_lines,
    command_text,
    path_in,
    preprocess_lines,
    runtimes_text,
    seconds_text,
    source_text,
    wrote_text,
)
from onnxq.cli.screen import Screen
from onnxq.documents import Built, BuiltVariant, Quantization
from onnxq.reports import NoData


def render_quantization(
    done: Quantization,
    screen: Screen,
    *,
    out: str = "",
    files: Sequence[str] = (),
    everything: bool = False,
) -> str:
    """Draw what a quantization came to.

    Args:
        done: What was done.
        screen: Where it will be shown.
        out: The folder or file as the user named it.
        files: Names of the files that were written.
        everything: Name every node that stayed in float, and show how the ranges settled.

    Returns:
        The text, with a line feed at the end.
    """
    notes = _notes(done, everything=everything)
    columns = build_columns(done, note_marks(notes))
    return draw(
        screen,
        [
            lines_part(screen, _header(done), title=command_text(done.command)),
            table(screen, fit(screen, columns)),
            *([notes_grid(screen, notes)] if notes else []),
            *(_left_float(done, screen) if everything else []),
            *effort_parts(done.calibration, screen, everything=everything),
            lines_part(screen, _footer(done, screen, out or done.out, files)),
        ],
    )


def _header(done: Quantization) -> tuple[str, ...]:
    return (
        f"onnxq {done.onnxq}",
        source_text(done.source),
        _calibration_text(done),
        *preprocess_lines(done.data),
    )


def _calibration_text(done: Quantization) -> str:
    effort, data = done.calibration, done.data
    if isinstance(effort, CalibrationEffort) and effort.origin == "given":
        return "ranges from a file: nothing is calibrated"
    if isinstance(data, NoData) or not data.calibration_rows:
        return "no rows were given: nothing is calibrated"
    return f"calibrated on {calibration_rows_text(data)}"


def _notes(done: Quantization, *, everything: bool) -> tuple[Note, ...]:
    texts = {
        variant.alias: " ".join(
            (
                *_sentences(variant, everything=everything),
                *(finding_text(f) for f in done.findings if f.subject == variant.alias),
            )
        )
        for variant in done.variants
    }
    return (*numbered_notes(texts), *finding_notes(done.findings, besides=texts))


def _sentences(variant: BuiltVariant, *, everything: bool) -> list[str]:
    """Say why a model was not built, or what stayed in float where that is not told below."""
    if not isinstance(variant, Built):
        return state_sentences(variant)
    told = everything or not variant.artefact.left_float
    return [] if told else [nodes_sentence(variant.artefact)]


def _left_float(done: Quantization, screen: Screen) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for variant in done.variants:
        if isinstance(variant, Built) and variant.artefact.left_float:
            left = variant.artefact.left_float.items()
            nodes = [Note(mark="", subject=node, text=reason) for node, reason in left]
            title = words(screen, f"Left in float by {variant.alias}", "bold")
            parts += [title, notes_grid(screen, nodes)]
    return parts


def _footer(done: Quantization, screen: Screen, out: str, files: Sequence[str]) -> tuple[str, ...]:
    built = [variant for variant in done.variants if isinstance(variant, Built)]
    paths = tuple(dict.fromkeys(path_in(out, variant.artefact.file) for variant in built))
    needs = runtimes_text({variant.alias: variant.artefact.min_runtime for variant in built})
    profiling = profiling_command(done, paths)
    following = command_lines("Next  with rows to judge on: ", profiling, screen.columns)
    return (
        wrote_text(out, files),
        *([needs] if needs else []),
        f"Before quantizing: {size_text(done.float_size.file_bytes)}",
        f"Took {seconds_text(done.seconds, sum(done.seconds.values()))}",
        *(following if paths else ()),
    )
