"""``--plan``: what a verb would do, and about what it would cost. No framework is loaded."""

import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from onnxq.calibrations import WHOLE
from onnxq.datasets.values import DataRequest
from onnxq.documents import Plan, PlannedRecipe, PlannedStep
from onnxq.isolation.ownership import RECIPES_FILE, REPORT_FILE, SNIPPET_FILE
from onnxq.noninferiority import detectable_drop
from onnxq.pipeline.conversions import converted_file
from onnxq.pipeline.handing_over import check_destination
from onnxq.pipeline.outlooks import (
    CHILD_S,
    Outlook,
    disk_bytes,
    look,
    memory_bytes,
    note_unknown,
)
from onnxq.pipeline.plans import (
    CalibratePlan,
    ConvertPlan,
    Destination,
    Given,
    Order,
    ProfilePlan,
    QuantizePlan,
    RunPlan,
)
from onnxq.pipeline.range_sources import asked_ranges
from onnxq.pipeline.reporting import artefact_file, ranges_file, statistics_file
from onnxq.pipeline.work_folders import kept_files
from onnxq.recipe_kinds import Float32, Recipe, needs_rows, recipe_name
from onnxq.sources import (
    Factory,
    KerasFile,
    LiveExport,
    OnnxFile,
    SavedModelFolder,
    Source,
    TfliteFile,
    TorchExportFile,
    TorchScriptFile,
    source_path,
)
from onnxq.stages import NoDataRequest, StatisticsParts
from onnxq.wording import count_noun

_FLIP_RATE = 0.02
"""Share of rows that int8 usually changes from right to wrong or back (measured on five
third-party models: 0.3 to 4 %); what the detectable drop is computed with."""

_KINDS: dict[type[Source], tuple[str, float]] = {
    OnnxFile: ("ONNX file", 0.5),
    KerasFile: ("Keras file", 10.0),
    SavedModelFolder: ("TensorFlow SavedModel", 10.0),
    TfliteFile: ("TFLite file", 8.0),
    TorchExportFile: ("torch.export program", 8.0),
    TorchScriptFile: ("TorchScript file", 8.0),
    Factory: ("factory", 10.0),
    LiveExport: ("live model, exported already", 0.5),
}
"""How a source is called, and the seconds that its conversion usually takes, most of them for
loading its framework (measured on two cores)."""

NOWHERE = Destination(path=Path(), overwrite=False)
"""Of a verb that writes nothing."""

_PREPARE_S, _QUANTIZE_S, _GATE_S, _OPERATORS_S = 2.0, 1.5, 0.7, 0.6
_JUDGING = 2
"""Processes that judge a model: one runs it, one compares."""

_LEAST_BLOCKS = 5
"""Of fresh processes of every model: latency takes as long as these, whatever ``--seconds``."""


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
    recipes = _recipes(plan.given.source, plan.orders, plan.out, outlook)
    built = {r.alias: plan.orders[r.alias].recipe for r in recipes if not r.skipped}
    found, models = outlook.found, count_noun(len(built), "model")
    steps = (
        *_float_steps(outlook, plan.data),
        *_recipe_steps(outlook, built, judges=bool(found.evaluation_rows)),
        _latency_step(len(built) + 1, plan.timing.seconds),
        _step("profile operators", models, len(built) * _OPERATORS_S, "usual"),
    )
    beside = (REPORT_FILE, SNIPPET_FILE, RECIPES_FILE)
    return _plan("run", [outlook], steps, recipes, plan.out, beside)


