"""Nodes that hand on what they read are taken out.

Pattern: ``Identity``, and ``Cast`` to the type that is there already. Replacement: readers read
its input. Condition: the element type is known; an output of the graph keeps its writer.
Bit-exact. Why: exporters of PyTorch put a Cast or an Identity between QuantizeLinear and
DequantizeLinear; pairs are then not seen as pairs, by this package or by other runtimes.
"""

from onnx import ModelProto, NodeProto

from onnxq.graph.edits import attribute_int, captured_names, copy_of, element_types
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten


def drop_identities(proto: ModelProto) -> Rewritten:
    """Take nodes that change nothing out of the top graph.

    Args:
        proto: Any model; not changed.

    Returns:
        The model, and the names of what the nodes wrote.
    """
    types = element_types(proto)
    kept = {value.name for value in proto.graph.output} | captured_names(proto.graph)
    dropped = {
        node.output[0]: node.input[0]
        for node in proto.graph.node
        if _is_identity(node, types) and node.output[0] not in kept
    }
    if not dropped:
        return Rewritten(proto, ())
    copy = copy_of(proto)
    nodes = [node for node in copy.graph.node if not {*node.output} & dropped.keys()]
    left = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    for node in left:
        for slot, name in enumerate(node.input):
            source = name
            while source in dropped:
                source = dropped[source]
            node.input[slot] = source
    del copy.graph.node[:]
    copy.graph.node.extend(left)
    return Rewritten(copy, tuple(dropped))


def _is_identity(node: NodeProto, types: dict[str, int]) -> bool:
    if node.op_type == "Cast":
        return attribute_int(node, "to", 0) == types.get(node.input[0], -1)
    return node.op_type == "Identity"


DROP_IDENTITIES = Rewrite(
    "drop identities",
    "bit-exact",
    "",
    drop_identities,
    why="a Cast between QuantizeLinear and DequantizeLinear hides that they are a pair",
)
