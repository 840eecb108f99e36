"""``repair``: a quantized model of another tool is rewritten, proven and measured."""

import datetime as dt
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from onnxq.documents import Repair
from onnxq.errors import SourceError
from onnxq.findings import Finding
from onnxq.measurements import Latency, SpeedRatio
from onnxq.pipeline.arrivals import convert_source, inference_rows, load_rows, store_inference
from onnxq.pipeline.bench import Bench, open_bench
from onnxq.pipeline.explaining import explain_target
from onnxq.pipeline.handing_over import check_destination, hand_over
from onnxq.pipeline.interleaved import measure_together
from onnxq.pipeline.plans import RepairPlan
from onnxq.pipeline.reporting import (
    SANDBOX,
    artefact_file,
    data_facts,
    float_artefact,
    measured_environment,
    source_facts,
)
from onnxq.pipeline.work_folders import kept_files, work_folder
from onnxq.sources import OnnxFile, source_path
from onnxq.stages import (
    REPAIR,
    ConvertResult,
    LatencyChildRequest,
    LoadRowsResult,
    NoDataRequest,
    RepairRequest,
    RepairResult,
)

ALIAS = "repaired"
"""What a repaired model is called among files: ``NAME.repaired.onnx``."""

_GIVEN = "as given"
_PROOF_ROWS, _REAL_PROOF_ROWS = 4, 16
"""Of each proof, where the batch is free; real ones also say what ranges are."""


@dataclass(frozen=True)
class _Times:
    """What was measured; empty where nothing was."""

    before: tuple[Latency, ...] = ()
    after: tuple[Latency, ...] = ()
    speed: tuple[SpeedRatio, ...] = ()
    busy_ratio: float = 0.0
    findings: tuple[Finding, ...] = ()


def execute_repair(plan: RepairPlan) -> Repair:
    """Repair a model, and write it.

    Args:
        plan: What to do.

    Returns:
        What was done.

    Raises:
        SourceError: OQ175 if there are no quantized activations: nothing that could be repaired.
        OnnxqError: What a stage raised; nothing was written then.
    """
    check_destination(plan.out, kept_files(plan.out, plan.given, plan.calibration))
    check_source(plan)
    with work_folder() as folder:
        bench = open_bench(folder, plan.course)
        converted = convert_source(plan.given, bench)
        model, declared = converted.model, plan.given.declared
        rows = load_rows(bench, model, NoDataRequest(), plan.calibration, declared, split=False)
        is_real = plan.calibration != NoDataRequest()
        batch = _REAL_PROOF_ROWS if is_real else _PROOF_ROWS
        request = RepairRequest(
            model=model,
            inputs=_inputs(plan, bench, converted, rows, batch),
            rows_are_real=is_real,
            tuning=plan.tuning,
            given=source_path(plan.given.source),
        )
        repaired = bench.run(REPAIR, request, source_path(plan.given.source))
        changed = any(step.is_kept for step in repaired.steps)
        measures = plan.measures and changed
        times = _measure(plan, bench, converted, repaired, rows) if measures else _Times()
        document = _document(plan, bench, converted, rows, repaired, times)
        return hand_over(plan.out, {document.artefact.file: repaired.model.path}, document)


def repaired_file(plan: RepairPlan) -> str:
    """Return the name of the file that a repair writes: once repaired is enough in a name."""
    out, source = plan.out, plan.given.source
    if out.is_file:
        return out.path.name
    given = Path(source_path(source))
    named_so = given.stem.endswith(f".{ALIAS}") and given.resolve().parent != out.path.resolve()
    return given.name if named_so else artefact_file(source, ALIAS)


def check_source(plan: RepairPlan) -> None:
    """Refuse what is no .onnx file (OQ175)."""
    source = plan.given.source
    if not isinstance(source, OnnxFile):
        message = f"{source_path(source)} is no .onnx file; repair takes quantized ONNX models."
        hint = "Export it first:  onnxq convert"
        raise SourceError(message, code="OQ175", hint=f"{hint} {source_path(source)}")


def _inputs(
    plan: RepairPlan, bench: Bench, converted: ConvertResult, rows: LoadRowsResult, batch: int
) -> dict[str, str]:
    return store_inference(
        bench,
        converted.model,
        rows.calibration,
        plan.given.declared,
        batch_rows=converted.model.signature.fixed_batch_rows or batch,
        seed=plan.timing.seed,
    )


def _measure(
    plan: RepairPlan,
    bench: Bench,
    converted: ConvertResult,
    repaired: RepairResult,
    rows: LoadRowsResult,
) -> _Times:
    batch = inference_rows(converted.model, plan.timing.batch_rows, rows.calibration)
    inputs, threads = _inputs(plan, bench, converted, rows, batch), plan.timing.threads
    paths = {_GIVEN: converted.model.path, ALIAS: repaired.model.path}
    if repaired.given_failure:
        del paths[_GIVEN]
    study = measure_together(
        bench,
        {
            name: LatencyChildRequest(model=path, inputs=inputs, threads=threads)
            for name, path in paths.items()
        },
        threads,
        batch_rows=batch,
        seconds=plan.timing.seconds,
    )
    return _Times(
        before=study.latencies.get(_GIVEN, ()),
        after=study.latencies.get(ALIAS, ()),
        speed=study.ratios(next(iter(paths))).get(ALIAS, ()) if _GIVEN in paths else (),
        busy_ratio=study.busy_ratio,
        findings=study.findings,
    )


def _document(
    plan: RepairPlan,
    bench: Bench,
    converted: ConvertResult,
    rows: LoadRowsResult,
    repaired: RepairResult,
    times: _Times,
) -> Repair:
    environment = measured_environment(times.busy_ratio)
    artefact = float_artefact(repaired_file(plan), repaired.model, repaired.size)
    return Repair(
        onnxq=importlib.metadata.version("onnxq"),
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        command=plan.course.command,
        environment=environment,
        source=source_facts(plan.given.source, converted),
        data=data_facts(NoDataRequest(), plan.calibration, rows),
        target=plan.tuning.target,
        artefact=replace(artefact, quantized_nodes=repaired.model.quantized_nodes),
        size_before=repaired.size_before,
        steps=repaired.steps,
        is_equal=repaired.is_equal,
        sqnr_db=repaired.sqnr_db,
        optimized_sqnr_db=repaired.optimized_sqnr_db,
        given_optimized_sqnr_db=repaired.given_optimized_sqnr_db,
        unrounded_db_before=repaired.unrounded_db_before,
        unrounded_db=repaired.unrounded_db,
        given_failure=repaired.given_failure,
        is_equal_served=repaired.is_equal_served,
        served_sqnr_db=repaired.served_sqnr_db,
        served_unrounded_db_before=repaired.served_unrounded_db_before,
        before=repaired.before,
        after=repaired.after,
        latencies_before=times.before,
        latencies_after=times.after,
        speed=times.speed,
        out=str(plan.out.path),
        findings=(
            *converted.findings,
            *rows.findings,
            *repaired.findings,
            *bench.findings,
            *times.findings,
            *explain_target(environment, plan.tuning),
        ),
        seconds=dict(bench.seconds),
        sandbox=SANDBOX,
    )
