"""Latency of several models, measured together in turns.

A process differs from the next by a few per cent, for as long as it lives, because its memory
lies elsewhere (Mytkowicz et al. 2009, Producing Wrong Data Without Doing Anything Obviously
Wrong, ASPLOS): so each block has a fresh process of every model. A machine drifts within
seconds: so the processes of a block take turns of about 10 ms, and only one computes at a time.
"""

import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from onnxq.errors import Interrupted, OnnxqError
from onnxq.events import Progressed, Tell
from onnxq.findings import Finding
from onnxq.measurements import Latency, SpeedRatio
from onnxq.profiling.latency_findings import timing_findings
from onnxq.profiling.latency_study import (
    Block,
    LatencyMeasurements,
    TurnSummary,
    is_settled,
    summarize_turn,
)
from onnxq.stages import LATENCY, Turn, TurnTimes

Ask: TypeAlias = Callable[[Turn], TurnTimes]
OpenCandidate: TypeAlias = Callable[[str], AbstractContextManager[Ask]]
"""From a model's name to a fresh process of it, which answers turns."""

LEAST_BLOCKS = 5
TURN_NS = 10_000_000
"""Wall time of a turn, where it is not longer because of :data:`LEAST_RUNS`."""

LEAST_RUNS = 3
LEAST_ROUNDS, MOST_ROUNDS = 4, 24
"""Of a block and thread count. A process costs as much as 20 turns, and processes scatter about
a third as much as single turns do: beyond 24 rounds the next process tells more."""

_LONG_TURN_S = 0.1
"""A turn this long stands for several: after one round the deadline counts."""

_MS_PER_S = 1000


@dataclass(frozen=True)
class LatencyStudy:
    """Latencies of models that were measured together.

    Attributes:
        latencies: By name, one per thread count.
        dropped: Why a model could not be measured to the end, by name.
        busy_ratio: Wall over CPU time at one thread; 0 where it was not measured there.
        findings: A busy machine, wide intervals, a budget that did not suffice.
        measurements: What all this was estimated from.
    """

    latencies: dict[str, tuple[Latency, ...]]
    dropped: dict[str, str]
    busy_ratio: float
    findings: tuple[Finding, ...]
    measurements: LatencyMeasurements

    def ratios(self, reference: str) -> dict[str, tuple[SpeedRatio, ...]]:
        """Estimate how many times faster than a reference the other models are.

        Args:
            reference: The name of a model that was measured.

        Returns:
            By name, one per thread count; empty if the reference was dropped.
        """
        return {} if reference in self.dropped else self.measurements.ratios(reference)


@dataclass(frozen=True)
class _Course:
    """How blocks are run, and how much time there is."""

    open_candidate: OpenCandidate
    threads: tuple[int, ...]
    clock: Callable[[], float]
    tell: Tell
    start_s: float
    budget_s: float

    def left_s(self) -> float:
        return self.start_s + self.budget_s - self.clock()

    def tell_progress(self) -> None:
        total = max(round(self.budget_s * _MS_PER_S), 1)
        spent = round((self.clock() - self.start_s) * _MS_PER_S)
        self.tell(Progressed(LATENCY.name, min(max(spent, 0), total), total))


