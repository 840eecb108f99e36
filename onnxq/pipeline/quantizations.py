"""``quantize``: models are built by recipes and pass their gates; nothing is measured."""

import datetime as dt
import importlib.metadata
import time
from collections.abc import Iterator
from dataclasses import dataclass

from onnxq.datasets.values import CalibrationSet
from onnxq.documents import Built, BuiltVariant, Quantization
from onnxq.errors import Interrupted, OnnxqError, RecipeError
from onnxq.findings import Finding
from onnxq.models import OnnxModel
from onnxq.pipeline.arrivals import (
    convert_source,
    inference_rows,
    load_rows,
    refuse_quantized,
    store_inference,
)
from onnxq.pipeline.bench import Bench, open_bench
from onnxq.pipeline.blanks import Blank
from onnxq.pipeline.candidates import ranges_for, refused_row
from onnxq.pipeline.explaining import explain_foreign
from onnxq.pipeline.foundation import prepare
from onnxq.pipeline.handing_over import check_destination, hand_over
from onnxq.pipeline.partial import quantize
from onnxq.pipeline.plans import Order, QuantizePlan
from onnxq.pipeline.range_sources import calibrate_for, collect_ranges, given_ranges
from onnxq.pipeline.reporting import (
    SANDBOX,
    artefact_file,
    calibration_effort,
    data_facts,
    float_artefact,
    quantized_artefact,
    ranges_file,
    source_facts,
)
from onnxq.pipeline.work_folders import kept_files, work_folder
from onnxq.recipe_kinds import Float32, needs_rows, recipe_name
from onnxq.reports import Failed, Skipped
from onnxq.stages import (
    ConvertResult,
    LoadRowsResult,
    NoDataRequest,
    PrepareResult,
)


@dataclass(frozen=True)
class _Made:
    """A row of the table, and the model behind it."""

    row: BuiltVariant
    path: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class _Site:
    """What the recipes work on."""

    plan: QuantizePlan
    bench: Bench
    converted: ConvertResult
    rows: LoadRowsResult
    prepared: PrepareResult
    inputs: dict[str, str]
    calibrated: dict[str, str] | Skipped | Failed


def execute_quantization(plan: QuantizePlan) -> Quantization:
    """Quantize a model by each recipe, and write what passes its gates.

    Args:
        plan: What to do.

    Returns:
        What was done; the models lie in the plan's destination.

    Raises:
        SourceError: If the model is quantized already (OQ110).
        RecipeError: If a recipe needs rows and there are none (OQ162).
        OnnxqError: What a stage raised, and what the recipe failed of where there is only one;
            nothing was written then.
    """
    check_destination(plan.out, kept_files(plan.out, plan.given, plan.calibration))
    with work_folder() as folder:
        bench = open_bench(folder, plan.course)
        site = _open_site(plan, bench)
        made = list(_build_all(site))
        document = _document(site, made)
        models = {one.row.artefact.file: one.path for one in made if isinstance(one.row, Built)}
        texts = _ranges_texts(site)
        return hand_over(plan.out, models, document, texts) if models else document


def _ranges_texts(site: _Site) -> dict[str, str]:
    """Return the file of ranges that goes beside the models, by its name."""
    if site.plan.out.is_file or not isinstance(site.calibrated, dict) or not site.calibrated:
        return {}
    name = ranges_file(site.plan.given.source)
    return {name: collect_ranges(site.bench, site.calibrated.values())}


def _open_site(plan: QuantizePlan, bench: Bench) -> _Site:
    converted = convert_source(plan.given, bench)
    model = converted.model
    instead = "It is never quantized twice. Measure it:  onnxq profile"
    refuse_quantized(plan.given, converted, instead=instead)
    declared = plan.given.declared
    rows = load_rows(bench, model, NoDataRequest(), plan.calibration, declared, split=False)
    _check_rows(plan, rows)
    prepared = prepare(bench, converted, plan.tuning)
    inputs = store_inference(
        bench,
        prepared.model,
        rows.calibration,
        declared,
        batch_rows=inference_rows(model, 0, rows.calibration),
        seed=plan.given.seed,
    )
    calibrated = _calibrate(plan, bench, prepared.model, rows)
    return _Site(plan, bench, converted, rows, prepared, inputs, calibrated)


