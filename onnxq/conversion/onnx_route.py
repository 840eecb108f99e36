"""The route of ``.onnx`` files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxq.conversion.from_onnx import convert_onnx
from onnxq.conversion.proving import load_written
from onnxq.conversion.written import Written
from onnxq.findings import Finding
from onnxq.reports import ParityNotChecked
from onnxq.sources import OnnxFile
from onnxq.stages import ConvertRequest


@contextmanager
def onnx_route(request: ConvertRequest, source: OnnxFile, destination: Path) -> Iterator[Written]:
    """Write a given ONNX model as one clean file; see :func:`convert_onnx`."""
    normalized = convert_onnx(Path(source.path), destination)
    lifted = normalized.lifted_from
    unchecked = ParityNotChecked(reason="the source is ONNX already")
    yield Written(
        framework="onnx",
        exporter=normalized.exporter,
        reference=load_written(Path(source.path), "onnx") if lifted else unchecked,
        traced_rows=0,
        declared=request.declared,
        findings=(_lifted_note(source, lifted),) if lifted else (),
    )


def _lifted_note(source: OnnxFile, opset: int) -> Finding:
    name = Path(source.path).name
    return Finding(
        code="OQ155",
        subject=name,
        message=f"{name} is at opset {opset}, below what the quantizers need: it was converted, "
        "and compared with the file as given.",
        evidence={"opset": opset},
    )
