"""Rows run through a model, and every tensor that is watched is reduced at once.

::

    runs ──> worker threads, one-thread runs of one session ──> StatisticsCollector per tensor

Where the watched tensors of one run would not fit into memory together, they are collected in
several passes over the rows. Each tensor is folded on its own; what is not finite in one of them
makes the whole run worthless, and :func:`_settle` takes it out of the others at the end. So the
result does not depend on threads, passes, interruptions or the order of rows, bit for bit.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from onnxq.arrays import Array, Predict
from onnxq.calibration.feeds import Feeds
from onnxq.calibration.statistics import StatisticsCollector, TensorStatistics, empty_statistics
from onnxq.errors import InferenceError
from onnxq.events import Progressed, Tell

STAGE = "calibrate"

Statistics: TypeAlias = Mapping[str, TensorStatistics]
"""By tensor name."""

OpenExposed: TypeAlias = Callable[[Sequence[str]], Predict]
"""Loads the model as a function that also returns these tensors, unless they are inputs."""


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


def collect_statistics(
    open_exposed: OpenExposed,
    rows: NamedRuns,
    how: Collecting,
    *,
    chosen: Sequence[int],
    start: Statistics,
    keep: Callable[[Statistics], None],
    tell: Tell,
) -> dict[str, TensorStatistics]:
    """Run rows through a model and keep what is needed of some tensors.

    Args:
        open_exposed: Loads the model.
        rows: All runs.
        how: Passes, threads, stride.
        chosen: The runs to look at.
        start: What is known already, from a checkpoint or of other runs; tensors may be missing.
        keep: Is handed what is known after each pass, to be stored as a checkpoint.
        tell: Is told how many runs are done, from this thread.

    Returns:
        Statistics by tensor, of what ``start`` knew and the chosen runs.

    Raises:
        InferenceError: If a run fails; the run is named.
    """
    collectors = {
        name: StatisticsCollector(
            start.get(name) or empty_statistics(len(rows.feeds)), stride=how.stride
        )
        for tensors in how.passes
        for name in tensors
    }
    total = len(how.passes) * len(chosen)
    for index, tensors in enumerate(how.passes):
        mine = {name: collectors[name] for name in tensors}
        missing = [run for run in chosen if not all(one.has_seen(run) for one in mine.values())]
        done = index * len(chosen) + len(chosen) - len(missing)

        def told(count: int, done: int = done) -> None:
            tell(Progressed(stage=STAGE, done=done + count, total=total))

        _each(missing, _folding(open_exposed(tensors), rows, mine), how.threads, told)
        keep({name: one.statistics() for name, one in collectors.items()})
    _settle(open_exposed, rows, how, collectors)
    return {name: one.statistics() for name, one in collectors.items()}


def _folding(
    predict: Predict, rows: NamedRuns, collectors: Mapping[str, StatisticsCollector]
) -> Callable[[int], None]:
    def fold(run: int) -> None:
        values = _values(predict, rows, run)
        for name, collector in collectors.items():
            if not collector.has_seen(run):
                collector.fold(run, values[name])

    return fold


def _settle(
    open_exposed: OpenExposed,
    rows: NamedRuns,
    how: Collecting,
    collectors: Mapping[str, StatisticsCollector],
) -> None:
    """Take runs out of all tensors on which one of them is not finite.

    What lies behind a NaN is not to be trusted even where it is finite again.
    """
    known = {name: one.statistics() for name, one in collectors.items()}
    if not any(one.non_finite for one in known.values()):
        return
    unsound = np.sum([one.row_non_finite for one in known.values()], axis=0) > 0
    for tensors in how.passes:
        stale = {name: np.flatnonzero(unsound & known[name].row_folded) for name in tensors}
        runs = np.unique(np.concatenate(list(stale.values()))) if stale else np.empty(0, np.int64)
        if not runs.size:
            continue
        predict = open_exposed(tensors)

        def fold_out(
            run: int, stale: Mapping[str, Array] = stale, predict: Predict = predict
        ) -> None:
            values = _values(predict, rows, run)
            for name, its_runs in stale.items():
                if run in its_runs:
                    collectors[name].fold_out(run, values[name])

        _each(runs.tolist(), fold_out, how.threads, lambda _: None)


def _each(
    runs: Sequence[int], work: Callable[[int], None], threads: int, told: Callable[[int], None]
) -> None:
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, run) for run in runs]
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                future.result()
                told(count)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _values(predict: Predict, rows: NamedRuns, run: int) -> dict[str, Array]:
    inputs = rows.feeds[run]
    try:
        return {**inputs, **predict(inputs)}
    except InferenceError as error:
        message = f"calibration stopped at {rows.names[run]}: {error.message}"
        raise InferenceError(message, code=error.code, hint=error.hint) from error
