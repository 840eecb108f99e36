"""Auditing: the graph that onnxruntime really runs, beside a profile of the very same session."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from onnxq.audits import AddedNode, Island, RuntimeAudit, SlowKernel
from onnxq.graph import load_graph
from onnxq.graph.added_nodes import find_added, why_added
from onnxq.graph.blocked_channels import count_unpadded
from onnxq.graph.float_causes import explain_region
from onnxq.graph.float_islands import Edges, Region, find_regions, trace_edges
from onnxq.graph.kernel_origins import Origins, find_origins
from onnxq.graph.running_graph import Kernel, RunningGraph, Seen, read_running_graph
from onnxq.graph.slow_kernels import why_slow
from onnxq.measurements import NodeTime
from onnxq.profiling.profile_events import ProfileEvent, last_run, node_name, operator_of, tensors


@dataclass(frozen=True, eq=False)
class _Run:
    """A run as it is audited: the graph, where it came from, its edges and its times."""

    graph: RunningGraph
    origins: Origins
    edges: Edges
    times: Mapping[tuple[str, str], float]
    signed_is_fast: bool

    def ns(self, *kernels: Kernel) -> float:
        """Return the time of kernels per inference."""
        return sum(self.times.get(kernel.key, 0.0) for kernel in kernels)


def audit_run(
    dumped: Path,
    source: Path,
    events: Sequence[ProfileEvent],
    nodes: Sequence[NodeTime],
    *,
    signed_is_fast: bool,
) -> tuple[RuntimeAudit, tuple[NodeTime, ...]]:
    """Audit the graph of a session by what it wrote and what it profiled.

    Args:
        dumped: The optimized graph as the session wrote it.
        source: The model that the session was made of.
        events: Of its profile.
        nodes: Times by node, from the same profile.
        signed_is_fast: Whether this kind of CPU has fast kernels for int8 activations.

    Returns:
        What was found, and the nodes with what each stands for and what it computes.
    """
    given, padded = load_graph(source), read_running_graph(dumped, seen_nodes(events))
    graph, origins = count_unpadded(padded, find_origins(given, padded.kernels), given)
    run = _Run(
        graph=graph,
        origins=origins,
        edges=trace_edges(graph),
        times={(node.name, node.operator): node.ns for node in nodes},
        signed_is_fast=signed_is_fast,
    )
    audit = RuntimeAudit(
        kernels=len(graph.kernels),
        macs=sum(kernel.macs for kernel in graph.kernels),
        integer_macs=sum(k.macs for k in graph.kernels if k.arithmetic == "integer"),
        ns=sum(run.times.values()),
        islands=_islands(run),
        added=_added(run),
        slow=_slow(run),
        unmatched=graph.unmatched,
    )
    return audit, _told(run, nodes)


def _told(run: _Run, nodes: Iterable[NodeTime]) -> tuple[NodeTime, ...]:
    """Give nodes what their kernels are; nodes without names in two bodies may share one."""
    kernels: defaultdict[tuple[str, str], list[Kernel]] = defaultdict(list)
    for kernel in run.graph.kernels:
        kernels[kernel.key].append(kernel)
    return tuple(_node(run, node, kernels[node.name, node.operator]) for node in nodes)


def _node(run: _Run, node: NodeTime, kernels: Sequence[Kernel]) -> NodeTime:
    if not kernels:
        return node
    covered = (name for kernel in kernels for name in run.origins.names(kernel))
    return replace(
        node,
        covers=tuple(dict.fromkeys(covered)),
        macs=sum(kernel.macs for kernel in kernels),
        arithmetic=kernels[0].arithmetic,
    )


def seen_nodes(events: Iterable[ProfileEvent]) -> tuple[Seen, ...]:
    """Read what each node read and wrote in the last run of a profile, in the order of running.

    Args:
        events: Of the profile.
    """
    return tuple(
        Seen(
            name=node_name(event),
            operator=operator_of(event),
            inputs=tensors(event.args.input_type_shape),
            outputs=tensors(event.args.output_type_shape),
            is_inner=is_inner,
        )
        for event, is_inner in last_run(events)
    )


def _islands(run: _Run) -> tuple[Island, ...]:
    counted: set[int] = set()  # a DequantizeLinear that two islands read is the first one's
    islands = [_island(run, region, counted) for region in find_regions(run.graph, run.edges)]
    return tuple(sorted(islands, key=lambda island: -island.ns))


def _island(run: _Run, region: Region, counted: set[int]) -> Island:
    cause = explain_region(region, run.edges, signed_is_fast=run.signed_is_fast)
    parts = (*region.kernels, *region.entries, *region.weights, *region.exits)
    own = [kernel for kernel in parts if id(kernel) not in counted]
    counted.update(map(id, own))
    return Island(
        place=region.place,
        nodes=tuple(kernel.name for kernel in region.kernels),
        operators=_operators(region.kernels),
        reason=cause.reason,
        fix=cause.fix,
        macs=region.macs,
        ns=run.ns(*own),
    )


def _operators(kernels: Iterable[Kernel]) -> tuple[str, ...]:
    counts = Counter(kernel.node.op_type for kernel in kernels)
    return tuple(sorted(counts, key=lambda name: (-counts[name], name)))


def _added(run: _Run) -> tuple[AddedNode, ...]:
    return tuple(
        AddedNode(
            name=kernel.name,
            operator=kernel.node.op_type,
            reason=why_added(kernel, run.edges),
            ns=run.ns(kernel),
        )
        for kernel in find_added(run.graph, run.origins)
    )


def _slow(run: _Run) -> tuple[SlowKernel, ...]:
    if run.signed_is_fast:  # what is slow is known of x86 alone
        return ()
    causes = [(kernel, why_slow(kernel, run.edges)) for kernel in run.graph.kernels]
    return tuple(
        SlowKernel(
            name=kernel.name,
            operator=kernel.node.op_type,
            reason=cause.reason,
            fix=cause.fix,
            macs=kernel.macs,
            ns=run.ns(kernel),
        )
        for kernel, cause in causes
        if cause is not None
    )
