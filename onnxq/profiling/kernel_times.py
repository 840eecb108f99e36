"""Kernel times of several models, profiled in turns so that a drift of the machine cancels."""

import math
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from onnxq.arrays import Array
from onnxq.profiling.profile_events import ProfileEvent, node_name, read_profile
from onnxq.runtime import Session, name_failures, open_session, session_options

_RUN, _NODE, _KERNEL = "model_run", "Node", "_kernel_time"
_NS_PER_US = 1000.0
_TURN_S = 0.02
_LEAST_TURNS, _MOST_TURNS = 3, 12
_MOST_RUNS = 40
"""Of a turn: tiny models would fill the profile."""

_LOW = 0.25
"""Whatever else the machine does adds to a kernel's time: this quantile of its times counts."""


@dataclass(frozen=True)
class KernelTimes:
    """The kernels of one model's optimized graph.

    Attributes:
        graph: Path of that graph, as onnxruntime wrote it.
        ns: Time of each kernel, by name.
        elements: Elements of what each returns, by name; not in there where that is unknown.
    """

    graph: Path
    ns: dict[str, float]
    elements: dict[str, int]


@dataclass
class _Profiled:
    """A session that is being profiled; ``counts`` tells which runs begin a turn."""

    session: Session
    inputs: Mapping[str, Array]
    graph: Path
    begins: list[bool] = field(default_factory=list)

    def take_turn(self) -> None:
        start = time.monotonic()
        runs = 0
        while runs < 2 or (runs < _MOST_RUNS and time.monotonic() - start < _TURN_S):  # noqa: PLR2004 - the first only warms up
            self.session.run(None, self.inputs)
            self.begins.append(runs == 0)
            runs += 1


def profile_kernels(
    models: Sequence[tuple[str, Mapping[str, Array]]], folder: Path, *, seconds: float
) -> tuple[KernelTimes, ...]:
    """Time the kernels of models, at one thread.

    Args:
        models: Path and inputs of each.
        folder: Where optimized graphs and profiles are written; the latter are removed.
        seconds: Wall time for all of it; three turns of each model are taken whatever they take.

    Returns:
        Times, one value per model.

    Raises:
        InferenceError: If a model cannot be loaded, or a run fails.
    """
    opened = [_open(path, inputs, folder, number) for number, (path, inputs) in enumerate(models)]
    start = time.monotonic()
    for turn in range(_MOST_TURNS):
        if turn >= _LEAST_TURNS and time.monotonic() - start > seconds:
            break
        for (path, _), one in zip(models, opened, strict=True):
            with name_failures(path, one.inputs):
                one.take_turn()
    return tuple(map(_read, opened))


def _open(path: str, inputs: Mapping[str, Array], folder: Path, number: int) -> _Profiled:
    options = session_options()
    graph = folder / f"optimized-{number}.onnx"
    options.optimized_model_filepath = str(graph)
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / f"profile-{number}")
    return _Profiled(open_session(path, options), dict(inputs), graph)


def _read(one: _Profiled) -> KernelTimes:
    profile = Path(one.session.end_profiling())
    events = read_profile(profile)
    profile.unlink()
    starts = sorted(event.ts for event in events if event.name == _RUN)
    times: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * len(starts))
    elements: dict[str, int] = {}
    for event in events:
        if event.cat == _NODE and event.name.endswith(_KERNEL):
            name = node_name(event)
            times[name][bisect_right(starts, event.ts) - 1] += event.dur
            elements.update((name, count) for count in _returned(event))
    kept = ~np.asarray(one.begins, np.bool_)
    return KernelTimes(
        graph=one.graph,
        ns={
            name: _NS_PER_US * float(np.quantile(np.asarray(runs)[kept], _LOW))
            for name, runs in times.items()
        },
        elements=elements,
    )


def _returned(event: ProfileEvent) -> Iterator[int]:
    """Yield the size of what a kernel returns first, if the profile tells it."""
    for described in event.args.output_type_shape[:1]:
        for shape in described.values():
            yield math.prod(shape)
