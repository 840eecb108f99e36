"""Statistics come from rows, from an earlier calibration of them, or from several parts."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from onnxq.calibration.collected_statistics import (
    CollectedStatistics,
    check_complete,
    merge_collected,
)
from onnxq.calibration.collecting import Statistics
from onnxq.calibration.convergence import converge
from onnxq.calibration.feeds import describe_batches
from onnxq.calibration.few_rows import describe_few_rows
from onnxq.calibration.identifying import cache_part, identify_statistics
from onnxq.calibration.looking import Gathering, Looking, open_looking
from onnxq.calibration.runs import open_runs
from onnxq.calibration.statistics import TensorStatistics
from onnxq.calibration.statistics_files import read_statistics_file
from onnxq.calibrations import WHOLE, CalibrationEffort, ConvergencePoint, Shard
from onnxq.datasets.values import StoredRows
from onnxq.errors import DatasetError, UsageError
from onnxq.findings import Finding
from onnxq.stages import StatisticsParts


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
    with open_looking(gathering, runs, identity) as looking:
        known, points = _look(gathering, looking)
        effort, findings = looking.effort(), tuple(looking.findings)
    collected = CollectedStatistics(
        identity=identity,
        row_names=runs.names,
        given_rows=runs.feeds.count_rows,
        dropped_rows=runs.feeds.dropped_rows,
        tensors={name: known[name] for name in gathering.tensors},
    )
    few = describe_few_rows(collected) if request.shard == WHOLE else ()
    return Gathered(
        collected=collected,
        effort=_with_rows(replace(effort, convergence=points), gathering, collected),
        findings=(*describe_batches(runs.feeds), *findings, *few),
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
    read = {path: read_statistics_file(Path(path)) for path in parts.paths}
    seen = [one.runs_seen for one in read.values()]
    merged = merge_collected(read)
    if merged.identity.model_sha256 != gathering.request.model.sha256:
        message = "the statistics are of another model."
        hint = "Name the model that they were calibrated with, prepared by the same onnxq."
        raise UsageError(message, code="OQ147", hint=hint)
    missing = [name for name in gathering.tensors if name not in merged.tensors]
    if missing:
        message = f"the statistics know nothing of activation {missing[0]!r}."
        hint = "Give calibrate and merge the same recipes (-r) and scope, such as --keep-float."
        raise UsageError(message, code="OQ147", hint=hint)
    check_complete(merged, parts=seen)
    effort = CalibrationEffort(
        origin="merged", rows=0, given_rows=0, tensors=0, stride=merged.identity.stride
    )
    return Gathered(
        collected=merged,
        effort=_with_rows(effort, gathering, merged),
        findings=describe_few_rows(merged),
    )


def _look(
    gathering: Gathering, looking: Looking
) -> tuple[Statistics, tuple[ConvergencePoint, ...]]:
    request, feeds = gathering.request, looking.runs.feeds
    if not request.stop_early:
        chosen = range(request.shard.number - 1, len(feeds), request.shard.total)
        _check_shard(request.shard, chosen)
        return looking.look(chosen, cache_part(request.shard)), ()
    rounds = count()
    merged = dict[str, TensorStatistics]()

    def collect(chosen: Sequence[int]) -> Statistics:
        # What a round looks at does not depend on what is made of it: any recipe finds it again.
        found = dict(looking.look(chosen, f"round {next(rounds)}"))
        for name in list(found):  # in place, one by one: of all together there are never three
            one = found.pop(name)
            merged[name] = merged[name].merge(one) if name in merged else one
        return merged

    settled = converge(collect, gathering.choose, len(feeds), batch_rows=feeds.batch_rows)
    return settled.statistics, settled.points


def _check_shard(shard: Shard, chosen: Sequence[int]) -> None:
    if not chosen:
        message = f"part {shard.number} of {shard.total} has no rows: there are too few."
        raise DatasetError(message, code="OQ124", hint="Make fewer parts: --shard 1/2")


def _with_rows(
    effort: CalibrationEffort, gathering: Gathering, collected: CollectedStatistics
) -> CalibrationEffort:
    """Fill in what was looked at, and the time until now."""
    seen = int(np.count_nonzero(collected.runs_seen))
    most = collected.given_rows - collected.dropped_rows
    left_out = int(np.count_nonzero(collected.runs_left_out))
    return replace(
        effort,
        rows=min(seen * collected.identity.batch_rows, most),
        given_rows=collected.given_rows,
        left_out_rows=min(left_out * collected.identity.batch_rows, most),
        tensors=len(gathering.tensors),
        seconds=time.perf_counter() - gathering.begun,
    )
