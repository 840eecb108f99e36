"""What every door of this package hands back."""

from dataclasses import dataclass

from onnxq.findings import Finding
from onnxq.runtime import Predict


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
    """

    exporter: str
    traced_rows: int
    predict: Predict
    findings: tuple[Finding, ...] = ()
