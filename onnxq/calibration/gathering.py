"""Statistics come from rows, from an earlier calibration of them, or from several parts."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from msgspec.structs import replace

from onnxq.calibration.cache import Cache, open_cache
from onnxq.calibration.checkpoints import Checkpoints
from onnxq.calibration.collected_statistics import (
    CollectedStatistics,
    check_complete,
    is_settled,
    merge_collected,
)
from onnxq.calibration.collecting import NamedRuns, Statistics, keep_nothing
from onnxq.calibration.collection import Collection
from onnxq.calibration.convergence import Choose, Converged, converge
from onnxq.calibration.feeds import describe_batches
from onnxq.calibration.identifying import cache_part, identify_statistics
from onnxq.calibration.runs import open_runs
from onnxq.calibration.statistics_files import read_statistics_file
from onnxq.calibrations import CalibrationEffort, CalibrationOrigin
from onnxq.datasets.values import StoredRows
from onnxq.errors import UsageError
from onnxq.events import Tell
from onnxq.findings import Finding
from onnxq.stages import CalibrateRequest, StatisticsParts

OpenCollection: TypeAlias = Callable[[NamedRuns], AbstractContextManager[Collection]]
"""Makes ready what collects statistics of the tensors that are wanted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """Statistics, and what it took to get them.

    Attributes:
        collected: The statistics.
        effort: What it took; without the time that choosing ranges takes.
        findings: About batches and the cache.
    """

    collected: CollectedStatistics
    effort: CalibrationEffort
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """What statistics are gathered of, and how.

    Attributes:
        request: Which part of the rows, which options, and where the cache is.
        tensors: Names of activations, in the order of the graph.
        open_collection: Makes ready what collects.
        choose: Chooses ranges, to see whether they have settled.
        tell: Is told how many runs are done.
        begun: When the stage began, by ``time.perf_counter``.
    """

    request: CalibrateRequest
    tensors: tuple[str, ...]
    open_collection: OpenCollection
    choose: Choose
    tell: Tell
    begun: float = field(default_factory=time.perf_counter)


def gather_statistics(gathering: Gathering, rows: StoredRows) -> Gathered:
    """Look at rows, as far as they were not looked at before.

    Args:
        gathering: What of, and how.
        rows: The rows.

    Returns:
        The statistics, of the part that was asked for.

    Raises:
        DatasetError: If the rows cannot be read.
        InferenceError: If the model fails on a row; the row is named.
        LimitError: OQ185, if the cap on memory is too low.
    """
    request = gathering.request
    runs = open_runs(request.model, rows)
    identity = identify_statistics(
        request.model, rows, runs.feeds, stride=request.stride, stop_early=request.stop_early
    )
    with open_cache(request.cache_folder, identity, part=cache_part(request.shard)) as cache:
        known, effort = _recall_or_look(gathering, runs, cache)
        findings = (*describe_batches(runs.feeds), *cache.findings)
    collected = CollectedStatistics(
        identity=identity,
        row_names=runs.names,
        given_rows=runs.feeds.count_rows,
        dropped_rows=runs.feeds.dropped_rows,
        tensors={name: known[name] for name in gathering.tensors},
    )
    return Gathered(
        collected=collected, effort=_with_rows(effort, gathering, collected), findings=findings
    )


