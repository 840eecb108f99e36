"""Which nodes of a quantized model had better stay float: the cheapest cut of its graph.

Every group of nodes is float or integer, and costs its measured time as such; every tensor that
crosses from one to the other costs what a QuantizeLinear or DequantizeLinear and the change of
layout around it take. That is a cut of a flow network (Boykov, Veksler and Zabih 2001, Fast
Approximate Energy Minimization via Graph Cuts, section 4), and the cheapest one is found exactly.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import inf

import onnx

from onnxq.graph.kernel_groups import KernelGroups
from onnxq.graph.operator_kinds import ABSORBED, JOINING, MOVING
from onnxq.graph.tensor_flow import TensorFlow
from onnxq.minimum_cut import SINK, SOURCE, source_side

_OUTSIDE = "outside"
"""Of the graph, where everything is float: who makes its inputs and reads its outputs."""

_FLOAT_RESULT = frozenset({"Gemm", "MatMul"})
"""Operators whose integer kernels can return float at no cost."""

_FOLLOWING = ABSORBED | JOINING | MOVING
"""Operators that are integer only where what they read is."""


@dataclass(frozen=True)
class SeamCost:
    """What it costs to cross between float and integer.

    Attributes:
        fixed_ns: Of any tensor.
        ns_per_element: Of each of its elements, on top.
    """

    fixed_ns: float
    ns_per_element: float

    def of(self, elements: int) -> float:
        """Return what a tensor of so many elements costs, in nanoseconds."""
        return self.fixed_ns + self.ns_per_element * elements


@dataclass(frozen=True)
class TimedGraph:
    """A model whose nodes were timed as float and as integer ones; nodes go by first output.

    Attributes:
        flow: The edges of the float model.
        groups: Its nodes by the kernels that run them.
        integer: Nodes that the quantized model computes with integers.
        float_ns: Time of each group in the float model.
        integer_ns: Time of each group in the quantized model, crossings not counted.
        elements: Size of tensors by name; of others it is taken to be 0.
        seam: What crossing costs.
    """

    flow: TensorFlow
    groups: KernelGroups
    integer: frozenset[str]
    float_ns: Mapping[str, float]
    integer_ns: Mapping[str, float]
    elements: Mapping[str, int]
    seam: SeamCost

    @property
    def free(self) -> frozenset[str]:
        """Groups that may be float or integer; the others are float in any case."""
        return frozenset(self.groups.group_of[node] for node in self.integer)


@dataclass(frozen=True)
class Region:
    """Connected nodes that stay float.

    Attributes:
        nodes: Their first outputs, in the order of the graph.
        float_ns: What they take as float nodes.
        integer_ns: What they take as integers.
    """

    nodes: tuple[str, ...]
    float_ns: float
    integer_ns: float


@dataclass(frozen=True)
class Placement:
    """A choice of nodes that stay float.

    Attributes:
        regions: The nodes, of those alone that could be integer.
        ns: What the model is reckoned to take so.
        integer_ns: What it is reckoned to take with no region.
    """

    regions: tuple[Region, ...]
    ns: float
    integer_ns: float

    @property
    def nodes(self) -> tuple[str, ...]:
        """First outputs of all of them."""
        return tuple(node for region in self.regions for node in region.nodes)


def place_nodes(graph: TimedGraph, reluctance: float = 1.0) -> Placement:
    """Choose the nodes that stay float.

    Args:
        graph: With its times.
        reluctance: What crossings are taken to cost, as a multiple of what they are reckoned to:
            with more, fewer and larger regions stay float.

    Returns:
        The choice; no region where integers are nowhere slower by more than crossings cost.
    """
    edges = _edges(graph)
    floats = source_side(_network(graph, edges, reluctance)) & graph.free
    return Placement(
        regions=tuple(_region(graph, one) for one in _connected(graph, edges, floats)),
        ns=_reckon(graph, edges, floats),
        integer_ns=_reckon(graph, edges, frozenset()),
    )


@dataclass(frozen=True)
class _Edge:
    """A tensor between groups.

    Attributes:
        maker: The group that makes it.
        readers: The other groups that read it.
        to_integer_ns: What it costs if the maker is float and a reader is not.
        to_float_ns: What it costs the other way round.
    """

    maker: str
    readers: frozenset[str]
    to_integer_ns: float
    to_float_ns: float


def _edges(graph: TimedGraph) -> list[_Edge]:
    flow, group_of = graph.flow, graph.groups.group_of
    edges = []
    for name in dict.fromkeys((*flow.producers, *flow.readers)):
        producer = flow.producers.get(name)
        maker = group_of[producer.output[0]] if producer else _OUTSIDE
        readers = {group_of[node.output[0]] for node in flow.read_by(name)} - {maker}
        readers |= {_OUTSIDE} if name in flow.outputs else set()
        if readers and name not in flow.initializers:
            ns = graph.seam.of(graph.elements.get(name, 0))
            is_free = producer is not None and producer.op_type in _FLOAT_RESULT
            edges.append(_Edge(maker, frozenset(readers), ns, 0.0 if is_free else ns))
    return edges


def _network(
    graph: TimedGraph, edges: Iterable[_Edge], reluctance: float
) -> dict[tuple[str, str], float]:
    """Make a network of which a cheapest cut leaves the float groups on the source's side."""
    capacities: dict[tuple[str, str], float] = {(SOURCE, _OUTSIDE): inf}
    for group in graph.free:
        capacities[SOURCE, group] = graph.integer_ns.get(group, 0.0)
        capacities[group, SINK] = graph.float_ns.get(group, 0.0)
    fixed = set(graph.groups.group_of.values()) - graph.free
    capacities |= {(SOURCE, group): inf for group in fixed}
    for number, edge in enumerate(edges):
        # One QuantizeLinear serves all integer readers, one DequantizeLinear all float ones.
        quantized, dequantized = f"\0quantized {number}", f"\0dequantized {number}"
        capacities[edge.maker, quantized] = reluctance * edge.to_integer_ns
        capacities[dequantized, edge.maker] = reluctance * edge.to_float_ns
        for reader in edge.readers:
            capacities[quantized, reader] = inf
            capacities[reader, dequantized] = inf
    for node in graph.flow.nodes:
        group = graph.groups.group_of[node.output[0]]
        if node.op_type in _FOLLOWING and node.output[0] in graph.integer:
            capacities |= {(maker, group): inf for maker in _makers(graph, node.input) - {group}}
        if node.op_type in MOVING:
            capacities |= {(group, reader): inf for reader in _readers(graph, node) - {group}}
    return capacities


