"""Ranges as scales can be made of them, and as they can stand for what they absorbed.

Calibrated ranges nearly are; those of a file that was edited by hand need not be. Zero must be
exact, so each includes it. A range does the clipping of a Relu or Clip that was absorbed, so it
lies within what that lets through.

What was zero throughout calibration, or too small to have a scale, is represented by any scale. It
still matters, because the bias of what reads the tensor is int32 in steps of ``s_x*s_w``:
onnxruntime 1.31 takes ``s_x = 1``, and small biases are rounded away. Here the range is [0, 1], or
so much narrower that the largest bias of each reader has 2^10 steps.
"""

from typing import TypeAlias

import numpy as np
import onnx
from onnx import numpy_helper

from onnxq.graph.edits import initializers_of
from onnxq.graph.gate_bounds import find_gate_bounds
from onnxq.graph.integer_nodes import activation_bounds
from onnxq.graph.operator_kinds import ABSORBED, WEIGHTED
from onnxq.graph.qdq_edges import QdqEdges
from onnxq.graph.tensor_flow import trace_tensors
from onnxq.ranges import LEAST_WIDTH, TensorRange

_STEPS = 2.0**10
_GRID = 255 * 127
_BIAS_SLOT = 2
_UNBOUNDED = (-np.inf, np.inf)

_Bounds: TypeAlias = tuple[float, float]
"""What a Relu or Clip lets through; infinite where it has no bound."""


def make_usable(
    graph: onnx.GraphProto,
    edges: QdqEdges,
    ranges: dict[str, TensorRange],
    *,
    is_symmetric: bool,
) -> dict[str, TensorRange]:
    """Give ranges the form that a quantizer relies on.

    Args:
        graph: Of the float model.
        edges: Its edges.
        ranges: Of each activation that needs one.
        is_symmetric: Whether they are to be symmetric about zero; then no Relu or Clip is absorbed.

    Returns:
        Ranges that include zero, each of at least :data:`~onnxq.ranges.LEAST_WIDTH`; equal ones
        that have one leader stay equal. Those that calibration chose are changed only where they
        have no width.
    """
    bounds = {} if is_symmetric else _bounds(graph, edges)
    fitting = {
        name: _fit(one, bounds.get(edges.leaders[name], _UNBOUNDED), is_symmetric=is_symmetric)
        for name, one in ranges.items()
    }
    dead = {name for name, one in fitting.items() if one.high - one.low < LEAST_WIDTH}
    if not dead:
        return fitting
    width = _width(graph, dead)
    return fitting | {
        name: _stand_in(width, bounds.get(edges.leaders[name], _UNBOUNDED), is_symmetric)
        for name in dead
    }


def _fit(one: TensorRange, bounds: _Bounds, *, is_symmetric: bool) -> TensorRange:
    low, high = min(0.0, max(one.low, bounds[0])), max(0.0, min(one.high, bounds[1]))
    top = max(-low, high)
    return TensorRange(-top, top) if is_symmetric else TensorRange(low, high)


def _stand_in(width: float, bounds: _Bounds, is_symmetric: bool) -> TensorRange:  # noqa: FBT001 - private
    """Return a range of some width, or of less within bounds, on their roomier side of zero."""
    low, high = bounds
    if is_symmetric:
        return TensorRange(-width, width)
    return (
        TensorRange(0.0, min(width, high)) if high >= -low else TensorRange(max(-width, low), 0.0)
    )


def _bounds(graph: onnx.GraphProto, edges: QdqEdges) -> dict[str, _Bounds]:
    """Return what absorbed Relu and Clip nodes, or gates, let through, by leader."""
    flow = trace_tensors(graph)
    found: dict[str, _Bounds] = find_gate_bounds(flow, edges)
    for node in flow.nodes:
        if node.op_type in ABSORBED and node.output[0] in edges.nodes:
            leader = edges.leaders[node.output[0]]
            low, high = found.get(leader, _UNBOUNDED)
            bounds = activation_bounds(node, flow)
            found[leader] = max(low, bounds[0]), min(high, bounds[1])
    return found


def _width(graph: onnx.GraphProto, dead: set[str]) -> float:
    """Return one width for all: ranges that are shared must stay equal."""
    constants = initializers_of(graph)
    width = 1.0
    for node in graph.node:
        reads = node.op_type in WEIGHTED and node.input[0] in dead
        if not reads or len(node.input) <= _BIAS_SLOT or node.input[_BIAS_SLOT] not in constants:
            continue
        weight, bias = (
            float(np.abs(numpy_helper.to_array(constants[node.input[slot]])).max(initial=0.0))
            for slot in (1, _BIAS_SLOT)
        )
        if weight > 0.0 and bias > 0.0:
            width = min(width, bias / weight * _GRID / _STEPS)
    return max(width, LEAST_WIDTH)
