"""The stage that finds out where integers are slower than float, and what to try about it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from onnxq.events import Tell
from onnxq.graph.kernel_groups import KernelGroups, group_kernels
from onnxq.graph.model_files import load_proto
from onnxq.graph.placing import Placement, SeamCost, TimedGraph, place_nodes
from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.graph.seam_probes import PROBE_ELEMENTS, PROBE_INPUTS, write_seam_probes
from onnxq.graph.tensor_flow import TensorFlow, trace_tensors
from onnxq.integer_tensors import quantize_feeds
from onnxq.profiling.kernel_times import KernelTimes, profile_kernels
from onnxq.ranges import load_ranges
from onnxq.stages import FloatRegion, NodePlacement, PlaceRequest, PlaceResult

_RELUCTANCES = (1.0, 2.0, 4.0)
"""What crossings cost beside a QuantizeLinear depends on their neighbours and is not known before:
so the choice is made for several guesses, and measured."""

_LEAST_GAIN = 1.02
_GEMM = "QGemm"
_PROBE_SHARE = 0.1


def place(
    request: PlaceRequest,
    folder: Path,
    tell: Tell,  # noqa: ARG001 - the signature of a stage
) -> PlaceResult:
    """Choose nodes of a quantized model that are better left float.

    Args:
        request: Both models, and the rows of one inference.
        folder: Where profiles and optimized graphs are written.
        tell: Not told anything.

    Returns:
        At most three choices, each reckoned to be faster than none.

    Raises:
        InferenceError: If a model cannot be loaded, or a run fails.
    """
    graph, gemm_share = _time_graph(request, folder)
    outputs = graph.flow.outputs if request.scope.io != "float" else frozenset()
    names = {
        node.output[0]: node.name
        for node in graph.flow.nodes
        if outputs.isdisjoint(node.output)  # integer outputs stay integer
    }
    choices = [place_nodes(graph, reluctance) for reluctance in _RELUCTANCES]
    worth = [one for one in choices if one.nodes and one.integer_ns > _LEAST_GAIN * one.ns]
    different = {frozenset(one.nodes): one for one in reversed(worth)}
    kept = [one for nodes, one in different.items() if nodes < graph.integer]
    return PlaceResult(
        placements=tuple(_told(one, names) for one in sorted(kept, key=lambda one: one.ns)),
        is_float_faster=bool(worth) and not kept,
        gemm_share=gemm_share,
    )


def _time_graph(request: PlaceRequest, folder: Path) -> tuple[TimedGraph, float]:
    """Time both models and what stands at a seam; also returns QGemm's share of the time."""
    rows = {name: np.load(path) for name, path in request.inputs.items()}
    models = [(request.original.path, rows)]
    models.append((request.quantized.path, quantize_feeds(rows, request.io)))
    seconds = request.seconds * (1 - _PROBE_SHARE)
    timed = profile_kernels(models, _new_folder(folder, "models"), seconds=seconds)
    seam = _measure_seam(_new_folder(folder, "seam"), request.seconds * _PROBE_SHARE)
    source = load_proto(request.original.path).graph
    kept_float = load_ranges(request.ranges).kept_float
    flow = trace_tensors(source)
    optimized = [load_proto(one.graph).graph for one in timed]
    groups = group_kernels(source, optimized)
    float_ns, integer_ns = (
        _sum_groups(one, kernels) for one, kernels in zip(timed, groups.kernels, strict=True)
    )
    sizes = {name: array.size for name, array in rows.items()}
    graph = TimedGraph(
        flow=flow,
        groups=groups,
        integer=find_qdq_edges(source, request.scope, kept_float=kept_float).nodes,
        float_ns=float_ns,
        integer_ns=integer_ns,
        elements=sizes | _elements(flow, groups, timed),
        seam=seam,
    )
    gemms = (node.name for node in optimized[1].node if node.op_type == _GEMM)
    return graph, _share(timed[1], gemms)


def _told(placement: Placement, names: Mapping[str, str]) -> NodePlacement:
    regions = (
        FloatRegion(
            nodes={node: names[node] for node in region.nodes if node in names},
            float_ns=region.float_ns,
            integer_ns=region.integer_ns,
        )
        for region in placement.regions
    )
    return NodePlacement(
        regions=tuple(region for region in regions if region.nodes),
        gain=placement.integer_ns / placement.ns,
    )


def _share(timed: KernelTimes, kernels: Iterable[str]) -> float:
    return sum(timed.ns.get(name, 0.0) for name in kernels) / (sum(timed.ns.values()) or 1.0)


def _sum_groups(timed: KernelTimes, kernels: Mapping[str, str]) -> dict[str, float]:
    totals: defaultdict[str, float] = defaultdict(float)
    for kernel, group in kernels.items():
        totals[group] += timed.ns.get(kernel, 0.0)
    return dict(totals)


def _elements(
    flow: TensorFlow, groups: KernelGroups, timed: tuple[KernelTimes, ...]
) -> dict[str, int]:
    """Tell the size of each node's result by the largest that its group's kernels return."""
    largest: defaultdict[str, int] = defaultdict(int)
    for one, kernels in zip(timed, groups.kernels, strict=True):
        for kernel, group in kernels.items():
            largest[group] = max(largest[group], one.elements.get(kernel, 0))
    return {
        name: largest[groups.group_of[node.output[0]]]
        for node in flow.nodes
        for name in node.output
    }


def _new_folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def _measure_seam(folder: Path, seconds: float) -> SeamCost:
    """Time what stands at a seam, on a small and a large tensor."""
    probes = zip(write_seam_probes(folder), PROBE_INPUTS, strict=True)
    timed = profile_kernels(list(probes), folder, seconds=seconds)
    small_ns, large_ns = (sum(one.ns.values()) / 2 for one in timed)
    small, large = PROBE_ELEMENTS
    per_element = max(large_ns - small_ns, 0.0) / (large - small)
    return SeamCost(max(small_ns - per_element * small, 0.0), per_element)
