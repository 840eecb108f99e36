"""The route of ``.onnx`` files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxq.arrays import Predict
from onnxq.conversion.from_onnx import NormalizedOnnx, convert_onnx
from onnxq.conversion.onnx_references import open_given
from onnxq.conversion.tolerances import tolerance_of
from onnxq.conversion.written import Written
from onnxq.errors import SourceError
from onnxq.findings import Finding
from onnxq.graph.model_files import model_size
from onnxq.reports import ParityNotChecked
from onnxq.sources import OnnxFile
from onnxq.stages import ConvertRequest


@contextmanager
def onnx_route(request: ConvertRequest, source: OnnxFile, destination: Path) -> Iterator[Written]:
    """Write a given ONNX model as one clean file; see :func:`convert_onnx`.

    What was changed is compared with the file as given: a lifted opset or float type must be
    proven; an exact change is where it can be run without rows.
    """
    normalized = convert_onnx(Path(source.path), destination)
    reference = _reference(source, normalized)
    findings = [*_notes(source, normalized, destination), *_doubts(source, normalized, reference)]
    yield Written(
        framework="onnx",
        exporter=normalized.exporter,
        reference=reference,
        traced_rows=0,
        declared=request.declared,
        findings=tuple(findings),
        quantized_already=normalized.quantized,
        tolerance=tolerance_of(normalized.floats.split(" and ")),
        exact=not (normalized.lifted_from or normalized.floats),
    )


def _reference(source: OnnxFile, normalized: NormalizedOnnx) -> Predict | ParityNotChecked:
    if not (normalized.lifted_from or normalized.floats or normalized.changes):
        return ParityNotChecked(reason="the source is ONNX already")
    try:
        return open_given(source.path, floats=normalized.floats)
    except SourceError as error:
        if normalized.lifted_from:
            raise
        return ParityNotChecked(reason=f"the file as given cannot be run here: {error.message}")


def _notes(source: OnnxFile, normalized: NormalizedOnnx, destination: Path) -> Iterator[Finding]:
    name = Path(source.path).name
    if normalized.lifted_from:
        yield Finding(
            code="OQ155",
            subject=name,
            message=f"{name} is at opset {normalized.lifted_from}, below what the quantizers need: "
            "it was converted, and compared with the file as given.",
            evidence={"opset": normalized.lifted_from},
        )
    if normalized.floats:
        before, after = model_size(source.path).file_bytes, model_size(destination).file_bytes
        yield Finding(
            code="OQ158",
            subject=name,
            message=f"{name} computes in {normalized.floats}: it was converted to float32, inputs "
            f"and outputs included. fp32 stands for that twin: {after / 1e6:.3g} MB, where the "
            f"file as given is {before / 1e6:.3g} MB.",
            evidence={"floats": normalized.floats, "given_bytes": before, "float32_bytes": after},
        )


def _doubts(
    source: OnnxFile, normalized: NormalizedOnnx, reference: Predict | ParityNotChecked
) -> Iterator[Finding]:
    """Say so where weights keep their values but nothing here can run the file as given."""
    if normalized.floats and isinstance(reference, ParityNotChecked):
        yield Finding(
            code="OQ154",
            subject=Path(source.path).name,
            message=f"The float32 twin was not compared with the file as given: nothing here "
            f"computes in {normalized.floats}. Its weights have the same values.",
            fix="Compare it with the model that it was made from, on rows with labels: --data.",
            severity="warning",
        )
