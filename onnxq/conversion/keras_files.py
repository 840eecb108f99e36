"""What a Keras file is, before Keras opens it: whole, with a model in it, and free of code.

Needs h5py, which comes with the extra ``keras``, but neither Keras nor TensorFlow.
"""

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import h5py

from onnxq.errors import SourceError

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Layout: TypeAlias = Literal["zip", "hdf5"]

_KERAS3 = 3
_CONFIG = "config.json"
_METADATA = "metadata.json"
_WEIGHTS = "model.weights"

_CODE_LAYERS = frozenset(
    {"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
)
_OWN_MODULES = ("keras", "tf_keras", "builtins")
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError)
"""What zipfile and json raise on damage; RuntimeError is encryption and endless nesting."""
_SAVE_AGAIN = "Save or download the file again: model.save('model.keras')."
_WAYS_OUT_OF_WEIGHTS = """\
Name the function that builds the model:  onnxq run FILE.py:build --weights {name}
Or save the whole model there: model.load_weights('{name}'); model.save('model.keras')."""
WAYS_OUT_OF_CODE = """\
If it is a Lambda, and you trust whoever made it as you would trust a program of theirs: --trust.
Else rebuild the model from Keras' own layers (keras.ops works in functional models without Lambda).
Or export it where its code lives, and give onnxq the result:
  model.export('model.onnx', format='onnx')"""
"""What to do about a file that carries code."""


@dataclass(frozen=True, kw_only=True)
class KerasConfig:
    """The architecture that a Keras file declares.

    Attributes:
        layout: ``zip`` for ``.keras`` of Keras 3 (and late Keras 2), ``hdf5`` for ``.h5``.
        keras_version: Of the Keras that wrote the file; empty where the file does not say.
        config: The model's configuration, as Keras serializes it.
    """

    layout: Layout
    keras_version: str
    config: Json

    @property
    def is_keras2(self) -> bool:
        """Whether a Keras before 3 wrote the file; one that does not say is that old."""
        major = self.keras_version.partition(".")[0]
        return not major.isdecimal() or int(major) < _KERAS3


def read_keras_config(path: Path, *, trust: bool = False) -> KerasConfig:
    """Read the configuration of a Keras file and refuse what must not be loaded.

    Args:
        path: A ``.keras``, ``.h5`` or ``.hdf5`` file.
        trust: Whether code in the file may run, so that it is not refused.

    Returns:
        The configuration.

    Raises:
        SourceError: If the file does not exist (OQ101), is truncated or something else than its
            suffix says (OQ104), holds weights only (OQ103), carries code (OQ109), or remembers
            rows from call to call (OQ111).
    """
    if not path.is_file():
        message = f"{path.name} does not exist, or is not a file."
        raise SourceError(message, code="OQ101", hint="Check the path.")
    found = _read_hdf5(path) if path.suffix.lower() in {".h5", ".hdf5"} else _read_zip(path)
    if not trust:
        check_trusted(found.config, path.name)
    _check_stateless(found.config, path.name)
    return found


def check_trusted(config: Json, name: str) -> None:
    """Raise if loading a configuration would run code that is not Keras' own.

    Args:
        config: The model's configuration.
        name: The file's name, for the message.

    Raises:
        SourceError: If it holds a Lambda, a layer that wraps another framework's code, or a
            class or function that Keras does not define.
    """
    foreign = sorted({label for node in walk_objects(config) if (label := _foreign(node))})
    if foreign:
        message = (
            f"{name} carries code or needs code that is not Keras' own: found "
            f"{', '.join(foreign)}; expected Keras' own layers and functions only."
        )
        raise SourceError(message, code="OQ109", hint=WAYS_OUT_OF_CODE)


def _check_stateless(config: Json, name: str) -> None:
    for node in walk_objects(config):
        inner = node.get("config")
        if isinstance(inner, dict) and inner.get("stateful") is True:
            layer = inner.get("name", node["class_name"])
            message = f"{name}: layer {layer!r} is stateful, so rows depend on the rows before."
            hint = "Build the model with stateful=False, load its weights, and save it again."
            raise SourceError(message, code="OQ111", hint=hint)


def _read_zip(path: Path) -> KerasConfig:
    if h5py.is_hdf5(path):
        message = f"{path.name} is an HDF5 file; found HDF5, expected a zip archive (.keras)."
        hint = f"Rename it: mv {path.name} {path.stem}.h5"
        raise SourceError(message, code="OQ104", hint=hint)
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
            if broken:
                message = f"{path.name} is damaged: the checksum of {broken} in it is wrong."
                raise SourceError(message, code="OQ104", hint=_SAVE_AGAIN)
            _check_members(archive.namelist(), path.name)
            config: Json = json.loads(archive.read(_CONFIG))
            metadata = json.loads(archive.read(_METADATA))
    except _UNREADABLE as error:
        message = f"{path.name} is truncated or is not a Keras file: {error}"
        raise SourceError(message, code="OQ104", hint=_SAVE_AGAIN) from error
    version = str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""
    return KerasConfig(layout="zip", keras_version=version, config=config)


def _check_members(members: list[str], name: str) -> None:
    wanted = (_CONFIG, _METADATA, _WEIGHTS)
    missing = [start for start in wanted if not any(m.startswith(start) for m in members)]
    if missing:
        message = f"{name} is not a whole Keras file: {', '.join(missing)} not found in it."
        raise SourceError(message, code="OQ104", hint=_SAVE_AGAIN)


def _read_hdf5(path: Path) -> KerasConfig:
    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
            version = str(file.attrs.get("keras_version", ""))
            has_weights = "layer_names" in file.attrs or any(
                key in file for key in ("layers", "_layer_checkpoint_dependencies", "model_weights")
            )
    except OSError as error:
        message = f"{path.name} is truncated or is not an HDF5 file: {error}"
        raise SourceError(message, code="OQ104", hint=_SAVE_AGAIN) from error
    if text is None:
        raise _no_model(path.name, has_weights=has_weights)
    try:
        config: Json = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"{path.name} holds a model_config that is not JSON: {error}"
        raise SourceError(message, code="OQ104", hint=_SAVE_AGAIN) from error
    return KerasConfig(layout="hdf5", keras_version=version, config=config)


def _no_model(name: str, *, has_weights: bool) -> SourceError:
    if not has_weights:
        message = f"{name} is an HDF5 file that Keras did not write: found no model_config in it."
        return SourceError(message, code="OQ104", hint=_SAVE_AGAIN)
    message = f"{name} holds weights only; found no model_config in it, expected a whole model."
    return SourceError(message, code="OQ103", hint=_WAYS_OUT_OF_WEIGHTS.format(name=name))


def walk_objects(config: Json) -> Iterator[dict[str, Json]]:
    """Yield every serialized object of a configuration: what has a class name."""
    waiting = [config]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "class_name" in node:
                yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _foreign(node: dict[str, Json]) -> str:
    """Return what to call an object that is not Keras' own; empty for Keras' own."""
    class_name, module = str(node["class_name"]), node.get("module")
    shown = str(node["config"]) if isinstance(node.get("config"), str) else class_name
    if class_name in _CODE_LAYERS:
        return "a Lambda layer" if "lambda" in class_name.lower() else f"a {class_name}"
    if isinstance(module, str) and module.split(".", maxsplit=1)[0] not in _OWN_MODULES:
        return f"{shown!r} of {module}"
    package, separator, _ = str(node.get("registered_name") or class_name).partition(">")
    if separator and package != "keras":
        return f"{shown!r}, registered under {package!r}"
    return ""
