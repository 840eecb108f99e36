"""Candidates: quantized, gated and judged; each failure costs one row of the table."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec

from onnxq.datasets.values import CalibrationSet
from onnxq.errors import Interrupted, OnnxqError
from onnxq.findings import Finding
from onnxq.measurements import Quality, Size
from onnxq.models import OnnxModel
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.foundation import PREDICT_BATCH_ROWS, Foundation, predict_and_judge
from onnxq.pipeline.plans import RunPlan
from onnxq.recipes import DynamicInt8, Float32, StaticQdq, method_tag, recipe_name
from onnxq.reports import Failed, NotApplicable, Skipped, Unusable
from onnxq.stages import (
    CALIBRATE,
    GATE,
    QUANTIZE,
    CalibrateRequest,
    CalibrateResult,
    GateRequest,
    QuantizeRequest,
)

_NOTHING_TO_QUANTIZE = "OQ163"


@dataclass(frozen=True)
class Candidate:
    """A model that could be handed over.

    Attributes:
        alias: What people call its recipe.
        recipe: The recipe's derived name.
        model: In the work folder.
        size: What it weighs.
        quantized_nodes: Nodes whose computation became integer.
        quantizable_nodes: Nodes that the recipe looked at.
        left_float: Name and reason of each node that stayed float.
        quality: Accuracy, agreement, or neither.
        findings: What was noticed.
        seconds: Wall time to build and judge it.
    """

    alias: str
    recipe: str
    model: OnnxModel
    size: Size
    quantized_nodes: int
    quantizable_nodes: int
    left_float: dict[str, str]
    quality: Quality
    findings: tuple[Finding, ...]
    seconds: float


Outcome: TypeAlias = Candidate | Unusable | NotApplicable | Skipped | Failed


def float_candidate(foundation: Foundation) -> Candidate:
    """Make the fp32 candidate: the prepared model."""
    return Candidate(
        alias="fp32",
        recipe=recipe_name(Float32()),
        model=foundation.prepared.model,
        size=foundation.prepared.size,
        quantized_nodes=0,
        quantizable_nodes=0,
        left_float={},
        quality=foundation.quality,
        findings=(),
        seconds=0.0,
    )


@dataclass(frozen=True)
class Site:
    """Where candidates are built.

    Attributes:
        plan: The run.
        bench: Where its stages are carried out.
        foundation: The float side.
    """

    plan: RunPlan
    bench: Bench
    foundation: Foundation


def build_candidates(site: Site) -> Iterator[Outcome]:
    """Build the candidates one after the other.

    Args:
        site: The run, and what it stands on.

    Yields:
        What came of each recipe; a failure of one does not stop the others.
    """
    yield float_candidate(site.foundation)
    calibrated = _calibrate(site)
    for alias, recipe in site.plan.recipes.items():
        match recipe:
            case Float32():
                continue
            case DynamicInt8():
                yield _build(site, alias, recipe, ranges="")
            case StaticQdq(ranges=method):
                if isinstance(calibrated, CalibrateResult):
                    yield _build(site, alias, recipe, ranges=calibrated.ranges[method_tag(method)])
                else:
                    yield msgspec.structs.replace(
                        calibrated, alias=alias, recipe=recipe_name(recipe)
                    )


def _calibrate(site: Site) -> CalibrateResult | Skipped | Failed:
    """Calibrate once for all static recipes; what fails here fails in each of their rows."""
    static = [r for r in site.plan.recipes.values() if isinstance(r, StaticQdq)]
    rows = site.foundation.rows.calibration
    if not static or not isinstance(rows, CalibrationSet):
        reason = "no rows to calibrate on: give --calib, or more rows with --data"
        return Skipped(alias="", recipe="", reason=reason)
    request = CalibrateRequest(
        model=site.foundation.prepared.model,
        rows=rows,
        methods=tuple({method_tag(r.ranges): r.ranges for r in static}.values()),
        threads=site.plan.work_threads,
    )
    try:
        return site.bench.run(CALIBRATE, request, f"{rows.rows.count_rows} rows")
    except Interrupted:
        raise
    except OnnxqError as error:
        return _failed("", "", error)


def _build(site: Site, alias: str, recipe: StaticQdq | DynamicInt8, *, ranges: str) -> Outcome:
    start = time.monotonic()
    try:
        outcome = _quantize_and_judge(site, alias, recipe, ranges)
    except Interrupted:
        raise
    except OnnxqError as error:
        if error.code == _NOTHING_TO_QUANTIZE:
            return NotApplicable(alias=alias, recipe=recipe_name(recipe), reason=error.message)
        return _failed(alias, recipe_name(recipe), error)
    if isinstance(outcome, Candidate):
        return replace(outcome, seconds=time.monotonic() - start)
    return outcome


def _quantize_and_judge(
    site: Site, alias: str, recipe: StaticQdq | DynamicInt8, ranges: str
) -> Candidate | Unusable:
    prepared = site.foundation.prepared.model
    quantized = site.bench.run(
        QUANTIZE, QuantizeRequest(model=prepared, recipe=recipe, ranges=ranges), alias
    )
    gate = GateRequest(
        candidate=quantized.model, original=prepared, inputs=site.foundation.timing_inputs
    )
    site.bench.run(GATE, gate, alias)
    _, judged = predict_and_judge(
        site.plan,
        site.bench,
        quantized.model,
        site.foundation.rows,
        site.foundation.outputs,
        alias,
        site.foundation.batch_rows if isinstance(recipe, DynamicInt8) else PREDICT_BATCH_ROWS,
    )
    worthless = judged.unusable
    if judged.at_chance and not site.plan.allow_chance_accuracy:
        worthless = worthless or "it scores no better than guessing"
    if worthless:
        return Unusable(alias=alias, recipe=recipe_name(recipe), reason=worthless)
    return Candidate(
        alias=alias,
        recipe=recipe_name(recipe),
        model=quantized.model,
        size=quantized.size,
        quantized_nodes=quantized.quantized_nodes,
        quantizable_nodes=quantized.quantizable_nodes,
        left_float=quantized.left_float,
        quality=judged.quality,
        findings=(*quantized.findings, *judged.findings),
        seconds=0.0,
    )


def _failed(alias: str, recipe: str, error: OnnxqError) -> Failed:
    return Failed(
        alias=alias, recipe=recipe, code=error.code, reason=error.message, hint=error.hint
    )
