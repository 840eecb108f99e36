"""The inputs and outputs of a Keras model by name, in the order that the model declares."""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from onnxq.arrays import Array
from onnxq.conversion.from_keras_package import keras, said
from onnxq.conversion.tf2onnx_graphs import Port
from onnxq.errors import InferenceError
from onnxq.sources import InputDeclaration
from onnxq.tensors import Dim

BATCH = "N"

_UNNAMED = re.compile(r"keras_tensor(_\d+)?")


@dataclass(frozen=True, kw_only=True)
class NamedModel:
    """A model whose inputs and outputs can be given and read by name.

    Attributes:
        model: The Keras model.
        inputs: In the declared order.
        outputs: In the declared order.
        flat_inputs: Input names in the order that Keras flattens its input structure.
        flat_outputs: Output names in the order that Keras flattens its output structure.
        dtypes: By input name.
        declared_rows: The batch that the model declares; 0 where it is free.
    """

    model: keras.Model
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    flat_inputs: tuple[str, ...]
    flat_outputs: tuple[str, ...]
    dtypes: dict[str, str]
    declared_rows: int

    def call(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Run the model for inference on the backend's tensors by name."""
        flat = [tensors[name] for name in self.flat_inputs]
        packed = keras.tree.pack_sequence_as(_structure(self.model, "input"), flat)
        results = keras.tree.flatten(self.model(packed, training=False))
        return dict(zip(self.flat_outputs, results, strict=True))

    def predict(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Run the model for inference on arrays by name.

        Raises:
            InferenceError: If Keras or its backend fails on them.
        """
        try:
            tensors = {
                name: keras.ops.convert_to_tensor(arrays[name], dtype)
                for name, dtype in self.dtypes.items()
            }
            results = {
                name: keras.ops.convert_to_numpy(t) for name, t in self.call(tensors).items()
            }
        except Exception as error:  # Keras raises what its layers raise
            shapes = {name: list(array.shape) for name, array in arrays.items()}
            message = f"Keras failed on inputs of shapes {shapes}: {said(error)}"
            hint = "Check that the rows are what the model expects."
            raise InferenceError(message, code="OQ173", hint=hint) from error
        return {port.name: np.asarray(results[port.name]) for port in self.outputs}

    def with_fixed_batch(self) -> "NamedModel":
        """Return the same model with the batch that it declares."""
        inputs, outputs = (
            tuple(replace(port, shape=(self.declared_rows, *port.shape[1:])) for port in ports)
            for ports in (self.inputs, self.outputs)
        )
        return replace(self, inputs=inputs, outputs=outputs)

    def with_declared(self, declared: tuple[InputDeclaration, ...]) -> "NamedModel":
        """Return the same model with the sizes that the user declares for free axes.

        What contradicts the model is left to the check that follows every conversion.
        """
        shapes = {one.name: one.shape for one in declared}
        inputs = tuple(_sharpened(port, shapes.get(port.name, ())) for port in self.inputs)
        rows = next((port.shape[0] for port in inputs if port.shape), BATCH)
        sharpened = replace(self, inputs=inputs)
        if isinstance(rows, str):
            return sharpened
        return replace(sharpened, declared_rows=rows).with_fixed_batch()

    def free_sizes(self) -> dict[str, tuple[Dim, ...]]:
        """Return the axes after the batch of each input that leaves one of them free."""
        rows = {port.name: port.shape[1:] for port in self.inputs}
        return {name: axes for name, axes in rows.items() if any(isinstance(a, str) for a in axes)}


def name_model(model: keras.Model) -> NamedModel:
    """Name a model's inputs and outputs as it declares them.

    Inputs are called as in ``keras.Input(name=…)``, or ``input`` (``input_0``, ``input_1``, …)
    where they have no name of their own; outputs as the keys of a dictionary, or else as the
    layers that make them. The batch axis is free, whatever the model was built with.

    Args:
        model: One that knows its inputs.

    Returns:
        The model and its names; unique across inputs and outputs, and legal in TensorFlow.
    """
    inputs, outputs = _structure(model, "input"), _structure(model, "output")
    flat_inputs = unique_names(_names(inputs, _input_names(model)), ())
    flat_outputs = unique_names(_names(outputs, _output_names(model)), flat_inputs)
    rows = {tensor.shape[0] for tensor in model.inputs if tensor.shape}
    return NamedModel(
        model=model,
        inputs=_ports(inputs, flat_inputs),
        outputs=_ports(outputs, flat_outputs),
        flat_inputs=flat_inputs,
        flat_outputs=flat_outputs,
        dtypes={n: t.dtype for n, t in zip(flat_inputs, model.inputs, strict=True)},
        declared_rows=next((size for size in rows if size), 0),
    )


def _sharpened(port: Port, declared: tuple[Dim, ...]) -> Port:
    if len(declared) != len(port.shape):
        return port
    pairs = zip(port.shape, declared, strict=True)
    return replace(
        port, shape=tuple(b if isinstance(a, str) and isinstance(b, int) else a for a, b in pairs)
    )


def _structure(model: keras.Model, side: Literal["input", "output"]) -> Any:  # noqa: ANN401 - any nest of tensors
    """Return the nest of symbolic tensors that a model takes or gives; Sequential has one each."""
    if isinstance(model, keras.Sequential):
        return (model.inputs if side == "input" else model.outputs)[0]
    return getattr(model, side)


def _input_names(model: keras.Model) -> list[str]:
    names = [tensor.name for tensor in model.inputs]
    if len(names) == 1:
        return ["input" if _UNNAMED.fullmatch(names[0]) else names[0]]
    return [f"input_{i}" if _UNNAMED.fullmatch(name) else name for i, name in enumerate(names)]


def _output_names(model: keras.Model) -> list[str]:
    if isinstance(model, keras.Sequential):
        return [model.layers[-1].name]
    return list(model.output_names)


def _names(structure: Any, otherwise: list[str]) -> list[str]:  # noqa: ANN401 - any nest of tensors
    """Return the keys of a plain dictionary in flattened order, or else other names."""
    if not _is_plain(structure):
        return otherwise
    return [str(path[0]) for path, _ in keras.tree.flatten_with_path(structure)]


def _is_plain(structure: Any) -> bool:  # noqa: ANN401 - any nest of tensors
    return isinstance(structure, dict) and all(
        isinstance(value, keras.KerasTensor) for value in structure.values()
    )


def unique_names(names: Iterable[str], taken: tuple[str, ...]) -> tuple[str, ...]:
    """Replace what TensorFlow does not take in names, and count names that occur again.

    Args:
        names: As the source calls them.
        taken: Names that none of them may get.

    Returns:
        A name for each.
    """
    unique: list[str] = []
    for name in names:
        legal = re.sub(r"[^A-Za-z0-9_.]", "_", name)
        legal = legal if legal[:1].isalnum() else f"t{legal}"
        counted = (f"{legal}_{i}" for i in itertools.count(1))
        used = {*taken, *unique}
        unique.append(legal if legal not in used else next(c for c in counted if c not in used))
    return tuple(unique)


def _ports(structure: Any, flat_names: tuple[str, ...]) -> tuple[Port, ...]:  # noqa: ANN401 - any nest of tensors
    """Describe tensors in the declared order: a dictionary's own, where Keras sorts by key."""
    flat = keras.tree.flatten(structure)
    ports = [_port(name, tensor) for name, tensor in zip(flat_names, flat, strict=True)]
    if not _is_plain(structure):
        return tuple(ports)
    by_key = keras.tree.pack_sequence_as(structure, ports)
    return tuple(by_key[key] for key in structure)


def _port(name: str, tensor: keras.KerasTensor) -> Port:
    shape = tuple(
        f"{name}_{axis}" if size is None else int(size) for axis, size in enumerate(tensor.shape)
    )
    return Port(name=name, shape=(BATCH, *shape[1:]) if shape else ())
