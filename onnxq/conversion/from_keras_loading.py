"""Keras files become Keras models: never with code from the file, never compiled."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from onnxq.conversion.from_keras_backend import check_backend, keras, said, tf
from onnxq.conversion.keras_files import WAYS_OUT_OF_CODE, KerasConfig, read_keras_config
from onnxq.conversion.keras_shims import HARD_SIGMOID, shim_keras2, write_shimmed
from onnxq.errors import ConversionError, SourceError
from onnxq.findings import Finding

_UNKNOWN = ("Could not locate", "Unknown layer", "cannot be imported")
_KERAS3_HINT = """\
Load the file where it was made and export it there, then give onnxq the result:
  model.export('model.onnx', format='onnx')"""
_KERAS2_HINT = """\
Export it with the TensorFlow that made it, then give onnxq the result:
  model.save('saved'); python -m tf2onnx.convert --saved-model saved --opset 17 --output model.onnx
Or save it there again as HDF5, which Keras 3 reads better: model.save('model.h5')"""


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model as Keras 3 read it.

    Attributes:
        model: Not compiled.
        findings: Whether the file had to be changed to be read.
    """

    model: keras.Model
    findings: tuple[Finding, ...]


def load_keras(path: Path, folder: Path) -> LoadedModel:
    """Load a file that holds a whole Keras model.

    Args:
        path: A ``.keras``, ``.h5`` or ``.hdf5`` file.
        folder: Takes a temporary copy where a Keras 2 file must be changed to be read.

    Returns:
        The model.

    Raises:
        SourceError: If the file is missing or damaged (OQ101, OQ104), holds weights only
            (OQ103), carries code (OQ109), or is stateful (OQ111).
        ConversionError: If Keras cannot load it (OQ151).
    """
    check_backend()
    found = read_keras_config(path)
    if not found.is_keras2:
        return LoadedModel(model=_load(path, path.name, found), findings=())
    shimmed = shim_keras2(found.config)
    findings = _keras2_findings(path, found, shimmed.changes)
    if shimmed.changes and found.layout == "zip":
        message = (
            f"Keras {keras.__version__} would misread {path.name}, written by Keras "
            f"{found.keras_version}: found {', '.join(shimmed.changes)}."
        )
        raise ConversionError(message, code="OQ151", hint=_KERAS2_HINT)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        readable = write_shimmed(path, shimmed, Path(scratch)) if shimmed.changes else path
        return LoadedModel(model=_load(readable, path.name, found), findings=findings)


def _load(readable: Path, name: str, found: KerasConfig) -> keras.Model:
    try:
        with keras.saving.custom_object_scope({HARD_SIGMOID: _hard_sigmoid}):
            return keras.saving.load_model(readable, compile=False)
    except Exception as error:  # Keras raises what its layers raise
        if any(words in str(error) for words in _UNKNOWN):
            message = f"{name} needs code that Keras 3 does not have: {said(error)}"
            raise SourceError(message, code="OQ109", hint=WAYS_OUT_OF_CODE) from error
        writer = f"Keras {found.keras_version}" if found.keras_version else "an old Keras"
        message = (
            f"Keras {keras.__version__} cannot load {name}, written by {writer}: {said(error)}"
        )
        hint = _KERAS2_HINT if found.is_keras2 else _KERAS3_HINT
        raise ConversionError(message, code="OQ151", hint=hint) from error


def _hard_sigmoid(values: tf.Tensor) -> tf.Tensor:
    """Keras 2's hard sigmoid; that of Keras 3 has another slope."""
    return tf.clip_by_value(values * 0.2 + 0.5, 0.0, 1.0)


def _keras2_findings(
    path: Path, found: KerasConfig, changes: tuple[str, ...]
) -> tuple[Finding, ...]:
    if not found.is_keras2:
        return ()
    changed = f", with {', '.join(changes)} adapted" if changes else ""
    finding = Finding(
        code="OQ156",
        subject=path.name,
        message=(
            f"Keras {found.keras_version or '2 or older'} wrote the file and Keras "
            f"{keras.__version__} read it{changed}; parity is against the latter."
        ),
    )
    return (finding,)
