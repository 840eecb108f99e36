"""Latency and operator times of all candidates, measured together."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from onnxq.events import StageStarted
from onnxq.findings import Finding
from onnxq.isolation import open_conversation
from onnxq.measurements import Latency, OperatorTime, SpeedRatio
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.candidates import Candidate
from onnxq.pipeline.foundation import Foundation
from onnxq.pipeline.plans import RunPlan
from onnxq.stages import (
    LATENCY,
    PROFILE_OPERATORS,
    LatencyChildRequest,
    ProfileOperatorsRequest,
    Turn,
    TurnTimes,
)
from onnxq.wording import count_noun

if TYPE_CHECKING:
    from onnxq.profiling.latency import LatencyStudy

GIVEN = "the model as given"
"""Among the models that are timed: the model as it was given, before it was prepared."""

OPERATOR_RUNS = 20
"""Of the operators' profile; its first run is dropped."""


@dataclass(frozen=True)
class Timings:
    """What was timed; empty where the run was cut short.

    Attributes:
        latencies: By alias, one per thread count.
        speed: Ratio to fp32 by alias, one per thread count.
        speed_over_given: Ratio to the model as given.
        operators: Operator times by alias.
        dropped: Why a candidate could not be timed, by alias.
        busy_ratio: Wall over CPU time at one thread; 0 where it was not measured.
        findings: Noise and the like.
    """

    latencies: dict[str, tuple[Latency, ...]] = field(default_factory=dict)
    speed: dict[str, tuple[SpeedRatio, ...]] = field(default_factory=dict)
    speed_over_given: dict[str, tuple[SpeedRatio, ...]] = field(default_factory=dict)
    operators: dict[str, tuple[OperatorTime, ...]] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    busy_ratio: float = 0.0
    findings: tuple[Finding, ...] = ()


def measure_candidates(
    plan: RunPlan, bench: Bench, foundation: Foundation, candidates: Sequence[Candidate]
) -> Timings:
    """Time the candidates and the model as given, interleaved, each in children of its own.

    Args:
        plan: The run.
        bench: Where its stages are carried out.
        foundation: The model as given, and the inputs of one inference.
        candidates: fp32 first.

    Returns:
        All times.
    """
    inputs, threads = foundation.timing_inputs, plan.timing.threads
    entries = {
        one.alias: LatencyChildRequest(
            model=one.model.path, inputs=inputs, threads=threads, io=one.io
        )
        for one in candidates
    }
    if foundation.converted.model.path != foundation.prepared.model.path:
        path = foundation.converted.model.path
        entries[GIVEN] = LatencyChildRequest(model=path, inputs=inputs, threads=threads)
    study = measure_together(
        bench, entries, threads, batch_rows=foundation.batch_rows, seconds=plan.timing.seconds
    )
    timed = [candidate for candidate in candidates if candidate.alias not in study.dropped]
    return Timings(
        latencies=study.latencies,
        speed=study.ratios(foundation.alias),
        speed_over_given=study.ratios(GIVEN if GIVEN in entries else foundation.alias),
        operators={one.alias: _operators(bench, foundation, one) for one in timed},
        dropped=study.dropped,
        busy_ratio=study.busy_ratio,
        findings=(*study.findings, *_lost_given(study.dropped)),
    )


def _lost_given(dropped: Mapping[str, str]) -> tuple[Finding, ...]:
    if GIVEN not in dropped:
        return ()
    message = f"It could not be timed, so no ratio to it is given: {dropped[GIVEN]}"
    return (Finding(code="OQ173", subject=GIVEN, message=message, severity="warning"),)


def measure_together(
    bench: Bench,
    entries: Mapping[str, LatencyChildRequest],
    threads: tuple[int, ...],
    *,
    batch_rows: int,
    seconds: float,
) -> "LatencyStudy":
    """Time models interleaved, each in children of its own.

    Args:
        bench: Where the children work.
        entries: By name, how each model is opened; the first is the reference.
        threads: Thread counts.
        batch_rows: Rows of one inference; for the report.
        seconds: Wall time for all of it.

    Returns:
        The study. It raises what the reference's children fail of.
    """
    from onnxq.profiling.latency import measure_latencies  # noqa: PLC0415 - numpy, late

    def open_entry(name: str) -> AbstractContextManager[Callable[[Turn], TurnTimes]]:
        return open_conversation(LATENCY, entries[name], bench.place)

    start, subject = time.monotonic(), count_noun(len(entries), "model")
    bench.tell(StageStarted(LATENCY.name, subject))
    study = measure_latencies(
        tuple(entries),
        open_entry,
        threads=threads,
        batch_rows=batch_rows,
        budget_s=seconds,
        tell=bench.tell,
    )
    bench.note(LATENCY.name, subject, time.monotonic() - start)
    return replace(study, findings=(*study.findings, *more_than_cores(threads)))


def more_than_cores(threads: tuple[int, ...]) -> tuple[Finding, ...]:
    """Warn of thread counts that this machine cannot run at once.

    Args:
        threads: Thread counts that were timed.

    Returns:
        One finding for the largest of them; none where the cores suffice.
    """
    from onnxq.profiling.environment import usable_cores  # noqa: PLC0415 - psutil, late

    cores, most = usable_cores(), max(threads)
    if most <= cores:
        return ()
    has = f"this process may use {count_noun(cores, 'core')}"
    return (
        Finding(
            code="OQ209",
            subject="timing",
            message=f"{most} threads were timed, and {has}: they wait for each other.",
            evidence={"threads": most, "cores": cores},
            fix=f"Time what you will serve with, such as --threads {cores}.",
            severity="warning",
        ),
    )


def _operators(
    bench: Bench, foundation: Foundation, candidate: Candidate
) -> tuple[OperatorTime, ...]:
    request = ProfileOperatorsRequest(
        model=candidate.model,
        inputs=foundation.timing_inputs,
        runs=OPERATOR_RUNS,
        io=candidate.io,
    )
    return bench.run(PROFILE_OPERATORS, request, candidate.alias).operators
