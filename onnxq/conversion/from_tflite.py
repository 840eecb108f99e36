"""A TFLite file becomes an ONNX file, by tf2onnx; integers in it stay integers."""

from pathlib import Path

import numpy as np
import onnx

from onnxq.conversion.exports import Export, no_layers
from onnxq.conversion.from_keras_backend import quiet_tf2onnx, said, tf2onnx
from onnxq.conversion.from_keras_tracing import OPSET, exporter_name
from onnxq.conversion.from_tflite_files import TfliteContents, read_tflite
from onnxq.conversion.from_tflite_models import (
    ORIGINAL_HINT,
    Terminal,
    TfliteModel,
    deprecation_silenced,
    open_tflite,
)
from onnxq.conversion.tf2onnx_graphs import finish_graph, loop_findings, rename_tensors
from onnxq.conversion.tf2onnx_handlers import HANDLERS
from onnxq.conversion.tolerances import FLOAT32, INT8, Tolerance
from onnxq.errors import ConversionError, SourceError
from onnxq.findings import Finding
from onnxq.graph.integer_io import write_integer_io
from onnxq.graph.model_files import write_proto
from onnxq.graph.quantized_sources import describe_quantization
from onnxq.integer_tensors import IntegerTensor
from onnxq.sources import InputDeclaration
from onnxq.tensors import DType

_DTYPES: dict[str, DType] = {"int8": "int8", "uint8": "uint8", "int32": "int32"}
_LOOP_FIX = "Give onnxq the Keras file: its recurrent layers become LSTM and GRU nodes."


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
    io = _integer_io(model)
    if io:
        write_integer_io(proto, io)
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
        layers=model.layers if contents.integer_activations else no_layers,
    )


def _export(path: Path, model: TfliteModel) -> onnx.ModelProto:
    try:
        with quiet_tf2onnx(), deprecation_silenced():
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
            hint=ORIGINAL_HINT,
        )
    except ConversionError as error:
        message = f"{path.name}: {error.message}"
        raise SourceError(message, code="OQ111", hint=error.hint) from error
    except Exception as error:  # tf2onnx raises anything
        message = f"{path.name} cannot be written as ONNX: {said(error)}"
        raise SourceError(message, code="OQ111", hint=ORIGINAL_HINT) from error


def _integer_io(model: TfliteModel) -> tuple[IntegerTensor, ...]:
    """Return the inputs and outputs whose integers stand for real numbers."""
    return tuple(
        IntegerTensor(
            name=one.port.name,
            dtype=one.dtype.name,
            scale=one.scale,
            zero_point=one.zero_point,
        )
        for one in (*model.inputs, *model.outputs)
        if one.scale
    )


def _integer_note(model: TfliteModel, given: str) -> tuple[Finding, ...]:
    """Say how to turn real numbers into the integers that the file takes, and back."""
    integers = [one for one in (*model.inputs, *model.outputs) if one.scale]
    if not integers:
        return ()
    formulas = "; ".join(
        f"{one.port.name} is {one.dtype.name}, {one.scale:.9g} * (it {-one.zero_point:+d})"
        for one in integers
    )
    evidence: dict[str, str | int | float] = {}
    for one in integers:
        evidence |= {f"{one.port.name}.scale": one.scale}
        evidence |= {f"{one.port.name}.zero_point": one.zero_point}
    finding = Finding(
        code="OQ120",
        subject=given,
        message=f"Integers stand for real numbers: {formulas}.",
        evidence=evidence,
        fix="Give rows as real numbers, which become such integers, or as these integers.",
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
