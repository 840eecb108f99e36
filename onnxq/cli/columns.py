"""The columns of the report's table. Every number comes from the report and from nowhere else."""

from collections.abc import Iterable, Sequence

from onnxq.cli.cells import (
    decimals_for,
    ratio,
    ratio_with_error,
    size_unit,
    time_unit,
)
from onnxq.cli.fitting import Cell, Column, Tone
from onnxq.cli.front import standings_of, undominated
from onnxq.cli.quality_columns import ABSENT, measured_cells, quality_columns
from onnxq.cli.side_by_side import SideBySide
from onnxq.measurements import (
    TIE_HIGH,
    TIE_LOW,
    Latency,
    SpeedRatio,
)
from onnxq.reports import Failed, Measured, NotApplicable, Skipped, Tried, Unusable, Variant
from onnxq.wording import count_noun

_NAME = 16
_LEAST_TO_RANK = 3

# The higher, the sooner a column is left out on a narrow screen.
_RANK_OTHER_TAIL, _RANK_TAIL, _RANK_SIZE_RATIO, _RANK_OTHER_THREADS = 6, 5, 4, 1
_RANK_TIME, _RANK_SIZE = -1, -3


def report_columns(report: SideBySide, note_marks: dict[str, str]) -> tuple[Column, ...]:
    """Lay out a report's variants, one row each, in the report's order.

    Args:
        report: The report.
        note_marks: The mark of the note about a variant, by alias.

    Returns:
        The columns, before they are fitted to a screen.
    """
    rows = report.variants
    return (
        name_column("recipe", (row.alias for row in rows)),
        *size_columns(report),
        *time_columns(rows, 0),
        *speed_columns(rows, report.reference),
        *quality_columns(report),
        mark_column(report, note_marks),
    )


def name_column(title: str, names: Iterable[str], lines: int = 2) -> Column:
    """Lay out what the rows are called; long names may be cut in their middle."""
    return Column(
        title=(*[""] * (lines - 1), title),
        cells=tuple(map(Cell, names)),
        numbers=False,
        crop_to=_NAME,
    )


def speed_tone(speed: SpeedRatio) -> Tone:
    """Return ``good`` or ``bad`` where the interval is clear of a tie."""
    if speed.ratio.low > TIE_HIGH:
        return "good"
    return "bad" if speed.ratio.high < TIE_LOW else "plain"


def clock_label(speed: SpeedRatio) -> str:
    """Name what a ratio is a ratio of: ``1 thread CPU`` or ``2 threads wall``."""
    clock = "CPU" if speed.clock == "cpu" else "wall"
    return f"{count_noun(speed.threads, 'thread')} {clock}"


def _measured(rows: Iterable[Variant]) -> tuple[Measured, ...]:
    return tuple(row for row in rows if isinstance(row, Measured))


def size_columns(report: SideBySide) -> tuple[Column, Column]:
    """Lay out file sizes, and their ratio to the reference's."""
    rows = report.variants
    sizes = {row.alias: row.artefact.size.file_bytes for row in _measured(rows)}
    unit, unit_bytes = size_unit(sizes.values())
    digits = max(decimals_for(size / unit_bytes for size in sizes.values()) - 1, 1)
    reference = sizes.get(report.reference, 0)
    return (
        Column(
            title=("", unit),
            cells=measured_cells(
                rows, lambda row: Cell(f"{sizes[row.alias] / unit_bytes:.{digits}f}")
            ),
            drop_rank=_RANK_SIZE,
        ),
        Column(
            title=("", "smaller"),
            cells=measured_cells(
                rows,
                lambda row: Cell(ratio(reference / sizes[row.alias])) if reference else ABSENT,
            ),
            drop_rank=_RANK_SIZE_RATIO,
        ),
    )


