"""A model and rows arrive: side files, conversion, rows, preparation."""

from msgspec import Struct

from onnxq.datasets.values import CalibrationSet, DataRequest, EvaluationSet, NoRows
from onnxq.findings import Finding
from onnxq.measurements import Size
from onnxq.models import OnnxModel
from onnxq.reports import Parity, ParityNotChecked
from onnxq.sources import InputDeclaration, Source
from onnxq.stages.stage import Stage
from onnxq.tensors import Signature
from onnxq.tunings import USUAL, Tuning


class NoDataRequest(Struct, frozen=True, tag="none"):
    """The user gave no rows."""


class SideFilesRequest(Struct, frozen=True, kw_only=True):
    """List the files that a model keeps its weights in.

    Attributes:
        path: An ``.onnx`` file where the user keeps it, absolute; only read.
    """

    path: str


class SideFilesResult(Struct, frozen=True, kw_only=True):
    """External data of a model.

    Attributes:
        locations: Paths relative to the model's folder, sorted.
    """

    locations: tuple[str, ...]


class ConvertRequest(Struct, frozen=True, kw_only=True):
    """Turn a source into an ONNX model and prove that it computes the same.

    Attributes:
        source: What the user gave; its files are private copies.
        declared: Inputs as ``--input`` declares them.
        data: Rows to check on (and to derive a torch input from).
        check: Whether to compare with the source.
        seed: Of random probes.
        trusted_folders: Folders that user code may be imported from.
        trust: Whether code from the model file may run (``--trust``).
        working_folder: Where the user is: a factory's relative paths start there.
    """

    source: Source
    declared: tuple[InputDeclaration, ...]
    data: DataRequest | NoDataRequest
    check: bool
    seed: int
    trusted_folders: tuple[str, ...]
    trust: bool = False
    working_folder: str = ""


class ConvertResult(Struct, frozen=True, kw_only=True):
    """A converted model.

    Attributes:
        model: In the stage's folder.
        framework: ``keras``, ``tensorflow``, ``tflite``, ``torch`` or ``onnx``.
        exporter: What wrote the file, with its version.
        parity: What was compared.
        findings: What was noticed.
        quantized_already: How the source is quantized already, for a person; empty where it is
            float. Such a model is profiled, and never quantized again.
    """

    model: OnnxModel
    framework: str
    exporter: str
    parity: Parity | ParityNotChecked
    findings: tuple[Finding, ...]
    quantized_already: str = ""


class LoadRowsRequest(Struct, frozen=True, kw_only=True):
    """Read, preprocess, split and store rows.

    Attributes:
        data: The rows to evaluate on, and to calibrate on where ``calibration`` is empty.
        calibration: Other rows to calibrate on (``--calib``).
        signature: What the rows must fit.
        declared: Inputs as ``--input`` declares them.
        split: Whether to keep rows of ``data`` for calibration where ``calibration`` is empty.
        judge: Whether any rows are judged on; if not, all of ``data`` is calibrated on.
        calibration_rows: Most rows of ``data`` that are kept for calibration; 0 for the default.
    """

    data: DataRequest
    calibration: DataRequest | NoDataRequest
    signature: Signature
    declared: tuple[InputDeclaration, ...]
    split: bool = True
    trusted_folders: tuple[str, ...] = ()
    judge: bool = True
    calibration_rows: int = 0


class LoadRowsResult(Struct, frozen=True, kw_only=True):
    """Stored rows.

    Attributes:
        evaluation: Rows to judge on.
        calibration: Rows to calibrate on; disjoint from ``evaluation``.
        labelled: Whether the evaluation rows have labels.
        classes: Number of classes that integer labels span; 0 for other labels.
        findings: Casts, layout changes, overlaps.
    """

    evaluation: EvaluationSet | NoRows
    calibration: CalibrationSet | NoRows
    labelled: bool
    classes: int
    findings: tuple[Finding, ...]


class PrepareRequest(Struct, frozen=True, kw_only=True):
    """Make a model fit for onnxruntime's quantizers, without changing what it computes.

    Attributes:
        model: The model as converted or given.
        tuning: For which CPU, with which rewrites.
    """

    model: OnnxModel
    tuning: Tuning = USUAL


class PrepareResult(Struct, frozen=True, kw_only=True):
    """A prepared model: the ``fp32`` candidate.

    Attributes:
        model: In the stage's folder.
        size: What it weighs.
        findings: What was changed that a reader should know.
    """

    model: OnnxModel
    size: Size
    findings: tuple[Finding, ...]


SIDE_FILES = Stage(
    "find side files",
    "onnxq.graph.external_data:list_side_files",
    SideFilesRequest,
    SideFilesResult,
)
CONVERT = Stage("convert", "onnxq.conversion.converting:convert", ConvertRequest, ConvertResult)
LOAD_ROWS = Stage("load rows", "onnxq.datasets.loading:load_rows", LoadRowsRequest, LoadRowsResult)
PREPARE = Stage("prepare", "onnxq.preparation:prepare", PrepareRequest, PrepareResult)
