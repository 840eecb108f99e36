"""What the verbs beside ``run`` answer: one document each, and its JSON, both ways.

Like a report's, each schema only ever gains fields; readers ignore those that they do not know.
The kind stands in the JSON as ``kind``, so that a file says itself what it is.
"""

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from onnxq.calibrations import CalibrationEffort, Shard
from onnxq.errors import OutputError
from onnxq.findings import Finding
from onnxq.measurements import Latency, OperatorTime, Quality, Size, SpeedRatio
from onnxq.ranges import TensorRange
from onnxq.reports import (
    Artefact,
    DataFacts,
    Environment,
    Failed,
    Measured,
    NoData,
    NotApplicable,
    NotCalibrated,
    Report,
    Skipped,
    SourceFacts,
    Unusable,
)


class Conversion(Struct, frozen=True, kw_only=True):
    """What ``convert`` did.

    Attributes:
        schema: ``onnxq/conversion/1``.
        kind: ``conversion``.
        onnxq: Version of onnxq that wrote it.
        created: UTC time, ISO 8601.
        command: What was run, as words.
        source: The model, and the proof that the export computes the same.
        artefact: The file that was written.
        out: Where it lies: a file, or a folder.
        findings: What a reader should know.
        seconds: Wall time by stage.
        sandbox: What the children were confined by.
        files: SHA-256 of each file that was written beside the document, by name; empty where
            one file was written, and no document.
    """

    schema: str = "onnxq/conversion/1"
    kind: Literal["conversion"] = "conversion"
    onnxq: str
    created: str
    command: tuple[str, ...]
    source: SourceFacts
    artefact: Artefact
    out: str
    findings: tuple[Finding, ...]
    seconds: dict[str, float]
    sandbox: str
    files: dict[str, str] = {}


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


class Profiled(Struct, frozen=True, kw_only=True, tag="ok"):
    """A model that was run by a provider.

    Attributes:
        model: As typed by the user.
        provider: Such as ``cpu`` or ``openvino``.
        quantized: How the model is quantized, for a person; empty where it is float.
        size: What it weighs.
        opset: Of the default operator set.
        min_runtime: Lowest version of onnxruntime that can load it.
        sha256: Of the file.
        quality: Accuracy, agreement with the first row, or neither.
        latencies: One per thread count.
        speed: Ratio to the first row, one per thread count; empty for the first row.
        operators: Where the time goes at one thread.
        fallback_share: Share of the nodes that the default provider ran instead, counted after
            constants were folded and before nodes are fused; 0 for ``cpu``.
    """

    model: str
    provider: str
    quantized: str
    size: Size
    opset: int
    min_runtime: str
    sha256: str
    quality: Quality
    latencies: tuple[Latency, ...]
    speed: tuple[SpeedRatio, ...]
    operators: tuple[OperatorTime, ...]
    fallback_share: float = 0.0


class Unavailable(Struct, frozen=True, kw_only=True, tag="unavailable"):
    """A provider that this onnxruntime does not have.

    Attributes:
        model: As typed by the user.
        provider: Such as ``openvino``.
        reason: Which wheel has it, in one line.
    """

    model: str
    provider: str
    reason: str


class NotProfiled(Struct, frozen=True, kw_only=True, tag="failed"):
    """A model that could not be run; the others go on.

    Attributes:
        model: As typed by the user.
        provider: Such as ``cpu``.
        code: The error's code.
        reason: The error's message.
        hint: What to do about it.
    """

    model: str
    provider: str
    code: str
    reason: str
    hint: str


ProfileRow: TypeAlias = Profiled | Unavailable | NotProfiled


class Profile(Struct, frozen=True, kw_only=True):
    """What ``profile`` measured: models side by side.

    Attributes:
        schema: ``onnxq/profile/1``.
        kind: ``profile``.
        onnxq: Version of onnxq that wrote it.
        created: UTC time, ISO 8601.
        command: What was run, as words.
        environment: Where.
        data: The rows.
        rows: One per model and provider, in the order asked for; the first is what the others
            are compared with.
        findings: What a reader should know.
        seconds: Wall time by stage.
        sandbox: What the children were confined by.
    """

    schema: str = "onnxq/profile/1"
    kind: Literal["profile"] = "profile"
    onnxq: str
    created: str
    command: tuple[str, ...]
    environment: Environment
    data: DataFacts | NoData
    rows: tuple[ProfileRow, ...]
    findings: tuple[Finding, ...]
    seconds: dict[str, float]
    sandbox: str


