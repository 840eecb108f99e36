"""Which activations of a float graph need a range, and which of them share one.

onnxruntime's QDQ quantizer wants a range for every tensor that it puts between QuantizeLinear
and DequantizeLinear. Many of those ranges are one and the same:

* moving operators (MaxPool, Transpose, Reshape, …) hand on integers with the scale that they got;
* what Relu or Clip reads takes the range of their result, and the operator disappears;
* what a Concat alone reads takes the range of the result (:mod:`onnxq.graph.concat_sharing`).

So only the *leaders* have to be collected while calibrating, and in the place of a Concat its
parts (:mod:`onnxq.graph.concats`): whether they are alike enough for one scale shows only then.
Where they are not, the edges are found again with the Concat and its tail kept float. Where the
interface becomes integer, float inputs and outputs need ranges too, whatever reads or makes them.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import onnx

from onnxq.graph.concat_sharing import redirect, share_along_concat
from onnxq.graph.concats import ConcatJoin, find_border_joins, find_joins
from onnxq.graph.integer_nodes import IntegerNodes, find_integer_nodes
from onnxq.graph.operator_kinds import ABSORBED, MOVING, SHARES
from onnxq.graph.scoped_nodes import wish_for
from onnxq.graph.tensor_flow import TensorFlow, trace_tensors
from onnxq.range_methods import RangeMethod
from onnxq.ranges import TensorRange
from onnxq.scopes import EVERYTHING, AsRecipe, QuantizationScope, Quantize

_KNOWN_RANGES = {
    "Softmax": TensorRange(0.0, 1.0),
    "Sigmoid": TensorRange(0.0, 1.0),
    # A scale of 1/254 and a zero point of 1: 0, 1/2 and 1 lie on the grid, and 1 is where it ends.
    "HardSigmoid": TensorRange(-1 / 254, 1.0),
}


@dataclass(frozen=True)
class QdqEdges:
    """What a static QDQ recipe makes of a graph.

    Attributes:
        nodes: First outputs of the nodes that become integer.
        leaders: For each activation that needs a range, the one whose values decide it: itself
            or another one. In the order of the graph.
        left_float: Reason, by first output, for each node that could matter and stays float.
        interface: Inputs and outputs that become integer; empty where the interface stays float.
        at_border: Those of them that no integer node reads or makes: their ranges serve the
            interface alone.
        methods: Range method by leader, where a rule asks for another than the recipe's.
        fixed: Ranges that are known beforehand: outputs of Softmax, Sigmoid and HardSigmoid that
            become integer lie between 0 and 1, whatever the calibration rows show.
        joins: Concats whose parts get one scale, the last of the graph first.
    """

    nodes: frozenset[str]
    leaders: dict[str, str]
    left_float: dict[str, str]
    interface: frozenset[str] = frozenset()
    at_border: frozenset[str] = frozenset()
    methods: dict[str, RangeMethod] = field(default_factory=dict)
    fixed: dict[str, TensorRange] = field(default_factory=dict)
    joins: tuple[ConcatJoin, ...] = ()

    @property
    def collected(self) -> tuple[str, ...]:
        """Leaders: activations whose ranges are chosen, in the order of the graph."""
        leaders = set(self.leaders.values())
        return tuple(name for name in self.leaders if name in leaders)

    @property
    def observed(self) -> tuple[str, ...]:
        """Activations whose values must be seen while calibrating, in the order of the graph.

        Leaders and the parts of Concats; not a leader whose values are those of its parts, nor
        one whose range is known beforehand.
        """
        known = {join.leader for join in self.joins if join.is_sum} | self.fixed.keys()
        parts = [part for join in self.joins for part in join.parts]
        needed = (set(self.leaders.values()) - known) | set(parts)
        return tuple(name for name in dict.fromkeys((*self.leaders, *parts)) if name in needed)


def find_qdq_edges(
    graph: onnx.GraphProto,
    scope: QuantizationScope = EVERYTHING,
    *,
    kept_float: Collection[str] = (),
) -> QdqEdges:
    """Find out what a static QDQ recipe quantizes, and which ranges it needs.

    Args:
        graph: A prepared float graph (opset 13 up, float32, no quantized nodes).
        scope: What may become integer, the interface included.
        kept_float: First outputs of nodes, and outputs of the graph, that stay float because of
            what calibration saw.

    Returns:
        Its integer nodes and their edges; no nodes where nothing can be quantized.
    """
    flow = trace_tensors(graph)
    integer = find_integer_nodes(flow, scope, kept_float)
    leaders = _follow(flow, integer)
    joins = find_joins(flow, integer, leaders)
    share_along_concat(flow, integer, leaders)
    interface = _float_interface(graph, flow) if scope.io != "float" else frozenset()
    interface = interface.difference(kept_float)
    at_border = interface - leaders.keys()
    leaders = {name: name for name in _in_order(graph, at_border)} | leaders
    return QdqEdges(
        nodes=integer.names,
        leaders=leaders,
        left_float=integer.left_float,
        interface=interface,
        at_border=frozenset(at_border),
        methods=_methods(flow, integer, leaders, scope),
        fixed={
            name: _KNOWN_RANGES[flow.producers[name].op_type]
            for name in leaders.values()
            if name in flow.producers and flow.producers[name].op_type in SHARES
        },
        joins=(*find_border_joins(flow, at_border), *joins),
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
            redirect(leaders, leaders[node.input[0]], node.output[0])
    return leaders
