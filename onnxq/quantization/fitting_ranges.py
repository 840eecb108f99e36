"""Whether ranges are those of a graph's activations: a file of them may have been edited.

onnxruntime 1.31 applies what fits by name and says nothing of the rest.
"""

import difflib
from collections.abc import Collection

import onnx

from onnxq.errors import UsageError
from onnxq.graph.qdq_edges import QdqEdges
from onnxq.ranges import TensorRange, TensorRanges

_AGAIN = "onnxq calibrate MODEL --calib DATA -o FOLDER"


def check_kept_float(graph: onnx.GraphProto, ranges: TensorRanges) -> None:
    """Refuse names of nodes that a graph does not have.

    Args:
        graph: A prepared float graph.
        ranges: For it.

    Raises:
        UsageError: OQ147, with a near miss.
    """
    by_name = {node.name: node.output[0] for node in graph.node}
    known = {*by_name.values(), *(value.name for value in graph.output)}
    unknown = [name for name in ranges.kept_float if name not in known]
    if unknown:
        meant = by_name.get(unknown[0], "") or _near(unknown[0], known)
        guess = f"Did you mean {meant!r}? " if meant else ""
        what = f"{_origin(ranges)} keeps {unknown[0]!r} float: no node has that as first output."
        hint = "Take it out of kept_float; to keep nodes float calibrate with --keep-float NODE."
        raise _refusal(what, f"{guess}{hint}")


def check_ranges(graph: onnx.GraphProto, edges: QdqEdges, ranges: TensorRanges) -> None:
    """Refuse ranges of other activations, and different ones where activations share a scale.

    Args:
        graph: A prepared float graph.
        edges: Its edges, found with the ranges' own ``kept_float``.
        ranges: For it.

    Raises:
        UsageError: OQ147, naming the tensor and what is wrong with it.
    """
    for name in ranges.ranges:
        if name not in edges.leaders:
            raise _extra(graph, edges, ranges, name)
    for name, leader in edges.leaders.items():
        if name not in ranges.ranges:
            raise _missing(ranges, name, leader)
        if ranges.ranges[name] != ranges.ranges.get(leader, ranges.ranges[name]):
            raise _unequal(ranges, name, leader)


def _extra(graph: onnx.GraphProto, edges: QdqEdges, ranges: TensorRanges, name: str) -> UsageError:
    tensors = {value.name for value in (*graph.input, *graph.output)}
    tensors |= {output for node in graph.node for output in node.output}
    if name in tensors:
        what = f"{_origin(ranges)} has a range for {name!r}, which stays float and needs none."
        kept = ", ".join(ranges.kept_float)
        hint = f"Take it out, or what keeps it float out of kept_float ({kept})."
        return _refusal(what, hint if kept else "Take it out.")
    missing = edges.leaders.keys() - ranges.ranges.keys()
    near = _near(name, missing)
    guess = f"Did you mean {near!r}? " if near else ""
    what = f"{_origin(ranges)} has a range for {name!r}, and the model has no such tensor."
    return _refusal(what, f"{guess}Take it out, or calibrate again:  {_AGAIN}")


def _missing(ranges: TensorRanges, name: str, leader: str) -> UsageError:
    what = f"{_origin(ranges)} has no range for {name!r}, which becomes integer and needs one."
    if leader in ranges.ranges:
        like = f"Add that of {leader!r}, with which it shares one scale: "
        return _refusal(what, f"{like}{_shown(ranges.ranges[leader])}.")
    return _refusal(what, f"Add it, or calibrate again:  {_AGAIN}")


def _unequal(ranges: TensorRanges, name: str, leader: str) -> UsageError:
    one, other = (_shown(ranges.ranges[tensor]) for tensor in (name, leader))
    what = (
        f"{_origin(ranges)} has different ranges for {name!r}, {one}, and {leader!r}, {other}: "
        "they share one scale."
    )
    return _refusal(what, "Give both the same range.")


def _shown(one: TensorRange) -> str:
    return f"[{one.low:.6g}, {one.high:.6g}]"


def _origin(ranges: TensorRanges) -> str:
    return ranges.origin or "the calibration"


def _near(name: str, known: Collection[str]) -> str:
    return next(iter(difflib.get_close_matches(name, sorted(known), 1)), "")


def _refusal(message: str, hint: str) -> UsageError:
    return UsageError(message, code="OQ147", hint=hint)
