"""Which activations of a float graph need a range, and which of them share one.

onnxruntime's QDQ quantizer wants a range for every tensor that it puts between QuantizeLinear
and DequantizeLinear. Many of those ranges are one and the same:

* moving operators (MaxPool, Transpose, Reshape, …) hand on integers with the scale that they got;
* what Relu or Clip reads takes the range of their result, and the operator disappears;
* what a Concat alone reads takes the range of the result: it would be requantized to that scale
  at once, so a finer one costs time and a second rounding and keeps nothing. (Not so behind a
  Relu or Clip that was absorbed: there the range does the clipping, and must not be wider.)

So only the *leaders* have to be collected while calibrating. Where the interface becomes integer,
float inputs and outputs need ranges too, whatever reads or makes them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import onnx

from onnxq.graph.integer_nodes import IntegerNodes, activation_bounds, find_integer_nodes
from onnxq.graph.operator_kinds import ABSORBED, MOVING
from onnxq.graph.scoped_nodes import wish_for
from onnxq.graph.tensor_flow import TensorFlow, trace_tensors
from onnxq.range_methods import RangeMethod
from onnxq.ranges import TensorRange
from onnxq.scopes import EVERYTHING, AsRecipe, QuantizationScope, Quantize

_UNBOUNDED = (-np.inf, np.inf)
_SHARES = frozenset({"Sigmoid", "Softmax", "HardSigmoid"})
_RANKING = frozenset({"Sigmoid", "Softmax", "LogSoftmax"})
_SHAPING = frozenset({
    "Cast", "Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
})  # fmt: skip


@dataclass(frozen=True)
class QdqEdges:
    """What a static QDQ recipe makes of a graph.

    Attributes:
        nodes: First outputs of the nodes that become integer.
        leaders: For each activation that needs a range, the one whose values decide it: itself
            or another one. In the order of the graph.
        unclipped: Leaders that reach a Sigmoid, a Softmax or a graph output with nothing but a
            change of shape between: their largest values are what the model says, so no range
            may cut them off.
        left_float: Reason, by first output, for each node that could matter and stays float.
        interface: Inputs and outputs that become integer; empty where the interface stays float.
        at_border: Those of them that no integer node reads or makes: their ranges serve the
            interface alone.
        methods: Range method by leader, where a rule asks for another than the recipe's.
        fixed: Ranges that are known beforehand: outputs of Softmax and Sigmoid that become
            integer lie between 0 and 1, whatever the calibration rows show.
    """

    nodes: frozenset[str]
    leaders: dict[str, str]
    unclipped: frozenset[str]
    left_float: dict[str, str]
    interface: frozenset[str] = frozenset()
    at_border: frozenset[str] = frozenset()
    methods: dict[str, RangeMethod] = field(default_factory=dict)
    fixed: dict[str, TensorRange] = field(default_factory=dict)

    @property
    def collected(self) -> tuple[str, ...]:
        """Activations whose values must be seen, in the order of the graph."""
        leaders = set(self.leaders.values())
        return tuple(name for name in self.leaders if name in leaders)


def find_qdq_edges(graph: onnx.GraphProto, scope: QuantizationScope = EVERYTHING) -> QdqEdges:
    """Find out what a static QDQ recipe quantizes, and which ranges it needs.

    Args:
        graph: A prepared float graph (opset 13 up, float32, no quantized nodes).
        scope: What may become integer, the interface included.

    Returns:
        Its integer nodes and their edges; no nodes where nothing can be quantized.
    """
    flow = trace_tensors(graph)
    integer = find_integer_nodes(flow, scope)
    leaders = _follow(flow, integer)
    _share_along_concat(flow, integer, leaders)
    interface = _float_interface(graph, flow) if scope.io != "float" else frozenset()
    at_border = interface - leaders.keys()
    leaders = {name: name for name in _in_order(graph, at_border)} | leaders
    unclipped = {leader for name, leader in leaders.items() if _is_ranked(name, flow)}
    return QdqEdges(
        nodes=integer.names,
        leaders=leaders,
        unclipped=frozenset(unclipped),
        left_float=integer.left_float,
        interface=interface,
        at_border=frozenset(at_border),
        methods=_methods(flow, integer, leaders, scope),
        fixed={
            name: TensorRange(0.0, 1.0)
            for name in at_border & flow.producers.keys()
            if flow.producers[name].op_type in _SHARES
        },
    )


def _float_interface(graph: onnx.GraphProto, flow: TensorFlow) -> frozenset[str]:
    """Name float32 inputs that are read, and float32 outputs that a node makes."""
    floats = {
        value.name
        for value in (*graph.input, *graph.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    outputs = {value.name for value in graph.output}
    made = outputs & flow.producers.keys()
    read = {value.name for value in graph.input if flow.read_by(value.name)} - outputs
    return frozenset(floats & (made | read) - flow.initializers.keys())


def _in_order(graph: onnx.GraphProto, names: Iterable[str]) -> list[str]:
    wanted = set(names)
    return [value.name for value in (*graph.input, *graph.output) if value.name in wanted]


def _methods(
    flow: TensorFlow, integer: IntegerNodes, leaders: dict[str, str], scope: QuantizationScope
) -> dict[str, RangeMethod]:
    """Collect the range methods that rules ask for; who makes a tensor is heard before readers."""
    methods: dict[str, RangeMethod] = {}
    wishes = [(node, wish_for(node, scope)) for node in flow.nodes] if scope.rules else []
    for made in (True, False):
        for node, wish in wishes:
            if not isinstance(wish, Quantize) or isinstance(wish.ranges, AsRecipe):
                continue
            if node.output[0] in integer.names:
                for name in node.output if made else node.input:
                    if name in leaders:
                        methods.setdefault(leaders[name], wish.ranges)
    return methods


def _follow(flow: TensorFlow, integer: IntegerNodes) -> dict[str, str]:
    """Give each quantized tensor its leader, along moving and absorbed nodes."""
    tensors = (name for node in flow.nodes for name in (*node.input, *node.output))
    leaders = {name: name for name in tensors if name in integer.quantized}
    for node in flow.nodes:
        if node.output[0] not in integer.names:
            continue
        if node.op_type in MOVING:
            leaders.update((name, leaders[node.input[0]]) for name in node.output if name)
        elif node.op_type in ABSORBED:
            _redirect(leaders, leaders[node.input[0]], node.output[0])
    return leaders


def _share_along_concat(flow: TensorFlow, integer: IntegerNodes, leaders: dict[str, str]) -> None:
    """Let what a Concat alone reads take the range of its result, the last Concat first."""
    bounds = _value_bounds(flow, integer)
    for node in reversed(flow.nodes):
        if node.op_type != "Concat" or node.output[0] not in integer.names:
            continue
        for name in dict.fromkeys(node.input):
            group = [member for member, leader in leaders.items() if leader == leaders[name]]
            new = leaders[node.output[0]]
            if _is_read_by_alone(group, node, flow, integer) and all(
                _holds_within(bounds[new], bounds[member]) for member in group
            ):
                _redirect(leaders, leaders[name], new)


def _value_bounds(flow: TensorFlow, integer: IntegerNodes) -> dict[str, tuple[float, float]]:
    """Bound the values of tensors by the Relu and Clip nodes that they passed."""
    bounds: dict[str, tuple[float, float]] = {}
    for node in flow.nodes:
        read = [bounds.get(name, _UNBOUNDED) for name in node.input]
        found = _UNBOUNDED
        if node.op_type == "Concat":
            found = min(low for low, _ in read), max(high for _, high in read)
        elif node.op_type in MOVING:
            found = read[0]
        elif node.op_type in ABSORBED and node.output[0] in integer.names:
            found = activation_bounds(node, flow)
        bounds.update((name, found) for name in node.output)
    return bounds


def _holds_within(inner: tuple[float, float], outer: tuple[float, float]) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _is_read_by_alone(
    group: Iterable[str], concat: onnx.NodeProto, flow: TensorFlow, integer: IntegerNodes
) -> bool:
    """Whether a group of tensors is read by a Concat and by what moves it, and by nothing else."""
    for name in group:
        if name in flow.kept or name not in flow.producers:
            return False
        for reader in flow.read_by(name):
            moves = reader.op_type in MOVING | ABSORBED and reader.output[0] in integer.names
            if reader.output[0] != concat.output[0] and not moves:
                return False
    return True


def _redirect(leaders: dict[str, str], old: str, new: str) -> None:
    for name, leader in leaders.items():
        if leader == old:
            leaders[name] = new


def _is_ranked(name: str, flow: TensorFlow) -> bool:
    """Whether a tensor reaches a Sigmoid, a Softmax or an output, only its shape being changed."""
    if name in flow.outputs:
        return True
    for reader in flow.read_by(name):
        if reader.op_type in _RANKING:
            return True
        if reader.op_type in _SHAPING and any(_is_ranked(out, flow) for out in reader.output):
            return True
    return False
