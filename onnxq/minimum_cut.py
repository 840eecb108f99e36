"""Minimum cuts of small flow networks: a labelling of nodes by two labels at the least cost."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

SOURCE, SINK = "", "\0"
"""Names that no node of a network has."""

_TINY = 1e-12
"""Relative to the largest finite capacity: less is taken for used up."""


@dataclass
class _Residue:
    """What is left of capacities, in both directions."""

    left: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, tail: str, head: str, capacity: float) -> None:
        ahead = self.left.setdefault(tail, {})
        ahead[head] = ahead.get(head, 0.0) + capacity
        self.left.setdefault(head, {}).setdefault(tail, 0.0)

    def search(self, least: float) -> dict[str, str]:
        """Return, for each node that the source still reaches, the node it is reached from."""
        came_from = {SOURCE: SOURCE}
        waiting = deque([SOURCE])
        while waiting and SINK not in came_from:
            tail = waiting.popleft()
            for head, capacity in self.left.get(tail, {}).items():
                if capacity > least and head not in came_from:
                    came_from[head] = tail
                    waiting.append(head)
        return came_from

    def push(self, came_from: Mapping[str, str]) -> None:
        """Fill the path that was found to the sink."""
        path, head = [], SINK
        while head != SOURCE:
            path.append((came_from[head], head))
            head = came_from[head]
        flow = min(self.left[tail][head] for tail, head in path)
        for tail, head in path:
            self.left[tail][head] -= flow
            self.left[head][tail] += flow


def source_side(capacities: Mapping[tuple[str, str], float]) -> frozenset[str]:
    """Cut a network in two where that costs least.

    Edmonds and Karp, 1972, Theoretical Improvements in Algorithmic Efficiency for Network Flow
    Problems (Journal of the ACM 19): augmenting along shortest paths. Enough for the hundreds of
    nodes that a model has.

    Args:
        capacities: By tail and head, what it costs to cut there; 0 or more, infinite where that is
            not allowed. Every path from :data:`SOURCE` to :data:`SINK` has a finite one.

    Returns:
        The nodes on the source's side, without it; of several cheapest cuts the one with the
        fewest.
    """
    residue = _Residue()
    finite = [one for one in capacities.values() if one != float("inf")]
    ceiling = 2.0 * sum(finite) + 1.0
    for (tail, head), capacity in capacities.items():
        residue.add(tail, head, min(capacity, ceiling))
    least = _TINY * max(finite, default=0.0)
    while SINK in (came_from := residue.search(least)):
        residue.push(came_from)
    return frozenset(came_from) - {SOURCE}
