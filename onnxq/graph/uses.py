"""What the activations of a graph are for, so far as their ranges should know."""

from collections import defaultdict

import numpy as np
import onnx

from onnxq.graph.clipping_gains import find_clipping_gains
from onnxq.graph.integer_nodes import activation_bounds
from onnxq.graph.operator_kinds import MOVING, SHARES
from onnxq.graph.qdq_edges import QdqEdges
from onnxq.graph.tails import tail_of
from onnxq.graph.tensor_flow import TensorFlow, trace_tensors
from onnxq.tensor_uses import TailKind, TensorUse

_UNBOUNDED = (-np.inf, np.inf)


def find_uses(
    graph: onnx.GraphProto, edges: QdqEdges, *, with_gains: bool = True
) -> dict[str, TensorUse]:
    """Find out what a range of each leader is chosen for.

    Args:
        graph: The prepared float graph that the edges are of.
        edges: Its leaders.
        with_gains: Whether clipping gains are wanted: all weights are read for them.

    Returns:
        By leader, in the order of the graph.
    """
    flow = trace_tensors(graph)
    gains = find_clipping_gains(flow) if with_gains else {}
    bounds = _find_bounds(flow)
    tails: defaultdict[str, set[TailKind]] = defaultdict(set)
    for name, leader in edges.leaders.items():
        tails[leader].add(tail_of(name, flow))
    shares = {node.output[0] for node in flow.nodes if node.op_type in SHARES}
    return {
        leader: TensorUse(
            _strictest(tails[leader]),
            gains.get(leader, 1.0),
            *bounds.get(leader, _UNBOUNDED),
            is_share=leader in shares,
        )
        for leader in edges.collected
    }


def _strictest(tails: set[TailKind]) -> TailKind:
    return "ranked" if "ranked" in tails else "sigmoid" if "sigmoid" in tails else "inner"


def _find_bounds(flow: TensorFlow) -> dict[str, tuple[float, float]]:
    """Bound tensors by the Clip that they come from, moved and concatenated as they may be."""
    bounds: dict[str, tuple[float, float]] = {}
    for node in flow.nodes:
        read = [bounds.get(name, _UNBOUNDED) for name in node.input]
        if node.op_type == "Clip" and _has_constant_bounds(node, flow):
            found = activation_bounds(node, flow)
        elif node.op_type == "Concat":
            found = min(low for low, _ in read), max(high for _, high in read)
        else:
            found = read[0] if node.op_type in MOVING else _UNBOUNDED
        bounds.update((name, found) for name in node.output)
    return bounds


def _has_constant_bounds(node: onnx.NodeProto, flow: TensorFlow) -> bool:
    return all(not name or name in flow.initializers for name in node.input[1:])
