"""Statistics of tensors that were not looked at: those of a Concat are the sum of its parts'."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TypeAlias

import numpy as np

from onnxq.calibration.statistics import TensorStatistics, bin_edges, bin_numbers
from onnxq.graph.qdq_edges import QdqEdges

Bounds: TypeAlias = tuple[float, float]
"""What a Relu or Clip lets through; infinite where it has no bound."""

UNBOUNDED: Bounds = (-np.inf, np.inf)


@dataclass(frozen=True)
class KnownStatistics:
    """Statistics of tensors, and of what Concats make of them: each sum is taken once.

    Attributes:
        collected: Of what was looked at, by name.
    """

    collected: Mapping[str, TensorStatistics]
    _joined: dict[tuple[tuple[str, ...], Bounds], TensorStatistics] = field(default_factory=dict)

    def join(self, parts: tuple[str, ...], bounds: Bounds = UNBOUNDED) -> TensorStatistics:
        """Return the statistics of tensors side by side, behind a Relu or a Clip.

        Args:
            parts: Names of what was looked at; at least one.
            bounds: What the Relu or Clip lets through.
        """
        if (parts, bounds) not in self._joined:
            whole = join_statistics(tuple(self.collected[part] for part in parts))
            self._joined[parts, bounds] = clip_statistics(whole, bounds)
        return self._joined[parts, bounds]

    def complete(self, edges: QdqEdges, first: QdqEdges) -> dict[str, TensorStatistics]:
        """Give every leader its statistics, from the parts of Concats where it was not looked at.

        Args:
            edges: Whose leaders are asked for.
            first: The edges whose observed tensors were looked at.

        Returns:
            By leader, in the order of the graph, those of fixed range left out.
        """
        leaders = (leader for leader in edges.collected if leader not in edges.fixed)
        return {leader: self._find(leader, edges, first) for leader in leaders}

    def _find(self, leader: str, edges: QdqEdges, first: QdqEdges) -> TensorStatistics:
        if leader in self.collected:
            return self.collected[leader]
        for join in edges.joins:
            if join.leader == leader and join.is_sum:
                return self.join(join.parts, join.bounds)
        # It was no leader before its Concat was kept float. Its values reach a Concat that it
        # shared its range with, as parts; or moving nodes made it out of its former leader.
        parts = {part for join in first.joins for part in join.parts}
        led = tuple(part for part in sorted(parts) if edges.leaders.get(part) == leader)
        return self.join(led) if led else self._find(first.leaders[leader], first, first)


def join_statistics(parts: tuple[TensorStatistics, ...]) -> TensorStatistics:
    """Return the statistics of tensors put side by side: exact, because counts only add up.

    Args:
        parts: Of the same rows; at least one.
    """
    return TensorStatistics(
        counts=reduce(np.add, (part.counts for part in parts)),
        row_seen=np.logical_and.reduce([part.row_seen for part in parts]),
        row_lows=np.minimum.reduce([part.row_lows for part in parts]),
        row_highs=np.maximum.reduce([part.row_highs for part in parts]),
        row_non_finite=np.sum([part.row_non_finite for part in parts], axis=0),
    )


def clip_statistics(statistics: TensorStatistics, bounds: Bounds) -> TensorStatistics:
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
