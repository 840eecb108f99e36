"""A recurrent layer that starts from zeros is not given them.

Pattern: LSTM, GRU or RNN whose ``initial_h`` or ``initial_c`` is zeros: a constant, or what Expand,
ConstantOfShape and nodes that only move values make of one. Replacement: the input left out, which
the ONNX specification defines as zeros. Condition: none but that. Bit-exact. Why: the nodes that
compute the shape of the zeros go, six of sixteen in a tagger of two layers.
"""

import numpy as np
from onnx import ModelProto, NodeProto, numpy_helper

from onnxq.graph.edits import copy_of, drop_idle_nodes
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten
from onnxq.graph.tensor_flow import TensorFlow, trace_tensors

_STATES = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}
_MOVING = frozenset({
    "Expand", "Slice", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Tile", "Transpose", "Gather",
})  # fmt: skip


def drop_zero_states(proto: ModelProto) -> Rewritten:
    """Leave out the initial states of the top graph's recurrent layers where they are zeros.

    Args:
        proto: Any model; not changed.

    Returns:
        The model, and the names of the layers.
    """
    if not any(node.op_type in _STATES for node in proto.graph.node):
        return Rewritten(proto, ())
    dropped = copy_of(proto)
    flow = trace_tensors(dropped.graph)
    subjects = []
    for node in flow.nodes:
        slots = [s for s in _STATES.get(node.op_type, ()) if s < len(node.input) and node.input[s]]
        zeros = [slot for slot in slots if _is_zeros(node.input[slot], flow)]
        for slot in zeros:
            node.input[slot] = ""
        if zeros:
            _drop_empty_end(node)
            subjects.append(node.name)
    drop_idle_nodes(dropped.graph)
    return Rewritten(dropped if subjects else proto, tuple(subjects))


def _is_zeros(name: str, flow: TensorFlow) -> bool:
    node = flow.producers.get(name)
    while node is not None and node.op_type in _MOVING:
        name = node.input[0]
        node = flow.producers.get(name)
    if name in flow.initializers:
        return not np.any(numpy_helper.to_array(flow.initializers[name]))
    if node is None or node.op_type != "ConstantOfShape":
        return False
    return not any(np.any(numpy_helper.to_array(given.t)) for given in node.attribute)


def _drop_empty_end(node: NodeProto) -> None:
    while node.input and not node.input[-1]:
        del node.input[-1]


DROP_ZERO_STATES = Rewrite(
    "drop zero states",
    "bit-exact",
    "",
    drop_zero_states,
    why="the nodes that compute the shape of the zeros go: six of sixteen in an LSTM tagger",
)
