"""Static quantization: calibrated activations, symmetric int8 weights, as QDQ pairs.

onnxruntime's ``QDQQuantizer`` is the engine. Five things are decided for it: the nodes (it would
also quantize what has no integer kernel), the activations (it would quantize every output of a
node, or none of an operator type), their ranges, the granularity of each weight, and the scales of
channels that its own would harm.

Activations are asymmetric uint8, or symmetric int16 (16x8). The latter has no integer kernel: each
node runs in float between its pairs, so it tells what 16 bits would keep, for engines that have
such kernels. It needs opset 21.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import onnx

from onnxq.errors import QuantizationError
from onnxq.graph.bodies import describe_bodies
from onnxq.graph.model_files import load_proto
from onnxq.graph.operator_kinds import ABSORBED, MOVING, WEIGHTED
from onnxq.graph.qdq_edges import QdqEdges, find_qdq_edges
from onnxq.graph.scoped_nodes import wish_for
from onnxq.graph.tensor_flow import trace_tensors
from onnxq.integer_tensors import IntegerTensor
from onnxq.quantization.channel_findings import describe_channels, describe_widened
from onnxq.quantization.channel_scales import (
    ChannelScales,
    scale_overrides,
    settle_channel_scales,
)
from onnxq.quantization.edge_quantizer import EdgePlan, quantize_edges
from onnxq.quantization.finishing import (
    QuantizedCount,
    QuantizedModel,
    check_counted,
    count_quantized,
    finish_quantized,
    load_for_quantizer,
    write_finished,
)
from onnxq.quantization.fitting_ranges import check_kept_float, check_ranges
from onnxq.quantization.integer_interface import make_interface_integer
from onnxq.quantization.integer_rewrites import rewrite_integers
from onnxq.quantization.lifting import lift_opset
from onnxq.quantization.usable_ranges import make_usable
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipe_kinds import EVERYTHING, KeepFloat, QuantizationScope, StaticQdq
from onnxq.targets import TARGETS
from onnxq.tunings import USUAL, Tuning

_OPSET_OF_INT16 = 21
_LEVELS = {"uint8": 255, "int16": 65534}
_BESIDE_FLOAT = "what it reads or is read by stays float"
_NOTHING: Mapping[str, str] = MappingProxyType({})


def quantize_static_qdq(
    source: Path,
    destination: Path,
    recipe: StaticQdq,
    ranges: TensorRanges,
    scope: QuantizationScope = EVERYTHING,
    tuning: Tuning = USUAL,
    slow: Mapping[str, str] = _NOTHING,
) -> QuantizedModel:
    """Quantize a prepared model with calibrated ranges.

    Args:
        source: A prepared float model, whose nodes have names of their own: onnxruntime chooses
            nodes by name.
        destination: Where to write; must not exist yet.
        recipe: dtype of the activations, granularity of the weights' scales.
        ranges: Of this very model, recipe and scope, as calibration wrote them.
        scope: What of the model, and what its interface becomes.
        tuning: For which CPU, with which rewrites of the quantized graph.
        slow: Why nodes stay float that could be quantized, by first output; the ranges are those
            of the scope without them.

    Returns:
        The quantized model, with a reason for each node that stayed float.

    Raises:
        QuantizationError: OQ163 if nothing can be quantized; OQ171 if the model cannot be lifted
            to opset 21 for int16, or the quantizer fails; OQ172 if its result does not pass the
            gates.
        UsageError: OQ147 if the ranges are not those of its activations.
    """
    original = load_proto(source)
    check_kept_float(original.graph, ranges)
    edges = find_qdq_edges(original.graph, scope, kept_float=ranges.kept_float)
    _check_applies(edges, scope)
    check_ranges(original.graph, edges, ranges)
    known = ranges.ranges
    if slow:
        edges = _leave_float(original.graph, edges, scope, (*ranges.kept_float, *slow), slow)
        _check_applies(edges, scope)
        known = {name: known[leader] for name, leader in edges.leaders.items()}
    proto = load_for_quantizer(source, tuning)
    if recipe.activation == "int16":
        proto = lift_opset(proto, _OPSET_OF_INT16, destination.parent)
    usable = make_usable(proto.graph, edges, known, is_symmetric=recipe.activation == "int16")
    saturates = TARGETS[tuning.target].int8_saturates and recipe.activation == "uint8"
    scales = _channel_scales(proto.graph, edges, recipe, usable, scope, saturates=saturates)
    plan = _plan(proto.graph, edges, recipe, usable, scales)
    finished = finish_quantized(quantize_edges(proto, plan, recipe.activation), original)
    count = _with_reasons(count_quantized(finished, original, "static", scope), original, edges)
    check_counted(count)
    finished, io = _with_interface(finished, scope, edges, usable)
    rewritten = rewrite_integers(finished, tuning)
    written = write_finished(rewritten.proto, original, destination, count, io)
    names = {node.output[0]: node.name for node in original.graph.node}
    findings = [finding for one in scales for finding in describe_channels(one)]
    findings += [*describe_widened(scales), *rewritten.findings]
    return replace(
        written.noting(*findings, *describe_bodies(original.graph)),
        followers=frozenset(names[output] for output in edges.nodes),
        remarks={names[output]: reason for output, reason in edges.left_float.items()},
    )


def _leave_float(
    graph: onnx.GraphProto,
    edges: QdqEdges,
    scope: QuantizationScope,
    kept_float: Collection[str],
    slow: Mapping[str, str],
) -> QdqEdges:
    """Find the edges again, with some nodes in float for the sake of time.

    What is integer then was integer before, so that its ranges are known.
    """
    found = find_qdq_edges(graph, scope, kept_float=kept_float)
    reasons = {name: slow.get(name, reason) for name, reason in found.left_float.items()}
    followed = dict.fromkeys(edges.nodes - found.nodes, _BESIDE_FLOAT)
    return replace(found, left_float=followed | reasons | dict(slow))


def _with_interface(
    finished: onnx.ModelProto,
    scope: QuantizationScope,
    edges: QdqEdges,
    ranges: dict[str, TensorRange],
) -> tuple[onnx.ModelProto, tuple[IntegerTensor, ...]]:
    """Make inputs and outputs integers, if that is asked for."""
    if scope.io == "float":
        return finished, ()
    return make_interface_integer(finished, scope.io, edges.interface, ranges)


def _channel_scales(
    graph: onnx.GraphProto,
    edges: QdqEdges,
    recipe: StaticQdq,
    ranges: dict[str, TensorRange],
    scope: QuantizationScope,
    *,
    saturates: bool,
) -> tuple[ChannelScales, ...]:
    levels = _LEVELS[recipe.activation]
    return tuple(
        settle_channel_scales(
            graph,
            node,
            input_scale=(ranges[node.input[0]].high - ranges[node.input[0]].low) / levels,
            per_channel=_is_per_channel(node, recipe, scope),
            saturates=saturates,
        )
        for node in graph.node
        if node.output[0] in edges.nodes and node.op_type in WEIGHTED
    )


def _plan(
    graph: onnx.GraphProto,
    edges: QdqEdges,
    recipe: StaticQdq,
    ranges: dict[str, TensorRange],
    scales: tuple[ChannelScales, ...],
) -> EdgePlan:
    fused = _fused(graph, edges) if recipe.activation == "int16" else frozenset()
    left_out = edges.at_border | fused
    return EdgePlan(
        nodes=tuple(node.name for node in graph.node if node.output[0] in edges.nodes),
        ranges={name: one for name, one in ranges.items() if name not in left_out},
        per_tensor=frozenset(one.weight for one in scales if one.axis < 0),
        fused=fused,
        scales={one.weight: scale_overrides(one) for one in scales if not one.is_usual},
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


def _with_reasons(
    count: QuantizedCount, original: onnx.ModelProto, edges: QdqEdges
) -> QuantizedCount:
    """Put our reasons in the place of general ones."""
    ours = {node.name: edges.left_float.get(node.output[0], "") for node in original.graph.node}
    left_float = {name: ours.get(name) or reason for name, reason in count.left_float.items()}
    return replace(count, left_float=left_float)
