"""What a run found out becomes a report."""

import datetime as dt
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import msgspec

from onnxq.datasets.values import (
    CalibrationSet,
    DataRequest,
    EvaluationSet,
    NoRows,
    PreprocessSpec,
)
from onnxq.findings import Finding
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.candidates import Candidate, Outcome
from onnxq.pipeline.explaining import explain_limits, explain_speed, explain_target
from onnxq.pipeline.foundation import Foundation
from onnxq.pipeline.plans import RunPlan
from onnxq.pipeline.timings import GIVEN, Timings
from onnxq.reports import (
    Artefact,
    DataFacts,
    Environment,
    Failed,
    Measured,
    NoData,
    Report,
    SourceFacts,
    Variant,
)
from onnxq.sources import Factory, Source, source_path
from onnxq.stages import NoDataRequest
from onnxq.verdict import decide

SANDBOX = "each stage in a child process: own session, clean environment, wall and memory limits"


def make_report(
    plan: RunPlan,
    bench: Bench,
    foundation: Foundation,
    outcomes: Sequence[Outcome],
    timings: Timings,
) -> Report:
    """Put together what a run found out.

    Args:
        plan: The run.
        bench: With the wall time of its stages.
        foundation: The float side.
        outcomes: What came of each recipe; fp32 first.
        timings: Of the candidates; empty where the run was cut short.

    Returns:
        The report, with its verdict.
    """
    environment = _environment(timings)
    variants = tuple(_variant(plan, outcome, timings) for outcome in outcomes)
    verdict = decide(variants, plan.limits, labelled=foundation.rows.labelled)
    return Report(
        onnxq=importlib.metadata.version("onnxq"),
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        command=plan.command,
        environment=environment,
        source=_source_facts(plan, foundation),
        data=_data_facts(plan, foundation),
        variants=variants,
        reference="fp32",
        given_latencies=timings.latencies.get(GIVEN, ()),
        findings=(
            *_findings(foundation, outcomes, timings),
            *explain_target(environment),
            *explain_limits(verdict),
        ),
        limits=plan.limits,
        verdict=verdict,
        seconds=dict(bench.seconds),
        work_seconds=sum(bench.seconds.values()),
        sandbox=SANDBOX,
        interrupted=not timings.latencies,
    )


def source_stem(source: Source) -> str:
    """Return the stem of the artefacts' names: of the file, or the factory's last word."""
    if isinstance(source, Factory):
        return source.function
    return Path(source_path(source)).stem


def artefact_file(source: Source, alias: str) -> str:
    """Return the name of a candidate's file in the output folder."""
    return f"{source_stem(source)}.{alias}.onnx"


def _variant(plan: RunPlan, outcome: Outcome, timings: Timings) -> Variant:
    if not isinstance(outcome, Candidate):
        return outcome
    if outcome.alias in timings.dropped:
        return Failed(
            alias=outcome.alias,
            recipe=outcome.recipe,
            code="OQ173",
            reason=timings.dropped[outcome.alias],
            hint="Leave this recipe out with -r, and report the model to onnxq.",
        )
    return Measured(
        alias=outcome.alias,
        recipe=outcome.recipe,
        artefact=_artefact(plan, outcome),
        quality=outcome.quality,
        latencies=timings.latencies.get(outcome.alias, ()),
        speed=timings.speed.get(outcome.alias, ()) if outcome.alias != "fp32" else (),
        speed_over_given=timings.speed_over_given.get(outcome.alias, ()),
        operators=timings.operators.get(outcome.alias, ()),
        seconds=outcome.seconds,
    )


def _artefact(plan: RunPlan, candidate: Candidate) -> Artefact:
    return Artefact(
        file=artefact_file(plan.source, candidate.alias),
        sha256=candidate.model.sha256,
        size=candidate.size,
        opset=candidate.model.opset,
        ir_version=candidate.model.ir_version,
        min_runtime=candidate.model.min_runtime,
        quantized_nodes=candidate.quantized_nodes,
        quantizable_nodes=candidate.quantizable_nodes,
        left_float=candidate.left_float,
    )


def _source_facts(plan: RunPlan, foundation: Foundation) -> SourceFacts:
    converted = foundation.converted
    return SourceFacts(
        given=source_path(plan.source),
        framework=converted.framework,
        exporter=converted.exporter,
        signature=converted.model.signature,
        opset=converted.model.opset,
        sha256=converted.model.sha256,
        parity=converted.parity,
    )


def _data_facts(plan: RunPlan, foundation: Foundation) -> DataFacts | NoData:
    from onnxq.datasets.preprocess import render_preprocess  # noqa: PLC0415 - late

    if isinstance(plan.data, NoDataRequest):
        return NoData()
    rows = foundation.rows
    preprocess = plan.data.preprocess
    calibration = plan.calibration
    return DataFacts(
        spec=plan.data.spec,
        calibration_spec=calibration.spec if isinstance(calibration, DataRequest) else "",
        preprocess=render_preprocess(preprocess) if isinstance(preprocess, PreprocessSpec) else "",
        evaluation_rows=_count(rows.evaluation),
        calibration_rows=_count(rows.calibration),
        labelled=rows.labelled,
        seed=plan.seed,
    )


def _count(rows: EvaluationSet | CalibrationSet | NoRows) -> int:
    return 0 if isinstance(rows, NoRows) else rows.rows.count_rows


def _environment(timings: Timings) -> Environment:
    from onnxq.profiling.environment import read_environment  # noqa: PLC0415 - psutil, late

    return msgspec.structs.replace(read_environment(), busy_ratio=timings.busy_ratio)


def _findings(
    foundation: Foundation, outcomes: Sequence[Outcome], timings: Timings
) -> tuple[Finding, ...]:
    candidates = [outcome for outcome in outcomes if isinstance(outcome, Candidate)]
    own = [finding for candidate in candidates for finding in candidate.findings]
    slow = [finding for one in candidates for finding in explain_speed(one.alias, timings)]
    return (*foundation.findings, *own, *slow, *timings.findings)
