"""What Keras 2 wrote into its files and Keras 3 no longer reads, or reads as something else.

Configurations come in as JSON and go out as JSON; Keras itself is not needed here. Only what is
at the value that Keras 3 always assumes is left out, so that the model keeps its meaning.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import h5py

from onnxq.conversion.keras_files import Json

HARD_SIGMOID = "keras2_hard_sigmoid"
"""Name under which Keras 2's hard sigmoid is registered while a shimmed file is loaded."""

_GROUPED = frozenset({
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
    "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
})  # fmt: skip
_RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN"})
_CELLS = frozenset({"LSTMCell", "GRUCell", "SimpleRNNCell"})
# Which classes Keras 2 wrote a key for, and the values that Keras 3 always assumes. The
# implementations of a recurrent layer differ in speed, not in what they compute.
_ASSUMED: dict[str, tuple[frozenset[str], tuple[Json, ...]]] = {
    "groups": (_GROUPED, (1,)),
    "time_major": (_RECURRENT, (False,)),
    "implementation": (_RECURRENT | _CELLS, (0, 1, 2)),
}
_HARD_SIGMOID_OBJECT: Json = {
    "class_name": "function",
    "config": HARD_SIGMOID,
    "module": "builtins",
    "registered_name": HARD_SIGMOID,
}


@dataclass(frozen=True, kw_only=True)
class Shimmed:
    """A configuration of Keras 2, made fit for Keras 3.

    Attributes:
        config: The new configuration.
        changes: What was changed, each once, such as ``DepthwiseConv2D.groups``; sorted.
    """

    config: Json
    changes: tuple[str, ...]


def shim_keras2(config: Json) -> Shimmed:
    """Leave out what Keras 3 does not know, and name what it would read as something else.

    ``hard_sigmoid`` is ``clip(0.2 x + 0.5, 0, 1)`` in Keras 2 and ``clip(x / 6 + 0.5, 0, 1)`` in
    Keras 3; it is renamed to :data:`HARD_SIGMOID`, which must be registered as the former.

    Args:
        config: A configuration that Keras 2 wrote.

    Returns:
        The new configuration; equal to the old one where nothing had to be changed.
    """
    changes: set[str] = set()
    return Shimmed(config=_shim(config, changes), changes=tuple(sorted(changes)))


def write_shimmed(path: Path, shimmed: Shimmed, folder: Path) -> Path:
    """Copy an HDF5 file with another configuration in it.

    Args:
        path: A ``.h5`` file that holds a whole model.
        shimmed: The configuration to put into the copy.
        folder: Where the copy goes.

    Returns:
        The copy.
    """
    copy = folder / f"{path.stem}.h5"
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+") as file:
        file.attrs["model_config"] = json.dumps(shimmed.config)
    return copy


def _shim(node: Json, changes: set[str]) -> Json:
    if isinstance(node, list):
        return [_shim(value, changes) for value in node]
    if not isinstance(node, dict):
        return node
    shimmed = {key: _shim(value, changes) for key, value in node.items()}
    config = shimmed.get("config")
    if "class_name" in shimmed and isinstance(config, dict):
        shimmed["config"] = _shim_object(str(shimmed["class_name"]), config, changes)
    return shimmed


def _shim_object(name: str, config: dict[str, Json], changes: set[str]) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    for key, value in config.items():
        classes, values = _ASSUMED.get(key, (frozenset(), ()))
        if name in classes and value in values:
            changes.add(f"{name}.{key}")
        elif key.endswith("activation") and value == "hard_sigmoid":
            changes.add(f"{name}.{key}=hard_sigmoid")
            kept[key] = _HARD_SIGMOID_OBJECT
        else:
            kept[key] = value
    return kept
