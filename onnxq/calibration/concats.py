"""Whether tensors that a Concat joins are alike enough for one scale: decided by what was seen.

A uint8 tensor of width ``W`` has steps of ``W/255``, and rounding to them adds an error of power
``W^2/255^2/12`` to each of its values (Widrow and Kollár 2008, §4). A part whose own range has a
width of ``w`` therefore loses ``20*log10(W/w)`` dB of its signal-to-noise ratio when it takes the
scale of the whole: 12 dB, two of its eight bits, at ``W = 4*w``. A Concat has one scale for its
result, so nothing that is done in front of it gives those bits back. Its parts are alike if each

* loses at most those two bits, or
* keeps 20 dB anyway, a hundredth of its power, which is what the weakest tensors of networks have
  that survive 8 bits;

or if all that reads the result are convolutions, and each of their output channels gets 20 dB,
noise and signal of all parts weighed by the weights that the channel has for them. Otherwise the
Concat and its tail stay float. That a part is small does not make it unimportant: scores beside
boxes are.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from onnxq.calibration.concat_statistics import KnownStatistics, clip_statistics
from onnxq.calibration.statistics import Float64s, TensorStatistics, bin_edges
from onnxq.findings import Finding
from onnxq.graph.concats import ConcatJoin
from onnxq.graph.qdq_edges import QdqEdges
from onnxq.ranges import TensorRange
from onnxq.wording import count_noun

FindEdges: TypeAlias = Callable[[tuple[str, ...]], QdqEdges]
"""Finds the edges of a graph with some nodes kept float, named by their first outputs."""

Choose: TypeAlias = Callable[[QdqEdges, str, TensorStatistics], TensorRange]
"""Chooses the range of a leader."""

WIDTH_RATIO = 4.0
"""Widths that differ by no more are alike: it costs 12 dB, two bits."""

POWER_RATIO = 100.0
"""Signal over noise that is enough whatever was lost: 20 dB."""

_TENSORS_SHOWN = 4


@dataclass(frozen=True)
class UnlikeConcat:
    """A Concat that stays float because its parts are unlike.

    Attributes:
        join: What it joins.
        ranges: The range that each part would have of its own, by name.
        whole: The range that they would have to share.
        worst: The part that would lose most.
        worst_db: Signal over noise that it would keep, in dB.
    """

    join: ConcatJoin
    ranges: dict[str, TensorRange]
    whole: TensorRange
    worst: str
    worst_db: float


@dataclass(frozen=True)
class SettledEdges:
    """The edges of a graph once calibration has seen its tensors.

    Attributes:
        edges: As they are to be quantized.
        ranges: Of every activation that becomes integer, by name.
        statistics: Of their leaders, by name, those of Concats included.
        kept_float: First outputs of nodes, and outputs of the graph, that stay float because of
            what was seen; :func:`onnxq.graph.qdq_edges.find_qdq_edges` takes them.
        unlike: Why.
    """

    edges: QdqEdges
    ranges: dict[str, TensorRange]
    statistics: dict[str, TensorStatistics]
    kept_float: tuple[str, ...]
    unlike: tuple[UnlikeConcat, ...]


@dataclass(frozen=True)
class _Part:
    """What one scale would do to a part.

    Attributes:
        signal: Mean square of its values.
        noise: Mean square of their rounding errors.
        is_alike: Whether it survives.
    """

    signal: float
    noise: float
    is_alike: bool

    @property
    def kept_db(self) -> float:
        """Signal over noise, in dB; of a part that is not alike, so that there is noise."""
        return float(10.0 * np.log10(self.signal / self.noise))


def settle_concats(
    find: FindEdges,
    statistics: KnownStatistics,
    choose: Choose,
    *,
    levels: int = 255,
) -> SettledEdges:
    """Decide which Concats become integer, and choose all ranges.

    Args:
        find: Finds the edges; called without kept nodes first.
        statistics: Of at least what the edges without kept nodes have as ``observed``.
        choose: Chooses the range of a leader.
        levels: Steps of the grid from its lowest integer to its highest.

    Returns:
        The edges, with ranges for all that becomes integer.
    """
    first = find(())
    unlike: tuple[UnlikeConcat, ...] = ()
    while True:
        kept = tuple(dict.fromkeys(name for one in unlike for name in _names_of(one.join)))
        edges = find(kept) if kept else first
        known = statistics.complete(edges, first)
        leaders = {name: choose(edges, name, one) for name, one in known.items()} | edges.fixed
        parts_of = partial(_parts_of, known=known, statistics=statistics)
        found = _first_unlike(edges, leaders, parts_of, choose, levels)
        if found is None:
            ranges = {name: leaders[leader] for name, leader in sorted(edges.leaders.items())}
            return SettledEdges(edges, ranges, known, kept, unlike)
        unlike = (*unlike, found)


def _names_of(join: ConcatJoin) -> tuple[str, ...]:
    return (join.output, *join.tail)


def _first_unlike(
    edges: QdqEdges,
    leaders: Mapping[str, TensorRange],
    parts_of: Callable[[ConcatJoin], dict[str, TensorStatistics]],
    choose: Choose,
    levels: int,
) -> UnlikeConcat | None:
    """Find the last Concat of the graph whose parts are unlike."""
    accepted: defaultdict[str, set[str]] = defaultdict(set)
    for join in edges.joins:
        leader = edges.leaders[join.output]  # that of an outer Concat, perhaps,
        if accepted[leader].issuperset(join.parts):  # which was judged by the same parts
            continue
        accepted[leader].update(join.parts)
        whole = leaders[leader]
        choose_own = partial(choose, edges, leader)
        seen = parts_of(join)
        parts = {name: _judge(one, whole, choose_own, levels) for name, one in seen.items()}
        bad = {name: part.kept_db for name, part in parts.items() if not part.is_alike}
        if bad and not _is_enough_behind(join, parts):
            worst = min(bad, key=bad.__getitem__)
            ranges = {name: choose_own(one) for name, one in seen.items()}
            return UnlikeConcat(join, ranges, whole, worst, bad[worst])
    return None


def _parts_of(
    join: ConcatJoin, *, known: Mapping[str, TensorStatistics], statistics: KnownStatistics
) -> dict[str, TensorStatistics]:
    """Return the statistics of what a Concat joins, as its Relu or Clip lets it through."""
    found = {
        name: statistics.join((name,), join.bounds)
        if name in statistics.collected
        else clip_statistics(known[name], join.bounds)
        for name in dict.fromkeys(join.parts)
        if name in statistics.collected or name in known
    }
    return {name: one for name, one in found.items() if one.count}


def _judge(
    statistics: TensorStatistics,
    whole: TensorRange,
    choose_own: Callable[[TensorStatistics], TensorRange],
    levels: int,
) -> _Part:
    width = whole.high - whole.low
    signal, noise = _powers(statistics, whole, width / levels)
    if signal >= POWER_RATIO * noise:
        return _Part(signal, noise, is_alike=True)
    own = choose_own(statistics)
    return _Part(signal, noise, is_alike=(own.high - own.low) * WIDTH_RATIO >= width)


def _powers(statistics: TensorStatistics, whole: TensorRange, step: float) -> tuple[float, float]:
    """Return the mean squares of values and of their rounding errors.

    What is nearer to zero than half a step becomes zero, and zeros are exact.
    """
    bins = np.flatnonzero(statistics.counts)
    lows, highs = bin_edges(bins)
    squares: Float64s = np.square(((lows + highs) / 2.0).clip(whole.low, whole.high))
    squares[(lows == 0.0) | (highs == 0.0)] = 0.0
    errors = np.where(squares < step**2 / 4.0, squares, step**2 / 12.0)
    weights = statistics.counts[bins] / statistics.count
    return float(squares @ weights), float(errors @ weights)


def _is_enough_behind(join: ConcatJoin, parts: Mapping[str, _Part]) -> bool:
    """Whether each output channel of each convolution that reads a Concat keeps enough."""
    if not join.gains or parts.keys() != set(join.parts):
        return False
    signals = np.array([parts[name].signal for name in join.parts])
    noises = np.array([parts[name].noise for name in join.parts])
    return all(
        bool((gains @ signals >= POWER_RATIO * (gains @ noises)).all()) for gains in join.gains
    )


def describe_settled(settled: Iterable[SettledEdges]) -> tuple[Finding, ...]:
    """Say which Concats stay float, each once, whatever number of recipes keeps it float.

    Args:
        settled: Of each recipe that was calibrated for.

    Returns:
        One OQ403 a Concat.
    """
    told: dict[str, Finding] = {}
    for unlike in (unlike for one in settled for unlike in one.unlike):
        finding = describe_unlike(unlike)
        told.setdefault(finding.subject, finding)
    return tuple(told.values())


def describe_unlike(unlike: UnlikeConcat) -> Finding:
    """Say which Concat stays float, because of which tensors.

    Args:
        unlike: As :func:`settle_concats` found it.

    Returns:
        An OQ403 that names the Concat and its widest and narrowest tensors with their ranges.
    """
    join = unlike.join
    by_width = sorted(
        unlike.ranges, key=lambda name: unlike.ranges[name].high - unlike.ranges[name].low
    )
    shown = by_width if len(by_width) <= _TENSORS_SHOWN else [by_width[0], by_width[-1]]
    ranges = {
        name: f"{unlike.ranges[name].low:.4g} to {unlike.ranges[name].high:.4g}" for name in shown
    }
    told = ", ".join(f"{name} {text}" for name, text in ranges.items())
    behind = f", with {count_noun(len(join.tail), 'node')} behind it" if join.tail else ""
    what = f"output {join.output}" if join.is_border else f"Concat {join.node}"
    return Finding(
        code="OQ403",
        subject=join.output if join.is_border else join.node,
        message=(
            f"{what} stays float{behind}: it joins {told}; with one scale for all, "
            f"{unlike.worst} would keep {unlike.worst_db:.0f} dB."
        ),
        evidence={
            "concat": join.node,
            "tensor": unlike.worst,
            "kept_db": round(unlike.worst_db, 2),
            "kept_float": ", ".join(_names_of(join)),
            **{f"range of {name}": text for name, text in ranges.items()},
        },
        fix="Make them outputs of their own, or scale the narrow ones up, if speed matters here.",
        severity="warning" if join.is_border else "note",
    )
