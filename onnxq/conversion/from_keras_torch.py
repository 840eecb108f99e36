"""A Keras model becomes an ONNX file, by PyTorch: where TensorFlow is not installed.

``torch.onnx.export`` traces a module that calls the model; Keras' own exporter (3.15) writes an
LSTM with a free number of steps wrong on this backend. TensorFlow's route is the better one: this
one unrolls recurrent layers, and averages the borders of padded pools differently.
"""

from pathlib import Path
from typing import Any

import torch

from onnxq.conversion.exports import Export
from onnxq.conversion.from_keras_naming import NamedModel
from onnxq.conversion.from_keras_package import keras
from onnxq.conversion.from_keras_precision import compute_tolerance
from onnxq.conversion.from_torch import convert_module
from onnxq.conversion.keras_torch_graphs import add_negatives
from onnxq.conversion.tf2onnx_graphs import Port
from onnxq.errors import SourceError
from onnxq.findings import Finding
from onnxq.graph.cleaning import clean
from onnxq.graph.model_files import load_proto, write_proto
from onnxq.sources import InputDeclaration
from onnxq.tensors import DTYPES

_INSTALL = "Install TensorFlow, which Keras then runs on:  pip install 'onnxq[keras]'"
_POOLS = ("AveragePooling1D", "AveragePooling2D", "AveragePooling3D")


def export_by_torch(
    named: NamedModel, destination: Path, given: str, findings: tuple[Finding, ...]
) -> Export:
    """Write a Keras model that runs on PyTorch as one ONNX file.

    Args:
        named: The model.
        destination: The ``.onnx`` file to write; must not exist yet. A first version of it is
            written beside it and removed.
        given: What the user calls the model, for messages.
        findings: What was noticed before.

    Returns:
        The exporter, the model as a function run by Keras, and what was noticed: first of all
        that it is not what TensorFlow would have computed in every case.

    Raises:
        SourceError: If axes beside the batch are free (OQ112).
        ConversionError: If PyTorch cannot export it (OQ151).
    """
    first = destination.with_suffix(".torch.onnx")
    module = _CallsKeras(named).to("cpu").eval()
    with torch.no_grad():
        export = convert_module(
            module, tuple(_declare(named, port) for port in named.inputs), first
        )
    proto = add_negatives(load_proto(first))
    proto.graph.name = named.model.name
    write_proto(clean(proto, proto.graph), destination)
    first.unlink()
    return Export(
        exporter=f"{export.exporter}, Keras {keras.__version__}",
        traced_rows=export.traced_rows,
        predict=named.predict,
        findings=(*findings, *_warnings(named, given), *export.findings),
        tolerance=compute_tolerance(named.model),
    )


class _CallsKeras(torch.nn.Module):
    """A module that takes a Keras model's inputs in order and returns its outputs by name."""

    def __init__(self, named: NamedModel) -> None:
        super().__init__()
        self.model = named.model  # a torch module itself on this backend: its weights are found
        self._named = named

    def forward(self, *tensors: torch.Tensor) -> dict[str, Any]:
        names = [port.name for port in self._named.inputs]
        results = self._named.call(dict(zip(names, tensors, strict=True)))
        return {port.name: results[port.name] for port in self._named.outputs}


def _declare(named: NamedModel, port: Port) -> InputDeclaration:
    dtype = next((one for one in DTYPES if one == named.dtypes[port.name]), None)
    if dtype is None:
        message = f"Input {port.name!r} is of {named.dtypes[port.name]}, which is no ONNX dtype."
        raise SourceError(message, code="OQ111", hint=_INSTALL)
    return InputDeclaration(port.name, port.shape, dtype)


def _warnings(named: NamedModel, given: str) -> tuple[Finding, ...]:
    layers = list(named.model._flatten_layers())  # noqa: SLF001 - Keras has no public way into nested layers
    pools = [
        layer.name for layer in layers if type(layer).__name__ in _POOLS and layer.padding == "same"
    ]
    recurrent = [layer.name for layer in layers if isinstance(layer, keras.layers.RNN)]
    found = [_told(given, "it was proven against PyTorch's numbers, not TensorFlow's.")]
    if pools:
        listed = ", ".join(pools)
        found.append(_told(given, f"borders are averaged otherwise than trained in {listed}."))
    if recurrent:
        listed = ", ".join(recurrent)
        found.append(_told(given, f"{listed} became one node for each step: slow, never int8."))
    return tuple(found)


def _told(given: str, what: str) -> Finding:
    return Finding(
        code="OQ119",
        subject=given,
        message=f"TensorFlow is not installed, so Keras ran on PyTorch: {what}",
        fix=_INSTALL,
        severity="warning",
    )
