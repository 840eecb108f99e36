"""``--plan``: what a verb would do, and about what it would cost. No framework is loaded."""

import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from onnxq.calibrations import WHOLE
from onnxq.datasets.values import DataRequest
from onnxq.documents import Plan, PlannedRecipe, PlannedStep
from onnxq.findings import Finding
from onnxq.isolation.ownership import RECIPES_FILE, REPORT_FILE, SNIPPET_FILE
from onnxq.noninferiority import detectable_drop
from onnxq.pipeline.conversions import converted_file
from onnxq.pipeline.handing_over import check_destination
from onnxq.pipeline.outlooks import (
    Outlook,
    disk_bytes,
    look,
    memory_bytes,
    note_unknown,
)
from onnxq.pipeline.partial import partial_order
from onnxq.pipeline.planned_refusals import check_calibrated, check_float
from onnxq.pipeline.planned_steps import (
    JUDGING,
    KINDS,
    OPERATORS_S,
    calibrate_steps,
    convert_step,
    float_steps,
    judge_step,
    latency_step,
    load_step,
    plan_step,
    prepare_step,
    recipe_steps,
    repair_step,
    search_steps,
)
from onnxq.pipeline.plans import (
    CalibratePlan,
    ConvertPlan,
    Destination,
    Order,
    ProfilePlan,
    QuantizePlan,
    RepairPlan,
    RunPlan,
)
from onnxq.pipeline.range_sources import asked_ranges
from onnxq.pipeline.repairs import check_source, repaired_file
from onnxq.pipeline.reporting import artefact_file, ranges_file, statistics_file
from onnxq.pipeline.searching import (
    WEIGHTS,
    can_be_divided,
    flat_order,
    searches,
    tries_weights,
)
from onnxq.pipeline.work_folders import kept_files
from onnxq.presets import describe_families, describe_tuning
from onnxq.profiling.environment import own_target
from onnxq.recipe_kinds import ALIASES, Float32, Recipe, alias_of, needs_rows, recipe_name
from onnxq.sources import (
    OnnxFile,
    Source,
    source_path,
)
from onnxq.stages import NoDataRequest, StatisticsParts
from onnxq.tunings import Tuning
from onnxq.wording import count_noun

_FLIP_RATE = 0.02
"""Share of rows that int8 usually changes from right to wrong or back (measured on five
third-party models: 0.3 to 4 %); what the detectable drop is computed with."""

NOWHERE = Destination(path=Path(), overwrite=False)
"""Of a verb that writes nothing."""


def describe_run(plan: RunPlan) -> Plan:
    """Say what a run would do.

    Args:
        plan: The run.

    Returns:
        Its steps, recipes, rows and files.

    Raises:
        OnnxqError: What can be known to fail: the output, the data, the model's file.
    """
    check_destination(plan.out, kept_files(plan.out, plan.given, plan.data, plan.calibration))
    wants_ranges = any(needs_rows(order.recipe) for order in plan.orders.values())
    outlook = look(
        plan.given,
        plan.data,
        plan.calibration,
        plan.course,
        split=wants_ranges,
        asked=asked_ranges(plan.orders),
        how=plan.calibrating,
    )
    already = outlook.found.quantized_already
    if already:
        whole = look(plan.given, plan.data, plan.calibration, plan.course, split=False)
        return _nothing_to_choose(plan, whole, already)
    if plan.recipes_named:
        check_calibrated(plan.orders, outlook)
    first = _recipes(plan.given.source, plan.orders, plan.out, outlook)
    built = {r.alias: plan.orders[r.alias].recipe for r in first if not r.skipped}
    further = tuple(_further(plan, built))
    recipes = (*first, *further)
    found, models = outlook.found, count_noun(len(built), "model")
    steps = (
        *float_steps(outlook, plan.data),
        *recipe_steps(outlook, built, judges=bool(found.evaluation_rows)),
        *search_steps(outlook, further, judges=bool(found.evaluation_rows)),
        latency_step(len(built) + 1, plan.timing.seconds),
        plan_step("profile operators", models, len(built) * OPERATORS_S, "usual"),
    )
    beside = (REPORT_FILE, SNIPPET_FILE, RECIPES_FILE)
    return _made_for(_plan("run", [outlook], steps, recipes, plan.out, beside), plan.tuning)