def measure_latencies(  # noqa: PLR0913 - a clock, for tests, comes on top
    names: tuple[str, ...],
    open_candidate: OpenCandidate,
    *,
    threads: tuple[int, ...],
    batch_rows: int,
    budget_s: float,
    tell: Tell,
    clock: Callable[[], float] = time.monotonic,
    least_blocks: int = LEAST_BLOCKS,
) -> LatencyStudy:
    """Measure models in blocks of turns until their ratios to the first are known to 2 %.

    Some blocks are made whatever they take; more are added while a ratio is not settled and
    the budget allows another.

    Args:
        names: The models; the first is the reference that ratios are settled against.
        open_candidate: Opens a fresh process of a model.
        threads: Thread counts inside an inference.
        batch_rows: Rows of an inference; for the report alone.
        budget_s: Wall time for all of it.
        tell: Told of progress after each round.
        clock: Seconds; passes while a turn is asked for.
        least_blocks: Blocks that are made whatever they take; two at least. With fewer than the
            default intervals are wide, and values good enough to choose what to measure well.

    Returns:
        The study. A model whose process failed is dropped from it, the others go on.

    Raises:
        OnnxqError: What the reference's process failed of.
    """
    course = _Course(open_candidate, threads, clock, tell, clock(), budget_s)
    blocks: list[Block] = []
    dropped: dict[str, str] = {}
    rounds = count()
    block_s = 0.0
    while True:
        measurements = LatencyMeasurements(_without(names, dropped), threads, batch_rows, blocks)
        missing = least_blocks - len(blocks)
        if missing <= 0 and (block_s > course.left_s() or _all_settled(measurements)):
            break
        began_s = clock()
        share_s = course.left_s() / missing if missing > 0 else block_s
        block, lost = _measure_block(course, measurements.names, rounds, began_s + share_s)
        if names[0] in lost:
            raise lost[names[0]]
        blocks.append(block)
        dropped |= {name: error.message for name, error in lost.items()}
        block_s = clock() - began_s
    return LatencyStudy(
        latencies=measurements.latencies(),
        dropped=dropped,
        busy_ratio=measurements.busy_ratio,
        findings=timing_findings(measurements, spent_s=clock() - course.start_s, budget_s=budget_s),
        measurements=measurements,
    )


def turn_order(names: Sequence[str], number: int) -> tuple[str, ...]:
    """Return who goes first, second and so on in a round.

    In twice as many rounds as there are names each name has each place twice, and each pair of
    neighbours goes in either order equally often.

    Args:
        names: Who takes part.
        number: Of the round, from 0.

    Returns:
        The names, rotated; backwards in odd rounds.
    """
    first = number // 2 % len(names) if names else 0
    order = (*names[first:], *names[:first])
    return order[::-1] if number % 2 else order


def _measure_block(
    course: _Course, names: tuple[str, ...], rounds: Iterator[int], deadline_s: float
) -> tuple[Block, dict[str, OnnxqError]]:
    """Measure all models in fresh processes; also returns what became of those that failed."""
    block: dict[tuple[str, int], tuple[TurnSummary, ...]] = {}
    lost: dict[str, OnnxqError] = {}
    with ExitStack() as stack:
        asks: dict[str, Ask] = {}
        for name in names:
            with _noting(lost, name):
                asks[name] = stack.enter_context(course.open_candidate(name))
        for done, threads in enumerate(course.threads):
            now_s = course.clock()
            until_s = now_s + (deadline_s - now_s) / (len(course.threads) - done)
            for name, turns in _take_turns(course, asks, lost, threads, rounds, until_s).items():
                block[name, threads] = tuple(turns)
    return block, lost


def _take_turns(
    course: _Course,
    asks: dict[str, Ask],
    lost: dict[str, OnnxqError],
    threads: int,
    rounds: Iterator[int],
    until_s: float,
) -> dict[str, list[TurnSummary]]:
    """Let the models take turns at one thread count until a deadline; notes who is lost."""
    for name in _without(asks, lost):
        with _noting(lost, name):
            asks[name](Turn(threads=threads, budget_ns=0, least_runs=0))
    turns: dict[str, list[TurnSummary]] = {name: [] for name in _without(asks, lost)}
    for done in range(1, MOST_ROUNDS + 1):
        began_s = course.clock()
        least_runs = LEAST_RUNS if course.left_s() > 0 else 1
        turn = Turn(threads=threads, budget_ns=TURN_NS, least_runs=least_runs)
        for name in turn_order(_without(asks, lost), next(rounds)):
            with _noting(lost, name):
                turns[name].append(summarize_turn(asks[name](turn)))
        course.tell_progress()
        round_s = course.clock() - began_s
        enough = done >= LEAST_ROUNDS or round_s > len(turns) * _LONG_TURN_S
        if enough and course.clock() + round_s > until_s:
            break
    return turns


@contextmanager
def _noting(lost: dict[str, OnnxqError], name: str) -> Iterator[None]:
    """Note a failure of one model, so that the others can go on."""
    try:
        yield
    except Interrupted:
        raise
    except OnnxqError as error:
        lost[name] = error


def _without(names: Iterable[str], lost: Container[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in lost)


def _all_settled(measurements: LatencyMeasurements) -> bool:
    ratios = measurements.ratios(measurements.names[0])
    return all(is_settled(ratio) for of_model in ratios.values() for ratio in of_model)
