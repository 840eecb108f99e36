"""The stage that quantizes: one prepared model, one recipe, one file."""

import shutil
from pathlib import Path

import msgspec

from onnxq.errors import QuantizationError
from onnxq.events import Tell
from onnxq.models import OnnxModel
from onnxq.quantization.dynamic import quantize_dynamic_int8
from onnxq.quantization.finishing import QuantizedModel
from onnxq.quantization.static import quantize_static_qdq
from onnxq.ranges import TensorRanges
from onnxq.recipes import DynamicInt8, StaticQdq
from onnxq.stages import QuantizeRequest, QuantizeResult


def quantize(
    request: QuantizeRequest,
    folder: Path,
    tell: Tell,  # noqa: ARG001 - a stage's signature; a quantizer shows no progress
) -> QuantizeResult:
    """Quantize a prepared model by one recipe.

    Args:
        request: The model, the recipe, the path of calibrated ranges for a static recipe.
        folder: Where the quantized model is written.
        tell: Not told anything.

    Returns:
        The quantized model, which passed the structural gates and loads.

    Raises:
        QuantizationError: OQ163 if the recipe finds nothing to quantize; OQ171 if the quantizer
            fails or the ranges are of another model; OQ172 if the result does not pass the gates.
    """
    source = _copy_model(request.model, folder / "source")
    destination = folder / "quantized.onnx"
    match request.recipe:
        case StaticQdq() as recipe:
            ranges = _read_ranges(Path(request.ranges), request.model)
            quantized = quantize_static_qdq(source, destination, recipe, ranges)
        case DynamicInt8() as recipe:
            quantized = quantize_dynamic_int8(source, destination, recipe)
    shutil.rmtree(source.parent)
    return _as_result(quantized)


def _copy_model(model: OnnxModel, folder: Path) -> Path:
    """Copy a model to where quantizers may write beside it, as those of onnxruntime do."""
    folder.mkdir()
    for path in (model.path, *model.side_files):
        shutil.copyfile(path, folder / Path(path).name)
    return folder / Path(model.path).name


def _read_ranges(path: Path, model: OnnxModel) -> TensorRanges:
    """Read ranges that were calibrated on this model.

    Raises:
        QuantizationError: If they are of another one: onnxruntime 1.31 applies what fits by name
            and says nothing.
    """
    ranges = msgspec.json.decode(path.read_bytes(), type=TensorRanges)
    if ranges.model_sha256 != model.sha256:
        message = (
            f"the ranges in {path.name} are of another model: found {ranges.model_sha256[:12]}, "
            f"expected {model.sha256[:12]}."
        )
        hint = "Calibrate this model: its ranges fit no other."
        raise QuantizationError(message, code="OQ171", hint=hint)
    return ranges


def _as_result(quantized: QuantizedModel) -> QuantizeResult:
    return QuantizeResult(
        model=quantized.model,
        size=quantized.size,
        quantized_nodes=quantized.count.quantized,
        quantizable_nodes=quantized.count.quantizable,
        left_float=quantized.count.left_float,
        findings=(),
    )
