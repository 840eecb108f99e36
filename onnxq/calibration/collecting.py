"""Rows run through a model, and every tensor that is watched is reduced at once.

::

    runs ──> worker threads, one-thread runs of one session ──> StatisticsCollector per tensor

Where the watched tensors of one run would not fit into memory together, they are collected in
several passes over the rows. Each tensor is folded on its own; what is not finite in one of them
makes the whole run worthless, and :func:`_settle` takes it out of the others at the end. So the
result does not depend on threads, passes, interruptions or the order of rows, bit for bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from onnxq.arrays import Array, Predict
from onnxq.calibration.effort import Forecast, give_back_memory
from onnxq.calibration.feeds import Feeds
from onnxq.calibration.pass_forecasts import PassForecasts, cut_stints
from onnxq.calibration.statistics import (
    Flags,
    StatisticsCollector,
    TensorStatistics,
    empty_statistics,
)
from onnxq.calibration.worker_threads import work_off
from onnxq.errors import InferenceError, Interrupted
from onnxq.events import Progressed, Tell

STAGE = "calibrate"

Statistics: TypeAlias = Mapping[str, TensorStatistics]
"""By tensor name."""

OpenExposed: TypeAlias = Callable[[Sequence[str]], Predict]
"""Loads the model as a function that returns these tensors; none of them is an input."""

Snapshot: TypeAlias = Callable[[], Statistics]
"""Tells what is known so far: of each tensor whole runs, not of all tensors the same ones. Each is
copied as it is asked for."""

Keep: TypeAlias = Callable[[Snapshot], None]
"""Is offered a checkpoint, and takes the snapshot where it wants one: copying takes time."""

_Collectors: TypeAlias = Mapping[str, StatisticsCollector]


@dataclass(frozen=True)
class NamedRuns:
    """The runs over the rows, each with a name for a person.

    Attributes:
        feeds: The inputs of each run.
        names: Of each run: of its row, or of its first and last one.
    """

    feeds: Feeds
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Collecting:
    """How statistics are collected.

    Attributes:
        passes: The tensors of each pass over the rows; each tensor is in one.
        threads: Runs at the same time.
        stride: Every so-many-th value is counted; 1 counts each.
    """

    passes: tuple[tuple[str, ...], ...]
    threads: int
    stride: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Collected:
    """Statistics, and how long it was thought to take to collect them.

    Attributes:
        statistics: By tensor name, in the order of the passes.
        predicted_seconds: Wall time, as predicted after the first runs of each pass; 0 where
            there were too few of them.
        run_seconds: Wall time of a run through all passes, all threads together, after the first
            ones; likewise.
        opening_seconds: Wall time of loading the model for each pass once; likewise.
        seconds: Wall time, as it was.
    """

    statistics: dict[str, TensorStatistics]
    predicted_seconds: float
    run_seconds: float
    opening_seconds: float
    seconds: float


def keep_nothing(snapshot: Snapshot) -> None:
    """Take no checkpoint."""


def collect_statistics(
    open_exposed: OpenExposed,
    rows: NamedRuns,
    how: Collecting,
    *,
    chosen: Sequence[int],
    start: Statistics,
    keep: Keep,
    tell: Tell,
) -> Collected:
    """Run rows through a model and keep what is needed of some tensors.

    Args:
        open_exposed: Loads the model.
        rows: All runs.
        how: Passes, threads, stride.
        chosen: The runs to look at.
        start: What is known already, from a checkpoint or of other runs; tensors may be missing,
            and each may know of other runs.
        keep: Is offered a checkpoint whenever runs are done, after each pass, and where it is
            interrupted; from this thread.
        tell: Is told how many runs are done, from this thread.

    Returns:
        Statistics by tensor, of what ``start`` knew and the chosen runs.

    Raises:
        InferenceError: If a run fails; the run is named.
        Interrupted: If the process is asked to stop; the runs that have begun are ended before.
    """
    collectors = _collectors(rows, how, start)
    work = _Work(open_exposed, rows, how, collectors)
    missing = [_missing(start, tensors, chosen, len(rows.feeds)) for tensors in how.passes]
    total = len(how.passes) * len(chosen)
    done = total - sum(map(len, missing))
    forecasts = PassForecasts([len(runs) for runs in missing], how.threads)

    def report(forecast: Forecast) -> None:
        nonlocal done
        done += 1
        forecast.see()
        tell(Progressed(stage=STAGE, done=done, total=total))
        keep(work.snapshot)

    try:
        for index, runs in cut_stints(missing, how.threads):
            work.fold(how.passes[index], runs, partial(report, forecasts.begin(index)))
        _settle(work)
    except (Interrupted, KeyboardInterrupt):
        keep(work.snapshot)
        raise
    return Collected(
        statistics={name: collectors.pop(name).statistics() for name in list(collectors)},
        predicted_seconds=forecasts.predicted_seconds,
        run_seconds=forecasts.run_seconds,
        opening_seconds=forecasts.opening_seconds,
        seconds=forecasts.seconds,
    )


def _collectors(
    rows: NamedRuns, how: Collecting, start: Statistics
) -> dict[str, StatisticsCollector]:
    empty = empty_statistics(len(rows.feeds))
    return {
        name: StatisticsCollector(start.get(name, empty), stride=how.stride)
        for tensors in how.passes
        for name in tensors
    }


def _missing(
    start: Statistics, tensors: Sequence[str], chosen: Sequence[int], runs: int
) -> list[int]:
    """Return which of the chosen runs some of these tensors do not know of."""
    seen = np.zeros(runs, np.bool_)
    if all(name in start for name in tensors):
        seen = np.logical_and.reduce([start[name].row_seen for name in tensors])
    return [run for run in chosen if not seen[run]]


@dataclass(frozen=True)
class _Snapshot(Mapping[str, TensorStatistics]):
    """What is known, copied tensor by tensor as it is asked for: never all of it at once."""

    collectors: _Collectors

    def __getitem__(self, name: str) -> TensorStatistics:
        return self.collectors[name].statistics()

    def __iter__(self) -> Iterator[str]:
        return iter(self.collectors)

    def __len__(self) -> int:
        return len(self.collectors)


@dataclass(frozen=True)
class _Work:
    """A model, its rows, and what is known of its tensors."""

    open_exposed: OpenExposed
    rows: NamedRuns
    how: Collecting
    collectors: _Collectors

    def snapshot(self) -> Statistics:
        return _Snapshot(self.collectors)

    def fold(self, tensors: Sequence[str], runs: Sequence[int], report: Callable[[], None]) -> None:
        """Look at tensors on some runs, and fold in what was not seen before; each is reported."""

        def fold(run: int, values: dict[str, Array]) -> None:
            for name in tensors:
                if not self.collectors[name].has_seen(run):
                    self.collectors[name].fold(run, values.pop(name))

        self._each(tensors, runs, fold, lambda _: report())

    def fold_out(self, stale: Mapping[str, Flags]) -> None:
        """Take tensors out again on the runs where that was found necessary."""

        def fold_out(run: int, values: dict[str, Array]) -> None:
            for name, flags in stale.items():
                if flags[run]:
                    self.collectors[name].fold_out(run, values.pop(name))

        runs = np.flatnonzero(np.logical_or.reduce(list(stale.values())))
        self._each(list(stale), runs.tolist(), fold_out, lambda _: None)

    def _each(
        self,
        tensors: Sequence[str],
        runs: Sequence[int],
        use: Callable[[int, dict[str, Array]], None],
        told: Callable[[int], None],
    ) -> None:
        """Run the model on some runs; it is loaded only if there are any."""
        if not runs:
            return
        made = [name for name in tensors if name not in self.rows.feeds.arrays]
        predict = self.open_exposed(made) if made else _predict_nothing
        give_back_memory()

        def one(run: int) -> None:
            use(run, _values(predict, self.rows, run))

        work_off(runs, one, self.how.threads, told)


def _settle(work: _Work) -> None:
    """Take runs out of all tensors on which one of them is not finite.

    What lies behind a NaN is not to be trusted even where it is finite again.
    """
    unsound = np.zeros(len(work.rows.feeds), np.bool_)
    folded: dict[str, Flags] = {}
    for name, one in work.snapshot().items():
        unsound |= one.row_non_finite > 0
        folded[name] = one.row_folded
    for tensors in work.how.passes:
        stale = {name: unsound & folded[name] for name in tensors}
        stale = {name: flags for name, flags in stale.items() if flags.any()}
        if stale:
            work.fold_out(stale)


@contextmanager
def naming_run(name: str) -> Iterator[None]:
    """Say of a failure in the body which run it was.

    Args:
        name: Of the run, for a person.

    Raises:
        InferenceError: Where the body raises one.
    """
    try:
        yield
    except InferenceError as error:
        message = f"calibration stopped at row {name}: {error.message}"
        raise InferenceError(message, code=error.code, hint=error.hint) from error


def _values(predict: Predict, rows: NamedRuns, run: int) -> dict[str, Array]:
    inputs = rows.feeds[run]
    with naming_run(rows.names[run]):
        return {**inputs, **predict(inputs)}


def _predict_nothing(inputs: Mapping[str, Array]) -> dict[str, Array]:  # noqa: ARG001 - a Predict
    return {}