def _nothing_to_choose(plan: RunPlan, outlook: Outlook, already: str) -> Plan:
    """Say that a model which is quantized already is measured, and no recipe is let at it."""
    reason = f"the model is quantized already ({already}), and is never quantized twice"
    file = artefact_file(plan.given.source, "given")
    orders = plan.orders if plan.recipes_named else {}
    recipes = (
        PlannedRecipe(alias="given", recipe="given", file=file, skipped=""),
        *(
            PlannedRecipe(alias=alias, recipe=recipe_name(order.recipe), file="", skipped=reason)
            for alias, order in orders.items()
            if not isinstance(order.recipe, Float32)
        ),
    )
    judged = isinstance(plan.data, DataRequest)
    steps = (
        convert_step(plan.given),
        *([load_step(outlook, plan.data), judge_step(outlook, "given")] if judged else []),
        latency_step(1, plan.timing.seconds),
        plan_step("profile operators", "1 model", OPERATORS_S, "usual"),
    )
    beside = (REPORT_FILE, SNIPPET_FILE, RECIPES_FILE)
    planned = _plan("run", [outlook], steps, recipes, plan.out, beside)
    said = Finding(
        code="OQ110",
        subject=source_path(plan.given.source),
        message=f"It is quantized already ({already}): it would be measured, and nothing chosen.",
    )
    return msgspec.structs.replace(planned, findings=(*planned.findings, said))


def describe_conversion(plan: ConvertPlan) -> Plan:
    """Say what a conversion would do; see :func:`describe_run`."""
    check_destination(plan.out, kept_files(plan.out, plan.given, plan.given.data))
    nothing = NoDataRequest()
    outlook = look(plan.given, nothing, nothing, plan.course, split=False)
    steps = (convert_step(plan.given),)
    file = converted_file(plan.given.source, plan.out)
    files = (file,) if plan.out.is_file else (file, REPORT_FILE)
    return _plan("convert", [outlook], steps, (), plan.out, files)


def describe_quantization(plan: QuantizePlan) -> Plan:
    """Say what a quantization would do; see :func:`describe_run`."""
    check_destination(plan.out, kept_files(plan.out, plan.given, plan.calibration))
    outlook = look(
        plan.given,
        NoDataRequest(),
        plan.calibration,
        plan.course,
        split=False,
        asked=() if plan.ranges else asked_ranges(plan.orders),
        how=plan.calibrating,
    )
    check_float(outlook)
    if not plan.ranges:
        check_calibrated(plan.orders, outlook)
    recipes = _recipes(
        plan.given.source, plan.orders, plan.out, outlook, has_ranges=bool(plan.ranges)
    )
    built = {r.alias: plan.orders[r.alias].recipe for r in recipes if not r.skipped}
    steps = (
        convert_step(plan.given),
        *([load_step(outlook, plan.calibration)] if plan.calibration != NoDataRequest() else []),
        prepare_step(outlook),
        *recipe_steps(outlook, built, judges=False),
    )
    is_static = any(map(needs_rows, built.values()))
    ranges = (ranges_file(plan.given.source),) if is_static else ()
    beside = () if plan.out.is_file else (REPORT_FILE, *ranges)
    return _made_for(_plan("quantize", [outlook], steps, recipes, plan.out, beside), plan.tuning)


def describe_calibration(plan: CalibratePlan) -> Plan:
    """Say what a calibration or a merge would do; see :func:`describe_run`."""
    rows = plan.calibration if isinstance(plan.calibration, DataRequest) else NoDataRequest()
    check_destination(plan.out, kept_files(plan.out, plan.given, rows))
    asked = asked_ranges(plan.orders)
    outlook = look(
        plan.given,
        NoDataRequest(),
        rows,
        plan.course,
        split=False,
        asked=asked,
        how=plan.calibrating,
    )
    built = {alias: order.recipe for alias, order in plan.orders.items()}
    merges = isinstance(plan.calibration, StatisticsParts)
    steps = (
        convert_step(plan.given),
        *([] if merges else [load_step(outlook, rows)]),
        prepare_step(outlook),
        *([] if merges else calibrate_steps(outlook, built, plan.calibrating.shard.total)),
    )
    shard = plan.calibrating.shard
    ranges = (ranges_file(plan.given.source),) if shard == WHOLE else ()
    beside = (statistics_file(plan.given.source, shard), *ranges, REPORT_FILE)
    return _plan("merge" if merges else "calibrate", [outlook], steps, (), plan.out, beside)


def describe_profile(plan: ProfilePlan) -> Plan:
    """Say what a profile would do; see :func:`describe_run`."""
    steps: list[PlannedStep] = []
    outlooks: list[Outlook] = []
    for name, given in plan.models.items():
        outlook = look(given, plan.data, NoDataRequest(), plan.course, split=False)
        outlooks.append(outlook)
        if not isinstance(given.source, OnnxFile):
            steps.append(convert_step(given))
        seconds, basis = outlook.row_seconds(outlook.found.evaluation_rows, children=JUDGING)
        if isinstance(plan.data, DataRequest):
            steps.append(plan_step("judge", name, seconds * len(plan.providers), basis))
    rows = len(plan.models) * len(plan.providers)
    steps.append(latency_step(rows, plan.timing.seconds))
    steps.append(
        plan_step("profile operators", count_noun(rows, "model"), rows * OPERATORS_S, "usual")
    )
    return _plan("profile", outlooks, steps, (), NOWHERE, ())


