"""A TensorFlow SavedModel becomes an ONNX file, by TensorFlow and tf2onnx; Keras has no part."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxq.arrays import Array
from onnxq.conversion.exports import Export
from onnxq.conversion.from_keras_backend import said, tf
from onnxq.conversion.from_keras_naming import BATCH, unique_names
from onnxq.conversion.from_keras_tracing import Traceable, exporter_name, trace_to_onnx
from onnxq.conversion.from_saved_model_operators import (
    SAVE_AGAIN,
    check_operators,
    find_signature,
    read_meta_graph,
)
from onnxq.conversion.tf2onnx_graphs import Port, loop_findings
from onnxq.errors import ConversionError, InferenceError, SourceError
from onnxq.graph.model_files import write_proto
from onnxq.sources import InputDeclaration, SavedModelFolder
from onnxq.tensors import Dim

_HINT = "Give onnxq the Keras file, if there is one, or another of its signatures: --signature."
_LOOP_FIX = "Give onnxq the Keras file: its recurrent layers become LSTM and GRU nodes."


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A signature of a SavedModel, ready to be called.

    Attributes:
        function: TensorFlow's concrete function.
        inputs: ONNX ports by the signature's own names, in its order.
        outputs: ONNX ports by the signature's own names, in its order.
        dtypes: TensorFlow's, by the ports' names.
        owner: What holds the variables that the function only refers to.
    """

    function: Any
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    dtypes: Mapping[str, str]
    owner: Any

    def call(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Run the signature on TensorFlow's tensors by port name."""
        given = {name: tensors[port.name] for name, port in self.inputs.items()}
        results = self.function(**given)
        return {port.name: results[name] for name, port in self.outputs.items()}

    def predict(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Run the signature on arrays by port name.

        Raises:
            InferenceError: If TensorFlow fails on them.
        """
        try:
            tensors = {
                name: tf.constant(arrays[name], dtype) for name, dtype in self.dtypes.items()
            }
            return {name: np.asarray(tensor) for name, tensor in self.call(tensors).items()}
        except Exception as error:  # TensorFlow's errors share no base
            shapes = {name: list(array.shape) for name, array in arrays.items()}
            message = f"TensorFlow failed on inputs of shapes {shapes}: {said(error)}"
            hint = "Check that the rows are what the model expects."
            raise InferenceError(message, code="OQ173", hint=hint) from error


def convert_saved_model(
    source: SavedModelFolder,
    destination: Path,
    declared: tuple[InputDeclaration, ...] = (),
    *,
    trust: bool = False,
) -> Export:
    """Write a signature of a SavedModel as one ONNX file.

    Inputs and outputs have the signature's names; TensorFlow keeps them sorted. A free batch
    axis stays free and is called ``N``.

    Args:
        source: The folder, and which of its signatures.
        destination: The ``.onnx`` file to write; must not exist yet.
        declared: Sizes of axes that the signature leaves free.
        trust: Whether operators that touch files, Python or the network may run.

    Returns:
        The exporter, the signature as a function run by TensorFlow, and what was noticed.

    Raises:
        SourceError: If the folder is incomplete (OQ101) or damaged (OQ104), has no such
            signature (OQ118), or holds operators that are not trusted (OQ109).
        ConversionError: If TensorFlow cannot load it or tf2onnx cannot write it (OQ151).
    """
    folder = Path(source.path)
    meta_graph = read_meta_graph(folder)
    find_signature(meta_graph, source.signature, folder.name)
    if not trust:
        check_operators(meta_graph, folder.name)
    signature = load_signature(folder, source.signature, declared)
    traceable = Traceable(
        name=folder.name,
        inputs=tuple(signature.inputs.values()),
        outputs=tuple(signature.outputs.values()),
        dtypes=signature.dtypes,
        call=signature.call,
    )
    proto = trace_to_onnx(traceable, folder.name, _HINT)
    write_proto(proto, destination)
    return Export(
        exporter=exporter_name(keras_version=False),
        traced_rows=0,
        predict=signature.predict,
        findings=loop_findings(proto, folder.name, _LOOP_FIX),
    )


def load_signature(
    folder: Path, name: str, declared: tuple[InputDeclaration, ...] = ()
) -> Signature:
    """Load a SavedModel and take one of its signatures.

    Args:
        folder: The SavedModel.
        name: The signature's; it exists.
        declared: Sizes of axes that it leaves free.

    Returns:
        The signature.

    Raises:
        SourceError: If its variables are damaged (OQ104).
        ConversionError: If TensorFlow cannot load it (OQ151), or it is not a function of
            tensors.
    """
    try:
        loaded = tf.saved_model.load(str(folder))
        function = loaded.signatures[name]
    except (tf.errors.DataLossError, IndexError) as error:  # what TensorFlow says of a short file
        message = f"{folder.name} is damaged: its variables cannot be read: {said(error)}"
        raise SourceError(message, code="OQ104", hint=SAVE_AGAIN) from error
    except Exception as error:  # TensorFlow's loader raises anything
        message = f"TensorFlow {tf.__version__} cannot load {folder.name}: {said(error)}"
        raise ConversionError(message, code="OQ151", hint=SAVE_AGAIN) from error
    # The order in which TensorFlow 2.21 hands over inputs differs from process to process.
    fed = function.structured_input_signature[1]
    takes = {key: fed[key] for key in _in_order(fed)}
    gives = {
        key: function.structured_outputs[key] for key in _in_order(function.structured_outputs)
    }
    input_names = unique_names(takes, ())
    output_names = unique_names(gives, input_names)
    sizes = {one.name: one.shape for one in declared}
    return Signature(
        function=function,
        inputs={
            key: _port(new, spec, sizes.get(new, ()))
            for new, (key, spec) in zip(input_names, takes.items(), strict=True)
        },
        outputs={
            key: _port(new, spec, ())
            for new, (key, spec) in zip(output_names, gives.items(), strict=True)
        },
        dtypes={
            new: spec.dtype.name for new, spec in zip(input_names, takes.values(), strict=True)
        },
        owner=loaded,
    )


def _in_order(names: Iterable[str]) -> list[str]:
    """Sort names as TensorFlow does, but ``output_10`` behind ``output_9``."""
    return sorted(names, key=lambda name: [
        (int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)
    ])  # fmt: skip


def _port(name: str, spec: Any, declared: tuple[Dim, ...]) -> Port:  # noqa: ANN401 - TensorFlow has no types
    if spec.shape.rank is None:
        message = f"{name!r} has any number of axes, which ONNX models cannot declare."
        raise ConversionError(message, code="OQ151", hint=_HINT)
    found: list[Dim] = [f"{name}_{axis}" if d is None else d for axis, d in enumerate(spec.shape)]
    if found and isinstance(found[0], str):
        found[0] = BATCH
    if len(declared) == len(found):
        found = [b if isinstance(a, str) and isinstance(b, int) else a
                 for a, b in zip(found, declared, strict=True)]  # fmt: skip
    return Port(name=name, shape=tuple(found))
