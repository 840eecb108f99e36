"""Every node gets a name of its own.

Pattern: a node without a name, or with the name of another node. Replacement: the same node under
``OpType_i``. Bit-exact. Why: onnxruntime 1.31.1's quantizers find and leave out nodes by name, name
new nodes after them, and write models with two nodes of one name, which do not load; a report
names nodes.
"""

from onnx import ModelProto

from onnxq.graph.edits import copy_of, fresh_name, taken_names
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten


def name_nodes(proto: ModelProto) -> Rewritten:
    """Name unnamed nodes, and all but the first of those that share a name.

    Args:
        proto: Any model; not changed.

    Returns:
        The model, and the new names.
    """
    named = copy_of(proto)
    taken = taken_names(named.graph)
    seen: set[str] = set()
    names = []
    for node in walk_nodes(named.graph):
        if not node.name or node.name in seen:
            node.name = fresh_name(node.name or node.op_type, taken)
            names.append(node.name)
        seen.add(node.name)
    return Rewritten(named if names else proto, tuple(names))


NAME_NODES = Rewrite(
    "name nodes",
    "bit-exact",
    "",
    name_nodes,
    why="onnxruntime's quantizers choose nodes by their names",
)
