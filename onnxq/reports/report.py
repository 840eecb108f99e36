"""The whole report, and its JSON, both ways."""

from pathlib import Path

import msgspec
from msgspec import Struct

from onnxq.calibrations import CalibrationEffort
from onnxq.errors import OutputError
from onnxq.findings import Finding
from onnxq.measurements import Latency
from onnxq.reports.facts import DataFacts, Environment, NoData, NotCalibrated, SourceFacts
from onnxq.reports.variants import Variant
from onnxq.reports.verdict import Limits, Verdict
from onnxq.tunings import USUAL, Tuning

SCHEMA = "onnxq/report/1"


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
        tuning: For which CPU the models were made, with which rewrites.
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
    tuning: Tuning = USUAL


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
