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
from onnxq.measurements import (
    TIE_HIGH,
    TIE_LOW,
    Latency,
    SpeedRatio,
)
from onnxq.reports import Failed, Measured, NotApplicable, Report, Skipped, Variant

_NAME = 16
_LEAST_TO_RANK = 3

# The higher, the sooner a column is left out on a narrow screen.
_RANK_TAIL, _RANK_SIZE_RATIO, _RANK_OTHER_THREADS = 5, 4, 1
_RANK_TIME, _RANK_SIZE = -1, -3


def report_columns(report: Report, note_marks: dict[str, str]) -> tuple[Column, ...]:
    """Lay out a report's variants, one row each, in the report's order.

    Args:
        report: The report.
        note_marks: The mark of the note about a variant, by alias.

    Returns:
        The columns, before they are fitted to a screen.
    """
    rows = report.variants
    return (
        Column(
            title=("", "recipe"),
            cells=tuple(Cell(row.alias) for row in rows),
            numbers=False,
            crop_to=_NAME,
        ),
        *_size_columns(report),
        *_time_columns(report),
        *_speed_columns(rows, report.reference),
        *quality_columns(report),
        _mark_column(report, note_marks),
    )


def speed_tone(speed: SpeedRatio) -> Tone:
    """Return ``good`` or ``bad`` where the interval is clear of a tie."""
    if speed.ratio.low > TIE_HIGH:
        return "good"
    return "bad" if speed.ratio.high < TIE_LOW else "plain"


def clock_label(speed: SpeedRatio) -> str:
    """Name what a ratio is a ratio of: ``1 thread CPU`` or ``2 threads wall``."""
    clock = "CPU" if speed.clock == "cpu" else "wall"
    return f"{speed.threads} thread{'' if speed.threads == 1 else 's'} {clock}"


def _measured(rows: Iterable[Variant]) -> tuple[Measured, ...]:
    return tuple(row for row in rows if isinstance(row, Measured))


def _size_columns(report: Report) -> tuple[Column, Column]:
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


def _time_columns(report: Report) -> tuple[Column, ...]:
    rows = report.variants
    first = {row.alias: row.latencies[0] for row in _measured(rows) if row.latencies}
    if not first:
        return ()
    threads = next(iter(first.values())).threads
    label = f"{threads} thread{'' if threads == 1 else 's'}"
    medians = {alias: median_ns(latency) for alias, latency in first.items()}
    tails = {alias: latency.wall_p90_ns for alias, latency in first.items()}
    unit = time_unit([*medians.values(), *tails.values()])
    return (
        _times(rows, medians, (label, "CPU" if threads == 1 else "p50"), unit, _RANK_TIME),
        _times(rows, tails, (label, "p90"), unit, _RANK_TAIL),
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


def _speed_columns(rows: Sequence[Variant], reference: str) -> tuple[Column, ...]:
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
        return Cell(_state(row), "quiet") if place == 0 else ABSENT
    if row.alias == reference:
        return Cell(ratio(1.0))
    if len(row.speed) <= place:
        return ABSENT
    speed = row.speed[place]
    return Cell(ratio_with_error(speed.ratio), speed_tone(speed))


def _state(row: Variant) -> str:
    match row:
        case Skipped():
            return "skipped"
        case NotApplicable():
            return "n/a"
        case Failed():
            return "failed"
        case _:
            return "unusable"


def _mark_column(report: Report, note_marks: dict[str, str]) -> Column:
    stars = front_of(report)

    def cell(row: Variant) -> Cell:
        tied = isinstance(row, Measured) and bool(row.speed) and row.speed[0].is_tie
        star = "=" if tied else "★" if row.alias in stars else " "
        return Cell(f"{star} {note_marks.get(row.alias, '')}".rstrip())

    return Column(title=("", ""), cells=tuple(map(cell, report.variants)), numbers=False)


def front_of(report: Report) -> frozenset[str]:
    """Return the aliases that carry a star: none where there are too few to rank."""
    standings = standings_of(_measured(report.variants), report.reference)
    return undominated(standings) if len(standings) >= _LEAST_TO_RANK else frozenset()
