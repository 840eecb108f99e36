"""The stage that quantizes: one prepared model, one recipe, one file."""

from pathlib import Path

from onnxq.errors import QuantizationError
from onnxq.events import Tell
from onnxq.graph.model_files import load_proto
from onnxq.graph.scoped_nodes import check_scope
from onnxq.graph.weight_values import zero_share
from onnxq.models import OnnxModel
from onnxq.quantization.dynamic import quantize_dynamic_int8
from onnxq.quantization.finishing import QuantizedModel
from onnxq.quantization.half import quantize_half
from onnxq.quantization.remarks import describe_speed, describe_zeros
from onnxq.quantization.static import quantize_static_qdq
from onnxq.quantization.strictness import check_strict
from onnxq.quantization.weights import quantize_weights
from onnxq.ranges import TensorRanges, load_ranges
from onnxq.recipe_facts import check_fits
from onnxq.recipe_kinds import DynamicInt8, Float16, StaticQdq, WeightOnly, alias_of
from onnxq.stages import QuantizeRequest, QuantizeResult


def quantize(
    request: QuantizeRequest,
    folder: Path,
    tell: Tell,  # noqa: ARG001 - a stage's signature; a quantizer shows no progress
) -> QuantizeResult:
    """Quantize a prepared model by one recipe.

    Args:
        request: The model, the recipe, its scope, the path of calibrated ranges for a static
            recipe.
        folder: Where the quantized model is written.
        tell: Not told anything.

    Returns:
        The quantized model, which passed the structural gates and loads.

    Raises:
        RecipeError: OQ100 if recipe and scope contradict each other; OQ164 if the scope speaks of
            nodes that the model does not have.
        QuantizationError: OQ163 if the recipe finds nothing to quantize; OQ171 if the quantizer
            fails or the ranges are of another model; OQ172 if the result does not pass the gates.
        StrictError: OQ302 if the scope is strict and a node that was asked for stays float.
        UsageError: OQ147 if ranges of a file are not those of the model's activations.
    """
    check_fits(request.recipe, request.scope)
    original = load_proto(request.model.path)
    check_scope(original, request.scope)
    quantized = _quantize_by(request, folder / "quantized.onnx")
    if request.scope.strict:
        check_strict(original, quantized, request.scope)
    before = zero_share(original)
    after = zero_share(load_proto(quantized.model.path))
    sparsity = describe_zeros(before, after, alias_of(request.recipe))
    return QuantizeResult(
        model=quantized.model,
        size=quantized.size,
        quantized_nodes=quantized.count.quantized,
        quantizable_nodes=quantized.count.quantizable,
        left_float=quantized.count.left_float,
        findings=(*quantized.findings, *describe_speed(request.recipe), *sparsity),
        io=quantized.io,
        zero_share_before=before,
        zero_share_after=after,
    )


def _quantize_by(request: QuantizeRequest, destination: Path) -> QuantizedModel:
    source = Path(request.model.path)
    match request.recipe:
        case StaticQdq() as recipe:
            ranges = _read_ranges(Path(request.ranges), request.model)
            return quantize_static_qdq(
                source, destination, recipe, ranges, request.scope, request.tuning, request.slow
            )
        case DynamicInt8() as recipe:
            return quantize_dynamic_int8(source, destination, recipe, request.scope, request.tuning)
        case WeightOnly() as recipe:
            return quantize_weights(source, destination, recipe, request.scope)
        case Float16():
            return quantize_half(source, destination, request.scope)


def _read_ranges(path: Path, model: OnnxModel) -> TensorRanges:
    """Read ranges that were calibrated on this model.

    Raises:
        QuantizationError: If they are of another one: onnxruntime 1.31 applies what fits by name
            and says nothing.
    """
    ranges = load_ranges(path)
    if ranges.model_sha256 != model.sha256:
        message = (
            f"the ranges in {path.name} are of another model: found {ranges.model_sha256[:12]}, "
            f"expected {model.sha256[:12]}."
        )
        hint = "Calibrate this model: its ranges fit no other."
        raise QuantizationError(message, code="OQ171", hint=hint)
    return ranges
