"""The stage that times the operators of the graph that onnxruntime really runs."""

from collections import Counter, defaultdict
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from onnxq.events import Tell
from onnxq.measurements import OperatorTime
from onnxq.runtime import open_session, session_options
from onnxq.stages import ProfileOperatorsRequest, ProfileOperatorsResult

_NODE = "Node"
_KERNEL_SUFFIX = "_kernel_time"


class _Event(Struct, frozen=True):
    """An event of onnxruntime's profile; it holds more than this.

    Attributes:
        cat: ``Node`` for operators.
        name: The node's name and what was timed.
        dur: Microseconds.
        args: ``op_name`` is the operator's type.
    """

    cat: str
    name: str
    dur: int = 0
    args: dict[str, object] = {}


def profile_operators(
    request: ProfileOperatorsRequest,
    folder: Path,
    tell: Tell,  # noqa: ARG001 - the signature of a stage
) -> ProfileOperatorsResult:
    """Time operators with onnxruntime's own profiler, at one thread.

    Args:
        request: The model, the rows of one inference, and how often to run it.
        folder: Where the profile is written; it is removed.
        tell: Not told anything.

    Returns:
        Operator types of the optimized graph, longest first; the first run is left out, since
        it allocates.
    """
    options = session_options()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = open_session(request.model.path, options)
    inputs = {name: np.load(path) for name, path in request.inputs.items()}
    for _ in range(request.runs + 1):
        session.run(None, inputs)
    profile = Path(session.end_profiling())
    events = msgspec.json.decode(profile.read_bytes(), type=list[_Event])
    profile.unlink()
    return ProfileOperatorsResult(operators=_by_type(events, request.runs))


def _by_type(events: list[_Event], runs: int) -> tuple[OperatorTime, ...]:
    seen: Counter[str] = Counter()
    micros: defaultdict[str, int] = defaultdict(int)
    nodes: defaultdict[str, set[str]] = defaultdict(set)
    for event in events:
        if event.cat != _NODE or not event.name.endswith(_KERNEL_SUFFIX):
            continue
        seen[event.name] += 1
        if seen[event.name] == 1:  # the first run
            continue
        operator = str(event.args.get("op_name", ""))
        micros[operator] += event.dur
        nodes[operator].add(event.name)
    total = sum(micros.values()) or 1
    times = [
        OperatorTime(
            operator=operator,
            count=len(nodes[operator]),
            ns=1000.0 * spent / runs,
            share=spent / total,
        )
        for operator, spent in micros.items()
    ]
    return tuple(sorted(times, key=lambda time: (-time.ns, time.operator)))