def _readers(graph: TimedGraph, node: onnx.NodeProto) -> set[str]:
    """Return the groups that may be integer and read what a node returns.

    They are integer only where a moving node is, which they read: onnxruntime 1.31 pulls a
    QuantizeLinear in front of one, to where an integer MaxPool may take ten times as long.
    """
    readers = {one.output[0] for name in node.output for one in graph.flow.read_by(name)}
    return {graph.groups.group_of[one] for one in readers} & graph.free


def _makers(graph: TimedGraph, names: Iterable[str]) -> set[str]:
    """Return the groups that may be integer and make some tensors."""
    made = {graph.flow.producers[name].output[0] for name in names if name in graph.flow.producers}
    return {graph.groups.group_of[node] for node in made} & graph.free


def _reckon(graph: TimedGraph, edges: Iterable[_Edge], floats: Collection[str]) -> float:
    """Add up times and crossings, if those groups are float which must be, and some others."""
    integer = graph.free.difference(floats)
    total = sum(graph.integer_ns.get(group, 0.0) for group in integer)
    total += sum(ns for group, ns in graph.float_ns.items() if group not in integer)
    for edge in edges:
        if edge.maker in integer and not edge.readers <= integer:
            total += edge.to_float_ns
        if edge.maker not in integer and edge.readers & integer:
            total += edge.to_integer_ns
    return total


def _connected(
    graph: TimedGraph, edges: Iterable[_Edge], floats: frozenset[str]
) -> list[tuple[str, ...]]:
    """Return groups that tensors connect, in the order of the graph."""
    leader = {group: group for group in floats}
    for edge in edges:
        met = [group for group in (edge.maker, *edge.readers) if group in floats]
        leaders = {leader[group] for group in met}
        for group in floats if len(leaders) > 1 else ():
            leader[group] = min(leaders) if leader[group] in leaders else leader[group]
    regions: dict[str, list[str]] = {}
    for group in dict.fromkeys(graph.groups.group_of.values()):
        if group in floats:
            regions.setdefault(leader[group], []).append(group)
    return [tuple(groups) for groups in regions.values()]


def _region(graph: TimedGraph, groups: Collection[str]) -> Region:
    return Region(
        nodes=tuple(
            node.output[0]
            for node in graph.flow.nodes
            if node.output[0] in graph.integer and graph.groups.group_of[node.output[0]] in groups
        ),
        float_ns=sum(graph.float_ns.get(group, 0.0) for group in groups),
        integer_ns=sum(graph.integer_ns.get(group, 0.0) for group in groups),
    )
