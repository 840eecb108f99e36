"""What a run found out becomes a report."""

import datetime as dt
import importlib.metadata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from onnxq.audits import NotAudited
from onnxq.calibrations import CalibrationEffort, Shard
from onnxq.datasets.values import (
    CalibrationSet,
    DataRequest,
    EvaluationSet,
    NoRows,
    PreprocessSpec,
)
from onnxq.findings import Finding
from onnxq.measurements import Judged, Size
from onnxq.models import OnnxModel
from onnxq.pipeline.audits import advise_audit, explain_audit
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.candidates import Candidate, Outcome
from onnxq.pipeline.explaining import explain_limits, explain_speed, explain_target, name_machine
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
    NotCalibrated,
    Report,
    SourceFacts,
    Variant,
)
from onnxq.sources import Factory, LiveExport, Source, source_path
from onnxq.stages import ConvertResult, LoadRowsResult, NoDataRequest, QuantizeResult
from onnxq.twins import find_twins
from onnxq.verdict import answer_quantized_already, decide, fit_limits

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
    environment = measured_environment(timings.busy_ratio)
    timings = _advised(timings, source_path(plan.given.source))
    variants = tuple(_variant(plan, outcome, timings, foundation.alias) for outcome in outcomes)
    already, limits = foundation.converted.quantized_already, plan.limits
    if isinstance(foundation.quality, Judged):
        limits = fit_limits(limits, foundation.quality.accuracy)
    verdict = (
        answer_quantized_already(already, limits)
        if already
        else decide(variants, limits, labelled=foundation.rows.labelled)
    )
    verdict = name_machine(verdict, environment, plan.tuning)
    return Report(
        onnxq=importlib.metadata.version("onnxq"),
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        command=plan.course.command,
        environment=environment,
        source=source_facts(plan.given.source, foundation.converted),
        data=data_facts(plan.data, plan.calibration, foundation.rows),
        calibration=calibration_effort(bench),
        variants=variants,
        reference=foundation.alias,
        given_latencies=timings.latencies.get(GIVEN, ()),
        findings=(
            *foundation.findings,
            *bench.findings,
            *_findings(outcomes, timings),
            *find_twins(_digests(outcomes)),
            *explain_target(environment, plan.tuning),
            *explain_limits(verdict),
        ),
        limits=limits,
        verdict=verdict,
        seconds=dict(bench.seconds),
        work_seconds=sum(bench.seconds.values()),
        sandbox=SANDBOX,
        interrupted=not timings.latencies,
        tuning=plan.tuning,
    )


def calibration_effort(bench: Bench) -> CalibrationEffort | NotCalibrated:
    """Return what calibrating took, for a document."""
    return bench.efforts[0] if bench.efforts else NotCalibrated()


def source_stem(source: Source) -> str:
    """Return the stem of the artefacts' names: of the file, or the factory's last word."""
    match source:
        case Factory(function=function):
            return function
        case LiveExport(name=name):
            return name
        case _:
            return Path(source.path).stem


def artefact_file(source: Source, alias: str) -> str:
    """Return the name of a candidate's file in the output folder."""
    return f"{source_stem(source)}.{alias}.onnx"


def ranges_file(source: Source) -> str:
    """Return the name of the file of ranges in the output folder."""
    return f"{source_stem(source)}.ranges.json"


def statistics_file(source: Source, shard: Shard) -> str:
    """Return the name of the file of statistics in the output folder."""
    part = "" if shard.total == 1 else f".{shard.number}of{shard.total}"
    return f"{source_stem(source)}{part}.statistics"


def _variant(plan: RunPlan, outcome: Outcome, timings: Timings, reference: str) -> Variant:
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
        artefact=quantized_artefact(artefact_file(plan.given.source, outcome.alias), outcome),
        quality=outcome.quality,
        latencies=timings.latencies.get(outcome.alias, ()),
        speed=timings.speed.get(outcome.alias, ()) if outcome.alias != reference else (),
        speed_over_given=timings.speed_over_given.get(outcome.alias, ()),
        operators=timings.operators.get(outcome.alias, ()),
        audit=timings.audits.get(outcome.alias, NotAudited()),
        seconds=outcome.seconds,
    )


