"""The stage that turns a source into an ONNX model and proves that it computes the same."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from onnxq.arrays import Array, Predict
from onnxq.conversion.declarations import check_declared, declare_from_rows
from onnxq.conversion.exports import Export
from onnxq.conversion.from_onnx import convert_onnx
from onnxq.conversion.parity import check_parity
from onnxq.datasets.loading import data_specs, load_probe_rows
from onnxq.datasets.values import DataRequest
from onnxq.errors import (
    ConversionError,
    InferenceError,
    MissingDependencyError,
    SourceError,
)
from onnxq.events import Progressed, Tell
from onnxq.findings import Finding
from onnxq.graph.model_files import read_model
from onnxq.models import OnnxModel
from onnxq.reports import Parity, ParityNotChecked
from onnxq.runtime import open_predict
from onnxq.sources import (
    InputDeclaration,
    KerasFile,
    OnnxFile,
    TorchFactory,
    source_path,
)
from onnxq.stages import CONVERT, ConvertRequest, ConvertResult
from onnxq.tensors import Signature, TensorSpec

Framework: TypeAlias = Literal["keras", "torch", "onnx"]

_MODEL_FILE = "model.onnx"
_PROBE_ROWS = 8
_STEPS = 3
_TORCH, _KERAS = "torch", "keras"
_EXTRAS = {
    _TORCH: ("PyTorch", "about 900 MB with its CPU wheels; several GB with CUDA's"),
    _KERAS: ("Keras with TensorFlow", "about 1.5 GB"),
}
"""What an extra brings, and what it takes on disk (measured on Linux, torch 2.13, TF 2.21)."""


@dataclass(frozen=True, kw_only=True)
class _Written:
    """A model that was written and has yet to be proven.

    Attributes:
        framework: Of the source.
        exporter: What wrote it, with its version.
        reference: The source itself; or why there is nothing to compare with.
        traced_rows: Rows of the batch that the source was traced at; 0 for none.
        declared: The inputs as declared, or as derived from rows.
        findings: What was noticed.
    """

    framework: Framework
    exporter: str
    reference: Predict | ParityNotChecked
    traced_rows: int
    declared: tuple[InputDeclaration, ...]
    findings: tuple[Finding, ...]


def convert(request: ConvertRequest, folder: Path, tell: Tell) -> ConvertResult:
    """Convert a source and compare it with what was written: the stage function.

    Args:
        request: The source, and what to check it on.
        folder: Where the model is written.
        tell: Told of progress: written, loaded, compared.

    Returns:
        The model, and the proof.

    Raises:
        SourceError: If the source cannot be used (OQ104 to OQ112).
        MissingDependencyError: If an extra is not installed (OQ108).
        ConversionError: If the framework or its exporter fails (OQ151).
        ParityError: If the model computes something else than the source (OQ152).
        DatasetError: If the rows cannot be read or do not fit.
    """
    destination = folder / _MODEL_FILE
    match request.source:
        case OnnxFile() as source:
            return _finish(_from_onnx(request, source, destination), request, destination, tell)
        case KerasFile() as source:
            return _finish(_from_keras(request, source, destination), request, destination, tell)
        case TorchFactory() as source:
            return _convert_torch(request, source, destination, tell)


def _from_onnx(request: ConvertRequest, source: OnnxFile, destination: Path) -> _Written:
    normalized = convert_onnx(Path(source.path), destination)
    lifted = normalized.lifted_from
    reference: Predict | ParityNotChecked
    if lifted:
        reference = _load(Path(source.path), "onnx")
    else:
        reference = ParityNotChecked(reason="the source is ONNX already")
    return _Written(
        framework="onnx",
        exporter=normalized.exporter,
        reference=reference,
        traced_rows=0,
        declared=request.declared,
        findings=(_lifted_note(source, lifted),) if lifted else (),
    )


def _from_keras(request: ConvertRequest, source: KerasFile, destination: Path) -> _Written:
    try:
        from onnxq.conversion.from_keras import convert_keras  # noqa: PLC0415 - the door
    except ModuleNotFoundError as error:
        raise _missing_extra(_KERAS, source_path(source), error) from error
    export = convert_keras(Path(source.path), destination)
    return _written("keras", export, request.declared)


def _convert_torch(
    request: ConvertRequest, source: TorchFactory, destination: Path, tell: Tell
) -> ConvertResult:
    """Convert and compare while the user's folders are on the import path."""
    try:
        from onnxq.conversion.from_torch import convert_module  # noqa: PLC0415 - the door
        from onnxq.conversion.from_torch_calls import torch_input_names  # noqa: PLC0415 - the door
        from onnxq.conversion.from_torch_factory import (  # noqa: PLC0415 - the door
            importable_from,
            load_module,
        )
    except ModuleNotFoundError as error:
        raise _missing_extra(_TORCH, source_path(source), error) from error
    with importable_from(request.trusted_folders):
        module, findings = load_module(source, request.trusted_folders)
        inputs = request.declared or _inputs_from_rows(
            request, source_path(source), torch_input_names(module)
        )
        export = convert_module(module, inputs, destination, _example_rows(request, inputs))
        written = _written("torch", export, inputs, findings)
        return _finish(written, request, destination, tell)


