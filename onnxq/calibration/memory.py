"""What collecting statistics will take of memory, and how it is made to keep a cap.

Memory is counted beyond the resident size that the process had before: its *base*. While rows
run it is made of::

    statistics      of each tensor; twice or three times, where some are known already
    the session     weights, what onnxruntime makes of them, and more for a moment while it loads
    each thread     inputs, what one run holds anyway, the tensors of the pass, tables to count in

Only the last can be had for less: by fewer threads, and by watching fewer tensors in each of
several passes. What a session and a run take is measured: :mod:`onnxq.calibration.probing`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from onnxq.calibration.statistics import BINS
from onnxq.errors import LimitError

_COUNT_BYTES = 8 * BINS
_RUN_BYTES = 1 + 4 + 4 + 8
"""Of one tensor's statistics, for each run: seen, low, high, non-finite values."""

_MB = 10**6


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What collecting takes, as one run of the model told.

    Attributes:
        base_bytes: Resident size of the process before anything was done.
        preparing_bytes: Most memory while the model was prepared, before there are statistics.
        opening_bytes: Most memory while a session is opened.
        session_bytes: Memory of the open session.
        run_bytes: Memory that a run takes where nothing is watched.
        input_bytes: What it is fed.
        activation_bytes: All activations together, whether watched or not.
        counting_bytes: Memory that each thread counts with.
        tensor_bytes: Size of each tensor that is watched, in the order of the graph.
        run_seconds: Wall time of that run.
    """

    base_bytes: int
    preparing_bytes: int
    opening_bytes: int
    session_bytes: int
    run_bytes: int
    input_bytes: int
    activation_bytes: int
    counting_bytes: int
    tensor_bytes: Mapping[str, int]
    run_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CollectingPlan:
    """How statistics will be collected within a cap.

    Attributes:
        passes: The tensors of each pass over the rows, in the order of the graph.
        threads: Runs at the same time.
        cap_bytes: Memory that it is allowed.
        predicted_peak_bytes: Memory that it will take.
        base_bytes: Resident size of the process before; both are counted beyond it.
    """

    passes: tuple[tuple[str, ...], ...]
    threads: int
    cap_bytes: int
    predicted_peak_bytes: int
    base_bytes: int


def plan_collecting(
    probe: Probe, *, runs: int, cap_bytes: int, threads: int, copies: int = 1
) -> CollectingPlan:
    """Choose passes and threads such that the least time is spent within a cap.

    Every pass runs the model again, and threads share the runs: the time is that of a run, times
    passes over threads. So two threads in two passes are as quick as one thread in one pass, and
    take twice its CPU time; of equals the plan with fewer passes is chosen. Tensors that follow
    one another in the graph share a pass, so that only the last pass runs all of the model.

    Args:
        probe: What a run takes.
        runs: Of the model over all rows.
        cap_bytes: Most memory beyond the probe's base.
        threads: Most runs at the same time.
        copies: How many statistics of each tensor there are at a time: those that grow, and
            those that are known already, of a checkpoint or of other rows.

    Returns:
        The plan.

    Raises:
        LimitError: OQ185, if one tensor in one thread would already take more.
    """
    fixed = copies * statistics_bytes(len(probe.tensor_bytes), runs)
    plans = [
        _plan(probe, passes, fixed, cap_bytes, count)
        for count in range(max(1, min(threads, runs)), 0, -1)
        for passes in [_split(probe, _room(probe, cap_bytes - fixed, count))]
    ]
    fitting = [plan for plan in plans if plan.predicted_peak_bytes <= cap_bytes]
    if not fitting:
        raise _too_little(min(plan.predicted_peak_bytes for plan in plans), cap_bytes)
    return min(fitting, key=lambda plan: (len(plan.passes) / plan.threads, len(plan.passes)))


def statistics_bytes(tensors: int, runs: int) -> int:
    """Return what the statistics of some tensors take; a checkpoint copies one at a time."""
    return tensors * (_COUNT_BYTES + _RUN_BYTES * runs)


def _room(probe: Probe, left_bytes: int, threads: int) -> int:
    """Return how many bytes of tensors each thread may hold, at least."""
    return (left_bytes - probe.session_bytes) // threads - _thread_bytes(probe, 0)


def _thread_bytes(probe: Probe, held: int) -> int:
    """Return what a thread takes that watches tensors of so many bytes.

    They are held to the end of the run. As large a share of what a run holds anyway as they are
    of all activations is among them.
    """
    beside = probe.run_bytes * (1 - held / max(probe.activation_bytes, 1))
    return probe.input_bytes + probe.counting_bytes + held + math.ceil(beside)


def _split(probe: Probe, room: int) -> tuple[tuple[str, ...], ...]:
    """Fill passes one after the other; a tensor that is too large for any is alone in its own."""
    passes: list[list[str]] = []
    used = 0
    for name, size in probe.tensor_bytes.items():
        if not passes or used + size > room:
            passes.append([])
            used = 0
        passes[-1].append(name)
        used += size
    return tuple(map(tuple, passes))


def _plan(
    probe: Probe, passes: tuple[tuple[str, ...], ...], fixed: int, cap_bytes: int, threads: int
) -> CollectingPlan:
    held = (sum(probe.tensor_bytes[name] for name in names) for names in passes)
    each = max((_thread_bytes(probe, size) for size in held), default=0)
    running = probe.session_bytes + threads * each
    return CollectingPlan(
        passes=passes,
        threads=threads,
        cap_bytes=cap_bytes,
        predicted_peak_bytes=max(probe.preparing_bytes, fixed + max(probe.opening_bytes, running)),
        base_bytes=probe.base_bytes,
    )


def _too_little(needed_bytes: int, cap_bytes: int) -> LimitError:
    needed = math.ceil(needed_bytes / _MB)
    message = (
        f"calibrating takes {needed} MB, one activation and one run at a time: "
        f"{cap_bytes // _MB} MB are allowed."
    )
    hint = f"Allow more (--max-memory {needed}MB), or give smaller rows."
    return LimitError(message, code="OQ185", hint=hint)
