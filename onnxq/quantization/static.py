"""Static quantization: calibrated activations, symmetric int8 weights, as QDQ pairs.

onnxruntime's ``QDQQuantizer`` is the engine. Four things are decided for it: the nodes (it would
also quantize what has no integer kernel), the activations (it would quantize every output of a
node, or none of an operator type), their ranges, and the granularity of each weight.

Activations are asymmetric uint8, or symmetric int16 (16x8). The latter has no integer kernel: each
node runs in float between its pairs, so it tells what 16 bits would keep, for engines that have
such kernels. It needs opset 21.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from onnxruntime.quantization import QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import TensorData
from onnxruntime.quantization.quant_utils import add_infer_metadata

from onnxq.errors import QuantizationError
from onnxq.graph.model_files import load_proto
from onnxq.graph.operator_kinds import ABSORBED, MOVING, QDQ_OPERATORS, WEIGHTED
from onnxq.graph.qdq_edges import QdqEdges, find_qdq_edges
from onnxq.graph.scoped_nodes import wish_for
from onnxq.graph.tensor_flow import trace_tensors
from onnxq.quantization.finishing import (
    QuantizedCount,
    QuantizedModel,
    check_counted,
    count_quantized,
    finish_quantized,
    load_for_quantizer,
    write_finished,
)
from onnxq.quantization.integer_interface import make_interface_integer
from onnxq.quantization.lifting import lift_opset
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipe_kinds import EVERYTHING, Activation, KeepFloat, QuantizationScope, StaticQdq

_OPSET_OF_INT16 = 21


@dataclass(frozen=True)
class _Plan:
    """What onnxruntime's quantizer is told.

    Attributes:
        nodes: Names of the nodes to quantize; not empty (empty means all to onnxruntime).
        ranges: By name, of exactly the activations to quantize.
        per_tensor: Weights that get one scale.
        fused: Activations between a node and the Relu or Clip that alone reads them: not
            quantized where a symmetric grid cannot stand for the Relu or Clip, which then stays
            and whose result is quantized.
    """

    nodes: tuple[str, ...]
    ranges: dict[str, TensorRange]
    per_tensor: frozenset[str]
    fused: frozenset[str]


class EdgeQuantizer(QDQQuantizer):  # type: ignore[misc]  # untyped base
    """onnxruntime's quantizer, told which activations to quantize.

    As it comes, it quantizes what each quantized node reads and returns. A Gemm or MatMul in front
    of a Softmax or a graph output has a kernel that returns float at no cost; quantizing its
    result there would cost accuracy for nothing. The option that onnxruntime 1.31 has
    (``OpTypesToExcludeOutputQuantization``) knows operator types only. And it makes results share
    the scale of what they were made from where they need not.

    Args:
        proto: What to quantize; it is changed.
        plan: What to quantize of it.
        activation: dtype of activations.
    """

    def __init__(self, proto: onnx.ModelProto, plan: _Plan, activation: Activation) -> None:
        self._plan = plan
        is_symmetric = activation == "int16"
        super().__init__(
            model=proto,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt16 if is_symmetric else QuantType.QUInt8,
            tensors_range={name: _tensor_data(one) for name, one in plan.ranges.items()},
            nodes_to_quantize=list(plan.nodes),
            nodes_to_exclude=[],
            op_types_to_quantize=sorted(QDQ_OPERATORS),
            extra_options={"WeightSymmetric": True, "ActivationSymmetric": is_symmetric},
        )

    def is_tensor_per_channel(
        self, tensor_name: str, default_axis: int, op_type: str | None = None
    ) -> tuple[bool, int | None]:
        """Say whether a weight gets a scale per channel, and along which axis."""
        if tensor_name in self._plan.per_tensor:
            return False, None
        told: tuple[bool, int | None] = super().is_tensor_per_channel(
            tensor_name, default_axis, op_type
        )
        return told

    def is_tensor_quantized(self, tensor_name: str) -> bool:
        """Say whether a tensor is quantized; what an activation fuses with counts as such."""
        return tensor_name in self._plan.fused or bool(super().is_tensor_quantized(tensor_name))

    def quantize_activation_tensor(self, tensor_name: str) -> None:
        """Mark an activation for quantizing if it is one of ours."""
        if tensor_name in self._plan.ranges:
            super().quantize_activation_tensor(tensor_name)

    def quantize_output_same_as_input(
        self, output_name: str, input_name: str, node_name: str
    ) -> None:
        """Let a result have the scale of what it was made from, if their ranges are the same.

        onnxruntime does so for an AveragePool as well, whose result is several times smaller than
        what it reads; the kernel takes a scale for each.
        """
        if self._plan.ranges.get(output_name) == self._plan.ranges.get(input_name):
            super().quantize_output_same_as_input(output_name, input_name, node_name)
        else:
            self.quantize_activation_tensor(output_name)

    def quantize_sorted(self) -> onnx.ModelProto:
        """Quantize, and put the nodes into topological order, as the specification asks for."""
        proto: onnx.ModelProto = self.quantize_model()
        self.model.topological_sort()
        return proto


def quantize_static_qdq(
    source: Path,
    destination: Path,
    recipe: StaticQdq,
    ranges: TensorRanges,
    scope: QuantizationScope = EVERYTHING,
) -> QuantizedModel:
    """Quantize a prepared model with calibrated ranges.

    Args:
        source: A prepared float model, whose nodes have names of their own: onnxruntime chooses
            nodes by name.
        destination: Where to write; must not exist yet.
        recipe: dtype of the activations, granularity of the weights' scales.
        ranges: Of this very model, recipe and scope, as calibration wrote them.
        scope: What of the model, and what its interface becomes.

    Returns:
        The quantized model, with a reason for each node that stayed float.

    Raises:
        QuantizationError: OQ163 if nothing can be quantized; OQ171 if the ranges are of another
            model, the model cannot be lifted to opset 21 for int16, or the quantizer fails; OQ172
            if its result does not pass the gates.
    """
    original = load_proto(source)
    edges = find_qdq_edges(original.graph, scope)
    _check_applies(edges, scope)
    _check_ranges(edges, ranges, source)
    proto = load_for_quantizer(source)
    if recipe.activation == "int16":
        proto = lift_opset(proto, _OPSET_OF_INT16, destination.parent)
    plan = _plan(proto, edges, recipe, ranges, scope)
    finished = finish_quantized(_quantize(proto, plan, recipe.activation), original)
    count = _with_reasons(count_quantized(finished, original, "static", scope), original, edges)
    check_counted(count)
    if scope.io == "float":
        written = write_finished(finished, original, destination, count)
    else:
        turned, io = make_interface_integer(finished, scope.io, edges.interface, ranges.ranges)
        written = write_finished(turned, original, destination, count, io)
    names = {node.output[0]: node.name for node in original.graph.node}
    return replace(
        written,
        followers=frozenset(names[output] for output in edges.nodes),
        remarks={names[output]: reason for output, reason in edges.left_float.items()},
    )


def _plan(
    proto: onnx.ModelProto,
    edges: QdqEdges,
    recipe: StaticQdq,
    ranges: TensorRanges,
    scope: QuantizationScope,
) -> _Plan:
    nodes = [node for node in proto.graph.node if node.output[0] in edges.nodes]
    is_symmetric = recipe.activation == "int16"
    fused = _fused(proto.graph, edges) if is_symmetric else frozenset()
    left_out = edges.at_border | fused
    return _Plan(
        nodes=tuple(node.name for node in nodes),
        ranges={name: one for name, one in ranges.ranges.items() if name not in left_out},
        per_tensor=frozenset(
            node.input[1]
            for node in nodes
            if node.op_type in WEIGHTED and not _is_per_channel(node, recipe, scope)
        ),
        fused=fused,
    )


def _is_per_channel(node: onnx.NodeProto, recipe: StaticQdq, scope: QuantizationScope) -> bool:
    wish = wish_for(node, scope)
    if isinstance(wish, KeepFloat) or wish.granularity == "recipe":
        return recipe.per_channel
    return wish.granularity == "perchannel"


def _fused(graph: onnx.GraphProto, edges: QdqEdges) -> frozenset[str]:
    flow = trace_tensors(graph)
    return frozenset(
        node.input[0]
        for node in flow.nodes
        if node.op_type in ABSORBED
        and node.output[0] in edges.nodes
        and flow.has_one_reader(node.input[0])
        and flow.producers[node.input[0]].op_type not in MOVING
    )


def _quantize(proto: onnx.ModelProto, plan: _Plan, activation: Activation) -> onnx.ModelProto:
    metadata = list(proto.metadata_props)
    _declare_floats(proto.graph, plan)
    add_infer_metadata(
        proto
    )  # else it writes the model to disk to infer shapes, which it has no use for
    try:
        quantized = EdgeQuantizer(proto, plan, activation).quantize_sorted()
    except Exception as error:  # it raises AssertionError, KeyError, ValueError and others
        message = f"onnxruntime's quantizer failed: {type(error).__name__}: {error}"
        hint = "Keep fp32 or try -r int8-dynamic, and report the model to onnxq."
        raise QuantizationError(message, code="OQ171", hint=hint) from error
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(metadata)
    return quantized


def _tensor_data(one: TensorRange) -> TensorData:
    return TensorData(lowest=np.float32(one.low), highest=np.float32(one.high))


def _declare_floats(graph: onnx.GraphProto, plan: _Plan) -> None:
    """Declare the calibrated activations float32: the quantizer skips what has no known type."""
    declared = {value.name for value in (*graph.value_info, *graph.input, *graph.output)}
    graph.value_info.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in plan.ranges
        if name not in declared
    )


def _check_applies(edges: QdqEdges, scope: QuantizationScope) -> None:
    if edges.nodes:
        return
    reasons = sorted(set(edges.left_float.values()))
    why = "; ".join(reasons) if reasons else "it has no Conv, Gemm or MatMul"
    message = f"nothing in the model can be quantized statically: {why}."
    wishes = scope.keep_float or scope.operators or scope.skip_operators or scope.rules
    narrowed = "What is to stay float was asked for: loosen --keep-float, --operator or the rules."
    hint = narrowed if wishes else "Try -r int8-dynamic, or keep fp32."
    raise QuantizationError(message, code="OQ163", hint=hint)


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
    count: QuantizedCount, original: onnx.ModelProto, edges: QdqEdges
) -> QuantizedCount:
    """Put our reasons in the place of general ones."""
    ours = {node.name: edges.left_float.get(node.output[0], "") for node in original.graph.node}
    left_float = {name: ours.get(name) or reason for name, reason in count.left_float.items()}
    return replace(count, left_float=left_float)
