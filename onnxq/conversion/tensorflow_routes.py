"""The routes of TensorFlow: Keras files, SavedModels, TFLite files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxq.conversion.declarations import declare_from_rows
from onnxq.conversion.keras_models import keras_input_names
from onnxq.conversion.written import KERAS_EXTRA, Written, missing_extra, written
from onnxq.datasets.loading import data_specs
from onnxq.datasets.values import DataRequest
from onnxq.sources import (
    Factory,
    InputDeclaration,
    KerasFile,
    LiveExport,
    SavedModelFolder,
    TfliteFile,
    WeightsFile,
    source_path,
)
from onnxq.stages import ConvertRequest


@contextmanager
def keras_route(request: ConvertRequest, source: KerasFile, destination: Path) -> Iterator[Written]:
    """Export a Keras file: by TensorFlow, or by PyTorch where only that is installed."""
    try:
        from onnxq.conversion.from_keras import convert_keras  # noqa: PLC0415 - the door

        export = convert_keras(
            Path(source.path), destination, request.declared, trust=request.trust
        )
    except ModuleNotFoundError as error:
        raise missing_extra(KERAS_EXTRA, source_path(source), error) from error
    yield written("keras", export, request.declared)


def written_keras_model(
    request: ConvertRequest,
    source: Factory | LiveExport,
    model: Callable[..., object],
    destination: Path,
) -> Written:
    """Export the Keras model that a factory returned, with the weights that were named.

    Args:
        request: What was asked for.
        source: The factory, or what a live model will be.
        model: What it returned; its weights are changed in place.
        destination: The ``.onnx`` file to write.

    Returns:
        What was written.
    """
    given, declared = source_path(source), request.declared
    if not declared and not getattr(model, "inputs", None):
        declared = _declare_from_rows(request, keras_input_names(model))
    try:
        from onnxq.conversion.from_keras import convert_keras_model  # noqa: PLC0415 - the door
        from onnxq.conversion.from_keras_building import with_known_inputs  # noqa: PLC0415
        from onnxq.conversion.from_keras_weights import load_keras_weights  # noqa: PLC0415

        known = with_known_inputs(model, declared, given)
        if isinstance(source, Factory) and isinstance(source.weights, WeightsFile):
            load_keras_weights(model, Path(source.weights.path))
        export = convert_keras_model(known, destination, declared, given=given)
    except ModuleNotFoundError as error:
        raise missing_extra(KERAS_EXTRA, given, error) from error
    return written("keras", export, declared)


@contextmanager
def saved_model_route(
    request: ConvertRequest, source: SavedModelFolder, destination: Path
) -> Iterator[Written]:
    """Export a signature of a SavedModel."""
    try:
        from onnxq.conversion.from_saved_model import (  # noqa: PLC0415 - the door
            convert_saved_model,
        )
    except ModuleNotFoundError as error:
        raise missing_extra(KERAS_EXTRA, source_path(source), error) from error
    export = convert_saved_model(source, destination, request.declared, trust=request.trust)
    yield written("tensorflow", export, request.declared)


@contextmanager
def tflite_route(
    request: ConvertRequest, source: TfliteFile, destination: Path
) -> Iterator[Written]:
    """Export a TFLite file."""
    try:
        from onnxq.conversion.from_tflite import convert_tflite  # noqa: PLC0415 - the door
    except ModuleNotFoundError as error:
        raise missing_extra(KERAS_EXTRA, source_path(source), error) from error
    export = convert_tflite(Path(source.path), destination)
    yield written("tflite", export, request.declared)


def _declare_from_rows(
    request: ConvertRequest, names: tuple[str, ...]
) -> tuple[InputDeclaration, ...]:
    """Declare the inputs of a model that does not know them by the rows, where there are any."""
    if not isinstance(request.data, DataRequest):
        return ()
    folders = request.trusted_folders
    specs = data_specs(request.data, channels_first=False, names=names, trusted_folders=folders)
    return declare_from_rows(specs, names)
