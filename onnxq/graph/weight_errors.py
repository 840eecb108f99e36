"""How far the weights of a quantized model are from those of the float model it was made from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto

from onnxq.arrays import Array
from onnxq.graph.dequantized_weights import DequantizedWeight, list_dequantized
from onnxq.graph.edits import walk_graphs
from onnxq.graph.rewrites.lift_constants import lift_constants

_ALIKE = 0.5
"""Weights of other names are the same if they differ by less than this share of their size: 4 bits
differ by a tenth, unrelated weights by more than all of it."""


@dataclass(frozen=True)
class WeightComparison:
    """A quantized weight beside its float original.

    Attributes:
        original: Name of the original; empty where there is none.
        mean_abs_error: Mean absolute difference.
        max_abs_error: Largest absolute difference.
        mean_error_scales: Mean absolute difference in units of the scale: 0.25 for rounding alone.
    """

    original: str
    mean_abs_error: float = 0.0
    max_abs_error: float = 0.0
    mean_error_scales: float = 0.0


def compare_weights(proto: ModelProto, reference: ModelProto) -> dict[str, WeightComparison]:
    """Compare each quantized weight and bias with the float one that it was made from.

    An original has the weight's name and its shape, or else is the float weight of that shape
    that is nearest to it. Shapes may be transposed: Gemm becomes MatMul, and MatMulNBits and
    DynamicQuantizeLSTM keep their weights the other way round.

    Args:
        proto: The quantized model.
        reference: The float model; not changed.

    Returns:
        A comparison by the name that :func:`~onnxq.graph.quantized_tensors.list_quantized` gives
        the tensor; those whose integers are not constants are left out.
    """
    originals = _float_weights(reference)
    return {
        weight.tensor.name: _compare(weight, originals)
        for weight in list_dequantized(proto)
        if weight.values.size
    }


def _float_weights(reference: ModelProto) -> dict[str, Array]:
    graphs = walk_graphs(lift_constants(reference).proto.graph)
    return {
        tensor.name: onnx.numpy_helper.to_array(tensor).astype(np.float64)
        for graph in graphs
        for tensor in graph.initializer
        if tensor.data_type in {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}
    }


def _compare(weight: DequantizedWeight, originals: dict[str, Array]) -> WeightComparison:
    name = weight.tensor.name
    if name in originals:
        named = [_measure(weight, name, form) for form in _forms(weight, originals[name])]
        if named:
            return min(named, key=lambda one: one.mean_abs_error)
    found = [
        (one, one.mean_abs_error / max(float(np.abs(form).mean()), np.finfo(np.float64).tiny))
        for other, array in originals.items()
        for form in _forms(weight, array)
        for one in [_measure(weight, other, form)]
    ]
    alike = [one for one, share in found if share < _ALIKE]
    return min(alike, key=lambda one: one.mean_abs_error, default=WeightComparison(""))


def _forms(weight: DequantizedWeight, original: Array) -> Iterator[Array]:
    """Yield an original as it is and with its last axes exchanged, where that has the shape."""
    swapped = [original.swapaxes(-1, -2)] if original.ndim > 1 else []
    for form in (original, *swapped):
        if form.shape == weight.values.shape:
            yield form


def _measure(weight: DequantizedWeight, name: str, original: Array) -> WeightComparison:
    difference = np.abs(weight.values - original)
    scales = np.broadcast_to(np.abs(weight.scales), difference.shape)
    scaled = np.divide(difference, scales, out=np.zeros_like(difference), where=scales > 0)
    return WeightComparison(
        original=name,
        mean_abs_error=float(difference.mean()),
        max_abs_error=float(difference.max()),
        mean_error_scales=float(scaled.mean()),
    )
