"""The report: one value with everything that a run found out, and its JSON, both ways.

The schema is ``onnxq/report/1``. Within it fields are only added; readers ignore fields that
they do not know. Every measured number is an :class:`~onnxq.estimates.Estimate`.
"""

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from onnxq.calibrations import CalibrationEffort
from onnxq.errors import OutputError
from onnxq.findings import Finding
from onnxq.integer_tensors import IntegerTensor
from onnxq.measurements import Latency, OperatorTime, Quality, Size, SpeedRatio
from onnxq.tensors import Signature

SCHEMA = "onnxq/report/1"


class Environment(Struct, frozen=True, kw_only=True):
    """Where the measurements were made.

    Attributes:
        cpu: The CPU's name as it calls itself.
        isa: The instruction sets that matter to onnxruntime's kernels, such as ``avx512_vnni``.
        cores: Cores that this process may use.
        system: Operating system and machine.
        python: Version.
        packages: Versions by package name.
        load: Load average of the last minute at the start.
        busy_ratio: Wall time over CPU time while measuring; above 1.1 the machine was busy.
            0 where nothing was measured.
    """

    cpu: str
    isa: tuple[str, ...]
    cores: int
    system: str
    python: str
    packages: dict[str, str]
    load: float
    busy_ratio: float = 0.0


class ParityProbe(Struct, frozen=True, kw_only=True):
    """One comparison of the export with the source.

    Attributes:
        output: The output's name.
        batch_rows: Rows in the batch.
        inputs: What was fed: ``rows``, ``negated``, ``scaled``, ``values``, ``random`` or
            ``random scaled``.
        max_abs_difference: Largest absolute difference.
        relative_l2: Norm of the difference over the norm of the reference.
    """

    output: str
    batch_rows: int
    inputs: str
    max_abs_difference: float
    relative_l2: float


class Parity(Struct, frozen=True, tag="checked"):
    """The export computes what the source computes.

    Attributes:
        probes: What was compared; all of them are within the tolerance.
        tolerance: Why it is not the usual one; empty where it is 1e-4, as for float32.
        limit: Of the relative L2.
        layers: Integer activations inside that were compared one by one, each layer fed what
            the source computed before it; 0 where the source does not tell them.
    """

    probes: tuple[ParityProbe, ...]
    tolerance: str = ""
    limit: float = 1e-4
    layers: int = 0


class ParityNotChecked(Struct, frozen=True, tag="unchecked"):
    """The export was not compared.

    Attributes:
        reason: Why not: the source is ONNX already, or ``--no-check``.
    """

    reason: str


class SourceFacts(Struct, frozen=True, kw_only=True):
    """The model that was given, and what its conversion says.

    Attributes:
        given: As typed by the user.
        framework: ``keras``, ``torch`` or ``onnx``.
        exporter: What wrote the ONNX file, with its version.
        signature: Of the ONNX model.
        opset: Of the ONNX model.
        sha256: Of the ONNX model.
        parity: Whether the export computes the same.
        quantized_already: How the model is quantized already, for a person; empty where it is
            float.
    """

    given: str
    framework: str
    exporter: str
    signature: Signature
    opset: int
    sha256: str
    parity: Parity | ParityNotChecked
    quantized_already: str = ""


class DataFacts(Struct, frozen=True, kw_only=True, tag="data"):
    """The rows that were used.

    Attributes:
        spec: As typed by the user.
        calibration_spec: As typed with ``--calib``; empty where the rows were split.
        preprocess: The printable preprocessing spec; empty where rows were fed as given.
        evaluation_rows: Rows that models were judged on.
        calibration_rows: Rows that ranges were calibrated on.
        labelled: Whether there were labels.
        seed: Of the split.
    """

    spec: str
    calibration_spec: str
    preprocess: str
    evaluation_rows: int
    calibration_rows: int
    labelled: bool
    seed: int


class NoData(Struct, frozen=True, tag="none"):
    """No rows were given."""


class Artefact(Struct, frozen=True, kw_only=True):
    """A file that can be served.

    Attributes:
        file: Name in the output folder.
        sha256: Of the file.
        size: What it weighs.
        opset: Of the default operator set.
        ir_version: Of the file format.
        min_runtime: Lowest version of onnxruntime that can load it, by its opset and IR.
        quantized_nodes: Nodes that run, or could run, on integers.
        quantizable_nodes: Nodes that the recipe looked at.
        left_float: Name and reason of each node that the recipe left in float.
        io: Inputs and outputs that are integer where the float model's are float.
    """

    file: str
    sha256: str
    size: Size
    opset: int
    ir_version: int
    min_runtime: str
    quantized_nodes: int
    quantizable_nodes: int
    left_float: dict[str, str] = {}
    io: tuple[IntegerTensor, ...] = ()


class Measured(Struct, frozen=True, kw_only=True, tag="ok"):
    """A candidate that was built, passed its gates and was measured.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        artefact: Its file.
        quality: Accuracy, agreement, or neither.
        latencies: One per thread count.
        speed: Ratio to the fp32 candidate, one per thread count; empty for fp32 itself.
        speed_over_given: Ratio to the model as it was given, one per thread count.
        operators: Where the time goes at one thread.
        seconds: Wall time to build it.
    """

    alias: str
    recipe: str
    artefact: Artefact
    quality: Quality
    latencies: tuple[Latency, ...]
    speed: tuple[SpeedRatio, ...]
    speed_over_given: tuple[SpeedRatio, ...]
    operators: tuple[OperatorTime, ...]
    seconds: float


