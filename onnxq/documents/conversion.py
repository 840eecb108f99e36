"""What ``convert`` did."""

from typing import Literal

from msgspec import Struct

from onnxq.findings import Finding
from onnxq.reports import Artefact, SourceFacts


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
