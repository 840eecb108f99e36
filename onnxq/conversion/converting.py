"""The stage that turns a source into an ONNX model and proves that it computes the same."""

from contextlib import AbstractContextManager
from pathlib import Path

from onnxq.conversion.factory_route import factory_route
from onnxq.conversion.live import live_route
from onnxq.conversion.onnx_route import onnx_route
from onnxq.conversion.proving import finish_conversion
from onnxq.conversion.tensorflow_routes import keras_route, saved_model_route, tflite_route
from onnxq.conversion.torch_routes import torch_export_route, torchscript_route
from onnxq.conversion.written import Written
from onnxq.events import Tell
from onnxq.sources import (
    Factory,
    KerasFile,
    LiveExport,
    OnnxFile,
    SavedModelFolder,
    TfliteFile,
    TorchExportFile,
    TorchScriptFile,
)
from onnxq.stages import ConvertRequest, ConvertResult

_MODEL_FILE = "model.onnx"


def convert(request: ConvertRequest, folder: Path, tell: Tell) -> ConvertResult:
    """Convert a source and compare it with what was written: the stage function.

    Args:
        request: The source, and what to check it on.
        folder: Where the model is written.
        tell: Told of progress: written, loaded, compared.

    Returns:
        The model, and the proof.

    Raises:
        SourceError: If the source cannot be used (OQ101 to OQ118).
        MissingDependencyError: If an extra is not installed (OQ108).
        ConversionError: If the framework or its exporter fails (OQ151).
        ParityError: If the model computes something else than the source (OQ152).
        DatasetError: If the rows cannot be read or do not fit.
    """
    destination = folder / _MODEL_FILE
    with _open_route(request, destination) as written:
        return finish_conversion(written, request, destination, tell)


def _open_route(  # noqa: PLR0911 - one a kind of source
    request: ConvertRequest, destination: Path
) -> AbstractContextManager[Written]:
    match request.source:
        case OnnxFile() as source:
            return onnx_route(request, source, destination)
        case KerasFile() as source:
            return keras_route(request, source, destination)
        case SavedModelFolder() as source:
            return saved_model_route(request, source, destination)
        case TfliteFile() as source:
            return tflite_route(request, source, destination)
        case TorchExportFile() as source:
            return torch_export_route(request, source, destination)
        case TorchScriptFile() as source:
            return torchscript_route(request, source, destination)
        case Factory() as source:
            return factory_route(request, source, destination)
        case LiveExport() as source:
            return live_route(request, source, destination)
