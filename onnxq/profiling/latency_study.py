"""What blocks of turns say about latencies and their ratios.

Whatever else a machine does can only add to the time of a run, so a turn's time is the lower
decile of its runs: on a machine with twice as many busy processes as cores, ratios made of it
scatter a third as much between blocks as ratios made of medians, and on a quiet machine the two
agree. Models are compared within a round, a few milliseconds apart, so that a drift of the
machine's clock cancels.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from onnxq.estimates import median_over_blocks, ratio_over_blocks
from onnxq.measurements import Clock, Latency, SpeedRatio
from onnxq.stages import TurnTimes

_P90, _P99 = 0.9, 0.99
_MOST_KEPT = 101
_LEAST_NS = 1.0

HALF_WIDTH: Final = math.log(1.02)
"""Of a ratio's interval, in logarithms: what is aimed at."""

_FINE_HALF_WIDTH = math.log(1.01)


@dataclass(frozen=True)
class TurnSummary:
    """What is kept of a turn.

    Attributes:
        low_cpu_ns: Lower decile of the runs' CPU times.
        low_wall_ns: Lower decile of their wall times.
        wall_ns: Median of their wall times.
        busy_ratio: All their wall time over all their CPU time.
        walls_ns: Their wall times, or percentiles where there are more than 101.
        load_ns: Wall time that the model took to load.
        peak_bytes: Peak resident size of the process.
    """

    low_cpu_ns: float
    low_wall_ns: float
    wall_ns: float
    busy_ratio: float
    walls_ns: tuple[float, ...]
    load_ns: int
    peak_bytes: int


Block: TypeAlias = Mapping[tuple[str, int], tuple[TurnSummary, ...]]
"""By name and thread count: the turns of one process, one a round."""


def summarize_turn(times: TurnTimes) -> TurnSummary:
    """Keep what is needed of a turn.

    Args:
        times: One run at least.

    Returns:
        A summary of bounded size; no time in it is 0, however coarse the clock.
    """
    wall = np.sort(np.maximum(np.asarray(times.wall_ns, np.float64), _LEAST_NS))
    cpu = np.sort(np.maximum(np.asarray(times.cpu_ns, np.float64), _LEAST_NS))
    low = (wall.size - 1) // 10
    kept = np.quantile(wall, np.linspace(0, 1, _MOST_KEPT)) if wall.size > _MOST_KEPT else wall
    return TurnSummary(
        low_cpu_ns=float(cpu[low]),
        low_wall_ns=float(wall[low]),
        wall_ns=float(wall[(wall.size - 1) // 2] + wall[wall.size // 2]) / 2,
        busy_ratio=float(wall.sum() / cpu.sum()),
        walls_ns=tuple(kept.tolist()),
        load_ns=times.load_ns,
        peak_bytes=times.peak_bytes,
    )


@dataclass(frozen=True)
class LatencyMeasurements:
    """Blocks of turns of the same models.

    Attributes:
        names: The models that every block holds; the reference first.
        threads: Thread counts that every block holds.
        batch_rows: Rows of one inference.
        blocks: Two at least.
    """

    names: tuple[str, ...]
    threads: tuple[int, ...]
    batch_rows: int
    blocks: Sequence[Block]

    def latencies(self) -> dict[str, tuple[Latency, ...]]:
        """Estimate the latencies of all models, one per thread count."""
        return {
            name: tuple(self.latency(name, threads) for threads in self.threads)
            for name in self.names
        }

    def latency(self, name: str, threads: int) -> Latency:
        """Estimate a model's latency."""
        blocks = [block[name, threads] for block in self.blocks]
        walls = np.concatenate([turn.walls_ns for turns in blocks for turn in turns])
        return Latency(
            threads=threads,
            batch_rows=self.batch_rows,
            cpu_ns=median_over_blocks([_middle(t.low_cpu_ns for t in turns) for turns in blocks]),
            wall_ns=median_over_blocks([_middle(t.wall_ns for t in turns) for turns in blocks]),
            wall_p90_ns=float(np.quantile(walls, _P90)),
            wall_p99_ns=float(np.quantile(walls, _P99)),
            load_ns=_middle(turns[-1].load_ns for turns in blocks),
            peak_bytes=int(_middle(turns[-1].peak_bytes for turns in blocks)),
        )

    def ratio(self, reference: str, name: str, threads: int) -> SpeedRatio:
        """Estimate how many times faster than a reference a model is.

        Blocks, and not runs, are the independent observations: a process differs from the next.
        """
        pairs = [(block[reference, threads], block[name, threads]) for block in self.blocks]
        wall = ratio_over_blocks([_log_ratio(a, b, "wall") for a, b in pairs])
        if threads > 1:
            return SpeedRatio(threads=threads, clock="wall", ratio=wall, wall_ratio=wall)
        cpu = ratio_over_blocks([_log_ratio(a, b, "cpu") for a, b in pairs])
        return SpeedRatio(threads=threads, clock="cpu", ratio=cpu, wall_ratio=wall)

    def ratios(self, reference: str) -> dict[str, tuple[SpeedRatio, ...]]:
        """Estimate the ratios of all other models to a reference, one per thread count."""
        return {
            name: tuple(self.ratio(reference, name, threads) for threads in self.threads)
            for name in self.names
            if name != reference
        }

    @property
    def busy_ratio(self) -> float:
        """Wall over CPU time at one thread, the median of all turns; 0 if not measured there."""
        ratios = [
            turn.busy_ratio
            for block in self.blocks
            for (_, threads), turns in block.items()
            for turn in turns
            if threads == 1
        ]
        return statistics.median(ratios) if ratios else 0.0


def half_width(ratio: SpeedRatio) -> float:
    """Return half the width of a ratio's interval, in logarithms."""
    return math.log(ratio.ratio.high / ratio.ratio.low) / 2


def is_settled(ratio: SpeedRatio) -> bool:
    """Tell whether more blocks could hardly change what is said of a ratio.

    An interval of ±2 % that excludes 1 and yet touches the zone of ties is neither a difference
    nor a likely tie: it is narrowed to ±1 %.

    Args:
        ratio: To the reference.

    Returns:
        Whether its interval is narrow enough.
    """
    half = half_width(ratio)
    holds_one = ratio.ratio.low <= 1 <= ratio.ratio.high
    return half <= _FINE_HALF_WIDTH or (half <= HALF_WIDTH and (holds_one or not ratio.is_tie))


def _middle(values: Iterable[float]) -> float:
    return float(statistics.median(values))


def _low_ns(turn: TurnSummary, clock: Clock) -> float:
    return turn.low_cpu_ns if clock == "cpu" else turn.low_wall_ns


def _log_ratio(
    reference: tuple[TurnSummary, ...], candidate: tuple[TurnSummary, ...], clock: Clock
) -> float:
    pairs = zip(reference, candidate, strict=True)
    return _middle(math.log(_low_ns(a, clock) / _low_ns(b, clock)) for a, b in pairs)
