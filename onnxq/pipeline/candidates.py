"""Candidates: quantized, gated and judged; each failure costs one row of the table."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec

from onnxq.errors import Interrupted, LimitError, OnnxqError, UsageError
from onnxq.findings import Finding
from onnxq.integer_tensors import IntegerTensor, integer_io
from onnxq.measurements import Quality, Size
from onnxq.models import OnnxModel
from onnxq.pipeline.bench import Bench
from onnxq.pipeline.blanks import Blank
from onnxq.pipeline.foundation import PREDICT_BATCH_ROWS, Foundation, Subject, predict_and_judge
from onnxq.pipeline.partial import quantize
from onnxq.pipeline.plans import Order, RunPlan
from onnxq.pipeline.range_sources import calibrate_for, failed_row
from onnxq.recipe_kinds import DynamicInt8, Float32, needs_rows, recipe_name
from onnxq.reports import Failed, NotApplicable, Skipped, Tried, Unusable
from onnxq.stages import (
    QuantizeResult,
)

_NOTHING_TO_DO = frozenset({"OQ163", "OQ210"})


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
        io: Inputs and outputs that are integer where the float model's are not.
        rebuilt_by: The recipe that makes the same model without measuring anything; the one that
            was asked for, unless a search found it.
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
    io: tuple[IntegerTensor, ...] = ()
    rebuilt_by: tuple[Order, ...] = ()


Outcome: TypeAlias = Candidate | Unusable | NotApplicable | Tried | Skipped | Failed


def float_candidate(foundation: Foundation) -> Candidate:
    """Make the candidate that others are compared with: the prepared model."""
    return Candidate(
        alias=foundation.alias,
        recipe=recipe_name(Float32()) if foundation.alias == "fp32" else foundation.alias,
        model=foundation.prepared.model,
        size=foundation.prepared.size,
        quantized_nodes=0,
        quantizable_nodes=0,
        left_float={},
        quality=foundation.quality,
        findings=(),
        seconds=0.0,
        io=integer_io(foundation.prepared.model.signature),
    )


@dataclass(frozen=True)
class Site:
    """Where candidates are built.

    Attributes:
        plan: The run.
        bench: Where its stages are carried out.
        foundation: The float side.
        ranges: Path of calibrated ranges by key, or the row of every recipe that needs some.
    """

    plan: RunPlan
    bench: Bench
    foundation: Foundation
    ranges: dict[str, str] | Skipped | Failed

    @property
    def orders(self) -> dict[str, Order]:
        """Recipes that quantize, by alias."""
        return _quantizing(self.plan)

    @property
    def blank(self) -> Blank:
        """The prepared model, and what it takes to quantize it."""
        return Blank(
            bench=self.bench,
            model=self.foundation.prepared.model,
            inputs=self.foundation.timing_inputs,
            ranges=self.ranges if isinstance(self.ranges, dict) else {},
            tuning=self.plan.tuning,
        )


def open_site(plan: RunPlan, bench: Bench, foundation: Foundation) -> Site:
    """Calibrate for all recipes of a run.

    Args:
        plan: The run.
        bench: Where its stages are carried out.
        foundation: The float side.

    Returns:
        Where candidates can be built.
    """
    if foundation.converted.quantized_already:
        return Site(plan, bench, foundation, {})
    calibrated = calibrate_for(
        bench,
        foundation.prepared.model,
        foundation.rows,
        _quantizing(plan),
        plan.calibrating,
        threads=plan.course.work_threads,
    )
    return Site(plan, bench, foundation, calibrated)


def _quantizing(plan: RunPlan) -> dict[str, Order]:
    return {a: o for a, o in plan.orders.items() if not isinstance(o.recipe, Float32)}


def build_candidates(site: Site) -> Iterator[Outcome]:
    """Build the quantized candidates one after the other.

    Args:
        site: The run, and what it stands on.

    Yields:
        What came of each recipe; a failure of one does not stop the others.
    """
    already = site.foundation.converted.quantized_already
    if already:
        yield from _never_twice(site, already)
        return
    for alias, order in site.orders.items():
        ranges = ranges_for(site.ranges, alias, order)
        yield build_candidate(site, alias, order) if isinstance(ranges, dict) else ranges


def ranges_for(
    calibrated: dict[str, str] | Skipped | Failed, alias: str, order: Order
) -> dict[str, str] | Skipped | Failed:
    """Return the ranges that a recipe is built with, or its row where it has to do without.

    Args:
        calibrated: Path of the ranges by key, or why there are none.
        alias: What people call the recipe.
        order: The recipe.
    """
    if not needs_rows(order.recipe):
        return {}
    if isinstance(calibrated, dict):
        return calibrated
    return msgspec.structs.replace(calibrated, alias=alias, recipe=recipe_name(order.recipe))


def _never_twice(site: Site, already: str) -> Iterator[NotApplicable]:
    if not site.plan.recipes_named:
        return
    reason = f"the model is quantized already ({already}), and is never quantized twice"
    for alias, order in site.plan.orders.items():
        if not isinstance(order.recipe, Float32):
            yield NotApplicable(alias=alias, recipe=recipe_name(order.recipe), reason=reason)


def build_candidate(site: Site, alias: str, order: Order) -> Outcome:
    """Build a candidate and judge it.

    Args:
        site: The run, with the ranges that the recipe needs.
        alias: What people call the recipe.
        order: The recipe.

    Returns:
        What came of it.
    """
    start = time.monotonic()
    try:
        outcome = _quantize_and_judge(site, alias, order)
    except Interrupted:
        raise
    except OnnxqError as error:
        return refused_row(alias, order, error)
    if isinstance(outcome, Candidate):
        return replace(outcome, seconds=time.monotonic() - start)
    return outcome


def _quantize_and_judge(site: Site, alias: str, order: Order) -> Candidate | Unusable:
    return judge_candidate(site, alias, order, quantize(site.blank, alias, order))


def judge_candidate(
    site: Site, alias: str, order: Order, quantized: QuantizeResult
) -> Candidate | Unusable:
    """Judge a quantized model.

    Args:
        site: The run.
        alias: What people call its recipe.
        order: The recipe.
        quantized: The model.

    Returns:
        The candidate; its time to build is not known here.
    """
    foundation = site.foundation
    is_dynamic = isinstance(order.recipe, DynamicInt8)
    _, judged = predict_and_judge(
        site.bench,
        site.plan.judging,
        Subject(alias, quantized.model, io=quantized.io),
        foundation.rows,
        foundation.outputs,
        foundation.batch_rows if is_dynamic else PREDICT_BATCH_ROWS,
    )
    name = recipe_name(order.recipe)
    worthless = judged.unusable
    if judged.at_chance and not site.plan.allow_chance_accuracy:
        worthless = worthless or "it scores no better than guessing"
    if worthless:
        return Unusable(alias=alias, recipe=name, reason=worthless)
    return Candidate(
        alias=alias,
        recipe=name,
        model=quantized.model,
        size=quantized.size,
        quantized_nodes=quantized.quantized_nodes,
        quantizable_nodes=quantized.quantizable_nodes,
        left_float=quantized.left_float,
        quality=judged.quality,
        findings=(*quantized.findings, *judged.findings),
        seconds=0.0,
        io=quantized.io,
    )


def refused_row(alias: str, order: Order, error: OnnxqError) -> NotApplicable | Failed:
    """Turn what a recipe failed of into its row of the table.

    Args:
        alias: What people call the recipe.
        order: The recipe.
        error: What a stage raised.

    Returns:
        The row.

    Raises:
        LimitError: The error itself, where ``--strict`` is not met: that ends the run.
        UsageError: The error itself, where the scope contradicts the model: likewise.
    """
    name = recipe_name(order.recipe)
    if isinstance(error, LimitError | UsageError):
        raise error
    if error.code in _NOTHING_TO_DO:
        return NotApplicable(alias=alias, recipe=name, reason=error.message)
    return failed_row(alias, name, error)
