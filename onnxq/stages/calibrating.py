"""Activations are watched: which ranges are asked for, and whether they cover other rows."""

from msgspec import Struct

from onnxq.calibrations import WHOLE, CalibrationEffort, Shard
from onnxq.datasets.values import CalibrationSet, EvaluationSet
from onnxq.findings import Finding
from onnxq.models import OnnxModel
from onnxq.recipe_kinds import (
    EVERYTHING,
    Activation,
    QuantizationScope,
    RangeMethod,
    StaticQdq,
    ranges_key,
)
from onnxq.stages.stage import Stage


class RangesAsked(Struct, frozen=True, kw_only=True):
    """Ranges that a static recipe needs.

    Attributes:
        recipe: Range method and dtype of the activations.
        scope: Which nodes are quantized decides which activations need a range.
    """

    recipe: StaticQdq
    scope: QuantizationScope = EVERYTHING

    @property
    def key(self) -> str:
        """What they are found by; those of equal keys are the same."""
        return ranges_key(self.recipe, self.scope)


class StatisticsParts(Struct, frozen=True, tag="parts"):
    """Statistics that were collected elsewhere, in the place of rows.

    Attributes:
        paths: Files as :mod:`onnxq.calibration.statistics_files` writes them; together they cover
            all rows.
    """

    paths: tuple[str, ...]


class CalibrateRequest(Struct, frozen=True, kw_only=True):
    """Collect statistics once and choose ranges by each method.

    Attributes:
        model: The prepared model.
        rows: What to run it on, or what came of running it.
        methods: Range methods for uint8 activations of all that can be quantized.
        threads: Worker threads, each with one-thread runs.
        asked: Ranges for recipes, dtype and scope included.
        stride: Every so-many-th value is counted; 1 counts each.
        memory_bytes: Most memory beyond what the process takes anyway; 0 takes half of what is
            free.
        cache_folder: Where statistics are kept and found again; empty keeps none. The one place
            beside its folder that the stage writes to.
        stop_early: Whether to stop once more rows would hardly change the ranges.
        shard: Which part of the rows to look at.
    """

    model: OnnxModel
    rows: CalibrationSet | StatisticsParts
    methods: tuple[RangeMethod, ...] = ()
    threads: int
    asked: tuple[RangesAsked, ...] = ()
    stride: int = 1
    memory_bytes: int = 0
    cache_folder: str = ""
    stop_early: bool = False
    shard: Shard = WHOLE


class CalibrateResult(Struct, frozen=True, kw_only=True):
    """Chosen ranges.

    Attributes:
        ranges: Path of a JSON file of :class:`~onnxq.ranges.TensorRanges`, by
            :func:`~onnxq.recipe_kinds.ranges_key` (for ``methods``: the method's tag). Empty for
            one shard of several.
        statistics: Path of the statistics, to be merged or kept.
        effort: What it took.
        findings: Masks, constants, non-finite activations; each names tensor and row.
    """

    ranges: dict[str, str]
    statistics: str
    effort: CalibrationEffort
    findings: tuple[Finding, ...]


class CoverageRequest(Struct, frozen=True, kw_only=True):
    """Look whether evaluation rows stay within the ranges that calibration rows gave.

    Attributes:
        model: The prepared model.
        ranges: Path of the ranges.
        scope: What they are for.
        evaluation: Rows to look at; a sample of them is run.
        threads: Worker threads.
        seed: Of the sample.
        activation: The grid that the ranges are for.
        statistics: Path of what calibration saw; empty where nothing but ranges is known. With it
            far smaller departures are noticed.
    """

    model: OnnxModel
    ranges: str
    scope: QuantizationScope = EVERYTHING
    evaluation: EvaluationSet
    threads: int
    seed: int = 0
    activation: Activation = "uint8"
    statistics: str = ""


class CoverageResult(Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        rows: Rows that were run.
        findings: OQ142 for tensors that leave their range on evaluation rows.
    """

    rows: int
    findings: tuple[Finding, ...]


CALIBRATE = Stage(
    "calibrate", "onnxq.calibration.calibrating:calibrate", CalibrateRequest, CalibrateResult
)
COVERAGE = Stage(
    "check coverage",
    "onnxq.calibration.coverage:check_coverage",
    CoverageRequest,
    CoverageResult,
)
