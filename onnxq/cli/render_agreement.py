"""How far each candidate's outputs are from the reference's; no labels needed."""

import math

from rich.console import RenderableType
from rich.text import Text

from onnxq.cli.cells import NOT_MEASURED
from onnxq.cli.fitting import Cell, Column
from onnxq.cli.render_parts import fit, table, words
from onnxq.cli.screen import Screen
from onnxq.cli.side_by_side import SideBySide
from onnxq.measurements import Agreement, Compared, Judged, NoClasses, OutputAgreement
from onnxq.reports import Measured
from onnxq.wording import share_words

_MOST_OUTPUTS = 3
_NAME, _OUTPUT = 16, 12
_COSINE_DIGITS = 6
_RANK_SAME, _RANK_COSINE = 2, 1


def agreement_parts(
    report: SideBySide, screen: Screen, noun: str = "recipe"
) -> list[RenderableType]:
    """Draw the differences of outputs: mean, largest, cosine, signal to noise.

    Args:
        report: Of models with several outputs the three that agree least are shown.
        screen: Where it will be shown.
        noun: What the rows are.

    Returns:
        A title with its table; nothing where no outputs were compared.
    """
    found = {
        row.alias: row.quality.agreement
        for row in report.variants
        if isinstance(row, Measured) and isinstance(row.quality, Judged | Compared)
    }
    others = {alias: one for alias, one in found.items() if alias != report.reference}
    lines = [
        (alias, agreement, output)
        for alias, agreement in others.items()
        for output in sorted(agreement.outputs, key=lambda one: one.sqnr_db)[:_MOST_OUTPUTS]
    ]
    if not lines:
        return []
    rows, outputs = lines[0][1].rows, max(len(one.outputs) for one in others.values())
    title = f"How far outputs are from {report.reference}'s, on {rows} rows"
    if outputs > _MOST_OUTPUTS:
        title = f"{title} (of {outputs} outputs the {_MOST_OUTPUTS} that agree least)"
    columns = _columns(lines, noun, has_names=outputs > 1)
    return [Text("\n").join([words(screen, title, "bold"), table(screen, fit(screen, columns))])]


def _columns(
    lines: list[tuple[str, Agreement, OutputAgreement]], noun: str, *, has_names: bool
) -> tuple[Column, ...]:
    outputs = [output for _, _, output in lines]
    names = Column(
        title=("", "output"),
        cells=tuple(Cell(output.output) for output in outputs),
        numbers=False,
        crop_to=_OUTPUT,
    )
    return (
        Column(
            title=("", noun),
            cells=tuple(Cell(alias) for alias, _, _ in lines),
            numbers=False,
            crop_to=_NAME,
        ),
        *([names] if has_names else []),
        *_same_column([agreement for _, agreement, _ in lines]),
        Column(title=("SQNR", "dB"), cells=tuple(Cell(f"{one.sqnr_db:.1f}") for one in outputs)),
        Column(
            title=("", "cosine"),
            cells=tuple(Cell(_cosine(one.cosine)) for one in outputs),
            drop_rank=_RANK_COSINE,
        ),
        Column(
            title=("mean", "|Δ|"),
            cells=tuple(Cell(_short(one.mean_abs_difference)) for one in outputs),
        ),
        Column(
            title=("largest", "|Δ|"),
            cells=tuple(Cell(_short(one.max_abs_difference)) for one in outputs),
        ),
    )


def _same_column(agreements: list[Agreement]) -> tuple[Column, ...]:
    shares = [None if isinstance(a.same_top1, NoClasses) else a.same_top1 for a in agreements]
    if not any(shares):
        return ()
    cells = (Cell(share_words(share.value)) if share else Cell(NOT_MEASURED) for share in shares)
    return (Column(title=("same", "top-1 %"), cells=tuple(cells), drop_rank=_RANK_SAME),)


def _cosine(value: float) -> str:
    """Write a cosine rounded down: 1 is said of no less than 1."""
    step = 10**_COSINE_DIGITS
    return f"{math.floor(value * step) / step:.{_COSINE_DIGITS}f}"


def _short(value: float) -> str:
    return f"{value:.2e}" if 0 < value < 1e-4 else f"{value:.3g}"  # noqa: PLR2004 - of 7 characters