def describe_conversion(plan: ConvertPlan) -> Plan:
    """Say what a conversion would do; see :func:`describe_run`."""
    check_destination(plan.out, kept_files(plan.out, plan.given, plan.given.data))
    nothing = NoDataRequest()
    outlook = look(plan.given, nothing, nothing, plan.course, split=False)
    steps = (_convert_step(plan.given),)
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
    recipes = _recipes(
        plan.given.source, plan.orders, plan.out, outlook, has_ranges=bool(plan.ranges)
    )
    built = {r.alias: plan.orders[r.alias].recipe for r in recipes if not r.skipped}
    steps = (
        _convert_step(plan.given),
        *([_load_step(plan.calibration)] if plan.calibration != NoDataRequest() else []),
        _step("prepare", source_path(plan.given.source), _PREPARE_S, "usual"),
        *_recipe_steps(outlook, built, judges=False),
    )
    is_static = any(map(needs_rows, built.values()))
    ranges = (ranges_file(plan.given.source),) if is_static else ()
    beside = () if plan.out.is_file else (REPORT_FILE, *ranges)
    return _plan("quantize", [outlook], steps, recipes, plan.out, beside)


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
        _convert_step(plan.given),
        *([] if merges else [_load_step(rows)]),
        _step("prepare", source_path(plan.given.source), _PREPARE_S, "usual"),
        *([] if merges else _calibrate_steps(outlook, built, plan.calibrating.shard.total)),
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
            steps.append(_convert_step(given))
        seconds, basis = outlook.row_seconds(outlook.found.evaluation_rows, children=_JUDGING)
        if isinstance(plan.data, DataRequest):
            steps.append(_step("judge", name, seconds * len(plan.providers), basis))
    rows = len(plan.models) * len(plan.providers)
    steps.append(_latency_step(rows, plan.timing.seconds))
    steps.append(
        _step("profile operators", count_noun(rows, "model"), rows * _OPERATORS_S, "usual")
    )
    return _plan("profile", outlooks, steps, (), NOWHERE, ())


def _step(name: str, subject: str, seconds: float, basis: str) -> PlannedStep:
    return PlannedStep(name=name, subject=subject, seconds=seconds, basis=basis)


def _latency_step(models: int, seconds: float) -> PlannedStep:
    least = models * _LEAST_BLOCKS * CHILD_S
    basis = "--seconds" if seconds >= least else f"{_LEAST_BLOCKS} fresh processes each"
    return _step("measure latency", count_noun(models, "model"), max(seconds, least), basis)


def _convert_step(given: Given) -> PlannedStep:
    kind, seconds = _KINDS[type(given.source)]
    return _step("convert", source_path(given.source), seconds, f"usual: {kind}")


def _load_step(data: DataRequest | NoDataRequest) -> PlannedStep:
    spec = data.spec if isinstance(data, DataRequest) else ""
    return _step("load rows", spec, 0.0, "")


def _float_steps(outlook: Outlook, data: DataRequest | NoDataRequest) -> Iterator[PlannedStep]:
    name = source_path(outlook.given.source)
    yield _convert_step(outlook.given)
    if isinstance(data, DataRequest):
        yield _load_step(data)
    yield _step("prepare", name, _PREPARE_S, "usual")
    if isinstance(data, DataRequest):
        yield _judge_step(outlook, "fp32")


def _judge_step(outlook: Outlook, alias: str) -> PlannedStep:
    rows = outlook.found.evaluation_rows
    return _step("judge", alias, *outlook.row_seconds(rows, children=_JUDGING))


def _recipe_steps(
    outlook: Outlook, built: Mapping[str, Recipe], *, judges: bool
) -> Iterator[PlannedStep]:
    """List the steps of the recipes; a quantized row is taken to cost what a float one does."""
    yield from _calibrate_steps(outlook, built)
    for alias, recipe in built.items():
        if not isinstance(recipe, Float32):
            yield _step("quantize", alias, _QUANTIZE_S + _GATE_S, "usual for small models")
            if judges:
                yield _judge_step(outlook, alias)


def _calibrate_steps(
    outlook: Outlook, built: Mapping[str, Recipe], parts: int = 1
) -> Iterator[PlannedStep]:
    rows = outlook.found.calibration_rows
    if rows and any(map(needs_rows, built.values())):
        yield _step(
            "calibrate",
            count_noun(rows, "row") if rows > 0 else "rows",
            *outlook.calibration_seconds(parts),
        )


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
    files = tuple(recipe.file for recipe in recipes if recipe.file)
    return Plan(
        onnxq=importlib.metadata.version("onnxq"),
        verb=verb,
        sources={
            source_path(one.given.source): _KINDS[type(one.given.source)][0] for one in outlooks
        },
        evaluation_rows=found.evaluation_rows,
        calibration_rows=found.calibration_rows,
        detectable_drop=detectable_drop(judged, _FLIP_RATE) if judged else 0.0,
        steps=tuple(steps),
        recipes=recipes,
        out="" if out is NOWHERE else str(out.path),
        files=(*files, *beside),
        disk_bytes=disk_bytes(outlooks, len(files)),
        memory_bytes=memory_bytes(outlooks),
        findings=tuple(finding for one in outlooks for finding in note_unknown(one)),
        calibration_bytes=max(found.calibration_peak_bytes, 0),
        calibration_passes=max(found.calibration_passes, 0),
    )
