"""A prepared model is quantized, and passes its gates before it is believed."""

from msgspec import Struct

from onnxq.findings import Finding
from onnxq.integer_tensors import IntegerTensor
from onnxq.measurements import Size
from onnxq.models import OnnxModel
from onnxq.recipe_kinds import EVERYTHING, QuantizationScope, QuantizingRecipe
from onnxq.stages.stage import Stage
from onnxq.tunings import USUAL, Tuning


class QuantizeRequest(Struct, frozen=True, kw_only=True):
    """Quantize a prepared model by one recipe.

    Attributes:
        model: The prepared model.
        recipe: How.
        ranges: Path of the ranges for a static recipe; empty for any other.
        scope: What of the model, and what its interface becomes.
        tuning: For which CPU, with which rewrites.
        slow: Why nodes stay float that a static recipe could quantize, by first output: they were
            measured. The ranges are those of the scope without them.
    """

    model: OnnxModel
    recipe: QuantizingRecipe
    ranges: str = ""
    scope: QuantizationScope = EVERYTHING
    tuning: Tuning = USUAL
    slow: dict[str, str] = {}


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


class GateRequest(Struct, frozen=True, kw_only=True):
    """Check a quantized model before it is believed.

    Attributes:
        candidate: The quantized model.
        original: The prepared model.
        inputs: Path of an ``.npy`` array by input name: the rows of one inference, as the
            prepared model takes them.
        io: The candidate's integer inputs and outputs.
        tuning: For which CPU it was made.
    """

    candidate: OnnxModel
    original: OnnxModel
    inputs: dict[str, str]
    io: tuple[IntegerTensor, ...] = ()
    tuning: Tuning = USUAL


class GateResult(Struct, frozen=True, kw_only=True):
    """The candidate passed.

    Attributes:
        gates: What it passed, in order.
        findings: What was noticed.
    """

    gates: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


QUANTIZE = Stage(
    "quantize", "onnxq.quantization.quantizing:quantize", QuantizeRequest, QuantizeResult
)
GATE = Stage("check artefact", "onnxq.artefact_gates:check_artefact", GateRequest, GateResult)
