"""What a verb is going to do: everything that the user asked for, checked."""

from dataclasses import dataclass
from pathlib import Path

from onnxq.calibrations import WHOLE, Shard
from onnxq.datasets.values import DataRequest
from onnxq.events import Tell
from onnxq.isolation import ChildLimits
from onnxq.metric_choices import MetricChoice
from onnxq.recipe_kinds import EVERYTHING, QuantizationScope, Recipe
from onnxq.reports import Limits
from onnxq.sources import InputDeclaration, Source
from onnxq.stages import NoDataRequest, StatisticsParts
from onnxq.tunings import USUAL, Tuning


@dataclass(frozen=True, kw_only=True)
class Given:
    """A model as the user gave it, and what its conversion needs to know.

    Attributes:
        source: The model.
        declared: Inputs as ``--input`` declares them.
        data: Rows to prove the export on.
        check: Whether the export is compared with the source.
        seed: Of random probes.
        trust: Whether code from the model file may run.
    """

    source: Source
    declared: tuple[InputDeclaration, ...]
    data: DataRequest | NoDataRequest
    check: bool
    seed: int
    trust: bool


@dataclass(frozen=True, kw_only=True)
class Calibrating:
    """How ranges are calibrated, beside on what.

    Attributes:
        rows: Most rows to calibrate on; 0 for the default.
        stop_early: Whether to stop once more rows would hardly change the ranges.
        stride: Every so-many-th value is counted; 1 counts each.
        memory_bytes: Most memory beyond what the process takes anyway; 0 for half of what is free.
        cache_folder: Where statistics are kept and found again; empty keeps none.
        shard: Which part of the rows to look at.
    """

    rows: int
    stop_early: bool
    stride: int
    memory_bytes: int
    cache_folder: str
    shard: Shard = WHOLE


AS_USUAL = Calibrating(rows=0, stop_early=False, stride=1, memory_bytes=0, cache_folder="")
"""Of a verb that calibrates nothing, or as it comes."""


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How outputs are judged.

    Attributes:
        metric: Which metric.
        output: The output that labels are about; empty to find it.
        seed: Of bootstraps.
        threads: Threads that predict.
    """

    metric: MetricChoice
    output: str
    seed: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class Order:
    """A recipe that is to be built.

    Attributes:
        recipe: Which.
        scope: What of the model it is let at.
    """

    recipe: Recipe
    scope: QuantizationScope = EVERYTHING


@dataclass(frozen=True, kw_only=True)
class Course:
    """How any plan is carried out.

    Attributes:
        command: What was typed, as words.
        child_limits: Of every child.
        work_threads: Threads for calibrating and predicting.
        tell: Who listens to events.
    """

    command: tuple[str, ...]
    child_limits: ChildLimits
    work_threads: int
    tell: Tell


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where files go.

    Attributes:
        path: The output folder, or one ``.onnx`` file.
        overwrite: Whether what onnxq did not write may be replaced.
        kept: Files that the user named beside the model and the rows, such as recipes: what holds
            one of them is not replaced whatever ``overwrite`` says.
    """

    path: Path
    overwrite: bool
    kept: tuple[Path, ...] = ()

    @property
    def is_file(self) -> bool:
        """Whether one model goes into one file, and nothing beside it."""
        return self.path.suffix == ".onnx" and not self.path.is_dir()


@dataclass(frozen=True, kw_only=True)
class ConvertPlan:
    """A conversion.

    Attributes:
        given: The model.
        out: Where the file goes.
        course: How it is carried out.
    """

    given: Given
    out: Destination
    course: Course


@dataclass(frozen=True, kw_only=True)
class QuantizePlan:
    """A quantization without measurements.

    Attributes:
        given: The model.
        calibration: Rows to calibrate on.
        calibrating: How.
        ranges: A file of ranges in their place; empty where there is none.
        orders: Recipes by alias, in the order asked for.
        out: Where the files go.
        course: How it is carried out.
        tuning: For which CPU, with which rewrites.
    """

    given: Given
    calibration: DataRequest | NoDataRequest
    calibrating: Calibrating
    ranges: str
    orders: dict[str, Order]
    out: Destination
    course: Course
    tuning: Tuning = USUAL


@dataclass(frozen=True, kw_only=True)
class CalibratePlan:
    """A calibration without a quantization.

    Attributes:
        given: The model.
        calibration: Rows to calibrate on, or the paths of statistics that were collected before.
        calibrating: How.
        orders: Static recipes that ranges are wanted for, by alias.
        out: The folder that files go to.
        course: How it is carried out.
        tuning: For which CPU, with which rewrites.
    """

    given: Given
    calibration: DataRequest | StatisticsParts
    calibrating: Calibrating
    orders: dict[str, Order]
    out: Destination
    course: Course
    tuning: Tuning = USUAL


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How latency is measured.

    Attributes:
        threads: Thread counts.
        batch_rows: Rows of one inference; 0 leaves it to the model.
        seconds: Wall time for all models together.
        seed: Of random rows.
    """

    threads: tuple[int, ...]
    batch_rows: int
    seconds: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class ProfilePlan:
    """Models to be measured side by side.

    Attributes:
        models: By what the user typed, in that order.
        providers: Names of :mod:`onnxq.providers`.
        data: Rows to judge on.
        judging: How outputs are judged.
        timing: How latency is measured.
        course: How it is carried out.
    """

    models: dict[str, Given]
    providers: tuple[str, ...]
    data: DataRequest | NoDataRequest
    judging: Judging
    timing: Timing
    course: Course


@dataclass(frozen=True, kw_only=True)
class RepairPlan:
    """A repair of a quantized model.

    Attributes:
        given: The model.
        calibration: Rows to prove the steps on.
        tuning: For which CPU, with which rewrites.
        measures: Whether latency is measured, before and after.
        timing: How.
        out: Where the file goes.
        course: How it is carried out.
    """

    given: Given
    calibration: DataRequest | NoDataRequest
    tuning: Tuning
    measures: bool
    timing: Timing
    out: Destination
    course: Course


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A run.

    Attributes:
        given: The model.
        data: Rows to evaluate on; also calibrated on, in part, where ``calibration`` is empty.
        calibration: Other rows to calibrate on.
        calibrating: How ranges are calibrated.
        orders: Recipes by alias, in the order asked for; ``fp32`` is always built, first.
        recipes_named: Whether the user named them: what cannot be had is then an error.
        limits: What the user demands.
        judging: How outputs are judged.
        timing: How latency is measured.
        allow_chance_accuracy: Whether to go on where the float model only guesses.
        out: Where the files go: a folder.
        course: How it is carried out.
        tuning: For which CPU, with which rewrites.
    """

    given: Given
    data: DataRequest | NoDataRequest
    calibration: DataRequest | NoDataRequest
    calibrating: Calibrating
    orders: dict[str, Order]
    recipes_named: bool
    limits: Limits
    judging: Judging
    timing: Timing
    allow_chance_accuracy: bool
    out: Destination
    course: Course
    tuning: Tuning = USUAL
