"""What ``calibrate`` or ``merge`` did."""

from typing import Literal

from msgspec import Struct

from onnxq.calibrations import CalibrationEffort, Shard
from onnxq.findings import Finding
from onnxq.ranges import TensorRange
from onnxq.reports import DataFacts, NoData, SourceFacts
from onnxq.tunings import USUAL, Tuning


class CalibratedSet(Struct, frozen=True, kw_only=True):
    """The ranges that a recipe would be built with.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        key: Under which they stand in the file of ranges; recipes of equal keys share them.
        ranges: By tensor name.
        kept_float: First outputs of nodes that stay float, because no range could serve them.
    """

    alias: str
    recipe: str
    key: str
    ranges: dict[str, TensorRange]
    kept_float: tuple[str, ...]


class Calibration(Struct, frozen=True, kw_only=True):
    """What ``calibrate`` or ``merge`` did.

    Attributes:
        schema: ``onnxq/calibration/1``.
        kind: ``calibration``.
        onnxq: Version of onnxq that wrote it.
        created: UTC time, ISO 8601.
        command: What was run, as words.
        source: The model.
        data: The rows that were calibrated on; none where statistics were merged.
        effort: What calibrating took.
        shard: Which part of the rows was looked at.
        sets: Ranges by recipe, in the order asked for; none for one shard of several.
        out: The folder that the files lie in.
        findings: What a reader should know.
        seconds: Wall time by stage.
        sandbox: What the children were confined by.
        files: SHA-256 of each file that was written beside the document, by name.
        tuning: For which CPU the models were made, with which rewrites.
    """

    schema: str = "onnxq/calibration/1"
    kind: Literal["calibration"] = "calibration"
    onnxq: str
    created: str
    command: tuple[str, ...]
    source: SourceFacts
    data: DataFacts | NoData
    effort: CalibrationEffort
    shard: Shard
    sets: tuple[CalibratedSet, ...]
    out: str
    findings: tuple[Finding, ...]
    seconds: dict[str, float]
    sandbox: str
    files: dict[str, str] = {}
    tuning: Tuning = USUAL
