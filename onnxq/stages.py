"""What each stage is asked for and answers: plain values that travel as JSON.

A stage is a function ``(request, folder, tell) -> result`` that runs in a child process. It may
write files into ``folder``, its private part of the work folder, and nowhere else. This module
loads no framework, so that the parent can name stages without paying for them.
"""

from typing import Any, Final, Generic, Literal, TypeVar

from msgspec import Struct

from onnxq.calibrations import WHOLE, CalibrationEffort, Shard
from onnxq.datasets.values import (
    CalibrationSet,
    DataRequest,
    EvaluationSet,
    NoRows,
)
from onnxq.findings import Finding
from onnxq.integer_tensors import IntegerTensor
from onnxq.measurements import OperatorTime, Quality, Size
from onnxq.metric_choices import Automatic, MetricChoice
from onnxq.models import OnnxModel
from onnxq.recipe_kinds import (
    EVERYTHING,
    Activation,
    QuantizationScope,
    QuantizingRecipe,
    RangeMethod,
    StaticQdq,
)
from onnxq.reports import Parity, ParityNotChecked
from onnxq.sources import InputDeclaration, Source
from onnxq.tensors import Signature

RequestT = TypeVar("RequestT", bound=Struct)
ResultT = TypeVar("ResultT", bound=Struct)
QuestionT = TypeVar("QuestionT", bound=Struct)
AnswerT = TypeVar("AnswerT", bound=Struct)


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
    """

    model: OnnxModel


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


class RangesAsked(Struct, frozen=True, kw_only=True):
    """Ranges that a static recipe needs.

    Attributes:
        recipe: Range method and dtype of the activations.
        scope: Which nodes are quantized decides which activations need a range.
    """

    recipe: StaticQdq
    scope: QuantizationScope = EVERYTHING


class StatisticsParts(Struct, frozen=True, tag="parts"):
    """Statistics that were collected elsewhere, in the place of rows.

    Attributes:
        paths: Files as :mod:`onnxq.calibration.statistics_files` writes them; together they cover
            all rows.
    """

    paths: tuple[str, ...]


class CalibrateRequest(Struct, frozen=True, kw_only=True):
    """Collect statistics once and choose ranges by each method.

    Attributes:
        model: The prepared model.
        rows: What to run it on, or what came of running it.
        methods: Range methods for uint8 activations of all that can be quantized.
        threads: Worker threads, each with one-thread runs.
        asked: Ranges for recipes, dtype and scope included.
        stride: Every so-many-th value is counted; 1 counts each.
        memory_bytes: Most memory beyond what the process takes anyway; 0 takes half of what is
            free.
        cache_folder: Where statistics are kept and found again; empty keeps none. The one place
            beside its folder that the stage writes to.
        stop_early: Whether to stop once more rows would hardly change the ranges.
        shard: Which part of the rows to look at.
    """

    model: OnnxModel
    rows: CalibrationSet | StatisticsParts
    methods: tuple[RangeMethod, ...] = ()
    threads: int
    asked: tuple[RangesAsked, ...] = ()
    stride: int = 1
    memory_bytes: int = 0
    cache_folder: str = ""
    stop_early: bool = False
    shard: Shard = WHOLE


class CalibrateResult(Struct, frozen=True, kw_only=True):
    """Chosen ranges.

    Attributes:
        ranges: Path of a JSON file of :class:`~onnxq.ranges.TensorRanges`, by
            :func:`~onnxq.recipe_kinds.ranges_key` (for ``methods``: the method's tag). Empty for
            one shard of several.
        statistics: Path of the statistics, to be merged or kept.
        effort: What it took.
        findings: Masks, constants, non-finite activations; each names tensor and row.
    """

    ranges: dict[str, str]
    statistics: str
    effort: CalibrationEffort
    findings: tuple[Finding, ...]


class QuantizeRequest(Struct, frozen=True, kw_only=True):
    """Quantize a prepared model by one recipe.

    Attributes:
        model: The prepared model.
        recipe: How.
        ranges: Path of the ranges for a static recipe; empty for any other.
        scope: What of the model, and what its interface becomes.
    """

    model: OnnxModel
    recipe: QuantizingRecipe
    ranges: str = ""
    scope: QuantizationScope = EVERYTHING


class QuantizeResult(Struct, frozen=True, kw_only=True):
    """A quantized model.

    Attributes:
        model: In the stage's folder.
        size: What it weighs.
        quantized_nodes: Nodes whose computation became integer.
        quantizable_nodes: Nodes that the recipe looked at.
        left_float: Name and reason of each node that the recipe left in float.
        findings: What was noticed.
        io: Inputs and outputs that are integer where the prepared model's are float; feed and
            read them by :mod:`onnxq.integer_tensors`.
        zero_share_before: Share of weights that are exactly zero, in the prepared model.
        zero_share_after: The same in the quantized model, padding of blocks not counted.
    """

    model: OnnxModel
    size: Size
    quantized_nodes: int
    quantizable_nodes: int
    left_float: dict[str, str]
    findings: tuple[Finding, ...]
    io: tuple[IntegerTensor, ...] = ()
    zero_share_before: float = 0.0
    zero_share_after: float = 0.0


class CoverageRequest(Struct, frozen=True, kw_only=True):
    """Look whether evaluation rows stay within the ranges that calibration rows gave.

    Attributes:
        model: The prepared model.
        ranges: Path of the ranges.
        scope: What they are for.
        evaluation: Rows to look at; a sample of them is run.
        threads: Worker threads.
        seed: Of the sample.
        activation: The grid that the ranges are for.
        statistics: Path of what calibration saw; empty where nothing but ranges is known. With it
            far smaller departures are noticed.
    """

    model: OnnxModel
    ranges: str
    scope: QuantizationScope = EVERYTHING
    evaluation: EvaluationSet
    threads: int
    seed: int = 0
    activation: Activation = "uint8"
    statistics: str = ""


class CoverageResult(Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        rows: Rows that were run.
        findings: OQ142 for tensors that leave their range on evaluation rows.
    """

    rows: int
    findings: tuple[Finding, ...]


class GateRequest(Struct, frozen=True, kw_only=True):
    """Check a quantized model before it is believed.

    Attributes:
        candidate: The quantized model.
        original: The prepared model.
        inputs: Path of an ``.npy`` array by input name: the rows of one inference, as the
            prepared model takes them.
        io: The candidate's integer inputs and outputs.
    """

    candidate: OnnxModel
    original: OnnxModel
    inputs: dict[str, str]
    io: tuple[IntegerTensor, ...] = ()


class GateResult(Struct, frozen=True, kw_only=True):
    """The candidate passed.

    Attributes:
        gates: What it passed, in order.
    """

    gates: tuple[str, ...]


class PredictRequest(Struct, frozen=True, kw_only=True):
    """Run a model on rows and store its outputs.

    Attributes:
        model: Path of the model.
        rows: What to run it on.
        batch_rows: Rows a run; the model's own batch where that is fixed.
        threads: Threads inside a run.
        provider: Who runs it: a name of :mod:`onnxq.providers`.
        io: Its integer inputs and outputs; rows are float, as the float model takes them.
    """

    model: OnnxModel
    rows: EvaluationSet
    batch_rows: int
    threads: int
    provider: str = "cpu"
    io: tuple[IntegerTensor, ...] = ()


class PredictResult(Struct, frozen=True, kw_only=True):
    """Stored outputs.

    Attributes:
        outputs: Path of an ``.npy`` array by output name; axis 0 is rows.
        findings: Outputs that were left out because they have no rows.
    """

    outputs: dict[str, str]
    findings: tuple[Finding, ...] = ()


class JudgeRequest(Struct, frozen=True, kw_only=True):
    """Judge a candidate's outputs beside the reference's.

    Attributes:
        outputs: The candidate's, as :class:`PredictResult` gives them.
        reference: The fp32 model's.
        rows: The rows, with their labels.
        labelled: Whether to use the labels.
        seed: Of bootstraps.
        alias: What people call the candidate: the subject of findings.
        compared_with: What people call the reference.
        metric: What is computed against the labels.
        output: The output that the labels are about; empty to tell it from their shapes.
        trusted_folders: Folders that a metric of the user's may be imported from.
        working_folder: Where it is run, so that its relative paths hold in a child; empty changes
            nothing.
    """

    outputs: dict[str, str]
    reference: dict[str, str]
    rows: EvaluationSet
    labelled: bool
    seed: int
    alias: str = ""
    compared_with: str = "the float model"
    metric: MetricChoice = Automatic()
    output: str = ""
    trusted_folders: tuple[str, ...] = ()
    working_folder: str = ""


class JudgeResult(Struct, frozen=True, kw_only=True):
    """What the outputs are worth.

    Attributes:
        quality: Accuracy and agreement, or agreement alone.
        unusable: Why the outputs are worthless; empty where they are not.
        at_chance: Whether the metric is not distinguishable from guessing.
        findings: Low agreement and the like.
    """

    quality: Quality
    unusable: str
    at_chance: bool
    findings: tuple[Finding, ...]


class ProfileOperatorsRequest(Struct, frozen=True, kw_only=True):
    """Time the operators of the graph that onnxruntime really runs.

    Attributes:
        model: What to run.
        inputs: Path of an ``.npy`` array by input name: the rows of one inference.
        runs: How often to run it.
        provider: Who runs it: a name of :mod:`onnxq.providers`.
        io: Its integer inputs and outputs; rows are float, as the float model takes them.
    """

    model: OnnxModel
    inputs: dict[str, str]
    runs: int
    provider: str = "cpu"
    io: tuple[IntegerTensor, ...] = ()


class ProfileOperatorsResult(Struct, frozen=True, kw_only=True):
    """Operator times.

    Attributes:
        operators: Longest first.
        fallback_share: Share of the nodes that the default provider ran instead of the one asked
            for, as :func:`onnxq.profiling.operators.fallback_share` counts them.
    """

    operators: tuple[OperatorTime, ...]
    fallback_share: float = 0.0


class EstimateRequest(Struct, frozen=True, kw_only=True):
    """Find out what a plan would cost.

    Attributes:
        model: A private copy of an ``.onnx`` file; empty where the model is of another kind.
        declared: Inputs as ``--input`` declares them.
        data: Rows to judge on.
        calibration: Rows to calibrate on.
        split: Whether some of ``data`` would be kept for calibration.
        calibration_rows: How many of them at most; 0 for the default.
        asked: Ranges that would be calibrated.
        memory_bytes: The cap of the calibration; 0 takes half of what is free.
        threads: Worker threads of the calibration.
    """

    model: str
    declared: tuple[InputDeclaration, ...]
    data: DataRequest | NoDataRequest
    calibration: DataRequest | NoDataRequest
    split: bool
    calibration_rows: int = 0
    asked: tuple[RangesAsked, ...] = ()
    memory_bytes: int = 0
    threads: int = 1


class EstimateResult(Struct, frozen=True, kw_only=True):
    """What is known before; -1 stands for what is not.

    Attributes:
        evaluation_rows: Rows that would be judged on.
        calibration_rows: Rows that would be calibrated on.
        file_bytes: Of the model.
        row_ns: Wall time of one row, at the batch and the threads that models are judged with.
        peak_bytes: Peak resident size of a process that runs the model so.
        input_row_bytes: Of one row of all inputs.
        output_row_bytes: Of one row of all outputs.
        calibration_row_ns: Wall time of one row while calibrating, all passes and threads together.
        calibration_peak_bytes: Memory that calibrating takes beyond what its process takes anyway.
        calibration_passes: Passes over the rows that the cap on memory asks for.
        not_timed: Why the model could not be timed; empty where it was, or is not ONNX yet.
        not_calibrated: Why it is not known what calibrating it costs; empty where it is, or nothing
            would be calibrated, or the model is not ONNX yet.
    """

    evaluation_rows: int
    calibration_rows: int
    file_bytes: int = -1
    row_ns: int = -1
    peak_bytes: int = -1
    input_row_bytes: int = -1
    output_row_bytes: int = -1
    calibration_row_ns: int = -1
    calibration_peak_bytes: int = -1
    calibration_passes: int = -1
    not_timed: str = ""
    not_calibrated: str = ""


class ListProvidersRequest(Struct, frozen=True):
    """Ask which providers this onnxruntime has."""


class ListProvidersResult(Struct, frozen=True):
    """What it has.

    Attributes:
        providers: Names of :mod:`onnxq.providers`, ``cpu`` among them.
    """

    providers: tuple[str, ...]


class LatencyChildRequest(Struct, frozen=True, kw_only=True):
    """Open a model for being timed in turns.

    Attributes:
        model: Path of the model.
        inputs: Path of an ``.npy`` array by input name: the rows of one inference.
        threads: Thread counts; one session each.
        provider: Who runs it: a name of :mod:`onnxq.providers`.
        io: Its integer inputs and outputs; rows are float, as the float model takes them.
    """

    model: str
    inputs: dict[str, str]
    threads: tuple[int, ...]
    provider: str = "cpu"
    io: tuple[IntegerTensor, ...] = ()


class InspectRequest(Struct, frozen=True, kw_only=True):
    """Describe a model.

    Attributes:
        path: A private copy of an ``.onnx`` file.
        reference: A private copy of the float model that it was quantized from; empty for none.
        data: Rows to try on it, without running it.
        declared: Inputs as ``--input`` declares them.
        trusted_folders: Folders that user code of the rows may be imported from.
    """

    path: str
    reference: str = ""
    data: DataRequest | NoDataRequest = NoDataRequest()
    declared: tuple[InputDeclaration, ...] = ()
    trusted_folders: tuple[str, ...] = ()


class NotCompared(Struct, frozen=True, tag="none"):
    """A tensor was not compared with a float one.

    Attributes:
        reason: Why not, though there was a float model; empty where there was none.
    """

    reason: str = ""


class WeightError(Struct, frozen=True, kw_only=True, tag="compared"):
    """How far a quantized weight is from the float one that it was made from.

    Attributes:
        original: Name of the float weight.
        mean_abs_error: Mean absolute quantization error.
        max_abs_error: Largest absolute quantization error.
        mean_error_scales: The mean in units of the scale; 0.25 where values were only rounded.
    """

    original: str
    mean_abs_error: float
    max_abs_error: float
    mean_error_scales: float


class FitAnswer(Struct, frozen=True, kw_only=True):
    """One question about rows and a model, answered.

    Attributes:
        fits: Whether the answer is yes.
        subject: What it is about: an input, the labels, or the data.
        text: The answer, as a sentence.
        fix: What to do; empty where nothing must be done.
    """

    fits: bool
    subject: str
    text: str
    fix: str = ""


class QuantizedTensor(Struct, frozen=True, kw_only=True):
    """How one tensor is quantized.

    Attributes:
        name: Of the float tensor, or of the weight.
        dtype: Of the integers.
        role: ``weight``, ``bias`` or ``activation``.
        scheme: ``symmetric`` or ``asymmetric``.
        axis: Of the scales; -1 for one scale.
        scales: How many.
        scale_min: Smallest scale.
        scale_max: Largest scale.
        zero_point_min: Smallest zero point.
        zero_point_max: Largest zero point.
        error: How far a weight is from the float one.
    """

    name: str
    dtype: str
    role: str
    scheme: str
    axis: int
    scales: int
    scale_min: float
    scale_max: float
    zero_point_min: int
    zero_point_max: int
    error: WeightError | NotCompared = NotCompared()


class NamedNode(Struct, frozen=True, kw_only=True):
    """A node, as ``keep_float`` and rules speak of it.

    Attributes:
        name: Its name; empty where it has none.
        operator: Its type.
    """

    name: str
    operator: str


class InspectResult(Struct, frozen=True, kw_only=True):
    """What a model is.

    Attributes:
        model: Signature, opset, operators.
        size: What it weighs.
        parameters: Elements of all initializers.
        domains: Operator domains that its nodes use.
        producer: Who wrote it, as it says itself.
        min_runtime: Lowest version of onnxruntime that can load it, by its opset and IR; empty
            where it uses operators that none has.
        quantized: Each quantized tensor.
        foreign_domains: Domains of operators that onnxruntime does not have.
        quantized_already: How the model is quantized, for a person; empty where it is float.
        io: Integer inputs and outputs that stand for real numbers, as the file itself says.
        reference: The float model that weights were compared with; empty for none.
        data_fit: Whether the rows fit, question by question; empty where there were none.
        nodes: Every node in graph order, those of subgraphs included.
    """

    model: OnnxModel
    size: Size
    parameters: int
    domains: tuple[str, ...]
    producer: str
    min_runtime: str
    quantized: tuple[QuantizedTensor, ...]
    foreign_domains: tuple[str, ...] = ()
    quantized_already: str = ""
    io: tuple[IntegerTensor, ...] = ()
    reference: str = ""
    data_fit: tuple[FitAnswer, ...] = ()
    nodes: tuple[NamedNode, ...] = ()


class ProbeRequest(Struct, frozen=True, kw_only=True):
    """Ask a child for a behaviour, to see whether it is held.

    Attributes:
        behaviour: What it does.
    """

    behaviour: Literal["answer", "refuse", "break", "die", "hang", "eat", "exit", "chatter"]


class ProbeResult(Struct, frozen=True, kw_only=True):
    """What a child that answers saw.

    Attributes:
        environment: Names of its environment variables, sorted.
        pid: Its process number.
    """

    environment: tuple[str, ...]
    pid: int


class Turn(Struct, frozen=True, kw_only=True):
    """A turn of a child that is being timed.

    Attributes:
        threads: Which of its sessions runs.
        budget_ns: Wall time that the turn should take.
        least_runs: Runs that are kept, however long they take; 0 only loads and warms up.
    """

    threads: int
    budget_ns: int
    least_runs: int


class TurnTimes(Struct, frozen=True, kw_only=True):
    """What a turn measured.

    Attributes:
        wall_ns: Wall time of each run that was kept.
        cpu_ns: CPU time of each, by the clock of :func:`onnxq.profiling.turns.cpu_clock`.
        load_ns: Wall time to make the session, and what the first run took longer than the next
            ones.
        peak_bytes: Peak resident size of the child so far.
    """

    wall_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    load_ns: int
    peak_bytes: int


class Stage(Generic[RequestT, ResultT]):
    """A stage by name: where its function lives and what it takes and gives.

    Attributes:
        name: Unique; what users read.
        target: ``module:function``, imported in the child alone.
        request: Type of the request.
        result: Type of the result.
    """

    def __init__(
        self, name: str, target: str, request: type[RequestT], result: type[ResultT]
    ) -> None:
        self.name: Final = name
        self.target: Final = target
        self.request: Final = request
        self.result: Final = result


SIDE_FILES = Stage(
    "find side files",
    "onnxq.graph.external_data:list_side_files",
    SideFilesRequest,
    SideFilesResult,
)
CONVERT = Stage("convert", "onnxq.conversion.converting:convert", ConvertRequest, ConvertResult)
LOAD_ROWS = Stage("load rows", "onnxq.datasets.loading:load_rows", LoadRowsRequest, LoadRowsResult)
PREPARE = Stage("prepare", "onnxq.preparation:prepare", PrepareRequest, PrepareResult)
CALIBRATE = Stage(
    "calibrate", "onnxq.calibration.calibrating:calibrate", CalibrateRequest, CalibrateResult
)
COVERAGE = Stage(
    "check coverage",
    "onnxq.calibration.coverage:check_coverage",
    CoverageRequest,
    CoverageResult,
)
QUANTIZE = Stage(
    "quantize", "onnxq.quantization.quantizing:quantize", QuantizeRequest, QuantizeResult
)
GATE = Stage("check artefact", "onnxq.artefact_gates:check_artefact", GateRequest, GateResult)
PREDICT = Stage("predict", "onnxq.profiling.predicting:predict", PredictRequest, PredictResult)
JUDGE = Stage("judge", "onnxq.profiling.accuracy:judge", JudgeRequest, JudgeResult)
PROFILE_OPERATORS = Stage(
    "profile operators",
    "onnxq.profiling.operators:profile_operators",
    ProfileOperatorsRequest,
    ProfileOperatorsResult,
)
PROVIDERS = Stage(
    "list providers",
    "onnxq.profiling.provider_listing:list_available",
    ListProvidersRequest,
    ListProvidersResult,
)
ESTIMATE = Stage("estimate", "onnxq.estimating:estimate", EstimateRequest, EstimateResult)
INSPECT = Stage("inspect", "onnxq.inspecting:inspect_model", InspectRequest, InspectResult)
PROBE = Stage("probe", "onnxq.isolation.probing:probe", ProbeRequest, ProbeResult)
STAGES: tuple[Stage[Any, Any], ...] = (
    SIDE_FILES,
    CONVERT,
    LOAD_ROWS,
    PREPARE,
    CALIBRATE,
    COVERAGE,
    QUANTIZE,
    GATE,
    PREDICT,
    JUDGE,
    PROFILE_OPERATORS,
    PROVIDERS,
    ESTIMATE,
    INSPECT,
    PROBE,
)


class Conversation(Generic[RequestT, QuestionT, AnswerT]):
    """A stage that stays: it opens something and then answers questions about it.

    Attributes:
        name: Unique; what users read.
        target: ``module:function``: ``(request, folder) -> (question -> answer)``.
        request: Type of the request that opens it.
        question: Type of a question.
        answer: Type of an answer.
    """

    def __init__(
        self,
        name: str,
        target: str,
        request: type[RequestT],
        question: type[QuestionT],
        answer: type[AnswerT],
    ) -> None:
        self.name: Final = name
        self.target: Final = target
        self.request: Final = request
        self.question: Final = question
        self.answer: Final = answer


LATENCY = Conversation(
    "measure latency", "onnxq.profiling.turns:open_turns", LatencyChildRequest, Turn, TurnTimes
)
CONVERSATIONS: tuple[Conversation[Any, Any, Any], ...] = (LATENCY,)
