"""Statistics of tensors that were not looked at: those of a Concat are the sum of its parts'."""

from collections.abc import Mapping

import numpy as np

from onnxq.calibration.statistics import TensorStatistics, bin_edges, bin_numbers
from onnxq.graph.concats import ConcatJoin
from onnxq.graph.qdq_edges import QdqEdges


def complete_statistics(
    edges: QdqEdges, statistics: Mapping[str, TensorStatistics], first: QdqEdges
) -> dict[str, TensorStatistics]:
    """Give every leader its statistics, from the parts of Concats where it was not collected.

    Args:
        edges: Whose leaders are asked for.
        statistics: Of what was collected.
        first: The edges that it was collected for.

    Returns:
        By leader, in the order of the graph, those of fixed range left out.
    """
    sums = {join.leader: join for join in edges.joins if join.is_sum}
    known = {}
    for leader in edges.collected:
        if leader in edges.fixed:
            continue
        if leader in statistics:
            known[leader] = statistics[leader]
        elif leader in sums:
            known[leader] = _sum_of(sums[leader], statistics)
        else:
            known[leader] = _former(leader, edges, statistics, first)
    return known


def _sum_of(join: ConcatJoin, statistics: Mapping[str, TensorStatistics]) -> TensorStatistics:
    parts = tuple(statistics[part] for part in join.parts)
    return clip_statistics(join_statistics(parts), join.bounds)


def _former(
    leader: str, edges: QdqEdges, statistics: Mapping[str, TensorStatistics], first: QdqEdges
) -> TensorStatistics:
    """Find statistics for a leader that was none before its Concat was kept float.

    Its values reach a Concat that it shared its range with, as parts; or moving nodes made it out
    of its former leader.
    """
    parts = {part for join in first.joins for part in join.parts}
    led = [part for part in sorted(parts) if edges.leaders.get(part) == leader]
    if led:
        return join_statistics(tuple(statistics[part] for part in led))
    return complete_statistics(first, statistics, first)[first.leaders[leader]]


def join_statistics(parts: tuple[TensorStatistics, ...]) -> TensorStatistics:
    """Return the statistics of tensors put side by side: exact, because counts only add up.

    Args:
        parts: Of the same rows; at least one.
    """
    return TensorStatistics(
        counts=np.sum([part.counts for part in parts], axis=0),
        row_seen=np.logical_and.reduce([part.row_seen for part in parts]),
        row_lows=np.minimum.reduce([part.row_lows for part in parts]),
        row_highs=np.maximum.reduce([part.row_highs for part in parts]),
        row_non_finite=np.sum([part.row_non_finite for part in parts], axis=0),
    )


def clip_statistics(statistics: TensorStatistics, bounds: tuple[float, float]) -> TensorStatistics:
    """Return the statistics of a tensor behind a Relu or a Clip; exact, as bins hold the bounds.

    Args:
        statistics: Of what the Relu or Clip reads.
        bounds: What it lets through; infinite where it has no bound.
    """
    if not np.isfinite(bounds).any():
        return statistics
    counts = statistics.counts.copy()
    bins = np.flatnonzero(counts)
    lows, highs = bin_edges(bins)
    for bound, beyond in zip(bounds, (highs <= bounds[0], lows >= bounds[1]), strict=True):
        moved = counts[bins[beyond]].sum()
        counts[bins[beyond]] = 0
        counts[bin_numbers(np.full(1, bound, np.float32))] += moved
    folded = statistics.row_folded
    low, high = np.float32(bounds[0]), np.float32(bounds[1])
    return TensorStatistics(
        counts=counts,
        row_seen=statistics.row_seen,
        row_lows=np.where(folded, statistics.row_lows.clip(low, high), statistics.row_lows),
        row_highs=np.where(folded, statistics.row_highs.clip(low, high), statistics.row_highs),
        row_non_finite=statistics.row_non_finite,
    )
