"""What need not be told apart in front of a HardSigmoid.

Below ``-beta / alpha`` a HardSigmoid is 0 and above ``(1 - beta) / alpha`` it is 1, whatever it
reads. Where nothing else reads that tensor its grid may end there. In HardSwish,
``x * HardSigmoid(x)``, the lower end may: below it the product is 0. Finer steps are the gain, and
that the gate is not carried beyond 0 (:mod:`onnxq.graph.rewrites.requantize_hard_sigmoid`).
"""

import numpy as np
from onnx import NodeProto

from onnxq.graph.edits import attribute_float
from onnxq.graph.qdq_edges import QdqEdges
from onnxq.graph.tensor_flow import TensorFlow

_ALPHA, _BETA = 0.2, 0.5


def find_gate_bounds(flow: TensorFlow, edges: QdqEdges) -> dict[str, tuple[float, float]]:
    """Find tensors whose ends HardSigmoids make all the same.

    Args:
        flow: The edges of a float graph.
        edges: What of it becomes integer.

    Returns:
        Bounds by leader; infinite where there is none.
    """
    followers = [leader for name, leader in edges.leaders.items() if name != leader]
    return {
        node.input[0]: _bounds(node, is_factor=len(flow.read_by(node.input[0])) > 1)
        for node in flow.nodes
        if node.op_type == "HardSigmoid"
        and node.output[0] in edges.nodes
        and edges.leaders.get(node.input[0]) == node.input[0]
        and node.input[0] not in {*followers, *flow.kept}
        and all(_is_gated(reader, node) for reader in flow.read_by(node.input[0]))
    }


def _is_gated(reader: NodeProto, gate: NodeProto) -> bool:
    """Whether a reader of what a gate reads is the gate, or multiplies with it."""
    is_gate = reader.output[0] == gate.output[0]
    return is_gate or (
        reader.op_type == "Mul" and set(reader.input) == {gate.input[0], gate.output[0]}
    )


def _bounds(gate: NodeProto, *, is_factor: bool) -> tuple[float, float]:
    alpha, beta = attribute_float(gate, "alpha", _ALPHA), attribute_float(gate, "beta", _BETA)
    if alpha <= 0.0 or not 0.0 < beta < 1.0:
        return -np.inf, np.inf
    return -beta / alpha, np.inf if is_factor else (1.0 - beta) / alpha