def time_columns(rows: Sequence[Variant], place: int) -> tuple[Column, ...]:
    """Lay out the times of one inference at one thread count.

    Args:
        rows: The rows of the table.
        place: Which thread count of those measured.

    Returns:
        The typical time and the 90th percentile; nothing where there are none.
    """
    there = {row.alias: row.latencies[place] for row in _measured(rows) if row.latencies[place:]}
    if not there:
        return ()
    threads = next(iter(there.values())).threads
    label = count_noun(threads, "thread")
    medians = {alias: median_ns(latency) for alias, latency in there.items()}
    tails = {alias: latency.wall_p90_ns for alias, latency in there.items()}
    unit = time_unit([*medians.values(), *tails.values()])
    ranks = (_RANK_OTHER_THREADS, _RANK_OTHER_TAIL) if place else (_RANK_TIME, _RANK_TAIL)
    return (
        _times(rows, medians, (label, "CPU" if threads == 1 else "p50"), unit, ranks[0]),
        _times(rows, tails, (label, "p90"), unit, ranks[1]),
    )


def median_ns(latency: Latency) -> float:
    """Return the time that a latency is quoted by: CPU time at one thread, wall time above."""
    return (latency.cpu_ns if latency.threads == 1 else latency.wall_ns).value


def _times(
    rows: Iterable[Variant],
    times_ns: dict[str, float],
    title: tuple[str, str],
    unit: tuple[str, float],
    drop_rank: int,
) -> Column:
    times = {alias: time_ns / unit[1] for alias, time_ns in times_ns.items()}
    digits = decimals_for(times.values())
    cells = measured_cells(
        rows,
        lambda row: Cell(f"{times[row.alias]:.{digits}f}") if row.alias in times else ABSENT,
    )
    return Column(title=(title[0], f"{title[1]} {unit[0]}"), cells=cells, drop_rank=drop_rank)


def speed_columns(rows: Sequence[Variant], reference: str) -> tuple[Column, ...]:
    """Lay out how many times faster than the reference each row is, at each thread count."""
    compared = [row.speed for row in _measured(rows) if row.speed]
    labels = [clock_label(speed) for speed in compared[0]] if compared else []
    return tuple(
        Column(
            title=(label, "speed ±95%"),
            cells=tuple(_speed_cell(row, place, reference) for row in rows),
            drop_rank=_RANK_OTHER_THREADS if place else 0,
        )
        for place, label in enumerate(labels)
    )


def _speed_cell(row: Variant, place: int, reference: str) -> Cell:
    if not isinstance(row, Measured):
        return Cell(state_word(row), "quiet") if place == 0 else ABSENT
    if row.alias == reference:
        return Cell(ratio(1.0))
    if len(row.speed) <= place:
        return ABSENT
    speed = row.speed[place]
    return Cell(ratio_with_error(speed.ratio), speed_tone(speed))


def state_word(row: Failed | NotApplicable | Tried | Skipped | Unusable) -> str:
    """Return one word for why a row has no figures, and the one figure of what was tried."""
    match row:
        case Skipped():
            return "skipped"
        case NotApplicable():
            return "n/a"
        case Tried(speed_ratio=speed_ratio):
            return f"tried {ratio(speed_ratio)}" if speed_ratio else "tried"
        case Failed():
            return "failed"
        case Unusable():
            return "unusable"


def mark_column(report: SideBySide, note_marks: dict[str, str]) -> Column:
    """Lay out the marks: ``★`` on the front, ``=`` a tie, the number of a note."""
    stars = front_of(report)

    def cell(row: Variant) -> Cell:
        speed = row.speed[0] if isinstance(row, Measured) and row.speed else None
        tied = speed is not None and speed.is_tie and not speed.is_unknown
        star = "=" if tied else "★" if row.alias in stars else " "
        return Cell(f"{star} {note_marks.get(row.alias, '')}".rstrip())

    return Column(title=("", ""), cells=tuple(map(cell, report.variants)), numbers=False)


def front_of(report: SideBySide) -> frozenset[str]:
    """Return the aliases that carry a star: none where there are too few to rank."""
    standings = standings_of(_measured(report.variants), report.reference)
    return undominated(standings) if len(standings) >= _LEAST_TO_RANK else frozenset()
