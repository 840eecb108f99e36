"""The columns that say what a candidate is worth: its metric, or its agreement with fp32.

Without labels there is no metric, and the word for it does not appear.
"""

from collections.abc import Callable, Iterable

from onnxq.cli.cells import (
    NOT_MEASURED,
    bounds_text,
    interval_text,
    plus_minus,
    signed,
)
from onnxq.cli.fitting import Cell, Column, Tone
from onnxq.cli.metric_words import change_of, words_for
from onnxq.cli.side_by_side import SideBySide
from onnxq.estimates import Estimate
from onnxq.measurements import Accuracy, Agreement, Compared, Judged, NoClasses
from onnxq.reports import Limits, Measured, Variant
from onnxq.verdict import has_limit
from onnxq.wording import share_words

ABSENT = Cell(NOT_MEASURED, "quiet")
_REFERENCE = Cell("reference", "quiet")
_RANK_SQNR, _RANK_AGREEMENT, _RANK_METRIC = 3, 2, -2


def measured_cells(rows: Iterable[Variant], cell: Callable[[Measured], Cell]) -> tuple[Cell, ...]:
    """Make a column's cells: a dash for every variant that was not measured."""
    return tuple(cell(row) if isinstance(row, Measured) else ABSENT for row in rows)


def quality_columns(report: SideBySide) -> tuple[Column, ...]:
    """Lay out what the candidates are worth: the metric where there are labels, and agreement.

    Args:
        report: Its limits decide the tone of a drop.

    Returns:
        The columns; none where there were no rows to judge on.
    """
    rows = report.variants
    qualities = {row.alias: row.quality for row in rows if isinstance(row, Measured)}
    accuracies = {a: q.accuracy for a, q in qualities.items() if isinstance(q, Judged)}
    agreements = {a: q.agreement for a, q in qualities.items() if isinstance(q, Judged | Compared)}
    rank = _RANK_AGREEMENT if accuracies else 0
    return (
        *(_metric_columns(report, accuracies) if accuracies else ()),
        *_agreement_columns(report, agreements, rank),
    )


def _metric_columns(report: SideBySide, accuracies: dict[str, Accuracy]) -> tuple[Column, Column]:
    rows = report.variants
    words = words_for(next(iter(accuracies.values())))
    digits = words.digits

    def value(row: Measured) -> Cell:
        accuracy = accuracies.get(row.alias)
        return Cell(f"{words.scale * accuracy.value.value:.{digits}f}") if accuracy else ABSENT

    def own(row: Measured) -> Cell:
        accuracy = accuracies.get(row.alias)
        if accuracy is None:
            return ABSENT
        low, high = accuracy.value.low, accuracy.value.high
        return Cell(bounds_text(words.scale * low, words.scale * high, digits))

    def change(row: Measured, *, short: bool) -> Cell:
        accuracy = accuracies.get(row.alias)
        if accuracy is None or row.alias == report.reference:
            return ABSENT if accuracy is None else _REFERENCE
        moved = change_of(accuracy)
        ends = interval_text(moved.low, moved.high, digits)
        tail = plus_minus(moved, digits) if short else ends
        text = f"{signed(moved.value, digits)} {tail}"
        return Cell(text, _drop_tone(accuracy, report.limits))

    named = Column(
        title=("", words.name), cells=measured_cells(rows, value), drop_rank=_RANK_METRIC
    )
    if len(accuracies) == 1:  # nothing to compare with: how sure the value itself is
        return named, Column(title=("", "95% interval"), cells=measured_cells(rows, own))
    return (
        named,
        Column(
            title=(f"Δ {words.unit}", "and 95% interval"),
            cells=measured_cells(rows, lambda row: change(row, short=False)),
            shorter=measured_cells(rows, lambda row: change(row, short=True)),
            shorter_title=(f"Δ {words.unit}", "±95%"),
        ),
    )


def _drop_tone(accuracy: Accuracy, limits: Limits) -> Tone:
    if not has_limit(accuracy, limits):
        return "plain"
    if accuracy.drop.low > limits.max_drop:
        return "bad"
    return "doubtful" if accuracy.drop.high > limits.max_drop else "plain"


def _agreement_columns(
    report: SideBySide, agreements: dict[str, Agreement], rank: int
) -> tuple[Column, ...]:
    rows = report.variants
    # fp32 agrees with itself: that is no news.
    others = {a: agreement for a, agreement in agreements.items() if a != report.reference}

    def same(row: Measured) -> Cell:
        agreement = others.get(row.alias)
        if agreement is None or isinstance(agreement.same_top1, NoClasses):
            return ABSENT
        return Cell(share_words(agreement.same_top1.value))

    def sqnr(row: Measured) -> Cell:
        agreement = others.get(row.alias)
        if agreement is None or not agreement.outputs:
            return ABSENT
        worst = min(output.sqnr_db for output in agreement.outputs)
        return Cell(f"{worst:.1f}")

    if not agreements:
        return ()
    has_classes = any(isinstance(a.same_top1, Estimate) for a in agreements.values())
    columns = [Column(title=("same", "top-1 %"), cells=measured_cells(rows, same), drop_rank=rank)]
    sqnr_rank = _RANK_SQNR if has_classes else rank
    return (
        *(columns if has_classes else ()),
        Column(title=("SQNR", "dB"), cells=measured_cells(rows, sqnr), drop_rank=sqnr_rank),
    )