def quantized_artefact(file: str, made: Candidate | QuantizeResult) -> Artefact:
    """Describe a model that a recipe made as a file of that name."""
    return msgspec.structs.replace(
        float_artefact(file, made.model, made.size),
        quantized_nodes=made.quantized_nodes,
        quantizable_nodes=made.quantizable_nodes,
        left_float=made.left_float,
        io=made.io,
    )


def float_artefact(file: str, model: OnnxModel, size: Size) -> Artefact:
    """Describe a model that no recipe was let at as a file of that name."""
    return Artefact(
        file=file,
        sha256=model.sha256,
        size=size,
        opset=model.opset,
        ir_version=model.ir_version,
        min_runtime=model.min_runtime,
        quantized_nodes=0,
        quantizable_nodes=0,
    )


def source_facts(source: Source, converted: ConvertResult) -> SourceFacts:
    """Describe a model and its conversion, for a document."""
    return SourceFacts(
        given=source_path(source),
        framework=converted.framework,
        exporter=converted.exporter,
        signature=converted.model.signature,
        opset=converted.model.opset,
        sha256=converted.model.sha256,
        parity=converted.parity,
        quantized_already=converted.quantized_already,
    )


def data_facts(
    data: DataRequest | NoDataRequest,
    calibration: DataRequest | NoDataRequest,
    rows: LoadRowsResult,
) -> DataFacts | NoData:
    """Describe the rows that were used, for a document."""
    from onnxq.datasets.preprocess import render_preprocess  # noqa: PLC0415 - late

    first = data if isinstance(data, DataRequest) else calibration
    if isinstance(first, NoDataRequest):
        return NoData()
    preprocess = first.preprocess
    return DataFacts(
        spec=data.spec if isinstance(data, DataRequest) else "",
        calibration_spec=calibration.spec if isinstance(calibration, DataRequest) else "",
        preprocess=render_preprocess(preprocess) if isinstance(preprocess, PreprocessSpec) else "",
        evaluation_rows=_count(rows.evaluation),
        calibration_rows=_count(rows.calibration),
        labelled=rows.labelled,
        seed=first.seed,
    )


def _count(rows: EvaluationSet | CalibrationSet | NoRows) -> int:
    return 0 if isinstance(rows, NoRows) else rows.rows.count_rows


def measured_environment(busy_ratio: float) -> Environment:
    """Describe this machine, and how busy it was while it was measured."""
    from onnxq.profiling.environment import read_environment  # noqa: PLC0415 - psutil, late

    return msgspec.structs.replace(read_environment(), busy_ratio=busy_ratio)


def _advised(timings: Timings, given: str) -> Timings:
    """Let the fixes of audits name files; what a recipe made is repaired by nobody."""
    audits = {
        alias: advise_audit(
            audit,
            file=given if alias == "given" else "",
            model=given,
            has_dynamic="int8-dynamic" in timings.latencies,
        )
        for alias, audit in timings.audits.items()
    }
    return replace(timings, audits=audits)


def _findings(outcomes: Sequence[Outcome], timings: Timings) -> tuple[Finding, ...]:
    candidates = [outcome for outcome in outcomes if isinstance(outcome, Candidate)]
    own = [finding for candidate in candidates for finding in candidate.findings]
    slow = [finding for one in candidates for finding in explain_speed(one.alias, timings)]
    audited = [
        finding
        for alias, audit in timings.audits.items()
        for finding in explain_audit(alias, audit)
    ]
    return (*own, *slow, *audited, *timings.findings)


def _digests(outcomes: Sequence[Outcome]) -> dict[str, str]:
    return {one.alias: one.model.sha256 for one in outcomes if isinstance(one, Candidate)}
