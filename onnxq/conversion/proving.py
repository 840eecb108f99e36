"""What was written is loaded, compared with its source, and described."""

from contextlib import suppress
from pathlib import Path

import msgspec

from onnxq.arrays import Array, Predict
from onnxq.conversion.declarations import check_declared
from onnxq.conversion.exports import no_layers
from onnxq.conversion.layer_proofs import check_layers
from onnxq.conversion.parity import check_parity
from onnxq.conversion.parity_probes import make_probes
from onnxq.conversion.proof_rows import probe_rows
from onnxq.conversion.written import Framework, Written
from onnxq.errors import ConversionError, InferenceError, ParityError, SourceError
from onnxq.events import Progressed, Tell
from onnxq.findings import Finding
from onnxq.graph.model_files import read_model
from onnxq.models import OnnxModel
from onnxq.reports import Parity, ParityNotChecked
from onnxq.runtime import open_predict
from onnxq.sources import source_path
from onnxq.stages import CONVERT, ConvertRequest, ConvertResult

_STEPS = 3


def finish_conversion(
    written: Written, request: ConvertRequest, destination: Path, tell: Tell
) -> ConvertResult:
    """Load what was written, compare it with the source, and describe both."""
    tell(Progressed(CONVERT.name, 1, _STEPS))
    model = read_model(destination)
    predict = load_written(destination, written.framework)
    check_declared(request.declared, model.signature)
    tell(Progressed(CONVERT.name, 2, _STEPS))
    parity, findings = _prove(written, request, model, predict)
    tell(Progressed(CONVERT.name, 3, _STEPS))
    return ConvertResult(
        model=model,
        framework=written.framework,
        exporter=written.exporter,
        parity=parity,
        findings=_with_batch_note(written, model) + findings,
        quantized_already=written.quantized_already,
    )


def _prove(
    written: Written, request: ConvertRequest, model: OnnxModel, predict: Predict
) -> tuple[Parity | ParityNotChecked, tuple[Finding, ...]]:
    if isinstance(written.reference, ParityNotChecked):
        return written.reference, ()
    if not request.check:
        return ParityNotChecked(reason="switched off with --no-check"), (_unchecked(request),)
    rows = {} if written.probes else probe_rows(request, model.signature)
    try:
        parity = check_parity(
            written.reference,
            predict,
            model.signature,
            rows,
            traced_rows=written.traced_rows,
            seed=request.seed,
            declared=written.declared,
            tolerance=written.tolerance,
            probes=written.probes,
        )
        parity = _prove_layers(written, request, model, rows, parity)
    except ParityError as error:
        hint = f"{written.doubt}\n{error.hint}" if written.doubt else error.hint
        raise ParityError(error.message, code=error.code, hint=hint) from error
    except SourceError as error:
        if not written.exact or error.code != "OQ112":
            raise
        return ParityNotChecked(reason=f"what was changed is exact, and {error.message}"), ()
    return parity, ()


def _prove_layers(
    written: Written,
    request: ConvertRequest,
    model: OnnxModel,
    rows: dict[str, Array],
    parity: Parity,
) -> Parity:
    """Compare layer by layer too, where the source tells what it computes inside."""
    probes = make_probes(
        model.signature,
        rows,
        written.declared,
        traced_rows=written.traced_rows,
        seed=request.seed,
    )
    counts = [
        check_layers(Path(model.path), probe.inputs, layers)
        for probe in (() if written.layers is no_layers else probes)
        if (layers := written.layers(probe.inputs))
    ]
    return msgspec.structs.replace(parity, layers=max(counts, default=0))


def load_written(path: Path | str, framework: Framework) -> Predict:
    """Load a model by onnxruntime, or say whose fault it is that it cannot be.

    A given ``.onnx`` file that onnxruntime loads only with its optimizations off is loaded so:
    those of 1.31.1 die of quantized models whose scales are tensors of one element, which are
    valid and can be repaired.

    Args:
        path: What was written, or an ``.onnx`` file as given.
        framework: Of the source.

    Returns:
        The loaded model.

    Raises:
        SourceError: If onnxruntime cannot load a given ``.onnx`` file (OQ111).
        ConversionError: If it cannot load what an exporter wrote (OQ151).
    """
    try:
        return open_predict(path)
    except InferenceError as error:
        if framework == "onnx":
            with suppress(InferenceError):
                return open_predict(path, optimize=False)
            raise SourceError(error.message, code="OQ111", hint=error.hint) from error
        message = f"What the exporter of {framework} wrote cannot be loaded: {error.message}"
        raise ConversionError(message, code="OQ151", hint=error.hint) from error


def _with_batch_note(written: Written, model: OnnxModel) -> tuple[Finding, ...]:
    rows = model.signature.fixed_batch_rows
    if not rows or any(finding.code == "OQ153" for finding in written.findings):
        return written.findings
    return (
        *written.findings,
        Finding(
            code="OQ153",
            subject=model.signature.inputs[0].name,
            message=f"The batch is fixed at {rows} by the source: rows are fed {rows} at a time.",
            evidence={"batch_rows": rows},
            fix="Export or declare the model with a free batch axis (N) to serve other batches.",
        ),
    )


def _unchecked(request: ConvertRequest) -> Finding:
    return Finding(
        code="OQ154",
        subject=source_path(request.source),
        message="The export was not compared with the source, because of --no-check.",
        fix="Leave --no-check out.",
        severity="warning",
    )