def describe_repair(plan: RepairPlan) -> Plan:
    """Say what a repair would do; see :func:`describe_run`."""
    check_destination(plan.out, kept_files(plan.out, plan.given, plan.calibration))
    check_source(plan)
    outlook = look(
        plan.given, NoDataRequest(), plan.calibration, plan.course, split=False, repairs=True
    )
    steps = (
        convert_step(plan.given),
        *([load_step(outlook, plan.calibration)] if plan.calibration != NoDataRequest() else []),
        repair_step(outlook),
        *([latency_step(2, plan.timing.seconds)] if plan.measures else []),
    )
    file = repaired_file(plan)
    files = (file,) if plan.out.is_file else (file, REPORT_FILE)
    return _plan("repair", [outlook], steps, (), plan.out, files)


def _made_for(plan: Plan, tuning: Tuning) -> Plan:
    """Say for which CPU a plan's models would be made."""
    made_for = describe_tuning(tuning, own_target().name)
    return msgspec.structs.replace(plan, made_for=made_for, families=describe_families())


def _recipes(
    source: Source,
    orders: Mapping[str, Order],
    out: Destination,
    outlook: Outlook,
    *,
    has_ranges: bool = False,
) -> tuple[PlannedRecipe, ...]:
    no_rows = outlook.found.calibration_rows == 0 and not has_ranges
    return tuple(
        PlannedRecipe(
            alias=alias,
            recipe=recipe_name(order.recipe),
            file="" if skipped else _file(source, alias, out),
            skipped=skipped,
        )
        for alias, order in orders.items()
        for skipped in ["it needs rows to calibrate on" * (no_rows and needs_rows(order.recipe))]
    )


def _further(plan: RunPlan, built: Mapping[str, Recipe]) -> Iterator[PlannedRecipe]:
    """List what a search may add."""
    if not searches(plan):
        return
    tried: dict[str, tuple[Recipe, str]] = {}
    if any(map(needs_rows, built.values())):
        where = "if a part of the model measures slower as integers"
        partial = [partial_order(one) for one in plan.orders.values() if can_be_divided(one)]
        tried |= {alias_of(one.recipe): (one.recipe, where) for one in partial}
        flat = [flat_order(one) for one in plan.orders.values() if can_be_divided(one)]
        tried |= {alias_of(one.recipe): (one.recipe, "if Gemm takes long") for one in flat}
    if tries_weights(plan.orders):
        when = "if nothing that is fast keeps the limits, and the model multiplies matrices"
        tried[WEIGHTS] = ALIASES[WEIGHTS], when
    for alias, (recipe, condition) in tried.items():
        if alias in plan.orders:
            continue
        yield PlannedRecipe(
            alias=alias,
            recipe=recipe_name(recipe),
            file=artefact_file(plan.given.source, alias),
            condition=condition,
        )


def _file(source: Source, alias: str, out: Destination) -> str:
    return out.path.name if out.is_file else artefact_file(source, alias)


def _plan(
    verb: str,
    outlooks: list[Outlook],
    steps: Iterable[PlannedStep],
    recipes: tuple[PlannedRecipe, ...],
    out: Destination,
    beside: tuple[str, ...],
) -> Plan:
    found, judged = outlooks[0].found, max(outlooks[0].found.evaluation_rows, 0)
    files = tuple(recipe.file for recipe in recipes if recipe.file and not recipe.condition)
    return Plan(
        onnxq=importlib.metadata.version("onnxq"),
        verb=verb,
        sources={
            source_path(one.given.source): KINDS[type(one.given.source)][0] for one in outlooks
        },
        evaluation_rows=found.evaluation_rows,
        calibration_rows=found.calibration_rows,
        detectable_drop=detectable_drop(judged, _FLIP_RATE) if judged else 0.0,
        steps=tuple(steps),
        recipes=recipes,
        out="" if out is NOWHERE else str(out.path),
        files=(*files, *beside),
        disk_bytes=disk_bytes(outlooks, len(files)),
        memory_bytes=memory_bytes(outlooks, prepares=verb not in {"convert", "profile", "repair"}),
        findings=tuple(finding for one in outlooks for finding in note_unknown(one)),
        calibration_bytes=max(found.calibration_peak_bytes, 0),
        calibration_passes=max(found.calibration_passes, 0),
        may_be_cached=outlooks[0].has_cache,
    )
