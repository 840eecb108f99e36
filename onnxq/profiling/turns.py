"""What runs inside a child that is being timed: a model that waits for its turn.

One session at a time is open, so that a child holds the model once whatever the thread counts,
and opening waits for the first turn, so that nothing else computes while a model loads.
"""

import gc
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from onnxq.arrays import Array
from onnxq.integer_tensors import quantize_feeds
from onnxq.providers import DEFAULT_PROVIDER
from onnxq.runtime import Session, name_failures, open_session, session_options
from onnxq.stages import LatencyChildRequest, Turn, TurnTimes

WARM_UP_RUNS = 5
WARM_UP_NS = 100_000_000
"""Warming up ends here, be it after one run (two where the first may compile the model): a run
this long warms itself up."""

MOST_RUNS = 1000
"""Kept of a turn: more runs would only make its message longer."""

_KIB = 1024
_STATUS = Path("/proc/self/status")


def open_turns(
    request: LatencyChildRequest,
    folder: Path,  # noqa: ARG001 - the signature of a conversation
) -> Callable[[Turn], TurnTimes]:
    """Read the inputs, and answer turns.

    Args:
        request: The model and the rows of one inference.
        folder: Not written to.

    Returns:
        A function that runs one turn; the first turn of a thread count loads the model and warms
        it up before. It raises ``InferenceError`` where the model cannot be loaded or run.

    Raises:
        OSError: If an input cannot be read.
    """
    rows = {name: np.load(path) for name, path in request.inputs.items()}
    inputs = quantize_feeds(rows, request.io)
    current: tuple[int, Session, int] | None = None

    def answer(turn: Turn) -> TurnTimes:
        nonlocal current
        if current is None or current[0] != turn.threads:
            current = None  # closes the session before the next is opened
            current = (turn.threads, *_open_warm(request, inputs, turn.threads))
        _, session, load_ns = current
        with name_failures(request.model, inputs):
            wall, cpu = time_runs(lambda: session.run(None, inputs), turn, cpu_clock(request, turn))
        return TurnTimes(
            wall_ns=tuple(wall), cpu_ns=tuple(cpu), load_ns=load_ns, peak_bytes=peak_bytes()
        )

    return answer


def cpu_clock(request: LatencyChildRequest, turn: Turn) -> Callable[[], int]:
    """Choose the CPU clock that sees all of the work.

    The caller's own would miss the workers at several threads, and at one thread what a provider
    does in threads of its own, which would then look faster than it is. OpenVINO (of
    onnxruntime-openvino 1.24) computes in the calling thread at one thread, as the default
    provider does; others need not.

    Args:
        request: Who runs.
        turn: At how many threads.

    Returns:
        A clock, in ns: of the calling thread for the default provider at one thread, else of the
        process, in which nothing else computes.
    """
    alone = turn.threads == 1 and request.provider == DEFAULT_PROVIDER
    return time.thread_time_ns if alone else time.process_time_ns


def time_runs(
    run: Callable[[], object], turn: Turn, cpu_clock: Callable[[], int]
) -> tuple[list[int], list[int]]:
    """Time runs until a turn is over; the first is dropped, for it finds other caches.

    Args:
        run: Makes one inference.
        turn: How long, and how many runs at least; one that asks for no run has none.
        cpu_clock: From :func:`cpu_clock`.

    Returns:
        Wall and CPU time of each run that is kept, ns; :data:`MOST_RUNS` at most.
    """
    wall_clock = time.perf_counter_ns
    wall: list[int] = []
    cpu: list[int] = []
    if not turn.least_runs:
        return [], []
    collecting = gc.isenabled()
    gc.disable()
    try:
        end = wall_clock() + turn.budget_ns
        while len(wall) <= turn.least_runs or (wall_clock() < end and len(wall) <= MOST_RUNS):
            # The CPU clock is a system call, and the wall clock is not: it stands outside.
            cpu_start = cpu_clock()
            start = wall_clock()
            run()
            stop = wall_clock()
            cpu.append(cpu_clock() - cpu_start)
            wall.append(stop - start)
    finally:
        if collecting:
            gc.enable()
    return wall[1:], cpu[1:]


def peak_bytes() -> int:
    """Return the peak resident size of this process.

    Linux's ``ru_maxrss`` would not do: a child that was just started inherits its parent's.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM:"))
        return int(line.split()[1]) * _KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _open_warm(
    request: LatencyChildRequest, inputs: dict[str, Array], threads: int
) -> tuple[Session, int]:
    """Load a model and run it a few times; returns the wall time of loading, too."""
    start = time.perf_counter_ns()
    options = session_options(threads=threads)
    session = open_session(request.model, options, provider=request.provider)
    load_ns = time.perf_counter_ns() - start
    with name_failures(request.model, inputs):
        runs_ns = _warm_up(
            lambda: session.run(None, inputs),
            least_runs=1 if request.provider == DEFAULT_PROVIDER else 2,
        )
    return session, load_ns + late_load_ns(runs_ns)


def _warm_up(run: Callable[[], object], *, least_runs: int) -> list[int]:
    """Run a few times; returns the wall time of each."""
    wall_clock = time.perf_counter_ns
    end = wall_clock() + WARM_UP_NS
    runs_ns: list[int] = []
    while len(runs_ns) < WARM_UP_RUNS and (len(runs_ns) < least_runs or wall_clock() <= end):
        start = wall_clock()
        run()
        runs_ns.append(wall_clock() - start)
    return runs_ns


def late_load_ns(runs_ns: Sequence[int]) -> int:
    """Tell what loading left to the first run: what that took longer than the fastest after it.

    OpenVINO compiles a model whose batch is free once it has seen a batch.

    Args:
        runs_ns: Wall times of the first runs.

    Returns:
        Nanoseconds; 0 where there was one run only.
    """
    return max(0, runs_ns[0] - min(runs_ns[1:])) if len(runs_ns) > 1 else 0
