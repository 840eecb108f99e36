"""What every door of this package hands back."""

from collections.abc import Mapping
from dataclasses import dataclass

from onnxq.arrays import Array, Predict
from onnxq.conversion.tolerances import FLOAT32, Tolerance
from onnxq.findings import Finding
from onnxq.sources import InputDeclaration


def no_layers(_: Mapping[str, Array]) -> dict[str, Array]:
    """Tell nothing of what a source computes inside: :attr:`Export.layers` of most."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Export:
    """A source that was written as ONNX, and the source itself, ready to be compared.

    Attributes:
        exporter: What wrote the file, with its version, such as ``torch 2.13.0 (dynamo)``.
        traced_rows: Rows of the batch that the source was traced at; 0 where the exporter uses
            no example batch.
        predict: The source itself, run by its framework: arrays by the ONNX model's input
            names to arrays by its output names.
        findings: What was noticed on the way.
        tolerance: How far the file may be from the source.
        quantized_already: How the source is quantized already; empty where it is float.
        doubt: What a difference between file and source would probably come from; empty where
            nothing is known.
        known_inputs: Inputs whose integer values the source itself bounds.
        layers: The integer activations of the source, by their names in the file, for a proof
            layer by layer; none where it does not tell them.
    """

    exporter: str
    traced_rows: int
    predict: Predict
    findings: tuple[Finding, ...] = ()
    tolerance: Tolerance = FLOAT32
    quantized_already: str = ""
    doubt: str = ""
    known_inputs: tuple[InputDeclaration, ...] = ()
    layers: Predict = no_layers
