"""Bodies of If, Loop and Scan: what stands in them stays float, and a reader is told."""

from collections import Counter

import onnx

from onnxq.findings import Finding
from onnxq.graph.edits import subgraphs_of
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.operator_kinds import MULTIPLIERS
from onnxq.wording import count_noun

_TYPES_SHOWN = 3


def describe_bodies(graph: onnx.GraphProto) -> tuple[Finding, ...]:
    """Say which nodes have bodies that multiply, and that these stay float.

    Args:
        graph: Of a float model.

    Returns:
        One OQ404 for each If, Loop or Scan of the main graph that has such nodes inside.
    """
    found = []
    for node in graph.node:
        inside = [inner for body in subgraphs_of(node) for inner in walk_nodes(body)]
        kinds = Counter(inner.op_type for inner in inside if inner.op_type in MULTIPLIERS)
        if kinds:
            found.append(_body_finding(node, kinds, len(inside)))
    return tuple(found)


def _body_finding(node: onnx.NodeProto, kinds: Counter[str], nodes: int) -> Finding:
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(_TYPES_SHOWN))
    count = kinds.total()
    return Finding(
        code="OQ404",
        subject=node.name,
        message=(
            f"{count_noun(count, 'node')} that could matter ({listed}) in the body of "
            f"this {node.op_type} stay{'s' if count == 1 else ''} float, as do its tensors."
        ),
        evidence={"node": node.name, "type": node.op_type, "counted": count, "nodes": nodes},
        fix="Unroll it where the source is exported, if it takes much of the time.",
    )
