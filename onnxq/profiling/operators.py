"""The stage that times the operators of the graph that onnxruntime really runs."""

import re
import statistics
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from onnxq.events import Tell
from onnxq.integer_tensors import quantize_feeds
from onnxq.measurements import COMPILED_SUFFIX, OperatorTime
from onnxq.providers import DEFAULT_PROVIDER, PROVIDERS
from onnxq.runtime import count_left_nodes, name_failures, open_session, session_options
from onnxq.stages import ProfileOperatorsRequest, ProfileOperatorsResult

_NODE = "Node"
_KERNEL_SUFFIX = "_kernel_time"
_RUN = "model_run"
_NS_PER_US = 1000.0
_PART_NUMBER = re.compile(rf"(?<={COMPILED_SUFFIX})_\d+$")
"""Of ``OpenVINO-EP-subgraph_1``."""


class ProfileEvent(Struct, frozen=True):
    """An event of onnxruntime's profile; the file holds more than this.

    Attributes:
        cat: ``Node`` for operators, ``Session`` for whole runs.
        name: The node's name and what was timed, or ``model_run``.
        ts: Start, microseconds.
        dur: Microseconds.
        args: Of nodes: ``op_name`` is the operator's type.
    """

    cat: str
    name: str
    ts: int = 0
    dur: int = 0
    args: dict[str, object] = {}

    @property
    def end(self) -> int:
        """End, microseconds."""
        return self.ts + self.dur


def profile_operators(
    request: ProfileOperatorsRequest,
    folder: Path,
    tell: Tell,  # noqa: ARG001 - the signature of a stage
) -> ProfileOperatorsResult:
    """Time operators with onnxruntime's own profiler, at one thread.

    The profiler itself takes some microseconds a node, which its times contain: they say where
    the time goes, not how much of it there is.

    Args:
        request: The model, the rows of one inference, and how often to run it.
        folder: Where the profile is written; it is removed.
        tell: Not told anything.

    Returns:
        Operator types of the optimized graph, longest first.

    Raises:
        InferenceError: If the model cannot be loaded, or a run fails.
    """
    options = session_options()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = open_session(request.model.path, options, provider=request.provider)
    rows = {name: np.load(path) for name, path in request.inputs.items()}
    inputs = quantize_feeds(rows, request.io)
    with name_failures(request.model.path, inputs):
        for _ in range(request.runs + 1):  # the first is dropped
            session.run(None, inputs)
    profile = Path(session.end_profiling())
    events = msgspec.json.decode(profile.read_bytes(), type=list[ProfileEvent])
    profile.unlink()
    return ProfileOperatorsResult(
        operators=sum_operators(events),
        fallback_share=fallback_share(request.model.path, request.provider),
    )


def fallback_share(model: str, provider: str) -> float:
    """Return the share of a model's nodes that the default provider runs instead of another.

    The profile would not tell: what a provider compiles is one node there, however many nodes of
    the model it stands for.

    Args:
        model: Path of an ``.onnx`` file.
        provider: Who was asked for.

    Returns:
        0 to 1, of the nodes that :func:`onnxq.runtime.count_left_nodes` counts; 0 for the default
        provider itself, and for a model without nodes.

    Raises:
        InferenceError: If the model cannot be loaded.
    """
    if provider == DEFAULT_PROVIDER:
        return 0.0
    left, total = count_left_nodes(model, provider)
    return left / max(total, 1)


def sum_operators(events: Iterable[ProfileEvent]) -> tuple[OperatorTime, ...]:
    """Sum a profile by operator type.

    Args:
        events: Of two runs or more. The first is dropped, since it allocates; of the others the
            median counts, so that one that was disturbed does not.

    Returns:
        Operator types, longest first. The time of an operator that holds others (``If``,
        ``Loop``, ``Scan``) is without theirs.
    """
    events = tuple(events)
    starts = sorted(event.ts for event in events if event.name == _RUN)
    runs = len(starts)
    totals: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * runs)
    names: defaultdict[str, set[str]] = defaultdict(set)
    kernels = [e for e in events if e.cat == _NODE and e.name.endswith(_KERNEL_SUFFIX)]
    for event, own_us in _own_times(kernels):
        operator = _operator(event)
        totals[operator][bisect_right(starts, event.ts) - 1] += own_us
        names[operator].add(event.name)
    times = {name: _NS_PER_US * statistics.median(own[1:]) for name, own in totals.items()}
    total = sum(times.values()) or 1.0
    rows = [
        OperatorTime(operator=name, count=len(names[name]), ns=ns, share=ns / total)
        for name, ns in times.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.ns, row.operator)))


def _operator(event: ProfileEvent) -> str:
    """Name an operator; the parts of a graph that a provider compiles are numbered, and summed."""
    operator = str(event.args.get("op_name", ""))
    default = PROVIDERS[DEFAULT_PROVIDER]
    if event.args.get("provider", default) == default:
        return operator
    return _PART_NUMBER.sub("", operator)


def _own_times(events: Iterable[ProfileEvent]) -> list[tuple[ProfileEvent, int]]:
    """Return each event with its time less that of the events right inside it, microseconds."""
    ordered = sorted(events, key=lambda event: (event.ts, -event.dur))
    own = [event.dur for event in ordered]
    around: list[int] = []
    for number, event in enumerate(ordered):
        while around and not _holds(ordered[around[-1]], event):
            around.pop()
        if around:
            own[around[-1]] -= event.dur
        around.append(number)
    return list(zip(ordered, own, strict=True))


def _holds(outer: ProfileEvent, inner: ProfileEvent) -> bool:
    """Tell whether one event lies within another that does not start after it."""
    return inner.ts < outer.end and inner.end <= outer.end
