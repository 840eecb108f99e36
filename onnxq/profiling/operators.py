"""The stage that times the operators of the graph that onnxruntime really runs, and audits it."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from onnxq.audits import Audit, NotAudited
from onnxq.errors import InferenceError
from onnxq.events import Tell
from onnxq.integer_tensors import quantize_feeds
from onnxq.measurements import NodeTime, OperatorTime
from onnxq.profiling.auditing import audit_run
from onnxq.profiling.environment import own_target
from onnxq.profiling.profile_events import ProfileEvent, read_profile, times_of_runs
from onnxq.providers import DEFAULT_PROVIDER
from onnxq.runtime import (
    SessionOptions,
    count_left_nodes,
    name_failures,
    open_session,
    session_options,
    write_optimized_to,
)
from onnxq.stages import ProfileOperatorsRequest, ProfileOperatorsResult

_NS_PER_US = 1000.0
_DUMPED = "optimized.onnx"


def profile_operators(
    request: ProfileOperatorsRequest,
    folder: Path,
    tell: Tell,  # noqa: ARG001 - the signature of a stage
) -> ProfileOperatorsResult:
    """Time operators with onnxruntime's own profiler, at one thread, and audit what ran.

    The profiler itself takes some microseconds a node, which its times contain: they say where
    the time goes, not how much of it there is.

    Args:
        request: The model, the rows of one inference, and how often to run it.
        folder: Where the profile and the optimized graph are written; they are removed.
        tell: Not told anything.

    Returns:
        Operator types of the optimized graph, longest first, and its nodes. Of another provider
        than the default one there is no audit: it does not tell what it runs.

    Raises:
        InferenceError: If the model cannot be loaded, or a run fails.
    """
    options = session_options()
    dumped = folder / _DUMPED
    unaudited = ""
    if request.provider == DEFAULT_PROVIDER:
        write_optimized_to(options, dumped)
    else:
        unaudited = f"{request.provider} does not tell what it runs"
    try:
        events = _profile(request, folder, options)
    except InferenceError as error:
        if unaudited:
            raise
        # What can be run, but not written, is timed all the same.
        unaudited = error.message
        events = _profile(request, folder, session_options())
    nodes = time_nodes(events)
    audit: Audit = NotAudited(reason=unaudited)
    if not unaudited:
        signed_is_fast = own_target().name == "arm64"
        model = Path(request.model.path)
        audit, nodes = audit_run(dumped, model, events, nodes, signed_is_fast=signed_is_fast)
    for path in folder.glob(f"{_DUMPED}*"):
        path.unlink()
    return ProfileOperatorsResult(
        operators=sum_operators(events),
        nodes=nodes,
        audit=audit,
        fallback_share=fallback_share(request.model.path, request.provider),
    )


def _profile(
    request: ProfileOperatorsRequest, folder: Path, options: SessionOptions
) -> tuple[ProfileEvent, ...]:
    """Run a model with the profiler on; the profile is read and removed."""
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = open_session(request.model.path, options, provider=request.provider)
    rows = {name: np.load(path) for name, path in request.inputs.items()}
    inputs = quantize_feeds(rows, request.io)
    with name_failures(request.model.path, inputs):
        for _ in range(request.runs + 1):  # the first is dropped
            session.run(None, inputs)
    profile = Path(session.end_profiling())
    events = read_profile(profile)
    profile.unlink()
    return events


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
    totals: defaultdict[str, list[float]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for (_, operator), runs_us in times_of_runs(events).items():
        counts[operator] += 1
        others = totals[operator] or [0.0] * len(runs_us)
        totals[operator] = [one + other for one, other in zip(runs_us, others, strict=True)]
    times = {operator: _typical_ns(runs_us) for operator, runs_us in totals.items()}
    total = sum(times.values()) or 1.0
    rows = [
        OperatorTime(operator=name, count=counts[name], ns=ns, share=ns / total)
        for name, ns in times.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.ns, row.operator)))


def time_nodes(events: Iterable[ProfileEvent]) -> tuple[NodeTime, ...]:
    """Read a profile node by node.

    Args:
        events: As :func:`sum_operators` takes them.

    Returns:
        Nodes in the order in which they first ran, each with its own time.
    """
    return tuple(
        NodeTime(name=name, operator=operator, ns=_typical_ns(runs_us))
        for (name, operator), runs_us in times_of_runs(events).items()
    )


def _typical_ns(runs_us: list[float]) -> float:
    return _NS_PER_US * statistics.median(runs_us[1:])
