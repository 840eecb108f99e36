"""The columns of what was built and not measured: sizes, nodes, what each model needs."""

from collections.abc import Callable, Sequence

from onnxq.cli.cells import decimals_for, duration, ratio, size_unit
from onnxq.cli.columns import name_column, state_word
from onnxq.cli.fitting import KEEP, Cell, Column
from onnxq.cli.quality_columns import ABSENT
from onnxq.documents import Built, BuiltVariant, Quantization

_FLOAT = "float"
_RANK_RECIPE, _RANK_SECONDS, _RANK_NEEDS = 4, 3, 2


def build_columns(done: Quantization, note_marks: dict[str, str]) -> tuple[Column, ...]:
    """Lay out what was built, the float model first.

    Args:
        done: What was done.
        note_marks: The mark of the note about a variant, by alias.

    Returns:
        The columns, before they are fitted to a screen.
    """
    rows = done.variants
    built = [row.artefact.size.file_bytes for row in rows if isinstance(row, Built)]
    sizes = [done.float_size.file_bytes, *built]
    unit, unit_bytes = size_unit(sizes)
    digits = max(decimals_for(size / unit_bytes for size in sizes) - 1, 1)

    def weight(size_bytes: int) -> Cell:
        return Cell(f"{size_bytes / unit_bytes:.{digits}f}")

    return (
        name_column("recipe", (_FLOAT, *(row.alias for row in rows)), lines=1),
        _column(rows, "in full", lambda row: Cell(row.recipe), rank=_RANK_RECIPE, numbers=False),
        _column(
            rows,
            unit,
            lambda row: weight(row.artefact.size.file_bytes),
            first=weight(done.float_size.file_bytes),
        ),
        Column(title=("smaller",), cells=(Cell(ratio(1.0)), *map(_smaller, rows))),
        _column(rows, "quantized", _nodes),
        _column(rows, "onnxruntime", _runtime, rank=_RANK_NEEDS),
        _column(rows, "took", lambda row: Cell(duration(row.seconds)), rank=_RANK_SECONDS),
        Column(
            title=("",),
            cells=(Cell(""), *(Cell(note_marks.get(row.alias, "")) for row in rows)),
            numbers=False,
        ),
    )


def _column(
    rows: Sequence[BuiltVariant],
    title: str,
    cell: Callable[[Built], Cell],
    *,
    first: Cell = ABSENT,
    rank: int = KEEP,
    numbers: bool = True,
) -> Column:
    """Lay out a column: the float model's cell, then a dash for all that was not built."""
    cells = (cell(row) if isinstance(row, Built) else ABSENT for row in rows)
    return Column(title=(title,), cells=(first, *cells), drop_rank=rank, numbers=numbers)


def _smaller(row: BuiltVariant) -> Cell:
    if isinstance(row, Built):
        return Cell(ratio(row.size_ratio))
    return Cell(state_word(row), "quiet")


def _nodes(row: Built) -> Cell:
    artefact = row.artefact
    if not artefact.quantizable_nodes:
        return ABSENT
    return Cell(f"{artefact.quantized_nodes} of {artefact.quantizable_nodes}")


def _runtime(row: Built) -> Cell:
    needs = row.artefact.min_runtime
    return Cell(f">= {needs}") if needs else ABSENT
