"""What a calibration was asked for beyond its rows, and what it took. Values only."""

from typing import Literal, TypeAlias

from msgspec import Struct

CalibrationOrigin: TypeAlias = Literal["computed", "resumed", "cached", "merged", "given"]
"""Where ranges come from: rows that were run now, from the start or from a checkpoint; statistics
of an earlier run, or of several parts; or a file of ranges."""


class Shard(Struct, frozen=True):
    """One of several equal parts of the rows, for another process or machine each.

    Attributes:
        number: Which part, from 1.
        total: How many there are; 1 means all rows.
    """

    number: int = 1
    total: int = 1

    def __post_init__(self) -> None:
        """Refuse a part that there is not.

        Raises:
            ValueError: If the number is not among the parts.
        """
        if not 1 <= self.number <= self.total:
            message = f"there is no part {self.number} of {self.total}"
            raise ValueError(message)


WHOLE = Shard()


class ConvergencePoint(Struct, frozen=True):
    """How far ranges from the first rows were from those of more rows.

    Attributes:
        rows: Rows looked at.
        gap_db: How much signal to noise, as the statistics predict it, the ranges of these rows
            lose against the ranges of the rows of the next point.
    """

    rows: int
    gap_db: float


class CalibrationEffort(Struct, frozen=True, kw_only=True, tag="calibrated"):
    """What a calibration took.

    Attributes:
        origin: Where its statistics come from.
        rows: Rows that were looked at.
        given_rows: Rows that there were.
        tensors: Tensors that were watched.
        passes: Passes over the rows; more than one keeps the cap on memory. 0 where none ran.
        stride: Every so-many-th value was counted; 1 counts each. Above, ranges by percentile,
            MSE and entropy are approximate.
        cap_bytes: Memory that it was allowed beyond what its process took before; 0 where nothing
            ran.
        predicted_peak_bytes: Memory beyond that, as predicted before the first run.
        peak_bytes: Memory beyond that, as it was.
        predicted_seconds: Wall time, as predicted after the first runs.
        seconds: Wall time of the stage.
        cpu_seconds: CPU time of all its threads.
        convergence: How ranges settled, where it stopped early.
        left_out_rows: Those of ``rows`` that are in no range: activations are not finite on them.
    """

    origin: CalibrationOrigin
    rows: int
    given_rows: int
    tensors: int
    passes: int = 0
    stride: int = 1
    cap_bytes: int = 0
    predicted_peak_bytes: int = 0
    peak_bytes: int = 0
    predicted_seconds: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    convergence: tuple[ConvergencePoint, ...] = ()
    left_out_rows: int = 0
