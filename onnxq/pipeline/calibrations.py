"""``calibrate`` and ``merge``: ranges are found out and kept, nothing is quantized."""

import datetime as dt
import importlib.metadata
from pathlib import Path

from onnxq.datasets.values import CalibrationSet, DataRequest
from onnxq.documents import CalibratedSet, Calibration
from onnxq.errors import RecipeError
from onnxq.pipeline.arrivals import NO_ROWS, convert_source, load_rows, refuse_quantized
from onnxq.pipeline.bench import Bench, open_bench
from onnxq.pipeline.foundation import prepare
from onnxq.pipeline.handing_over import check_destination, hand_over
from onnxq.pipeline.plans import CalibratePlan
from onnxq.pipeline.range_sources import asked_ranges, calibrate, collect_ranges
from onnxq.pipeline.reporting import (
    SANDBOX,
    data_facts,
    ranges_file,
    source_facts,
    statistics_file,
)
from onnxq.pipeline.work_folders import kept_files, work_folder
from onnxq.ranges import load_ranges
from onnxq.recipe_kinds import StaticQdq, ranges_key, recipe_name
from onnxq.stages import (
    CalibrateResult,
    ConvertResult,
    LoadRowsResult,
    NoDataRequest,
    PrepareResult,
    StatisticsParts,
)


def execute_calibration(plan: CalibratePlan) -> Calibration:
    """Calibrate a model, and write its statistics and ranges.

    Args:
        plan: What to do.

    Returns:
        What was done; the files lie in the plan's destination.

    Raises:
        SourceError: If the model is quantized already (OQ110).
        RecipeError: If there are no rows (OQ162).
        OnnxqError: What a stage raised; nothing was written then.
    """
    data = plan.calibration if isinstance(plan.calibration, DataRequest) else NoDataRequest()
    check_destination(plan.out, (*kept_files(plan.out, plan.given, data), *_parts(plan)))
    with work_folder() as folder:
        bench = open_bench(folder, plan.course)
        converted = convert_source(plan.given, bench)
        instead = "It has its ranges. Look at them:  onnxq inspect"
        refuse_quantized(plan.given, converted, instead=instead)
        rows = _load(plan, bench, converted)
        prepared = prepare(bench, converted, plan.tuning)
        calibrated = calibrate(
            bench,
            prepared.model,
            _calibrated_on(plan, rows),
            asked_ranges(plan.orders),
            plan.calibrating,
            threads=plan.course.work_threads,
        )
        document = _document(plan, bench, converted, rows, prepared, calibrated)
        files = {statistics_file(plan.given.source, plan.calibrating.shard): calibrated.statistics}
        texts = {}
        if calibrated.ranges:
            name = ranges_file(plan.given.source)
            texts[name] = collect_ranges(bench, calibrated.ranges.values())
        return hand_over(plan.out, files, document, texts)


def _parts(plan: CalibratePlan) -> tuple[Path, ...]:
    if isinstance(plan.calibration, StatisticsParts):
        return tuple(Path(path) for path in plan.calibration.paths)
    return ()


def _load(plan: CalibratePlan, bench: Bench, converted: ConvertResult) -> LoadRowsResult:
    if isinstance(plan.calibration, StatisticsParts):
        return NO_ROWS
    return load_rows(
        bench,
        converted.model,
        NoDataRequest(),
        plan.calibration,
        plan.given.declared,
        split=False,
    )


def _calibrated_on(plan: CalibratePlan, rows: LoadRowsResult) -> CalibrationSet | StatisticsParts:
    if isinstance(plan.calibration, StatisticsParts):
        return plan.calibration
    if isinstance(rows.calibration, CalibrationSet):
        return rows.calibration
    message = f"there are no rows in {plan.calibration.spec} to calibrate on."
    raise RecipeError(message, code="OQ162", hint="Give rows with --calib.")


def _document(
    plan: CalibratePlan,
    bench: Bench,
    converted: ConvertResult,
    rows: LoadRowsResult,
    prepared: PrepareResult,
    calibrated: CalibrateResult,
) -> Calibration:
    data = plan.calibration if isinstance(plan.calibration, DataRequest) else NoDataRequest()
    return Calibration(
        onnxq=importlib.metadata.version("onnxq"),
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        command=plan.course.command,
        source=source_facts(plan.given.source, converted),
        data=data_facts(NoDataRequest(), data, rows),
        effort=calibrated.effort,
        shard=plan.calibrating.shard,
        sets=_sets(plan, calibrated),
        out=str(plan.out.path),
        findings=(
            *converted.findings,
            *rows.findings,
            *prepared.findings,
            *bench.findings,
        ),
        seconds=dict(bench.seconds),
        sandbox=SANDBOX,
        tuning=plan.tuning,
    )


def _sets(plan: CalibratePlan, calibrated: CalibrateResult) -> tuple[CalibratedSet, ...]:
    sets = []
    for alias, order in plan.orders.items():
        if not isinstance(order.recipe, StaticQdq):
            continue
        key = ranges_key(order.recipe, order.scope)
        if key in calibrated.ranges:
            read = load_ranges(calibrated.ranges[key])
            sets.append(
                CalibratedSet(
                    alias=alias,
                    recipe=recipe_name(order.recipe),
                    key=key,
                    ranges=read.ranges,
                    kept_float=read.kept_float,
                )
            )
    return tuple(sets)