def merge_statistics(gathering: Gathering, parts: StatisticsParts) -> Gathered:
    """Put statistics together that were collected elsewhere.

    Args:
        gathering: What they must be of.
        parts: Files.

    Returns:
        The statistics of all rows.

    Raises:
        DatasetError: OQ127 or OQ146 if a file cannot be read; OQ147 if rows are missing.
        UsageError: OQ147 if parts do not belong together, or to the model.
    """
    merged = merge_collected({path: read_statistics_file(Path(path)) for path in parts.paths})
    if merged.identity.model_sha256 != gathering.request.model.sha256:
        message = "the statistics are of another model."
        hint = "Name the model that they were calibrated with, prepared by the same onnxq."
        raise UsageError(message, code="OQ147", hint=hint)
    missing = [name for name in gathering.tensors if name not in merged.tensors]
    if missing:
        message = f"the statistics know nothing of activation {missing[0]!r}."
        hint = "Give calibrate and merge the same recipes (-r) and scope, such as --keep-float."
        raise UsageError(message, code="OQ147", hint=hint)
    check_complete(merged)
    effort = CalibrationEffort(
        origin="merged", rows=0, given_rows=0, tensors=0, stride=merged.identity.stride
    )
    return Gathered(collected=merged, effort=_with_rows(effort, gathering, merged))


def _recall_or_look(
    gathering: Gathering, runs: NamedRuns, cache: Cache
) -> tuple[Statistics, CalibrationEffort]:
    request, tensors = gathering.request, gathering.tensors
    chosen = range(request.shard.number - 1, len(runs.feeds), request.shard.total)
    start = cache.load(tensors)
    # Where it may stop early, an entry is kept at the end alone: what there is, is all.
    is_known = all(name in start for name in tensors) and (
        request.stop_early or all(start[name].row_seen[chosen].all() for name in tensors)
    )
    if is_known and is_settled(start):
        return start, _effort("cached", stride=request.stride)
    with gathering.open_collection(runs) as collection:
        known, effort = (
            _look_until_settled(gathering, collection)
            if request.stop_early
            else _look_at_all(gathering, collection, chosen, start, cache)
        )
        took = collection.read_effort()
    cache.keep(known)
    return known, replace(
        effort,
        passes=len(collection.plan.passes),
        cap_bytes=collection.plan.cap_bytes,
        predicted_peak_bytes=collection.plan.predicted_peak_bytes,
        peak_bytes=took.peak_bytes,
        cpu_seconds=took.cpu_seconds,
    )


def _look_at_all(
    gathering: Gathering,
    collection: Collection,
    chosen: Sequence[int],
    start: Statistics,
    cache: Cache,
) -> tuple[Statistics, CalibrationEffort]:
    before = time.perf_counter() - gathering.begun
    found = collection.collect(
        chosen, start=start, keep=Checkpoints(cache.keep), tell=gathering.tell
    )
    predicted = before + found.predicted_seconds if found.predicted_seconds else 0.0
    origin: CalibrationOrigin = "resumed" if start else "computed"
    effort = _effort(origin, stride=collection.stride)
    return found.statistics, replace(effort, predicted_seconds=predicted)


def _look_until_settled(
    gathering: Gathering, collection: Collection
) -> tuple[Statistics, CalibrationEffort]:
    def collect(chosen: Sequence[int], start: Statistics) -> Statistics:
        return collection.collect(
            chosen, start=start, keep=keep_nothing, tell=gathering.tell
        ).statistics

    feeds = collection.rows.feeds
    settled: Converged = converge(
        collect, gathering.choose, len(feeds), batch_rows=feeds.batch_rows
    )
    effort = _effort("computed", stride=collection.stride)
    return settled.statistics, replace(effort, convergence=settled.points)


def _effort(origin: CalibrationOrigin, *, stride: int) -> CalibrationEffort:
    return CalibrationEffort(origin=origin, rows=0, given_rows=0, tensors=0, stride=stride)


def _with_rows(
    effort: CalibrationEffort, gathering: Gathering, collected: CollectedStatistics
) -> CalibrationEffort:
    """Fill in what was looked at, and the time until now."""
    seen = int(np.count_nonzero(collected.runs_seen))
    most = collected.given_rows - collected.dropped_rows
    return replace(
        effort,
        rows=min(seen * collected.identity.batch_rows, most),
        given_rows=collected.given_rows,
        tensors=len(gathering.tensors),
        seconds=time.perf_counter() - gathering.begun,
    )
