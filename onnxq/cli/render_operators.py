"""Where the time goes: the operators of the reference beside those of one other model."""

from rich.console import RenderableType
from rich.text import Text

from onnxq.audits import RuntimeAudit
from onnxq.cli.audit_words import integer_sentence
from onnxq.cli.cells import NOT_MEASURED, decimals_for, ratio, time_unit
from onnxq.cli.fitting import Cell, Column
from onnxq.cli.operator_rows import OperatorRow, operator_rows
from onnxq.cli.render_parts import fit, table, words
from onnxq.cli.screen import Screen
from onnxq.cli.side_by_side import SideBySide
from onnxq.reports import Measured

_NAME = 20
_ALIAS = 12
_BAR = 16
_RANK_BAR = 1


def operators_parts(report: SideBySide, screen: Screen, named: str = "") -> list[RenderableType]:
    """Draw the operator times of the reference beside those of one other model.

    Args:
        report: Models side by side.
        screen: Where it will be shown.
        named: Alias of the other model; the fastest where it is not one that was compared.

    Returns:
        A title with its table; nothing where operators were not timed.
    """
    measured = {v.alias: v for v in report.variants if isinstance(v, Measured) and v.operators}
    floats = measured.get(report.reference)
    beside = [v for v in measured.values() if v.speed]
    if floats is None or not beside:
        return []
    fastest = max(beside, key=lambda variant: variant.speed[0].ratio.value)
    chosen = measured.get(named, fastest)
    other = chosen if chosen.speed else fastest
    rows = operator_rows(floats.operators, other.operators)
    unit = time_unit(max(row.float_ns, row.other_ns) for row in rows)
    columns = _columns(rows, (floats.alias, other.alias), unit[1])
    title = f"Where the time goes ({unit[0]} per inference, 1 thread, by onnxruntime's profiler)"
    drawn = [words(screen, title, "bold"), table(screen, fit(screen, columns))]
    audits = [
        words(screen, f"{one.alias}: {integer_sentence(one.audit)}.")
        for one in beside
        if isinstance(one.audit, RuntimeAudit) and (one.audit.integer_macs or one.audit.islands)
    ]
    return [Text("\n").join([*drawn, *audits])]


def _columns(
    rows: tuple[OperatorRow, ...], aliases: tuple[str, str], unit_ns: float
) -> tuple[Column, ...]:
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
        Column(
            title=(aliases[0],),
            cells=tuple(time(row.float_ns) for row in rows),
            crop_to=_ALIAS,
        ),
        Column(
            title=(aliases[1],),
            cells=tuple(time(row.other_ns) for row in rows),
            crop_to=_ALIAS,
        ),
        Column(title=("change",), cells=tuple(map(_change, rows))),
        Column(
            title=(f"share of {aliases[1]}",),
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
