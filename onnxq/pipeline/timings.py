"""Latency and operator times of all candidates, measured together."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

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

GIVEN = "the model as given"
"""Among the models that are timed: the model as it was given, before it was prepared."""

_OPERATOR_RUNS = 20


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
    from onnxq.profiling.latency import measure_latencies  # noqa: PLC0415 - numpy, late

    paths = {candidate.alias: candidate.model.path for candidate in candidates}
    paths[GIVEN] = foundation.converted.model.path
    start = time.monotonic()
    bench.tell(StageStarted(LATENCY.name, f"{len(paths)} models"))
    study = measure_latencies(
        tuple(paths),
        _opener(plan, bench, foundation, paths),
        threads=plan.threads,
        batch_rows=foundation.batch_rows,
        budget_s=plan.timing_seconds,
        tell=bench.tell,
    )
    bench.note(LATENCY.name, f"{len(paths)} models", time.monotonic() - start)
    timed = [candidate for candidate in candidates if candidate.alias not in study.dropped]
    return Timings(
        latencies=study.latencies,
        speed=study.ratios("fp32"),
        speed_over_given=study.ratios(GIVEN),
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


def _opener(
    plan: RunPlan, bench: Bench, foundation: Foundation, paths: dict[str, str]
) -> Callable[[str], AbstractContextManager[Callable[[Turn], TurnTimes]]]:
    def open_candidate(name: str) -> AbstractContextManager[Callable[[Turn], TurnTimes]]:
        request = LatencyChildRequest(
            model=paths[name], inputs=foundation.timing_inputs, threads=plan.threads
        )
        return open_conversation(LATENCY, request, bench.place)

    return open_candidate


def _operators(
    bench: Bench, foundation: Foundation, candidate: Candidate
) -> tuple[OperatorTime, ...]:
    request = ProfileOperatorsRequest(
        model=candidate.model, inputs=foundation.timing_inputs, runs=_OPERATOR_RUNS
    )
    return bench.run(PROFILE_OPERATORS, request, candidate.alias).operators
