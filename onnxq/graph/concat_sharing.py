"""Ranges shared along Concats: what a Concat alone reads takes the range of its result.

It would be requantized to that scale at once, so a finer one costs time and a second rounding and
keeps nothing. Not so behind a Relu or Clip that was absorbed: there the range does the clipping,
and must not be wider.
"""

from collections.abc import Iterable

import numpy as np
import onnx

from onnxq.graph.integer_nodes import IntegerNodes, activation_bounds
from onnxq.graph.operator_kinds import ABSORBED, MOVING
from onnxq.graph.tensor_flow import TensorFlow

_UNBOUNDED = (-np.inf, np.inf)


def share_along_concat(flow: TensorFlow, integer: IntegerNodes, leaders: dict[str, str]) -> None:
    """Let what a Concat alone reads take the range of its result, the last Concat first.

    Args:
        flow: The edges of the graph.
        integer: Its integer nodes.
        leaders: Leader by quantized tensor; changed.
    """
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
                redirect(leaders, leaders[name], new)


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


def redirect(leaders: dict[str, str], old: str, new: str) -> None:
    """Give all that one leader leads to another.

    Args:
        leaders: Leader by tensor; changed.
        old: Leader until now.
        new: Leader from now on.
    """
    for name, leader in leaders.items():
        if leader == old:
            leaders[name] = new
