"""Ranges for several recipes from the same statistics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from onnxq.calibration.collecting import Statistics
from onnxq.calibration.concat_statistics import KnownStatistics
from onnxq.calibration.concats import SettledEdges, settle_concats
from onnxq.calibration.noise_to_signal import LEVELS_OF, ChosenRanges
from onnxq.calibration.ranges import choose_range
from onnxq.calibration.statistics import TensorStatistics
from onnxq.graph.known_edges import KnownEdges
from onnxq.graph.qdq_edges import QdqEdges
from onnxq.range_methods import RangeMethod
from onnxq.ranges import TensorRange
from onnxq.recipe_kinds import Activation, StaticQdq
from onnxq.stages import CalibrateRequest, RangesAsked
from onnxq.tensor_uses import TensorUse

_Question: TypeAlias = tuple[int, RangeMethod, TensorUse, Activation]
"""Of which statistics, by identity; how; what for; on which grid."""


def find_wanted(request: CalibrateRequest) -> dict[str, RangesAsked]:
    """List the ranges that a request asks for, by key; those of equal keys once."""
    plain = (RangesAsked(recipe=StaticQdq(ranges=method)) for method in request.methods)
    return {one.key: one for one in (*plain, *request.asked)}


@dataclass(frozen=True)
class RangeChooser:
    """Chooses ranges for recipes on a graph.

    Attributes:
        edges: Of the prepared float graph.
        wanted: Recipes and scopes, by key.
        is_sampled: Whether only some of the values were counted.
    """

    edges: KnownEdges
    wanted: Mapping[str, RangesAsked]
    is_sampled: bool = False

    @property
    def observed(self) -> tuple[str, ...]:
        """Activations whose values must be seen, in the order of the graph but for scopes' own."""
        edges = (self.edges.find(one.scope) for one in self.wanted.values())
        return tuple(dict.fromkeys(name for one in edges for name in one.observed))

    def settle(self, statistics: Statistics) -> dict[str, SettledEdges]:
        """Choose all ranges, and decide which Concats become integer.

        Args:
            statistics: Of what is observed, by name.

        Returns:
            Edges and ranges, by key.
        """
        known, chosen = KnownStatistics(statistics), _Chosen()
        return {
            key: settle_concats(
                partial(self.edges.find, asked.scope),
                known,
                partial(self._choose, chosen, asked.recipe),
                levels=LEVELS_OF[asked.recipe.activation],
            )
            for key, asked in self.wanted.items()
        }

    def choose_all(self, statistics: Statistics) -> list[ChosenRanges]:
        """Choose the ranges of each recipe, as :func:`onnxq.calibration.convergence.converge` asks.

        Args:
            statistics: Of what is observed, by name.

        Returns:
            The ranges of leaders, in the order of the recipes.
        """
        return [
            ChosenRanges(
                {name: settled.ranges[name] for name in settled.statistics},
                self.wanted[key].recipe.activation,
            )
            for key, settled in self.settle(statistics).items()
        ]

    def _choose(
        self,
        chosen: "_Chosen",
        recipe: StaticQdq,
        edges: QdqEdges,
        leader: str,
        statistics: TensorStatistics,
    ) -> TensorRange:
        method = edges.methods.get(leader, recipe.ranges)
        use = self.edges.uses(edges, recipe.ranges)[leader]
        return chosen.choose(statistics, method, use, recipe.activation, is_sampled=self.is_sampled)


@dataclass(frozen=True)
class _Chosen:
    """Ranges that were chosen from statistics, each once: Concats are looked at again and again.

    Attributes:
        ranges: With the statistics, which so keep their identity.
    """

    ranges: dict[_Question, tuple[TensorStatistics, TensorRange]] = field(default_factory=dict)

    def choose(
        self,
        statistics: TensorStatistics,
        method: RangeMethod,
        use: TensorUse,
        activation: Activation,
        *,
        is_sampled: bool,
    ) -> TensorRange:
        question = id(statistics), method, use, activation
        if question not in self.ranges:
            found = (
                choose_range(statistics, method, use, activation=activation, is_sampled=is_sampled)
                if statistics.count
                else TensorRange(0.0, 0.0)  # of no elements on any row
            )
            self.ranges[question] = statistics, found
        return self.ranges[question][1]
