"""What a route of conversion hands over: a file that was written and has yet to be proven."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from onnxq.arrays import Predict
from onnxq.conversion.exports import Export, no_layers
from onnxq.conversion.parity_probes import Probe
from onnxq.conversion.tolerances import FLOAT32, Tolerance
from onnxq.errors import MissingDependencyError
from onnxq.findings import Finding
from onnxq.reports import ParityNotChecked
from onnxq.sources import InputDeclaration

Framework: TypeAlias = Literal["keras", "tensorflow", "tflite", "torch", "onnx"]

TORCH_EXTRA, KERAS_EXTRA = "torch", "keras"
_EXTRAS = {
    TORCH_EXTRA: ("PyTorch", "about 900 MB with its CPU wheels; several GB with CUDA's"),
    KERAS_EXTRA: ("Keras with TensorFlow", "about 1.5 GB"),
}
"""What an extra brings, and what it takes on disk (measured on Linux, torch 2.13, TF 2.21)."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A model that was written and has yet to be proven.

    Attributes:
        framework: Of the source.
        exporter: What wrote it, with its version.
        reference: The source itself; or why there is nothing to compare with.
        traced_rows: Rows of the batch that the source was traced at; 0 for none.
        declared: The inputs as declared, or as derived from rows.
        findings: What was noticed.
        quantized_already: How the source is quantized already; empty where it is float.
        tolerance: How far the file may be from the source.
        exact: Whether nothing was changed that could change a result, so that the proof may be
            left out where no inputs for it can be made up.
        doubt: What a difference between file and source would probably come from; empty where
            nothing is known.
        probes: What is compared on; made for the occasion where there are none.
        layers: As :class:`~onnxq.conversion.exports.Export` has it.
    """

    framework: Framework
    exporter: str
    reference: Predict | ParityNotChecked
    traced_rows: int
    declared: tuple[InputDeclaration, ...]
    findings: tuple[Finding, ...]
    quantized_already: str = ""
    tolerance: Tolerance = FLOAT32
    exact: bool = False
    doubt: str = ""
    probes: tuple[Probe, ...] = ()
    layers: Predict = no_layers


def written(
    framework: Framework,
    export: Export,
    declared: tuple[InputDeclaration, ...],
    findings: tuple[Finding, ...] = (),
) -> Written:
    """Say of an exporter's result what has to be proven.

    Args:
        framework: Of the source.
        export: What its exporter did.
        declared: The inputs as declared, or as derived from rows.
        findings: What was noticed before the export.

    Returns:
        All of it.
    """
    known = {one.name for one in export.known_inputs}
    kept = tuple(one for one in declared if one.has_values or one.name not in known)
    return Written(
        framework=framework,
        exporter=export.exporter,
        reference=export.predict,
        traced_rows=export.traced_rows,
        declared=(*kept, *export.known_inputs),
        findings=findings + export.findings,
        quantized_already=export.quantized_already,
        tolerance=export.tolerance,
        doubt=export.doubt,
        layers=export.layers,
    )


def missing_extra(
    extra: str, given: str, error: ModuleNotFoundError
) -> MissingDependencyError | ModuleNotFoundError:
    """Turn a failed import of a door into an error that names the extra.

    Args:
        extra: ``torch`` or ``keras``.
        given: What the user typed for the source.
        error: What the import raised.

    Returns:
        The error to raise; the given one where a module of onnxq itself is missing.
    """
    if (error.name or "").partition(".")[0] == "onnxq":
        return error  # a fault of onnxq, not of the environment
    brings, size = _EXTRAS[extra]
    message = f"{given} needs {brings}: the package {error.name!r} is not installed."
    hint = f"pip install 'onnxq[{extra}]'      ({size})"
    return MissingDependencyError(message, code="OQ108", hint=hint)
