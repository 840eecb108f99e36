"""What runs inside a child that is being timed: sessions that wait for their turn."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from onnxq.arrays import Array
from onnxq.runtime import open_session, session_options
from onnxq.stages import LatencyChildRequest, Turn, TurnTimes

_WARM_UP_RUNS = 5
_KIB = 1024


def open_turns(request: LatencyChildRequest, folder: Path) -> Callable[[Turn], TurnTimes]:  # noqa: ARG001 - the signature of a conversation
    """Open one session per thread count, warm them up, and answer turns.

    Args:
        request: The model and the rows of one inference.
        folder: Not written to.

    Returns:
        A function that runs one turn. A turn drops its first run, which finds cold caches.
    """
    inputs = {name: np.load(path) for name, path in request.inputs.items()}
    sessions: dict[int, onnxruntime.InferenceSession] = {}
    load_ns: dict[int, int] = {}
    for threads in request.threads:
        start = time.perf_counter_ns()
        sessions[threads] = open_session(request.model, session_options(threads=threads))
        load_ns[threads] = time.perf_counter_ns() - start
        for _ in range(_WARM_UP_RUNS):
            sessions[threads].run(None, inputs)

    def answer(turn: Turn) -> TurnTimes:
        wall, cpu = _time_runs(sessions[turn.threads], inputs, turn)
        return TurnTimes(
            wall_ns=tuple(wall),
            cpu_ns=tuple(cpu),
            load_ns=load_ns[turn.threads],
            peak_bytes=_peak_bytes(),
        )

    return answer


def _time_runs(
    session: onnxruntime.InferenceSession, inputs: dict[str, Array], turn: Turn
) -> tuple[list[int], list[int]]:
    cpu_clock = time.thread_time_ns if turn.threads == 1 else time.process_time_ns
    wall: list[int] = []
    cpu: list[int] = []
    end = time.perf_counter_ns() + turn.budget_ns
    while len(wall) <= turn.least_runs or time.perf_counter_ns() < end:
        cpu_start, start = cpu_clock(), time.perf_counter_ns()
        session.run(None, inputs)
        wall.append(time.perf_counter_ns() - start)
        cpu.append(cpu_clock() - cpu_start)
    return wall[1:], cpu[1:]


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB
