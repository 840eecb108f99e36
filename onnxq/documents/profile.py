"""What ``profile`` measured."""

from typing import Literal, TypeAlias

from msgspec import Struct

from onnxq.audits import Audit, NotAudited
from onnxq.findings import Finding
from onnxq.measurements import Latency, OperatorTime, Quality, Size, SpeedRatio
from onnxq.reports import DataFacts, Environment, NoData


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
        audit: What onnxruntime really runs of it.
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
    audit: Audit = NotAudited()


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
