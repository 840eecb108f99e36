"""Static quantization: calibrated uint8 activations, symmetric int8 weights, as QDQ pairs.

onnxruntime's ``QDQQuantizer`` is the engine. Three things are decided for it: the nodes (it would
also quantize what has no integer kernel), the activations (it would quantize every output of a
node, or none of an operator type) and their ranges.
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from onnxruntime.quantization import QDQQuantizer, QuantType, TensorData
from onnxruntime.quantization.quant_utils import add_infer_metadata

from onnxq.errors import QuantizationError
from onnxq.graph.integer_nodes import QDQ_OPERATORS
from onnxq.graph.model_files import load_proto
from onnxq.graph.qdq_edges import QdqEdges, find_qdq_edges
from onnxq.quantization.finishing import (
    QuantizedCount,
    QuantizedModel,
    load_for_quantizer,
    write_quantized,
)
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipes import StaticQdq


class EdgeQuantizer(QDQQuantizer):  # type: ignore[misc]  # untyped base
    """onnxruntime's quantizer, told which activations to quantize.

    As it comes, it quantizes what each quantized node reads and returns. A Gemm or MatMul in front
    of a Softmax or a graph output has a kernel that returns float at no cost; quantizing its
    result there would cost accuracy for nothing. The option that onnxruntime 1.31 has
    (``OpTypesToExcludeOutputQuantization``) knows operator types only. And it makes results share
    the scale of what they were made from where they need not.

    Args:
        proto: What to quantize; it is changed.
        nodes: Names of the nodes to quantize; not empty (empty means all to onnxruntime).
        ranges: By name, of exactly the activations to quantize.
        per_channel: One scale per output channel of a weight, or one per weight.
    """

    def __init__(
        self,
        proto: onnx.ModelProto,
        nodes: list[str],
        ranges: dict[str, TensorRange],
        *,
        per_channel: bool,
    ) -> None:
        self._ranges = ranges
        super().__init__(
            model=proto,
            per_channel=per_channel,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range={name: _tensor_data(one) for name, one in ranges.items()},
            nodes_to_quantize=nodes,
            nodes_to_exclude=[],
            op_types_to_quantize=sorted(QDQ_OPERATORS),
            extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
        )

    def quantize_activation_tensor(self, tensor_name: str) -> None:
        """Mark an activation for quantizing if it is one of ours."""
        if tensor_name in self._ranges:
            super().quantize_activation_tensor(tensor_name)

    def quantize_output_same_as_input(
        self, output_name: str, input_name: str, node_name: str
    ) -> None:
        """Let a result have the scale of what it was made from, if their ranges are the same.

        onnxruntime does so for an AveragePool as well, whose result is several times smaller than
        what it reads; the kernel takes a scale for each.
        """
        if self._ranges.get(output_name) == self._ranges.get(input_name):
            super().quantize_output_same_as_input(output_name, input_name, node_name)
        else:
            self.quantize_activation_tensor(output_name)

    def quantize_sorted(self) -> onnx.ModelProto:
        """Quantize, and put the nodes into topological order, as the specification asks for."""
        proto: onnx.ModelProto = self.quantize_model()
        self.model.topological_sort()
        return proto


def quantize_static_qdq(
    source: Path, destination: Path, recipe: StaticQdq, ranges: TensorRanges
) -> QuantizedModel:
    """Quantize a prepared model with calibrated ranges.

    Args:
        source: A prepared float model, whose nodes have names of their own: onnxruntime chooses
            nodes by name.
        destination: Where to write; must not exist yet.
        recipe: Granularity of the weights' scales.
        ranges: Of this very model, as calibration wrote them.

    Returns:
        The quantized model, with a reason for each node that stayed float.

    Raises:
        QuantizationError: OQ163 if nothing can be quantized; OQ171 if the ranges are of another
            model or the quantizer fails; OQ172 if its result does not pass the gates.
    """
    original = load_proto(source)
    edges = find_qdq_edges(original.graph)
    _check_applies(edges, source)
    _check_ranges(edges, ranges, source)
    quantized = _quantize(load_for_quantizer(source), edges, recipe, ranges)
    written = write_quantized(quantized, original, destination, "static")
    return replace(written, count=_with_reasons(written, original, edges))


def _quantize(
    proto: onnx.ModelProto, edges: QdqEdges, recipe: StaticQdq, ranges: TensorRanges
) -> onnx.ModelProto:
    metadata = list(proto.metadata_props)
    _declare_floats(proto.graph, ranges)
    add_infer_metadata(
        proto
    )  # else it writes the model to disk to infer shapes, which it has no use for
    names = [node.name for node in proto.graph.node if node.output[0] in edges.nodes]
    try:
        quantizer = EdgeQuantizer(proto, names, ranges.ranges, per_channel=recipe.per_channel)
        quantized = quantizer.quantize_sorted()
    except Exception as error:  # it raises AssertionError, KeyError, ValueError and others
        message = f"onnxruntime's quantizer failed: {type(error).__name__}: {error}"
        hint = "Keep fp32 or try -r int8-dynamic, and report the model to onnxq."
        raise QuantizationError(message, code="OQ171", hint=hint) from error
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(metadata)
    return quantized


def _tensor_data(one: TensorRange) -> TensorData:
    return TensorData(lowest=np.float32(one.low), highest=np.float32(one.high))


def _declare_floats(graph: onnx.GraphProto, ranges: TensorRanges) -> None:
    """Declare the calibrated activations float32: the quantizer skips what has no known type."""
    declared = {value.name for value in (*graph.value_info, *graph.input, *graph.output)}
    graph.value_info.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ranges.ranges
        if name not in declared
    )


def _check_applies(edges: QdqEdges, source: Path) -> None:
    if edges.nodes:
        return
    reasons = sorted(set(edges.left_float.values()))
    why = "; ".join(reasons) if reasons else "it has no Conv, Gemm or MatMul"
    message = f"nothing in {source.name} can be quantized statically: {why}."
    raise QuantizationError(message, code="OQ163", hint="Try -r int8-dynamic, or keep fp32.")


def _check_ranges(edges: QdqEdges, ranges: TensorRanges, source: Path) -> None:
    """Refuse ranges of another model: onnxruntime would apply what fits by name, silently."""
    if edges.leaders.keys() != ranges.ranges.keys():
        odd = sorted(edges.leaders.keys() ^ ranges.ranges.keys())
        message = (
            f"the ranges are not those of {source.name}: found {len(ranges.ranges)}, "
            f"expected {len(edges.leaders)}; {odd[0]!r} is in one alone."
        )
        hint = "Calibrate this model: its ranges fit no other."
        raise QuantizationError(message, code="OQ171", hint=hint)


def _with_reasons(
    written: QuantizedModel, original: onnx.ModelProto, edges: QdqEdges
) -> QuantizedCount:
    """Put our reasons in the place of general ones."""
    ours = {node.name: edges.left_float.get(node.output[0], "") for node in original.graph.node}
    left_float = {
        name: ours.get(name) or reason for name, reason in written.count.left_float.items()
    }
    return replace(written.count, left_float=left_float)
