"""A repair becomes text: what it brought, the two models side by side, step by step."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from onnxq.cli.cells import (
    NOT_MEASURED,
    decimals_for,
    ratio,
    ratio_with_error,
    size_unit,
    time_unit,
)
from onnxq.cli.columns import median_ns, speed_tone
from onnxq.cli.fitting import Cell, Column
from onnxq.cli.following import judging_command
from onnxq.cli.notes import Note, finding_notes
from onnxq.cli.render_parts import draw, fit, lines_part, notes_grid, panel, table, words
from onnxq.cli.repair_words import (
    decibels,
    kept_steps,
    kernels_sentence,
    outputs_word,
    proof_text,
    repair_summary,
    step_notes,
)
from onnxq.cli.report_words import (
    command_lines,
    command_text,
    environment_text,
    exporter_text,
    path_in,
    preprocess_lines,
    runtimes_text,
    seconds_text,
    versions_text,
    wrote_text,
)
from onnxq.cli.screen import Screen
from onnxq.documents import Repair
from onnxq.measurements import Latency
from onnxq.stages.repairing import KernelCount
from onnxq.wording import count_noun

_NAME = 32
_NOTHING = Cell(NOT_MEASURED, "quiet")
_RANK_CONVERSIONS, _RANK_SMALLER, _RANK_MORE_THREADS, _RANK_UNROUNDED = 5, 4, 3, 2


def render_repair(
    done: Repair,
    screen: Screen,
    *,
    out: str = "",
    files: Sequence[str] = (),
    everything: bool = False,
) -> str:
    """Draw what a repair came to.

    Args:
        done: What was done.
        screen: Where it will be shown.
        out: The folder or file as the user named it.
        files: Names of the files that were written.
        everything: Say what each step is good for, and where it was taken.

    Returns:
        The text, with a line feed at the end.
    """
    sentence, frame = repair_summary(done)
    notes = step_notes(done, everything=everything)
    shown = (*notes.values(), *finding_notes(done.findings, besides=notes))
    return draw(
        screen,
        [
            lines_part(screen, _header(done), title=command_text(done.command)),
            panel(screen, sentence, kernels_sentence(done), frame),
            table(screen, fit(screen, _model_columns(done))),
            *_steps(done, notes, screen),
            *([notes_grid(screen, shown)] if shown else []),
            lines_part(screen, _footer(done, screen, out or done.out, files)),
        ],
    )


def _header(done: Repair) -> tuple[str, ...]:
    quantized = done.source.quantized_already
    return (
        versions_text(done.onnxq, done.environment),
        environment_text(done.environment),
        f"{exporter_text(done.source)}{f'; {quantized}' if quantized else ''}",
        proof_text(done),
        *preprocess_lines(done.data),
    )


def _model_columns(done: Repair) -> tuple[Column, ...]:
    """Lay out the given model above the repaired one."""
    return (
        Column(title=("", "model"), cells=(Cell("as given"), Cell("repaired")), numbers=False),
        *_size_columns(done),
        Column(
            title=("integer", "kernels"),
            cells=(_given(done, _kernels(done.before)), Cell(_kernels(done.after))),
        ),
        Column(
            title=("Q and", "DQ run"),
            cells=(_given(done, str(done.before.conversions)), Cell(str(done.after.conversions))),
            drop_rank=_RANK_CONVERSIONS,
        ),
        *(
            column
            for place in range(len(done.latencies_after))
            for column in _time_columns(done, place)
        ),
        Column(
            title=("unrounded", "SQNR dB"),
            cells=(
                _given(done, decibels(done.served_unrounded_db_before)),
                Cell(decibels(done.unrounded_db)),
            ),
            drop_rank=_RANK_UNROUNDED,
        ),
    )


def _size_columns(done: Repair) -> tuple[Column, Column]:
    sizes = (done.size_before.file_bytes, done.artefact.size.file_bytes)
    unit, unit_bytes = size_unit(sizes)
    digits = max(decimals_for(size / unit_bytes for size in sizes) - 1, 1)
    return (
        Column(
            title=("", unit), cells=tuple(Cell(f"{size / unit_bytes:.{digits}f}") for size in sizes)
        ),
        Column(
            title=("", "smaller"),
            cells=(_NOTHING, Cell(ratio(sizes[0] / sizes[1])) if sizes[1] else _NOTHING),
            drop_rank=_RANK_SMALLER,
        ),
    )


def _kernels(count: KernelCount) -> str:
    return f"{count.integer} of {count.integer + count.floats}"


def _given(done: Repair, text: str) -> Cell:
    """Show what the given model does as it is served; nothing where it cannot be."""
    return _NOTHING if done.given_failure else Cell(text)


def _time_columns(done: Repair, place: int) -> tuple[Column, ...]:
    """Lay out the times at one thread count, and what they come to."""
    after = done.latencies_after[place]
    before = done.latencies_before[place : place + 1]  # none where it cannot be loaded
    unit, unit_ns = time_unit(map(median_ns, (*before, after)))
    digits = decimals_for(median_ns(latency) / unit_ns for latency in (*before, after))
    rank = _RANK_MORE_THREADS if place else 0

    def time(latency: Latency) -> Cell:
        return Cell(f"{median_ns(latency) / unit_ns:.{digits}f}")

    label = f"{count_noun(after.threads, 'thread')} {'CPU' if after.threads == 1 else 'wall'}"
    return (
        Column(
            title=(label, unit),
            cells=(*(map(time, before) if before else (_NOTHING,)), time(after)),
            drop_rank=rank,
        ),
        *(
            Column(
                title=(label if place else "", "speed ±95%"),
                cells=(_NOTHING, Cell(ratio_with_error(speed.ratio), speed_tone(speed))),
                drop_rank=rank,
            )
            for speed in done.speed[place : place + 1]
        ),
    )


def _steps(done: Repair, notes: dict[str, Note], screen: Screen) -> list[RenderableType]:
    if not done.steps:
        return []
    steps = done.steps
    columns = (
        Column(
            title=("step",),
            cells=tuple(Cell(step.slug, "plain" if step.is_kept else "quiet") for step in steps),
            numbers=False,
            crop_to=_NAME,
        ),
        Column(title=("changed",), cells=tuple(Cell(str(step.subjects)) for step in steps)),
        Column(
            title=("claims",),
            cells=tuple(Cell(step.exactness) for step in steps),
            numbers=False,
            drop_rank=1,
        ),
        Column(
            title=("unrounded dB",),
            cells=tuple(Cell(decibels(step.unrounded_db)) for step in steps),
            drop_rank=2,
        ),
        Column(
            title=("outputs",),
            cells=tuple(
                Cell(outputs_word(step), "plain" if step.is_kept else "doubtful") for step in steps
            ),
            numbers=False,
        ),
        Column(
            title=("",),
            cells=tuple(
                Cell(notes[step.slug].mark if step.slug in notes else "") for step in steps
            ),
            numbers=False,
        ),
    )
    title = words(screen, "Step by step", "bold")
    return [Text("\n").join([title, table(screen, fit(screen, columns))])]


def _footer(done: Repair, screen: Screen, out: str, files: Sequence[str]) -> tuple[str, ...]:
    file = path_in(out, done.artefact.file)
    needs = runtimes_text({"repaired": done.artefact.min_runtime})
    models = (file,) if done.given_failure else (done.source.given, file)
    following = command_lines(
        "Next  with rows to judge on: ", judging_command(done, models), screen.columns
    )
    return (
        wrote_text(out, files),
        *([needs] if needs else []),
        f"Took {seconds_text(done.seconds, sum(done.seconds.values()))}",
        *(following if kept_steps(done) else ()),
    )
