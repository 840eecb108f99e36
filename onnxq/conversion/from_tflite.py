"""A TFLite file becomes an ONNX file, by tf2onnx; integers in it stay integers."""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnxq.arrays import Array
from onnxq.conversion.exports import Export
from onnxq.conversion.from_keras_backend import quiet_tf2onnx, said, tf, tf2onnx
from onnxq.conversion.from_keras_naming import BATCH, unique_names
from onnxq.conversion.from_keras_tracing import OPSET, exporter_name
from onnxq.conversion.from_tflite_files import TfliteContents, read_tflite
from onnxq.conversion.tf2onnx_graphs import Port, finish_graph, loop_findings, rename_tensors
from onnxq.conversion.tf2onnx_handlers import HANDLERS
from onnxq.conversion.tolerances import FLOAT32, INT8, Tolerance
from onnxq.errors import ConversionError, InferenceError, SourceError
from onnxq.findings import Finding
from onnxq.graph.model_files import write_proto
from onnxq.graph.quantized_sources import describe_quantization
from onnxq.sources import InputDeclaration
from onnxq.tensors import Dim, DType

_DEPRECATED = r"\s*Warning: tf\.lite\.Interpreter is deprecated"
_GENERIC = re.compile(r"(?:serving_default_)?(.+?)(?::0)?")
"""How TFLite's converter calls the tensor behind an input that a signature calls ``\\1``."""

_DTYPES: dict[str, DType] = {"int8": "int8", "uint8": "uint8", "int32": "int32"}
_HINT = "Give onnxq what the file was converted from: the Keras file or the SavedModel."
_LOOP_FIX = "Give onnxq the Keras file: its recurrent layers become LSTM and GRU nodes."


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """An input or output of a TFLite file.

    Attributes:
        port: Its name and shape in the ONNX graph.
        tensor: The tensor's name in the file.
        index: The tensor's number in the file.
        dtype: Of its elements.
        scale: Of integers that stand for real numbers; 0 for elements that stand for themselves.
        zero_point: Which integer stands for 0.
    """

    port: Port
    tensor: str
    index: int
    dtype: np.dtype[Any]
    scale: float
    zero_point: int


