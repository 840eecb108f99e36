"""What a run is going to do: everything that the user asked for, checked."""

from dataclasses import dataclass
from pathlib import Path

from onnxq.datasets.values import DataRequest
from onnxq.isolation import ChildLimits
from onnxq.recipes import Recipe
from onnxq.reports import Limits
from onnxq.sources import InputDeclaration, Source
from onnxq.stages import NoDataRequest


@dataclass(frozen=True)
class RunPlan:
    """A run.

    Attributes:
        source: The model.
        declared: Inputs as ``--input`` declares them.
        data: Rows to evaluate on; also calibrated on, in part, where ``calibration`` is empty.
        calibration: Other rows to calibrate on.
        recipes: By alias, in the order asked for; ``fp32`` is always built, first.
        recipes_named: Whether the user named them: what cannot be had is then an error.
        limits: What the user demands.
        threads: Thread counts that latency is measured at.
        batch_rows: Rows of one inference; 0 leaves it to the model.
        timing_seconds: Wall time for measuring latency, all candidates together.
        seed: Of splits, random probes and bootstraps.
        out: The output folder.
        overwrite: Whether an output folder that is not ours may be replaced.
        check: Whether the export is compared with the source.
        allow_chance_accuracy: Whether to go on where the float model only guesses.
        command: What was typed, as words.
        child_limits: Of every child.
        work_threads: Threads for calibrating and predicting.
    """

    source: Source
    declared: tuple[InputDeclaration, ...]
    data: DataRequest | NoDataRequest
    calibration: DataRequest | NoDataRequest
    recipes: dict[str, Recipe]
    recipes_named: bool
    limits: Limits
    threads: tuple[int, ...]
    batch_rows: int
    timing_seconds: float
    seed: int
    out: Path
    overwrite: bool
    check: bool
    allow_chance_accuracy: bool
    command: tuple[str, ...]
    child_limits: ChildLimits
    work_threads: int
