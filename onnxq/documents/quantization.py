"""What ``quantize`` did."""

from typing import Literal, TypeAlias

from msgspec import Struct

from onnxq.calibrations import CalibrationEffort
from onnxq.findings import Finding
from onnxq.measurements import Size
from onnxq.reports import (
    Artefact,
    DataFacts,
    Failed,
    NoData,
    NotApplicable,
    NotCalibrated,
    Skipped,
    SourceFacts,
    Unusable,
)
from onnxq.tunings import USUAL, Tuning


class Built(Struct, frozen=True, kw_only=True, tag="ok"):
    """A model that was quantized and passed its gates; nothing was measured.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        artefact: Its file.
        size_ratio: Bytes of the float model over those of this one.
        seconds: Wall time to build it.
    """

    alias: str
    recipe: str
    artefact: Artefact
    size_ratio: float
    seconds: float


BuiltVariant: TypeAlias = Built | NotApplicable | Skipped | Unusable | Failed


class Quantization(Struct, frozen=True, kw_only=True):
    """What ``quantize`` did.

    Attributes:
        schema: ``onnxq/quantization/1``.
        kind: ``quantization``.
        onnxq: Version of onnxq that wrote it.
        created: UTC time, ISO 8601.
        command: What was run, as words.
        source: The model.
        data: The rows that were calibrated on.
        calibration: What calibrating took.
        float_size: What the float model weighs after preparation.
        variants: One per recipe, in the order asked for.
        out: Where the files lie: a file, or a folder.
        findings: What a reader should know.
        seconds: Wall time by stage.
        sandbox: What the children were confined by.
        files: SHA-256 of each file that was written beside the document, by name; empty where
            one file was written, and no document.
        tuning: For which CPU the models were made, with which rewrites.
    """

    schema: str = "onnxq/quantization/1"
    kind: Literal["quantization"] = "quantization"
    onnxq: str
    created: str
    command: tuple[str, ...]
    source: SourceFacts
    data: DataFacts | NoData
    float_size: Size
    variants: tuple[BuiltVariant, ...]
    out: str
    findings: tuple[Finding, ...]
    seconds: dict[str, float]
    sandbox: str
    files: dict[str, str] = {}
    calibration: CalibrationEffort | NotCalibrated = NotCalibrated()
    tuning: Tuning = USUAL
