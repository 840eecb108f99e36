"""What PyTorch's exporters make becomes one clean file, ready to be compared."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from onnx import ModelProto

from onnxq.arrays import Array, Predict
from onnxq.conversion.exports import Export
from onnxq.conversion.tolerances import INT8, Tolerance, tolerance_of
from onnxq.errors import ConversionError
from onnxq.findings import Finding
from onnxq.graph.cleaning import clean
from onnxq.graph.float_lifting import lift_floats
from onnxq.graph.model_files import write_proto
from onnxq.graph.quantized_sources import describe_quantization
from onnxq.graph.rewrites.inline_functions import inline_functions
from onnxq.graph.rewrites.settle_padded_pools import settle_padded_pools
from onnxq.models import OnnxModel

_ROUNDING = ("QuantizeLinear", "DynamicQuantizeLinear")
"""Operators that round activations to steps."""


@dataclass(frozen=True, kw_only=True)
class WrittenProto:
    """A file that an exporter's proto became.

    Attributes:
        model: The file.
        floats: What it computed in before that became float32; empty where it was float32.
        quantized: How it is quantized; empty where it is float.
    """

    model: OnnxModel
    floats: str
    quantized: str

    @property
    def tolerance(self) -> Tolerance:
        """How far the file may be from its source."""
        if any(self.model.operators.get(name, 0) for name in _ROUNDING):
            return INT8
        return tolerance_of(self.floats.split(" and "))


def write_exported(
    proto: ModelProto, inputs: tuple[str, ...], name: str, destination: str
) -> WrittenProto:
    """Write an exporter's proto: functions inlined, in float32, nothing stale in it.

    Args:
        proto: As it was exported; not changed.
        inputs: The names that were asked for, in order.
        name: Of the source, for messages.
        destination: Where to; must not exist yet.

    Returns:
        The file. A quantized model keeps the floats that it has.

    Raises:
        ConversionError: If the export takes other inputs (OQ151).
        SourceError: If it is above 2 GB (OQ111).
    """
    inlined = settle_padded_pools(inline_functions(proto).proto).proto
    found = tuple(value.name for value in inlined.graph.input)
    if found != inputs:
        message = (
            f"The export of {name} takes the inputs {list(found)}, declared are {list(inputs)}."
        )
        hint = "An input that forward never reads cannot be declared."
        raise ConversionError(message, code="OQ151", hint=hint)
    quantized, floats = describe_quantization(inlined), ""
    if not quantized:
        lifted = lift_floats(inlined)
        inlined, floats = lifted.proto, lifted.dtype
    model = write_proto(clean(inlined, inlined.graph), destination)
    return WrittenProto(model=model, floats=floats, quantized=quantized)


def describe_export(
    written: WrittenProto,
    *,
    name: str,
    kind: str,
    traced_rows: int,
    predict: Predict,
    findings: tuple[Finding, ...] = (),
    doubt: str = "",
) -> Export:
    """Say of a written file what has to be proven.

    Args:
        written: The file.
        name: Of the source, for messages.
        kind: Which of PyTorch's exporters, such as ``dynamo``.
        traced_rows: Rows of the batch that the source was traced at.
        predict: The source itself.
        findings: What was noticed.
        doubt: What a difference would probably come from.

    Returns:
        All of it; where the source computes in other floats, its outputs are cast to float32.
    """
    return Export(
        exporter=f"torch.onnx.export of torch {torch.__version__} ({kind})",
        traced_rows=traced_rows,
        predict=_in_float32(predict) if written.floats else predict,
        findings=findings + _floats_note(written, name),
        tolerance=written.tolerance,
        quantized_already=written.quantized,
        doubt=doubt,
    )


def _in_float32(predict: Predict) -> Predict:
    def cast(array: Array) -> Array:
        return array.astype(np.float32) if np.issubdtype(array.dtype, np.floating) else array

    def predict_in_float32(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {name: cast(array) for name, array in predict(inputs).items()}

    return predict_in_float32


def _floats_note(written: WrittenProto, name: str) -> tuple[Finding, ...]:
    if not written.floats:
        return ()
    return (
        Finding(
            code="OQ158",
            subject=name,
            message=f"{name} computes in {written.floats}: its export was converted to float32, "
            "inputs and outputs included, and compared with it as given.",
            evidence={"floats": written.floats},
        ),
    )
