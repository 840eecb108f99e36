"""What calibrating took, and how ranges settled while rows were added."""

from rich.console import RenderableType
from rich.text import Text

from onnxq.calibrations import CalibrationEffort, ConvergencePoint
from onnxq.cli.calibration_words import effort_lines
from onnxq.cli.fitting import Cell, Column
from onnxq.cli.render_parts import fit, lines_part, table, words
from onnxq.cli.screen import Screen
from onnxq.reports import NotCalibrated

_BAR = 24
_RANK_BAR = 1


def effort_parts(
    effort: CalibrationEffort | NotCalibrated, screen: Screen, *, everything: bool = False
) -> list[RenderableType]:
    """Draw what calibrating took.

    Args:
        effort: What it took.
        screen: Where it will be shown.
        everything: Show how the ranges settled, a bar a point.

    Returns:
        Lines, and a title with its table; nothing where nothing was calibrated.
    """
    if isinstance(effort, NotCalibrated):
        return []
    parts: list[RenderableType] = [lines_part(screen, effort_lines(effort))]
    if everything and effort.convergence:
        title = words(
            screen, "What the ranges of the first rows lose against those of more", "bold"
        )
        drawn = table(screen, fit(screen, _columns(effort.convergence)))
        parts.append(Text("\n").join([title, drawn]))
    return parts


def _columns(points: tuple[ConvergencePoint, ...]) -> tuple[Column, ...]:
    largest = max(point.gap_db for point in points)

    def bar(point: ConvergencePoint) -> Cell:
        share = max(point.gap_db, 0.0) / largest if largest > 0 else 0.0
        return Cell("█" * round(_BAR * share))

    return (
        Column(title=("rows",), cells=tuple(Cell(str(point.rows)) for point in points)),
        Column(title=("dB",), cells=tuple(Cell(f"{point.gap_db:.2f}") for point in points)),
        Column(title=("",), cells=tuple(map(bar, points)), numbers=False, drop_rank=_RANK_BAR),
    )
