"""Documents become JSON, and what lies in an output folder becomes a document."""

from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from onnxq.documents.calibration import Calibration
from onnxq.documents.conversion import Conversion
from onnxq.documents.plan import Plan
from onnxq.documents.profile import Profile
from onnxq.documents.quantization import Built, Quantization
from onnxq.documents.repair import Repair
from onnxq.errors import OutputError
from onnxq.reports import Measured, Report

Document: TypeAlias = Conversion | Quantization | Calibration | Profile | Plan | Repair
WrittenDocument: TypeAlias = Report | Conversion | Quantization | Calibration | Repair
"""What may lie in an output folder as its ``report.json``."""


class _Kind(Struct, frozen=True):
    kind: str


_WRITTEN: dict[str, type[WrittenDocument]] = {
    "report": Report,
    "conversion": Conversion,
    "quantization": Quantization,
    "calibration": Calibration,
    "repair": Repair,
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
        case Conversion(artefact=artefact) | Repair(artefact=artefact):
            return (artefact.file,)
        case Calibration():
            return ()
        case Quantization(variants=built):
            return tuple(row.artefact.file for row in built if isinstance(row, Built))
