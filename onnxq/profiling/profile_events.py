"""onnxruntime's profile: a file of events, read as what ran when and for how long."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from onnxq.measurements import COMPILED_SUFFIX
from onnxq.providers import DEFAULT_PROVIDER, PROVIDERS

_NODE = "Node"
_KERNEL_SUFFIX = "_kernel_time"
_RUN = "model_run"
_PART_NUMBER = re.compile(rf"(?<={COMPILED_SUFFIX})_\d+$")
"""Of ``OpenVINO-EP-subgraph_1``."""


TypeShapes: TypeAlias = tuple[dict[str, tuple[int, ...]], ...]


class NodeArgs(Struct, frozen=True):
    """What an event tells of a node; the file tells more.

    Attributes:
        op_name: The operator's type.
        provider: Who ran it, as onnxruntime names it.
        input_type_shape: Of each tensor that it read, its type and its shape as the one key and
            value of a dictionary; tensors that are missing, and weights that onnxruntime packed,
            have no entry.
        output_type_shape: The same of what it wrote.
    """

    op_name: str = ""
    provider: str = PROVIDERS[DEFAULT_PROVIDER]
    input_type_shape: TypeShapes = ()
    output_type_shape: TypeShapes = ()


class ProfileEvent(Struct, frozen=True):
    """An event of onnxruntime's profile; the file holds more than this.

    Attributes:
        cat: ``Node`` for operators, ``Session`` for whole runs.
        name: The node's name and what was timed, or ``model_run``.
        ts: Start, microseconds.
        dur: Microseconds.
        args: Of nodes.
    """

    cat: str
    name: str
    ts: int = 0
    dur: int = 0
    args: NodeArgs = NodeArgs()

    @property
    def end(self) -> int:
        """End, microseconds."""
        return self.ts + self.dur


def read_profile(path: Path) -> tuple[ProfileEvent, ...]:
    """Read the events of a profile.

    Args:
        path: As ``end_profiling`` of a session returns it.
    """
    return msgspec.json.decode(path.read_bytes(), type=tuple[ProfileEvent, ...])


def node_name(event: ProfileEvent) -> str:
    """Return the name of the node that a kernel's event is of."""
    return event.name.removesuffix(_KERNEL_SUFFIX)


def tensors(told: TypeShapes) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return the type and the shape of each tensor that an event tells of.

    Args:
        told: As it stands in the event.
    """
    return tuple(pair for one in told for pair in one.items())


def operator_of(event: ProfileEvent) -> str:
    """Name an operator; the parts of a graph that a provider compiles lose their numbers."""
    operator = event.args.op_name
    if event.args.provider == PROVIDERS[DEFAULT_PROVIDER]:
        return operator
    return _PART_NUMBER.sub("", operator)


def times_of_runs(events: Iterable[ProfileEvent]) -> dict[tuple[str, str], list[float]]:
    """Sum what each node took in each run.

    Args:
        events: Of a profile.

    Returns:
        Microseconds, one number a run, by a node's name and its operator, in the order in which
        nodes first ran. The time of an operator that holds others (``If``, ``Loop``, ``Scan``) is
        without theirs.
    """
    events = tuple(events)
    starts = _starts(events)
    times: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(starts))
    for event, own_us, _ in _nested(_kernel_events(events)):
        run = bisect_right(starts, event.ts) - 1
        times[node_name(event), operator_of(event)][run] += own_us
    return dict(times)


def last_run(events: Iterable[ProfileEvent]) -> list[tuple[ProfileEvent, bool]]:
    """Return the events of kernels in the last run, and whether each lies within another.

    Args:
        events: Of a profile.
    """
    events = tuple(events)
    start = _starts(events)[-1]
    kernels = (event for event in _kernel_events(events) if event.ts >= start)
    return [(event, is_inner) for event, _, is_inner in _nested(kernels)]


def _starts(events: Iterable[ProfileEvent]) -> list[int]:
    return sorted(event.ts for event in events if event.name == _RUN)


def _kernel_events(events: Iterable[ProfileEvent]) -> list[ProfileEvent]:
    """Return the events that time kernels; a profile holds others of the same nodes."""
    return [e for e in events if e.cat == _NODE and e.name.endswith(_KERNEL_SUFFIX)]


def _nested(events: Iterable[ProfileEvent]) -> list[tuple[ProfileEvent, int, bool]]:
    """Return each event, its microseconds less those right inside it, and whether it is inside."""
    ordered = sorted(events, key=lambda event: (event.ts, -event.dur))
    own = [event.dur for event in ordered]
    inner = [False] * len(ordered)
    around: list[int] = []
    for number, event in enumerate(ordered):
        while around and not _holds(ordered[around[-1]], event):
            around.pop()
        if around:
            own[around[-1]] -= event.dur
            inner[number] = True
        around.append(number)
    return list(zip(ordered, own, inner, strict=True))


def _holds(outer: ProfileEvent, inner: ProfileEvent) -> bool:
    """Tell whether one event lies within another that does not start after it."""
    return inner.ts < outer.end and inner.end <= outer.end
