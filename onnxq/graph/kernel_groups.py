"""Which nodes of a model the kernels of onnxruntime's optimized graph stand for.

A kernel keeps the name of a node that it was made of, with something before or behind, or returns
a tensor of the model's. What it swallowed beside is told from the graph: activations belong to the
node that they come from, if that multiplies, everything else (a Conv in front of the Add that was
fused with it, the pieces of a LayerNormalization) to what reads it. Nodes that share a kernel in
one of several graphs form one group, so that the groups' times can be compared across graphs.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx

from onnxq.graph.operator_kinds import ABSORBED, MULTIPLIERS
from onnxq.graph.tensor_flow import TensorFlow, trace_tensors

SEAMS = frozenset({"QuantizeLinear", "DequantizeLinear"})
"""Where float and integer meet."""

_LAYOUT = frozenset({"Transpose", "ReorderInput", "ReorderOutput"})
_COPY = re.compile(r"(_token_\d+|/duplicated.*)+$")
_BEFORE = "fused "
_BLOCKED = "_nchwc"
"""Of a float kernel in blocked layout, which is named after the tensor that it returns."""

_RETURNED = re.compile(
    r"(_QuantizeLinear_Output|_DequantizeLinear_Output|_q_to_dq|_pre_q|/duplicated.*)+$"
)


@dataclass(frozen=True)
class KernelGroups:
    """Nodes of a model in groups; a node is named by its first output, which is unique.

    Attributes:
        group_of: Name of its group by node: one of the nodes in it.
        kernels: For each optimized graph, the group that each kernel belongs to, by the kernel's
            name; kernels at a seam between float and integer belong to none and are left out.
    """

    group_of: dict[str, str]
    kernels: tuple[dict[str, str], ...]

    def members(self) -> dict[str, tuple[str, ...]]:
        """Return the nodes of each group, in the order of the graph."""
        found: dict[str, list[str]] = {}
        for node, group in self.group_of.items():
            found.setdefault(group, []).append(node)
        return {group: tuple(nodes) for group, nodes in found.items()}


def group_kernels(source: onnx.GraphProto, optimized: Sequence[onnx.GraphProto]) -> KernelGroups:
    """Group a model's nodes by the kernels that run them.

    Args:
        source: The float model's graph.
        optimized: What onnxruntime runs of it, and of models that were quantized from it.

    Returns:
        The groups.
    """
    flow = trace_tensors(source)
    found = [_homes(flow, graph) for graph in optimized]
    links = [pair for homes, _ in found for pair in homes.items()]
    links += [(anchors[0], one) for _, kernels in found for anchors in kernels.values()
              for one in anchors[1:]]  # fmt: skip
    group_of = _join([node.output[0] for node in flow.nodes], links)
    return KernelGroups(
        group_of=group_of,
        kernels=tuple(
            {kernel: group_of[anchors[0]] for kernel, anchors in kernels.items()}
            for _, kernels in found
        ),
    )


def _homes(
    flow: TensorFlow, optimized: onnx.GraphProto
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return the node that each other node is run with, and the nodes of each kernel."""
    names = {node.name: node.output[0] for node in flow.nodes if node.name}
    tensors = {name: node.output[0] for node in flow.nodes for name in node.output if name}
    kernels = {node.name: _anchors(node, names, tensors) for node in optimized.node}
    kernels = {name: anchors for name, anchors in kernels.items() if anchors}
    anchored = {one for anchors in kernels.values() for one in anchors}
    kernels |= _carried(optimized, kernels)
    homes = {
        node.output[0]: home
        for node in flow.nodes
        if node.output[0] not in anchored
        if (home := _home(node, flow, anchored))
    }
    return homes, kernels


def _anchors(
    kernel: onnx.NodeProto, names: Mapping[str, str], tensors: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the node that a kernel is named after, or those whose results it returns."""
    if kernel.op_type in SEAMS:
        return ()
    name = _COPY.sub("", kernel.name).removeprefix(_BEFORE)
    if name.endswith(_BLOCKED) and name.removesuffix(_BLOCKED) in tensors:
        return (tensors[name.removesuffix(_BLOCKED)],)
    while name:  # onnxruntime's fusions append what they are: ``dense/MatMul/MatMulAddFusion``
        if name in names:
            return (names[name],)
        name = name.rpartition("/")[0]
    returned = (_RETURNED.sub("", output) for output in kernel.output)
    return tuple(dict.fromkeys(tensors[one] for one in returned if one in tensors))


def _carried(
    optimized: onnx.GraphProto, kernels: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Give kernels that stand for no node to what reads them, or else to what they read.

    Not those that change the layout at a seam: what a seam costs is reckoned apart.
    """
    flow = trace_tensors(optimized)
    found = dict(kernels)
    loose = [node for node in flow.nodes if node.name not in kernels and not _is_seam(node, flow)]
    for node in reversed(loose):
        readers = [reader for name in node.output for reader in flow.read_by(name)]
        heard = [found[reader.name] for reader in readers if reader.name in found]
        if heard:
            found[node.name] = heard[0][:1]
    for node in loose:
        made = [flow.producers[name] for name in node.input if name in flow.producers]
        heard = [found[producer.name] for producer in made if producer.name in found]
        if node.name not in found and heard:
            found[node.name] = heard[0][:1]
    return {name: anchors for name, anchors in found.items() if name not in kernels}


def _is_seam(node: onnx.NodeProto, flow: TensorFlow) -> bool:
    if node.op_type in SEAMS:
        return True
    if node.op_type not in _LAYOUT:
        return False
    around = [flow.producers[name] for name in node.input if name in flow.producers]
    around += [reader for name in node.output for reader in flow.read_by(name)]
    return any(one.op_type in SEAMS for one in around)


def _home(node: onnx.NodeProto, flow: TensorFlow, anchored: set[str]) -> str:
    """Return the anchored node that a swallowed one is run with; empty where there is none."""
    above = "" if node.op_type in MULTIPLIERS else _upstream(node, flow, anchored)
    is_tail = node.op_type in ABSORBED or (
        bool(above) and flow.producers[above].op_type in MULTIPLIERS
    )
    if above and is_tail:
        return above
    return _downstream(node, flow, anchored) or above


def _upstream(node: onnx.NodeProto, flow: TensorFlow, anchored: set[str]) -> str:
    """Return the nearest anchored node that a value comes from, not past one that multiplies."""
    waiting = deque([node])
    while waiting:
        for name in waiting.popleft().input:
            if name in flow.producers:
                producer = flow.producers[name]
                if producer.output[0] in anchored:
                    return producer.output[0]
                if producer.op_type not in MULTIPLIERS:
                    waiting.append(producer)
    return ""


def _downstream(node: onnx.NodeProto, flow: TensorFlow, anchored: set[str]) -> str:
    while readers := [reader for name in node.output for reader in flow.read_by(name)]:
        node = readers[0]
        if node.output[0] in anchored:
            return node.output[0]
    return ""


def _join(nodes: Iterable[str], links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Join linked nodes; a group is named after its first node."""
    leader = {node: node for node in nodes}
    order = {node: place for place, node in enumerate(leader)}

    def find(node: str) -> str:
        while leader[node] != node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    for one, other in links:
        first, last = sorted((find(one), find(other)), key=order.__getitem__)
        leader[last] = first
    return {node: find(node) for node in leader}
