"""The columns of ranges: a row a tensor, two columns a set of ranges."""

from collections.abc import Sequence
from dataclasses import dataclass

from onnxq.cli.fitting import KEEP, Cell, Column
from onnxq.cli.quality_columns import ABSENT
from onnxq.documents import CalibratedSet
from onnxq.ranges import TensorRange

_NAME, _SET = 24, 14
_COLUMNS_A_SET = 2


@dataclass(frozen=True)
class NamedRanges:
    """One set of ranges, and the recipes that share it.

    Attributes:
        name: The aliases of these recipes.
        ranges: By tensor name.
    """

    name: str
    ranges: dict[str, TensorRange]


def different_sets(sets: Sequence[CalibratedSet]) -> tuple[NamedRanges, ...]:
    """Return each set of ranges once; recipes of equal keys share theirs."""
    by_key: dict[str, list[CalibratedSet]] = {}
    for one in sets:
        by_key.setdefault(one.key, []).append(one)
    return tuple(
        NamedRanges(", ".join(one.alias for one in alike), alike[0].ranges)
        for alike in by_key.values()
    )


def widest_first(sets: Sequence[NamedRanges]) -> tuple[str, ...]:
    """Return the names of all tensors, those first whose values reach farthest."""
    reach: dict[str, float] = {}
    for one in sets:
        for name, span in one.ranges.items():
            reach[name] = max(reach.get(name, 0.0), abs(span.low), abs(span.high))
    return tuple(sorted(reach, key=lambda name: -reach[name]))


def range_columns(tensors: Sequence[str], sets: Sequence[NamedRanges]) -> tuple[Column, ...]:
    """Lay out ranges.

    Args:
        tensors: Names, in the order shown.
        sets: The later ones are left out first on a narrow screen; the first one never is.

    Returns:
        The columns, before they are fitted to a screen.
    """
    name = Column(
        title=("", "tensor"), cells=tuple(map(Cell, tensors)), numbers=False, crop_to=_NAME
    )
    columns = [name]
    for place, one in enumerate(sets):
        spans = [one.ranges.get(tensor) for tensor in tensors]
        columns += [
            Column(
                title=(one.name if len(sets) > 1 else "", "low"),
                cells=tuple(Cell(f"{s.low + 0.0:.4g}") if s else ABSENT for s in spans),
                drop_rank=place or KEEP,
                crop_to=_SET,
            ),
            Column(
                title=("", "high"),
                cells=tuple(Cell(f"{s.high + 0.0:.4g}") if s else ABSENT for s in spans),
                drop_rank=place or KEEP,
            ),
        ]
    return tuple(columns)


def shown_sets(fitted: Sequence[Column]) -> int:
    """Return how many sets are left of :func:`range_columns`, fitted to a screen."""
    return (len(fitted) - 1) // _COLUMNS_A_SET
