"""What the verbs beside ``run`` answer: one document each, and its JSON, both ways.

Like a report's, each schema only ever gains fields; readers ignore those that they do not know.
The kind stands in the JSON as ``kind``, so that a file says itself what it is.
"""

from onnxq.documents.calibration import CalibratedSet, Calibration
from onnxq.documents.conversion import Conversion
from onnxq.documents.plan import Plan, PlannedRecipe, PlannedStep
from onnxq.documents.profile import NotProfiled, Profile, Profiled, ProfileRow, Unavailable
from onnxq.documents.quantization import Built, BuiltVariant, Quantization
from onnxq.documents.reading import (
    Document,
    WrittenDocument,
    artefact_files,
    document_to_json,
    read_document,
)
from onnxq.documents.repair import Repair

__all__ = [
    "Built",
    "BuiltVariant",
    "CalibratedSet",
    "Calibration",
    "Conversion",
    "Document",
    "NotProfiled",
    "Plan",
    "PlannedRecipe",
    "PlannedStep",
    "Profile",
    "ProfileRow",
    "Profiled",
    "Quantization",
    "Repair",
    "Unavailable",
    "WrittenDocument",
    "artefact_files",
    "document_to_json",
    "read_document",
]
