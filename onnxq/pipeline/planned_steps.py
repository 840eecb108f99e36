"""The steps of a plan, and how long each usually takes or was found to take."""

from collections.abc import Iterator, Mapping, Sequence

from onnxq.datasets.values import DataRequest
from onnxq.documents import PlannedRecipe, PlannedStep
from onnxq.pipeline.outlooks import CHILD_S, Outlook
from onnxq.pipeline.partial import MOST_PROPOSALS, PLACING_S
from onnxq.pipeline.plans import Given
from onnxq.pipeline.scouting import SCOUTING_BLOCKS, SCOUTING_S
from onnxq.recipe_kinds import Float32, Recipe, needs_rows
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
from onnxq.stages import NoDataRequest
from onnxq.wording import count_noun

KINDS: dict[type[Source], tuple[str, float]] = {
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

_QUANTIZE_S, _GATE_S, OPERATORS_S = 1.5, 0.7, 0.6
_PREPARE_S, _PREPARE_S_PER_MB = 1.0, 0.1
"""Of a model of next to no bytes, and for each megabyte (measured on models of 0.3 to 88 MB, on
cores that were busy with other things too)."""
_REPAIR_S, _REPAIR_S_PER_MB = 2.0, 0.5
"""Likewise."""
JUDGING = 2
"""Processes that judge a model: one runs it, one compares."""

_LEAST_BLOCKS = 5
"""Of fresh processes of every model: latency takes as long as these, whatever ``--seconds``."""


def plan_step(name: str, subject: str, seconds: float, basis: str) -> PlannedStep:
    """Make a step."""
    return PlannedStep(name=name, subject=subject, seconds=seconds, basis=basis)


def latency_step(models: int, seconds: float) -> PlannedStep:
    """Measure latency: so many seconds are asked for, of so many models."""
    least = models * _LEAST_BLOCKS * CHILD_S
    basis = "--seconds" if seconds >= least else f"{_LEAST_BLOCKS} fresh processes each"
    return plan_step("measure latency", count_noun(models, "model"), max(seconds, least), basis)


def convert_step(given: Given) -> PlannedStep:
    """Convert a model, or take it over."""
    kind, seconds = KINDS[type(given.source)]
    return plan_step("convert", source_path(given.source), seconds, f"usual: {kind}")


def prepare_step(outlook: Outlook) -> PlannedStep:
    """Prepare a model, for calibration and quantization."""
    seconds = _PREPARE_S + _PREPARE_S_PER_MB * max(outlook.found.file_bytes, 0) / 1e6
    return plan_step("prepare", source_path(outlook.given.source), seconds, "usual for its size")


def repair_step(outlook: Outlook) -> PlannedStep:
    """Repair a quantized model: every rewrite is proven by running."""
    seconds = _REPAIR_S + _REPAIR_S_PER_MB * max(outlook.found.file_bytes, 0) / 1e6
    return plan_step("repair", source_path(outlook.given.source), seconds, "usual for its size")


def load_step(outlook: Outlook, data: DataRequest | NoDataRequest) -> PlannedStep:
    """Load rows; all of them, where there are two sets."""
    spec = data.spec if isinstance(data, DataRequest) else ""
    return plan_step("load rows", spec, *outlook.loading_seconds())


def float_steps(outlook: Outlook, data: DataRequest | NoDataRequest) -> Iterator[PlannedStep]:
    """List what is done with the float model."""
    yield convert_step(outlook.given)
    if isinstance(data, DataRequest):
        yield load_step(outlook, data)
    yield prepare_step(outlook)
    if isinstance(data, DataRequest):
        yield judge_step(outlook, "fp32")


def judge_step(outlook: Outlook, alias: str) -> PlannedStep:
    """Judge a model on all rows."""
    rows = outlook.found.evaluation_rows
    return plan_step("judge", alias, *outlook.row_seconds(rows, children=JUDGING))


def recipe_steps(
    outlook: Outlook, built: Mapping[str, Recipe], *, judges: bool
) -> Iterator[PlannedStep]:
    """List the steps of the recipes; a quantized row is taken to cost what a float one does."""
    yield from calibrate_steps(outlook, built)
    for alias, recipe in built.items():
        if not isinstance(recipe, Float32):
            yield plan_step("quantize", alias, _QUANTIZE_S + _GATE_S, "usual for small models")
            if judges:
                yield judge_step(outlook, alias)


def search_steps(
    outlook: Outlook, further: Sequence[PlannedRecipe], *, judges: bool
) -> Iterator[PlannedStep]:
    """List what a search takes at most."""
    for recipe in further:
        is_partial = recipe.recipe.endswith("-partial")
        models = MOST_PROPOSALS if is_partial else 1
        if is_partial:
            yield plan_step("place nodes", recipe.alias, PLACING_S + CHILD_S, "at most")
        seconds = models * (_QUANTIZE_S + _GATE_S)
        yield plan_step("quantize", recipe.alias, seconds, f"at most {count_noun(models, 'model')}")
        yield plan_step("scout", recipe.alias, _scouting_seconds(models), "at most")
        if judges:
            step = judge_step(outlook, recipe.alias)
            yield plan_step(step.name, step.subject, step.seconds, step.basis and "at most")


def _scouting_seconds(models: int) -> float:
    """Return what measuring so many models beside two others for a short time takes."""
    return max(SCOUTING_S, SCOUTING_BLOCKS * (models + 2) * CHILD_S)


def calibrate_steps(
    outlook: Outlook, built: Mapping[str, Recipe], parts: int = 1
) -> Iterator[PlannedStep]:
    """List calibration, on one of some parts, where there is anything to calibrate."""
    rows = outlook.found.calibration_rows
    if rows and any(map(needs_rows, built.values())):
        yield plan_step(
            "calibrate",
            count_noun(rows, "row") if rows > 0 else "rows",
            *outlook.calibration_seconds(parts),
        )
