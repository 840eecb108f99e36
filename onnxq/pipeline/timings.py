"""Latency and operator times of all candidates, measured together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from onnxq.audits import Audit
from onnxq.findings import Finding
from onnxq.measurements import Latency, OperatorTime, SpeedRatio
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.candidates import Candidate
from onnxq.pipeline.foundation import Foundation
from onnxq.pipeline.interleaved import measure_together
from onnxq.pipeline.plans import RunPlan
from onnxq.stages import (
    PROFILE_OPERATORS,
    LatencyChildRequest,
    ProfileOperatorsRequest,
    ProfileOperatorsResult,
)

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
        audits: What onnxruntime really runs, by alias.
        dropped: Why a candidate could not be timed, by alias.
        busy_ratio: Wall over CPU time at one thread; 0 where it was not measured.
        findings: Noise and the like.
    """

    latencies: dict[str, tuple[Latency, ...]] = field(default_factory=dict)
    speed: dict[str, tuple[SpeedRatio, ...]] = field(default_factory=dict)
    speed_over_given: dict[str, tuple[SpeedRatio, ...]] = field(default_factory=dict)
    operators: dict[str, tuple[OperatorTime, ...]] = field(default_factory=dict)
    audits: dict[str, Audit] = field(default_factory=dict)
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
    profiled = {one.alias: _profile(bench, foundation, one) for one in timed}
    return Timings(
        latencies=study.latencies,
        speed=study.ratios(foundation.alias),
        speed_over_given=study.ratios(GIVEN if GIVEN in entries else foundation.alias),
        operators={alias: one.operators for alias, one in profiled.items()},
        audits={alias: one.audit for alias, one in profiled.items()},
        dropped=study.dropped,
        busy_ratio=study.busy_ratio,
        findings=(*study.findings, *_lost_given(study.dropped)),
    )


def _lost_given(dropped: Mapping[str, str]) -> tuple[Finding, ...]:
    if GIVEN not in dropped:
        return ()
    message = f"It could not be timed, so no ratio to it is given: {dropped[GIVEN]}"
    return (Finding(code="OQ173", subject=GIVEN, message=message, severity="warning"),)


def _profile(bench: Bench, foundation: Foundation, candidate: Candidate) -> ProfileOperatorsResult:
    request = ProfileOperatorsRequest(
        model=candidate.model,
        inputs=foundation.timing_inputs,
        runs=OPERATOR_RUNS,
        io=candidate.io,
    )
    return bench.run(PROFILE_OPERATORS, request, candidate.alias)
