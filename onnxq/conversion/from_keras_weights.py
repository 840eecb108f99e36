"""Weights from a file go into a Keras model that the user's code built."""

import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py

from onnxq.conversion.from_keras_package import keras, said
from onnxq.errors import SourceError

_UNLOADED = re.compile(
    r"object <(?P<kind>\w+) name=(?P<layer>[^,>]+).*?variable\.shape=(?P<wanted>\([^)]*\)), "
    r"Received: value\.shape=(?P<found>\([^)]*\))",
    re.DOTALL,
)
"""How Keras 3.15 says that a layer of a ``.weights.h5`` file has another shape."""

_SKIPPED = "freshly-initialized weights"
"""What Keras 3.15 warns of where it leaves layers as they are."""

_SHAPE_HINT = "Build the model with the sizes that it was trained with."
_BUILD_HINT = """\
Build it in the function:  model.build((None, 28, 28, 1))
or begin it with  keras.Input((28, 28, 1))"""
_SAVE_HINT = "Save them again where the model was trained:  model.save_weights('model.weights.h5')"


def load_keras_weights(model: keras.Model, path: Path) -> None:
    """Load weights into a model, all of them or none.

    Args:
        model: Built; changed in place.
        path: ``.weights.h5`` of Keras 3, or an ``.h5`` of Keras 2 or 3 with weights alone or a
            whole model: these are matched by the order of the layers.

    Raises:
        SourceError: If the file is damaged (OQ104), or does not fit the model (OQ107), naming
            the layer.
    """
    if not model.built or not model.weights:
        message = f"{path.name} cannot be loaded: {model.name!r} has no weights yet."
        raise SourceError(message, code="OQ107", hint=_BUILD_HINT)
    try:
        with h5py.File(path, "r") as file:
            _check_counts(model, file, path.name)
    except OSError as error:
        message = f"{path.name} is truncated or is not an HDF5 file: {error}"
        raise SourceError(message, code="OQ104", hint=_SAVE_HINT) from error
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            model.load_weights(path)
        except Exception as error:  # Keras raises what h5py and its layers raise
            raise _misfit(path.name, error) from error
    skipped = [str(one.message) for one in warned if _SKIPPED in str(one.message)]
    if skipped:
        message = f"{path.name} does not fit the model: {skipped[0]}"
        raise SourceError(message, code="OQ107", hint=_SAVE_HINT)


def _check_counts(model: keras.Model, file: h5py.File, name: str) -> None:
    """Raise where Keras would leave weights of the file out, or count without naming layers."""
    group = file.get("model_weights", file)
    if "layer_names" in group.attrs:
        found = [layer for layer in _texts(group.attrs["layer_names"]) if _holds(group, layer)]
        wanted = [layer.name for layer in model.layers if layer.weights]
        fits, what = len(found) == len(wanted), "layers with weights"
    else:
        found, wanted = list(_arrays(file)), [weight.path for weight in model.weights]
        fits, what = len(found) <= len(wanted), "arrays"
    if not fits:
        message = (
            f"{name} holds {len(found)} {what} ({_listed(found)}); "
            f"the model {model.name!r} has {len(wanted)} ({_listed(wanted)})."
        )
        raise SourceError(message, code="OQ107", hint="Build the model as it was trained.")


def _holds(group: h5py.Group, layer: str) -> bool:
    return layer in group and len(group[layer].attrs.get("weight_names", ())) > 0


def _texts(values: Iterable[bytes | str]) -> Iterator[str]:
    """Yield attributes of HDF5 as text: Keras 2 wrote bytes, Keras 3 writes text."""
    for value in values:
        yield value.decode() if isinstance(value, bytes) else str(value)


def _arrays(file: h5py.File) -> Iterator[str]:
    """Yield the paths of a ``.weights.h5`` file's arrays that a layer computes with."""
    found: list[str] = []
    file.visititems(
        lambda path, item: found.append(path) if isinstance(item, h5py.Dataset) else None
    )
    yield from (
        path.removesuffix("/0").replace("/vars", "")
        for path in found
        if not path.startswith("optimizer") and "seed_generator" not in path
    )


def _listed(names: list[str]) -> str:
    most = 6
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _misfit(name: str, error: Exception) -> SourceError:
    match = _UNLOADED.search(str(error))
    if match is None:
        message = f"{name} does not fit the model: {said(error)}"
    else:
        message = (
            f"{name} does not fit the model: layer {match['layer']!r} ({match['kind']}) has a "
            f"weight of {match['wanted']}, the file one of {match['found']}."
        )
    return SourceError(message, code="OQ107", hint=_SHAPE_HINT)
