"""What an attention may not look at is forbidden by 60 below the rest, not by 3.4e38.

Pattern: ``Softmax(scores + mask)`` with a mask that goes down to -1e4 or lower. Replacement: the
mask ``M`` becomes ``max(M, max of its row - 60)``, once for all layers that share it; for a
constant mask another constant is stored. Condition: the Softmax is over the last axis; the mask is
the only one, for of two each may forbid what the other allows. Approximate: a forbidden score gets
a share below ``exp(spread - 60)``, which float32 cannot tell from 0 beside 1 while no forbidden
score exceeds the highest allowed one of its row by 40. A row where all is forbidden stays what it
was, for its maximum is as low. Why: ``exp`` of what is far below -87 returns subnormal numbers,
which onnxruntime's Softmax computes slowly on Intel: 690 against 430 us for an attention of 8 heads
over 128 tokens of which 28 are forbidden (1 thread, x86-64 with AVX512-VNNI). It has to be asked
for, and then changes the float model, too: else its gain would be told as that of integers.
"""

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from onnxq.graph.attention_masks import find_added_masks
from onnxq.graph.edits import copy_of, fresh_name, taken_names
from onnxq.graph.nodes import default_opset
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten
from onnxq.graph.tensor_flow import TensorFlow, trace_tensors

DEPTH = 60.0
"""Below the highest value of a row, in the unit of scores: a share of e^-60 is 9e-27."""

_AXES_ARE_INPUT = 18


def bound_attention_masks(proto: ModelProto) -> Rewritten:
    """Bound every mask of the top graph that is added in front of a Softmax.

    Args:
        proto: A model of opset 13 or above; not changed.

    Returns:
        The model, and the names of the nodes that add a mask.
    """
    if all(node.op_type != "Softmax" for node in proto.graph.node):
        return Rewritten(proto, ())
    bounded = copy_of(proto)
    taken = taken_names(bounded.graph)
    flow = trace_tensors(bounded.graph)
    made: dict[str, str] = {}
    subjects = []
    for mask in find_added_masks(flow):
        name = mask.add.input[mask.slot]
        if name not in made:
            made[name] = _bound(bounded, name, flow, taken)
        if made[name] != name:
            mask.add.input[mask.slot] = made[name]
            subjects.append(mask.add.name)
    return Rewritten(bounded if subjects else proto, tuple(subjects))


def _bound(proto: ModelProto, name: str, flow: TensorFlow, taken: set[str]) -> str:
    """Make a bounded mask; return its name, the old one where nothing was to be done."""
    if name in flow.initializers:
        values = numpy_helper.to_array(flow.initializers[name])
        least = values.max(axis=-1, keepdims=True) - np.float32(DEPTH)
        if np.all(values >= least):
            return name
        tensor = numpy_helper.from_array(np.maximum(values, least), _fresh(name, "bounded", taken))
        proto.graph.initializer.append(tensor)
        return str(tensor.name)
    highest, least, bounded = (
        _fresh(name, what, taken) for what in ("highest", "least", "bounded")
    )
    depth = numpy_helper.from_array(np.array(DEPTH, np.float32), _fresh(name, "depth", taken))
    proto.graph.initializer.append(depth)
    nodes = [
        _row_maximum(proto, name, highest, taken),
        helper.make_node("Sub", [highest, depth.name], [least], f"{least}_node"),
        helper.make_node("Max", [name, least], [bounded], f"{bounded}_node"),
    ]
    place = next(index for index, node in enumerate(proto.graph.node) if name in node.output)
    for offset, node in enumerate(nodes, start=1):
        proto.graph.node.insert(place + offset, node)
    return bounded


def _row_maximum(proto: ModelProto, name: str, output: str, taken: set[str]) -> NodeProto:
    """Make a ReduceMax over the last axis, as the opset of a model spells it."""
    if default_opset(proto) < _AXES_ARE_INPUT:
        return helper.make_node("ReduceMax", [name], [output], f"{output}_node", axes=[-1])
    axes = numpy_helper.from_array(np.array([-1], np.int64), _fresh(name, "axes", taken))
    proto.graph.initializer.append(axes)
    return helper.make_node("ReduceMax", [name, axes.name], [output], f"{output}_node")


def _fresh(name: str, what: str, taken: set[str]) -> str:
    return fresh_name(f"{name}_{what}", taken)


BOUND_ATTENTION_MASKS = Rewrite(
    "bound attention masks",
    "approximate",
    "what may not be looked at is forbidden by 60 below the highest of its row, because Softmax is "
    "slow where exp returns subnormal numbers",
    bound_attention_masks,
    why="Softmax is slow where exp underflows: 690 to 430 us for 28 forbidden tokens of 128",
    is_optional=True,
)