def _written(
    framework: Framework,
    export: Export,
    declared: tuple[InputDeclaration, ...],
    findings: tuple[Finding, ...] = (),
) -> _Written:
    return _Written(
        framework=framework,
        exporter=export.exporter,
        reference=export.predict,
        traced_rows=export.traced_rows,
        declared=declared,
        findings=findings + export.findings,
    )


def _example_rows(
    request: ConvertRequest, inputs: tuple[InputDeclaration, ...]
) -> dict[str, Array]:
    """Take rows to trace with: a module may refuse values that are made up."""
    if not isinstance(request.data, DataRequest):
        return {}
    specs = tuple(TensorSpec(i.name, i.dtype, i.shape) for i in inputs)
    signature = Signature(inputs=specs, outputs=())
    return load_probe_rows(
        request.data, signature, count_rows=_PROBE_ROWS, declared=request.declared
    )


def _inputs_from_rows(
    request: ConvertRequest, given: str, names: tuple[str, ...]
) -> tuple[InputDeclaration, ...]:
    if isinstance(request.data, DataRequest):
        return declare_from_rows(data_specs(request.data, channels_first=True), names)
    message = f"The inputs of {given} are not known: forward takes ({', '.join(names)})."
    declarations = " ".join(f"--input {name}:Nx3x224x224" for name in names)
    hint = f"Declare them, with your sizes:  {declarations}   or give rows: --data FILE"
    raise SourceError(message, code="OQ112", hint=hint)


def _finish(
    written: _Written, request: ConvertRequest, destination: Path, tell: Tell
) -> ConvertResult:
    """Load what was written, compare it with the source, and describe both."""
    tell(Progressed(CONVERT.name, 1, _STEPS))
    model = read_model(destination)
    predict = _load(destination, written.framework)
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
    )


def _prove(
    written: _Written, request: ConvertRequest, model: OnnxModel, predict: Predict
) -> tuple[Parity | ParityNotChecked, tuple[Finding, ...]]:
    if isinstance(written.reference, ParityNotChecked):
        return written.reference, ()
    if not request.check:
        return ParityNotChecked(reason="switched off with --no-check"), (_unchecked(request),)
    rows: dict[str, Array] = {}
    if isinstance(request.data, DataRequest):
        rows = load_probe_rows(
            request.data,
            model.signature,
            count_rows=_PROBE_ROWS,
            declared=request.declared,
        )
    parity = check_parity(
        written.reference,
        predict,
        model.signature,
        rows,
        traced_rows=written.traced_rows,
        seed=request.seed,
        declared=written.declared,
    )
    return parity, ()


def _load(path: Path, framework: Framework) -> Predict:
    """Load a model by onnxruntime, or say whose fault it is that it cannot be."""
    try:
        return open_predict(path)
    except InferenceError as error:
        if framework == "onnx":
            raise SourceError(error.message, code="OQ111", hint=error.hint) from error
        message = f"What the exporter of {framework} wrote cannot be loaded: {error.message}"
        raise ConversionError(message, code="OQ151", hint=error.hint) from error


def _with_batch_note(written: _Written, model: OnnxModel) -> tuple[Finding, ...]:
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


def _lifted_note(source: OnnxFile, opset: int) -> Finding:
    name = Path(source.path).name
    return Finding(
        code="OQ155",
        subject=name,
        message=f"{name} is at opset {opset}, below what the quantizers need: it was converted, "
        "and compared with the file as given.",
        evidence={"opset": opset},
    )


def _unchecked(request: ConvertRequest) -> Finding:
    return Finding(
        code="OQ154",
        subject=source_path(request.source),
        message="The export was not compared with the source, because of --no-check.",
        fix="Leave --no-check out.",
        severity="warning",
    )


def _missing_extra(
    extra: str, given: str, error: ModuleNotFoundError
) -> MissingDependencyError | ModuleNotFoundError:
    if (error.name or "").partition(".")[0] == "onnxq":
        return error  # a fault of onnxq, not of the environment
    brings, size = _EXTRAS[extra]
    message = f"{given} needs {brings}: the package {error.name!r} is not installed."
    hint = f"pip install 'onnxq[{extra}]'      ({size})"
    return MissingDependencyError(message, code="OQ108", hint=hint)