def _calibrate(
    plan: QuantizePlan, bench: Bench, model: OnnxModel, rows: LoadRowsResult
) -> dict[str, str] | Skipped | Failed:
    if plan.ranges:
        return given_ranges(bench, model, plan.ranges, plan.orders)
    return calibrate_for(
        bench,
        model,
        rows,
        plan.orders,
        plan.calibrating,
        threads=plan.course.work_threads,
    )


def _check_rows(plan: QuantizePlan, rows: LoadRowsResult) -> None:
    static = [alias for alias, order in plan.orders.items() if needs_rows(order.recipe)]
    if static and not plan.ranges and not isinstance(rows.calibration, CalibrationSet):
        message = f"recipe {static[0]!r} needs rows to calibrate on, and there are none."
        hint = "Give rows with --calib, or take a recipe without: -r int8-dynamic."
        raise RecipeError(message, code="OQ162", hint=hint)


def _build_all(site: _Site) -> Iterator[_Made]:
    for alias, order in site.plan.orders.items():
        if isinstance(order.recipe, Float32):
            yield _float_row(site, alias)
            continue
        ranges = ranges_for(site.calibrated, alias, order)
        yield (_build(site, alias, order, ranges) if isinstance(ranges, dict) else _Made(ranges))


def _float_row(site: _Site, alias: str) -> _Made:
    prepared = site.prepared
    artefact = float_artefact(_file(site, alias), prepared.model, prepared.size)
    row = Built(
        alias=alias, recipe=recipe_name(Float32()), artefact=artefact, size_ratio=1.0, seconds=0.0
    )
    return _Made(row, prepared.model.path)


def _build(site: _Site, alias: str, order: Order, ranges: dict[str, str]) -> _Made:
    start = time.monotonic()
    try:
        result = quantize(_blank(site, ranges), alias, order)
    except Interrupted:
        raise
    except OnnxqError as error:
        if len(site.plan.orders) == 1:
            raise
        return _Made(refused_row(alias, order, error))
    row = Built(
        alias=alias,
        recipe=recipe_name(order.recipe),
        artefact=quantized_artefact(_file(site, alias), result),
        size_ratio=site.prepared.size.file_bytes / result.size.file_bytes,
        seconds=time.monotonic() - start,
    )
    return _Made(row, result.model.path, result.findings)


def _blank(site: _Site, ranges: dict[str, str]) -> Blank:
    return Blank(
        bench=site.bench,
        model=site.prepared.model,
        inputs=site.inputs,
        ranges=ranges,
        tuning=site.plan.tuning,
    )


def _file(site: _Site, alias: str) -> str:
    out = site.plan.out
    return out.path.name if out.is_file else artefact_file(site.plan.given.source, alias)


def _document(site: _Site, made: list[_Made]) -> Quantization:
    plan = site.plan
    from onnxq.profiling.environment import own_target  # noqa: PLC0415 - psutil, late

    own = [finding for one in made for finding in one.findings]
    return Quantization(
        onnxq=importlib.metadata.version("onnxq"),
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        command=plan.course.command,
        source=source_facts(plan.given.source, site.converted),
        data=data_facts(NoDataRequest(), plan.calibration, site.rows),
        calibration=calibration_effort(site.bench),
        float_size=site.prepared.size,
        variants=tuple(one.row for one in made),
        out=str(plan.out.path),
        findings=(
            *site.converted.findings,
            *site.rows.findings,
            *site.prepared.findings,
            *site.bench.findings,
            *own,
            *explain_foreign(plan.tuning, own_target().name),
        ),
        seconds=dict(site.bench.seconds),
        sandbox=SANDBOX,
        tuning=plan.tuning,
    )
