"""A Keras file, or a Keras model in memory, becomes an ONNX file."""

from collections.abc import Callable
from pathlib import Path

from onnxq.conversion.exports import Export
from onnxq.conversion.from_keras_building import with_known_inputs
from onnxq.conversion.from_keras_loading import load_keras
from onnxq.conversion.from_keras_naming import NamedModel, name_model
from onnxq.conversion.from_keras_package import keras
from onnxq.errors import SourceError
from onnxq.findings import Finding
from onnxq.sources import InputDeclaration


def convert_keras(
    path: Path,
    destination: Path,
    declared: tuple[InputDeclaration, ...] = (),
    *,
    trust: bool = False,
) -> Export:
    """Load a Keras file and write it as one ONNX file.

    Args:
        path: A ``.keras``, ``.h5`` or ``.hdf5`` file that holds a whole model.
        destination: The ``.onnx`` file to write; must not exist yet. Its folder takes a
            temporary copy of a Keras 2 file.
        declared: Sizes of axes that the model leaves free.
        trust: Whether code in the file, such as a Lambda's, may run.

    Returns:
        As :func:`convert_keras_model`.

    Raises:
        SourceError: If the file is missing or damaged, holds weights only, carries code, or
            declares no inputs.
        ConversionError: If Keras cannot load the model or its exporter cannot write it.
    """
    loaded = load_keras(path, destination.parent, trust=trust)
    return convert_keras_model(
        loaded.model, destination, declared, given=path.name, findings=loaded.findings
    )


def convert_keras_model(
    model: keras.Model,
    destination: Path,
    declared: tuple[InputDeclaration, ...] = (),
    *,
    given: str = "",
    findings: tuple[Finding, ...] = (),
) -> Export:
    """Write a Keras model in memory as one ONNX file, by the backend that Keras runs on.

    Inputs and outputs keep Keras' names and order; the batch axis is free and called ``N``,
    unless the model or its user declares a fixed batch and it can only be traced with that.

    Args:
        model: Of Keras 3.
        destination: The ``.onnx`` file to write; must not exist yet.
        declared: Sizes of axes that the model leaves free; all inputs of a subclassed model
            that was never called.
        given: What the user calls the model; its own name where that is empty.
        findings: What was noticed before.

    Returns:
        The exporter, the model as a function run by Keras, and what was noticed.

    Raises:
        SourceError: If the inputs are not known (OQ112), or Keras runs on a backend from which
            no exporter leads to ONNX (OQ111).
        ConversionError: If the exporter fails (OQ151).
    """
    given = given or model.name
    export = _open_exporter(given)
    named = name_model(with_known_inputs(model, declared, given)).with_declared(declared)
    return export(named, destination, given, findings)


def _open_exporter(
    given: str,
) -> Callable[[NamedModel, Path, str, tuple[Finding, ...]], Export]:
    backend = keras.config.backend()
    if backend == "tensorflow":
        from onnxq.conversion.from_keras_tensorflow import (  # noqa: PLC0415 - the door
            export_by_tensorflow,
        )

        return export_by_tensorflow
    if backend == "torch":
        from onnxq.conversion.from_keras_torch import export_by_torch  # noqa: PLC0415 - the door

        return export_by_torch
    message = f"{given} runs on Keras' {backend} backend; expected tensorflow or torch."
    hint = "Start again with KERAS_BACKEND=tensorflow in the environment, or save it: .keras"
    raise SourceError(message, code="OQ111", hint=hint)
