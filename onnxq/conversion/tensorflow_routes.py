"""The routes of TensorFlow: Keras files, SavedModels, TFLite files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxq.conversion.written import KERAS_EXTRA, Written, missing_extra, written
from onnxq.sources import KerasFile, source_path
from onnxq.stages import ConvertRequest


@contextmanager
def keras_route(request: ConvertRequest, source: KerasFile, destination: Path) -> Iterator[Written]:
    """Export a Keras file."""
    try:
        from onnxq.conversion.from_keras import convert_keras  # noqa: PLC0415 - the door
    except ModuleNotFoundError as error:
        raise missing_extra(KERAS_EXTRA, source_path(source), error) from error
    export = convert_keras(Path(source.path), destination)
    yield written("keras", export, request.declared)
