"""Where the time goes: the operators of fp32 beside those of one quantized model."""

from rich.console import RenderableType
from rich.text import Text

from onnxq.cli.cells import NOT_MEASURED, decimals_for, ratio, time_unit
from onnxq.cli.fitting import Cell, Column
from onnxq.cli.operator_rows import OperatorRow, operator_rows
from onnxq.cli.render_parts import fit, table, words
from onnxq.cli.screen import Screen
from onnxq.reports import Measured, Report

_NAME = 20
_BAR = 16
_RANK_BAR = 1


def operators_parts(report: Report, screen: Screen) -> list[RenderableType]:
    """Draw the operator times of fp32 beside the variant that the verdict is about.

    Args:
        report: Where the verdict names no quantized variant, the fastest one is shown.
        screen: Where it will be shown.

    Returns:
        A title with its table; nothing where operators were not timed.
    """
    measured = {v.alias: v for v in report.variants if isinstance(v, Measured) and v.operators}
    floats = measured.get(report.reference)
    beside = [v for v in measured.values() if v.speed]
    if floats is None or not beside:
        return []
    fastest = max(beside, key=lambda variant: variant.speed[0].ratio.value)
    named = measured.get(report.verdict.alias, fastest)
    other = named if named.speed else fastest
    rows = operator_rows(floats.operators, other.operators)
    unit = time_unit(max(row.float_ns, row.other_ns) for row in rows)
    columns = _columns(rows, other.alias, unit[1])
    title = f"Where the time goes ({unit[0]} per inference, 1 thread, by onnxruntime's profiler)"
    return [Text("\n").join([words(screen, title, "bold"), table(screen, fit(screen, columns))])]


def _columns(rows: tuple[OperatorRow, ...], alias: str, unit_ns: float) -> tuple[Column, ...]:
    digits = decimals_for(max(row.float_ns, row.other_ns) / unit_ns for row in rows)

    def time(nanoseconds: float) -> Cell:
        if not nanoseconds:
            return Cell(NOT_MEASURED, "quiet")
        return Cell(f"{nanoseconds / unit_ns:.{digits}f}")

    total = sum(row.other_ns for row in rows) or 1.0
    return (
        Column(
            title=("operator",),
            cells=tuple(Cell(row.label) for row in rows),
            numbers=False,
            crop_to=_NAME,
        ),
        Column(title=("fp32",), cells=tuple(time(row.float_ns) for row in rows)),
        Column(title=(alias,), cells=tuple(time(row.other_ns) for row in rows)),
        Column(title=("change",), cells=tuple(map(_change, rows))),
        Column(
            title=(f"share of {alias}",),
            cells=tuple(_bar(row.other_ns / total) for row in rows),
            numbers=False,
            drop_rank=_RANK_BAR,
        ),
    )


def _change(row: OperatorRow) -> Cell:
    if not row.float_ns:
        return Cell("new")
    return Cell(ratio(row.float_ns / row.other_ns) if row.other_ns else "gone")


def _bar(share: float) -> Cell:
    return Cell(f"{share:4.0%} {'█' * round(_BAR * share)}".rstrip())
