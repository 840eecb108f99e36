"""What a model is, how its tensors are quantized, and whether rows fit it."""

from msgspec import Struct

from onnxq.audits import Audit, NotAudited
from onnxq.datasets.values import DataRequest
from onnxq.integer_tensors import IntegerTensor
from onnxq.measurements import NodeTime, Size
from onnxq.models import OnnxModel
from onnxq.sources import InputDeclaration
from onnxq.stages.arriving import NoDataRequest
from onnxq.stages.stage import Stage


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
        audit: What was found in the graph that onnxruntime runs, where that was asked for.
        kernels: The nodes of that graph in the order in which they ran.
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
    audit: Audit = NotAudited()
    kernels: tuple[NodeTime, ...] = ()


INSPECT = Stage("inspect", "onnxq.inspecting:inspect_model", InspectRequest, InspectResult)