class Unusable(Struct, frozen=True, kw_only=True, tag="unusable"):
    """A candidate whose outputs are worthless; never recommended.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        reason: Why.
    """

    alias: str
    recipe: str
    reason: str


class NotApplicable(Struct, frozen=True, kw_only=True, tag="not_applicable"):
    """The recipe finds nothing to do in this model.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        reason: Why.
    """

    alias: str
    recipe: str
    reason: str


class Skipped(Struct, frozen=True, kw_only=True, tag="skipped"):
    """The recipe was not tried.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        reason: Why, and what it would need.
    """

    alias: str
    recipe: str
    reason: str


class Failed(Struct, frozen=True, kw_only=True, tag="failed"):
    """The recipe was tried and failed; the others go on.

    Attributes:
        alias: What people call the recipe.
        recipe: The recipe's derived name.
        code: The error's code.
        reason: The error's message.
        hint: What to do about it.
    """

    alias: str
    recipe: str
    code: str
    reason: str
    hint: str


Variant: TypeAlias = Measured | Unusable | NotApplicable | Skipped | Failed


class Limits(Struct, frozen=True, kw_only=True):
    """What the user demands.

    Attributes:
        max_drop: Largest drop of the metric that is acceptable, as a fraction (0.01 is 1 pp).
        max_drop_given: Whether the user named it.
        max_drop_metric: The unit that the user named, such as ``pp`` or ``mse``; else empty.
        min_speedup: Least ratio that counts as fast.
        min_speedup_given: Whether the user named it.
        max_size_bytes: Largest file; 0 sets no limit.
    """

    max_drop: float = 0.01
    max_drop_given: bool = False
    max_drop_metric: str = ""
    min_speedup: float = 1.02
    min_speedup_given: bool = False
    max_size_bytes: int = 0


LimitName: TypeAlias = Literal["max_drop", "min_speedup", "max_size"]
"""A limit that a user can give, as its option is called."""

VerdictKind: TypeAlias = Literal[
    "ship", "keep_fp32", "cannot_tell", "no_labels", "quantized_already"
]


class Verdict(Struct, frozen=True, kw_only=True):
    """The answer, in one sentence.

    Attributes:
        kind: ``ship`` a candidate, ``keep_fp32``, ``cannot_tell`` yet, or ``no_labels``: the
            fastest is named, with its agreement, but nothing is recommended for shipping. A
            model that is ``quantized_already`` leaves nothing to choose.
        alias: The candidate that the sentence is about; empty for ``keep_fp32``.
        sentence: For a person.
        detail: A second sentence: the interval, the limit, or what would settle it.
        candidates: How many candidates the choice was among (Holm's correction).
        limits_met: False where a limit that the user gave is not met: exit code 3.
        broken_limits: Which those are: ``max_drop``, ``min_speedup``, ``max_size``.
    """

    kind: VerdictKind
    alias: str
    sentence: str
    detail: str
    candidates: int
    limits_met: bool
    broken_limits: tuple[LimitName, ...] = ()


class NotCalibrated(Struct, frozen=True, tag="none"):
    """No recipe wanted ranges, or there were no rows for them."""


class Report(Struct, frozen=True, kw_only=True):
    """Everything that a run found out.

    Attributes:
        schema: Always :data:`SCHEMA`.
        kind: ``report``.
        onnxq: Version of onnxq that wrote it.
        created: UTC time, ISO 8601.
        command: What was run, as words.
        environment: Where.
        source: The model.
        data: The rows.
        calibration: What calibrating took.
        variants: One per recipe, in the order asked for; ``fp32`` first.
        reference: Alias of the candidate that the others are compared with.
        given_latencies: Latency of the model as given, one per thread count.
        findings: What a reader should know.
        limits: What was demanded.
        verdict: The answer.
        seconds: Wall time by stage.
        work_seconds: Wall time in all.
        sandbox: What the children were confined by.
        interrupted: Whether the run was cut short.
        files: SHA-256 of each file that was written beside the report, by name; empty in a
            report that was not written.
    """

    schema: str = SCHEMA
    kind: str = "report"
    onnxq: str
    created: str
    command: tuple[str, ...]
    environment: Environment
    source: SourceFacts
    data: DataFacts | NoData
    variants: tuple[Variant, ...]
    reference: str
    given_latencies: tuple[Latency, ...]
    findings: tuple[Finding, ...]
    limits: Limits
    verdict: Verdict
    seconds: dict[str, float]
    work_seconds: float
    sandbox: str
    interrupted: bool = False
    files: dict[str, str] = {}
    calibration: CalibrationEffort | NotCalibrated = NotCalibrated()


def report_to_json(report: Report) -> bytes:
    """Encode a report, indented, with a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def report_from_json(data: bytes, *, origin: str) -> Report:
    """Decode a report.

    Args:
        data: JSON as :func:`report_to_json` writes it; unknown fields are ignored.
        origin: Where it comes from, for messages.

    Returns:
        The report.

    Raises:
        OutputError: If it is not a report of a schema that this version knows.
    """
    try:
        return msgspec.json.decode(data, type=Report)
    except msgspec.DecodeError as error:
        message = f"{origin} is not a report of schema {SCHEMA}: {error}."
        hint = "Was it written by a newer onnxq? Update onnxq, or run the model again."
        raise OutputError(message, code="OQ193", hint=hint) from error


def read_report(path: Path) -> Report:
    """Read a report from its file.

    Args:
        path: A ``report.json``.

    Returns:
        The report.

    Raises:
        OutputError: If the file is not a report that this version knows.
    """
    return report_from_json(path.read_bytes(), origin=str(path))