@dataclass(frozen=True, kw_only=True)
class TfliteModel:
    """A TFLite file, ready to run by TFLite's default kernels.

    The default kernels (XNNPACK's) round as onnxruntime does; the reference kernels differ from
    both, by dozens of steps behind a softmax.

    Attributes:
        interpreter: TFLite's.
        inputs: In the signature's order.
        outputs: In the signature's order.
    """

    interpreter: Any
    inputs: tuple[Terminal, ...]
    outputs: tuple[Terminal, ...]

    def predict(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Run the file on arrays by name.

        Raises:
            InferenceError: If TFLite fails on them.
        """
        try:
            return self._run(arrays)
        except (ValueError, RuntimeError) as error:
            shapes = {name: list(array.shape) for name, array in arrays.items()}
            message = f"TFLite failed on inputs of shapes {shapes}: {said(error)}"
            hint = "Check that the rows are what the model expects."
            raise InferenceError(message, code="OQ173", hint=hint) from error

    def _run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        for one in self.inputs:
            self.interpreter.resize_tensor_input(one.index, arrays[one.port.name].shape)
        self.interpreter.allocate_tensors()
        for one in self.inputs:
            self.interpreter.set_tensor(one.index, arrays[one.port.name])
        self.interpreter.reset_all_variables()
        self.interpreter.invoke()
        return {one.port.name: self.interpreter.get_tensor(one.index) for one in self.outputs}


def convert_tflite(path: Path, destination: Path) -> Export:
    """Write a TFLite file as one ONNX file.

    Names and order of inputs and outputs are the signature's; a file without one keeps its
    tensors' names. What is quantized becomes QuantizeLinear and DequantizeLinear around float
    operators, with the same scales and zero points; float16 weights become float32.

    Args:
        path: A ``.tflite`` file, float or quantized.
        destination: The ``.onnx`` file to write; must not exist yet.

    Returns:
        The exporter, the file as run by TFLite, and how it is quantized.

    Raises:
        SourceError: If the file is missing (OQ101) or damaged (OQ104), or needs something that
            has no counterpart in ONNX (OQ111).
    """
    contents = read_tflite(path)
    model = open_tflite(path, contents)
    proto = _export(path, model)
    write_proto(proto, destination)
    quantized = describe_quantization(proto)
    return Export(
        exporter=exporter_name(keras_version=False),
        traced_rows=0,
        predict=model.predict,
        findings=(*_integer_note(model, path.name), *loop_findings(proto, path.name, _LOOP_FIX)),
        tolerance=_tolerance(contents),
        quantized_already=f"by TFLite: {quantized}" if quantized else "",
        known_inputs=tuple(map(_bounds, (one for one in model.inputs if one.scale))),
    )


def open_tflite(path: Path, contents: TfliteContents) -> TfliteModel:
    """Load a TFLite file.

    Args:
        path: The file.
        contents: From :func:`read_tflite`.

    Returns:
        The file, ready to run.

    Raises:
        SourceError: If TFLite cannot load it (OQ111).
    """
    try:
        with _deprecation_silenced():
            interpreter = tf.lite.Interpreter(str(path))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        message = f"TensorFlow {tf.__version__} cannot run {path.name}: {said(error)}"
        raise SourceError(message, code="OQ111", hint=_HINT) from error
    inputs = _details(interpreter.get_input_details())
    outputs = _details(interpreter.get_output_details())
    for input_names, output_names in contents.signatures:
        if _covers(input_names, inputs) and _covers(output_names, outputs):
            break
    else:
        input_names, output_names = _own_names(inputs, {}), _own_names(outputs, inputs)
    return TfliteModel(
        interpreter=interpreter,
        inputs=tuple(_terminal(name, inputs[tensor]) for name, tensor in input_names.items()),
        outputs=tuple(_terminal(name, outputs[tensor]) for name, tensor in output_names.items()),
    )


def _details(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in found}


def _covers(names: dict[str, str], tensors: dict[str, dict[str, Any]]) -> bool:
    return sorted(names.values()) == sorted(tensors)


def _own_names(tensors: Mapping[str, object], others: Mapping[str, object]) -> dict[str, str]:
    """Name tensors that no signature names: by their own names, without the converter's words."""
    plain = [_plain(name) for name in tensors]
    return dict(zip(unique_names(plain, tuple(map(_plain, others))), tensors, strict=True))


def _plain(tensor: str) -> str:
    match = _GENERIC.fullmatch(tensor)
    return match[1] if match else tensor


def _terminal(name: str, details: dict[str, Any]) -> Terminal:
    shape: list[Dim] = [
        int(size) if size >= 0 else f"{name}_{axis}"
        for axis, size in enumerate(details["shape_signature"])
    ]
    if shape and isinstance(shape[0], str):
        shape[0] = BATCH
    scale, zero_point = details["quantization"]
    return Terminal(
        port=Port(name=name, shape=tuple(shape)),
        tensor=details["name"],
        index=details["index"],
        dtype=np.dtype(details["dtype"]),
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _export(path: Path, model: TfliteModel) -> onnx.ModelProto:
    try:
        with quiet_tf2onnx(), _deprecation_silenced():
            proto, _ = tf2onnx.convert.from_tflite(
                str(path), opset=OPSET, custom_op_handlers=dict(HANDLERS)
            )
        terminals = (*model.inputs, *model.outputs)
        renamed = rename_tensors(proto, {one.tensor: one.port.name for one in terminals})
        return finish_graph(
            renamed,
            name=path.stem,
            inputs=tuple(one.port for one in model.inputs),
            outputs=tuple(one.port for one in model.outputs),
            constants={},
            hint=_HINT,
        )
    except ConversionError as error:
        message = f"{path.name}: {error.message}"
        raise SourceError(message, code="OQ111", hint=error.hint) from error
    except Exception as error:  # tf2onnx raises anything
        message = f"{path.name} cannot be written as ONNX: {said(error)}"
        raise SourceError(message, code="OQ111", hint=_HINT) from error


def _integer_note(model: TfliteModel, given: str) -> tuple[Finding, ...]:
    """Say how to turn real numbers into the integers that the file takes, and back."""
    integers = [one for one in (*model.inputs, *model.outputs) if one.scale]
    if not integers:
        return ()
    formulas = "; ".join(
        f"{one.port.name} is {one.dtype.name}, {one.scale:.9g} * (it {-one.zero_point:+d})"
        for one in integers
    )
    finding = Finding(
        code="OQ120",
        subject=given,
        message=f"Integers stand for real numbers: {formulas}.",
        evidence={f"{one.port.name}.scale": one.scale for one in integers}
        | {f"{one.port.name}.zero_point": one.zero_point for one in integers},
        fix="Give rows as these integers: round(real / scale) + zero_point.",
    )
    return (finding,)


def _bounds(terminal: Terminal) -> InputDeclaration:
    """Declare what a quantized input takes: every integer of its dtype stands for a number."""
    bounds = np.iinfo(terminal.dtype)
    port = terminal.port
    low, high = int(bounds.min), int(bounds.max)
    return InputDeclaration(port.name, port.shape, _DTYPES[terminal.dtype.name], low, high)


def _tolerance(contents: TfliteContents) -> Tolerance:
    return INT8 if contents.integer_activations or contents.integer_weights else FLOAT32


@contextmanager
def _deprecation_silenced() -> Iterator[None]:
    """Keep TensorFlow 2.21 from telling users about its Interpreter's successor."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _DEPRECATED, UserWarning)
        yield
