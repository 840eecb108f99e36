"""The inputs and outputs of a Keras model by name, in the order that the model declares."""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from onnxq.arrays import Array
from onnxq.conversion.from_keras_backend import keras, said, tf
from onnxq.conversion.tf2onnx_graphs import Port
from onnxq.errors import InferenceError, SourceError

BATCH = "N"

_UNNAMED = re.compile(r"keras_tensor(_\d+)?")
_HINT = """\
Give the model its input where it is built, and save it again:
  model.build((None, 28, 28, 1))  # the shape of one row after None"""


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
        """Run the model for inference on TensorFlow's tensors by name."""
        flat = [tensors[name] for name in self.flat_inputs]
        packed = keras.tree.pack_sequence_as(_structure(self.model, "input"), flat)
        results = keras.tree.flatten(self.model(packed, training=False))
        return dict(zip(self.flat_outputs, results, strict=True))

    def predict(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Run the model for inference on arrays by name.

        Raises:
            InferenceError: If Keras or TensorFlow fails on them.
        """
        try:
            results = self.call({name: tf.constant(arrays[name]) for name in self.flat_inputs})
        except Exception as error:  # Keras raises what its layers raise
            shapes = {name: list(array.shape) for name, array in arrays.items()}
            message = f"Keras failed on inputs of shapes {shapes}: {said(error)}"
            hint = "Check that the rows are what the model expects."
            raise InferenceError(message, code="OQ173", hint=hint) from error
        return {port.name: np.asarray(results[port.name]) for port in self.outputs}

    def specs(self) -> tuple[tf.TensorSpec, ...]:
        """Return what TensorFlow traces, in the declared order of the inputs."""
        return tuple(
            tf.TensorSpec(
                [dim if isinstance(dim, int) else None for dim in port.shape],
                self.dtypes[port.name],
                port.name,
            )
            for port in self.inputs
        )

    def with_fixed_batch(self) -> "NamedModel":
        """Return the same model with the batch that it declares."""
        inputs, outputs = (
            tuple(replace(port, shape=(self.declared_rows, *port.shape[1:])) for port in ports)
            for ports in (self.inputs, self.outputs)
        )
        return replace(self, inputs=inputs, outputs=outputs)


def name_model(model: keras.Model, file_name: str) -> NamedModel:
    """Name a model's inputs and outputs as it declares them.

    Inputs are called as in ``keras.Input(name=…)``, or ``input`` (``input_0``, ``input_1``, …)
    where they have no name of their own; outputs as the keys of a dictionary, or else as the
    layers that make them. The batch axis is free, whatever the model was built with.

    Args:
        model: Built.
        file_name: For messages.

    Returns:
        The model and its names; unique across inputs and outputs, and legal in TensorFlow.

    Raises:
        SourceError: If the model was never built, so that its inputs are not known (OQ112).
    """
    if not getattr(model, "inputs", None):
        message = f"{file_name} declares no inputs: the model in it was never built or called."
        raise SourceError(message, code="OQ112", hint=_HINT)
    inputs, outputs = _structure(model, "input"), _structure(model, "output")
    flat_inputs = _unique(_names(inputs, _input_names(model)), ())
    flat_outputs = _unique(_names(outputs, _output_names(model)), flat_inputs)
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


def _unique(names: Iterable[str], taken: tuple[str, ...]) -> tuple[str, ...]:
    """Replace what TensorFlow does not take in names, and count names that occur again."""
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
