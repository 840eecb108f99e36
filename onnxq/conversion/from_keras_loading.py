"""Keras files become Keras models: never with code from the file, never compiled."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from onnxq.conversion.from_keras_package import keras, said
from onnxq.conversion.keras_files import (
    WAYS_OUT_OF_CODE,
    KerasConfig,
    read_keras_config,
    walk_objects,
)
from onnxq.conversion.keras_shims import HARD_SIGMOID, shim_keras2, write_shimmed
from onnxq.errors import ConversionError, SourceError
from onnxq.findings import Finding

_UNKNOWN = ("Could not locate", "Unknown layer", "cannot be imported")
_OTHER_LAYERS = frozenset({"MultiHeadAttention"})
_KERAS3_HINT = """\
Load the file where it was made and export it there, then give onnxq the result:
  model.export('model.onnx', format='onnx')"""
_KERAS2_HINT = """\
Save it as a SavedModel with the TensorFlow (2.15 or older) that made it: no Keras is needed then.
  model.save('saved', save_format='tf')      then  onnxq run saved
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


def load_keras(path: Path, folder: Path, *, trust: bool = False) -> LoadedModel:
    """Load a file that holds a whole Keras model.

    Args:
        path: A ``.keras``, ``.h5`` or ``.hdf5`` file.
        folder: Takes a temporary copy where a Keras 2 file must be changed to be read.
        trust: Whether code in the file, such as a Lambda's, may run.

    Returns:
        The model.

    Raises:
        SourceError: If the file is missing or damaged (OQ101, OQ104), holds weights only
            (OQ103), carries code (OQ109), or is stateful (OQ111).
        ConversionError: If Keras cannot load it (OQ151).
    """
    found = read_keras_config(path, trust=trust)
    if not found.is_keras2:
        return LoadedModel(model=_load(path, path.name, found, trust=trust), findings=())
    _check_readable(path.name, found)
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
        model = _load(readable, path.name, found, trust=trust)
        return LoadedModel(model=model, findings=findings)


def _check_readable(name: str, found: KerasConfig) -> None:
    """Raise if a layer has the name of one of Keras 3 that is another layer."""
    for node in walk_objects(found.config):
        config = node.get("config")
        if node["class_name"] in _OTHER_LAYERS and isinstance(config, dict):
            message = (
                f"{name}: layer {config.get('name')!r} is a {node['class_name']} of Keras "
                f"{found.keras_version or 2}, which Keras {keras.__version__} cannot read."
            )
            raise SourceError(message, code="OQ111", hint=_KERAS2_HINT)


def _load(readable: Path, name: str, found: KerasConfig, *, trust: bool) -> keras.Model:
    try:
        with keras.saving.custom_object_scope({HARD_SIGMOID: _hard_sigmoid}):
            return keras.saving.load_model(readable, compile=False, safe_mode=not trust)
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


def _hard_sigmoid(values: keras.KerasTensor) -> keras.KerasTensor:
    """Keras 2's hard sigmoid; that of Keras 3 has another slope."""
    return keras.ops.clip(values * 0.2 + 0.5, 0.0, 1.0)


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
