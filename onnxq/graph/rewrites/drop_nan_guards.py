"""Nothing looks for NaN behind a Softmax that cannot return any.

Pattern: ``Where(IsNaN(p), 0, p)`` with ``p = Softmax(scores + mask)``, as torch 2.13 exports
``scaled_dot_product_attention`` with a mask of booleans. Replacement: ``p``. Condition: the mask is
the only one and made of finite constants, as torch writes the lowest float32 for what is forbidden;
a mask with -inf keeps its guard. Real-exact, and of finite scores the very same bits; scores of a
network that overflows come out as NaN, no longer as 0. Why: two passes over all scores, 115 us of
690 for an attention of 8 heads over 128 tokens (1 thread, x86-64 with AVX512-VNNI).
"""

import math

from onnx import ModelProto, NodeProto

from onnxq.graph.attention_masks import find_added_masks
from onnxq.graph.edits import copy_of, drop_idle_nodes, interface_names, scalar_of, uses_of
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten
from onnxq.graph.tensor_flow import TensorFlow, trace_tensors


def drop_nan_guards(proto: ModelProto) -> Rewritten:
    """Take guards off the Softmax of every attention of the top graph with a finite mask.

    Args:
        proto: Any model; not changed.

    Returns:
        The model, and the names of the Softmax nodes that lost their guard.
    """
    if all(node.op_type != "IsNaN" for node in proto.graph.node):
        return Rewritten(proto, ())
    dropped = copy_of(proto)
    flow = trace_tensors(dropped.graph)
    kept = interface_names(dropped.graph) | flow.kept
    uses = uses_of(dropped.graph)
    subjects = []
    for mask in find_added_masks(flow):
        guard = _guard(mask.softmax.output[0], flow) if math.isfinite(mask.lowest) else None
        if guard is None or guard.output[0] in kept:
            continue
        for use in uses.get(guard.output[0], ()):
            use.node.input[use.slot] = mask.softmax.output[0]
        dropped.graph.node.remove(guard)
        subjects.append(mask.softmax.name)
    drop_idle_nodes(dropped.graph)
    return Rewritten(dropped if subjects else proto, tuple(subjects))


def _guard(shares: str, flow: TensorFlow) -> NodeProto | None:
    """Find the Where that puts 0 in the place of NaN."""
    for test in flow.read_by(shares):
        if test.op_type != "IsNaN":
            continue
        for guard in flow.read_by(test.output[0]):
            if guard.op_type == "Where" and guard.input[0] == test.output[0]:
                zero = scalar_of(flow.initializers.get(guard.input[1]))
                if zero == 0.0 and guard.input[2] == shares:
                    return guard
    return None


DROP_NAN_GUARDS = Rewrite(
    "drop NaN guards",
    "real-exact",
    "",
    drop_nan_guards,
    why="a Softmax over a finite mask returns no NaN: 115 us of 690 for 8 heads over 128 tokens",
)