class PlannedStep(Struct, frozen=True, kw_only=True):
    """A stage that would be run.

    Attributes:
        name: The stage's name.
        subject: What it would work on.
        seconds: Estimated wall time; 0 where it cannot be told before.
        basis: What the estimate rests on; empty where there is none.
    """

    name: str
    subject: str
    seconds: float
    basis: str


class PlannedRecipe(Struct, frozen=True, kw_only=True):
    """A recipe that would be built, or why not.

    Attributes:
        alias: What people call it.
        recipe: Its derived name.
        file: Name of the file that it would write; empty where it would be skipped.
        skipped: Why it would be skipped; empty where it would be built.
    """

    alias: str
    recipe: str
    file: str
    skipped: str = ""


class Plan(Struct, frozen=True, kw_only=True):
    """What a verb would do: ``--plan``. No framework was loaded to find out.

    Attributes:
        schema: ``onnxq/plan/1``.
        kind: ``plan``.
        onnxq: Version of onnxq that wrote it.
        verb: ``run``, ``convert``, ``quantize``, ``calibrate``, ``merge`` or ``profile``.
        sources: The models, as typed, each with its kind for a person.
        evaluation_rows: Rows that models would be judged on; 0 for none, -1 where only the
            user's function knows.
        calibration_rows: Rows that ranges would be calibrated on; likewise.
        detectable_drop: Smallest drop of a rate that the evaluation rows can be expected to
            show, as a fraction; 0 where there are none.
        steps: The stages, in order.
        recipes: The recipes, in order.
        out: Where files would be written; empty where none would.
        files: What would be written there.
        disk_bytes: Estimated size of those files, and of what the work folder holds meanwhile:
            private copies, rows and outputs; 0 for unknown.
        memory_bytes: Estimated peak of a child; 0 for unknown.
        findings: What a reader should know before.
        calibration_bytes: Memory that calibrating would take beyond what its process takes
            anyway; 0 for unknown, or where nothing would be calibrated.
        calibration_passes: Passes over the rows that the cap on memory asks for; likewise.
    """

    schema: str = "onnxq/plan/1"
    kind: Literal["plan"] = "plan"
    onnxq: str
    verb: str
    sources: dict[str, str]
    evaluation_rows: int
    calibration_rows: int
    detectable_drop: float
    steps: tuple[PlannedStep, ...]
    recipes: tuple[PlannedRecipe, ...]
    out: str
    files: tuple[str, ...]
    disk_bytes: int
    memory_bytes: int
    findings: tuple[Finding, ...]
    calibration_bytes: int = 0
    calibration_passes: int = 0


Document: TypeAlias = Conversion | Quantization | Calibration | Profile | Plan
WrittenDocument: TypeAlias = Report | Conversion | Quantization | Calibration
"""What may lie in an output folder as its ``report.json``."""


class _Kind(Struct, frozen=True):
    kind: str


_WRITTEN: dict[str, type[WrittenDocument]] = {
    "report": Report,
    "conversion": Conversion,
    "quantization": Quantization,
    "calibration": Calibration,
}


def document_to_json(document: Document | WrittenDocument) -> bytes:
    """Encode a document, indented, with a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def read_document(path: Path) -> WrittenDocument:
    """Read what a verb left in its output folder.

    Args:
        path: A ``report.json``.

    Returns:
        The document.

    Raises:
        OutputError: If the file is of no kind that this version knows (OQ193).
    """
    data = path.read_bytes()
    try:
        kind = msgspec.json.decode(data, type=_Kind).kind
        return msgspec.json.decode(data, type=_WRITTEN[kind])
    except (msgspec.DecodeError, KeyError) as error:
        message = f"{path} is not a document that this onnxq knows: {error}."
        hint = "Was it written by a newer onnxq? Update onnxq, or run the model again."
        raise OutputError(message, code="OQ193", hint=hint) from error


def artefact_files(document: WrittenDocument) -> tuple[str, ...]:
    """Name the model files that a document says were written beside it."""
    match document:
        case Report(variants=variants):
            return tuple(row.artefact.file for row in variants if isinstance(row, Measured))
        case Conversion(artefact=artefact):
            return (artefact.file,)
        case Calibration():
            return ()
        case Quantization(variants=built):
            return tuple(row.artefact.file for row in built if isinstance(row, Built))
