"""A model is run on rows, and its outputs are judged beside the reference's."""

from msgspec import Struct

from onnxq.datasets.values import EvaluationSet
from onnxq.findings import Finding
from onnxq.integer_tensors import IntegerTensor
from onnxq.measurements import Quality
from onnxq.metric_choices import Automatic, MetricChoice
from onnxq.models import OnnxModel
from onnxq.stages.stage import Stage


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


PREDICT = Stage("predict", "onnxq.profiling.predicting:predict", PredictRequest, PredictResult)
JUDGE = Stage("judge", "onnxq.profiling.accuracy:judge", JudgeRequest, JudgeResult)
