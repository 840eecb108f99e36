"""What a graph rewrite is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from onnx import ModelProto

from onnxq.findings import Finding
from onnxq.targets import TargetName
from onnxq.tunings import Tuning

Exactness: TypeAlias = Literal["bit-exact", "real-exact", "approximate"]

EVERYWHERE: Final[frozenset[TargetName]] = frozenset(get_args(TargetName))

X86: Final[frozenset[TargetName]] = frozenset({"x86-amx", "x86-vnni", "x86"})
WITH_VNNI: Final[frozenset[TargetName]] = frozenset({"x86-amx", "x86-vnni"})

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Rewritten:
    """What a rewrite made of a model.

    Attributes:
        proto: The model; the one that was given where nothing matched.
        subjects: Names of the nodes or tensors that changed.
    """

    proto: ModelProto
    subjects: tuple[str, ...]


@dataclass(frozen=True)
class Rewrite:
    """A change of a graph that keeps what it computes.

    Attributes:
        name: For messages; with hyphens, what ``--skip-rewrite`` and ``--rewrite`` call it.
        exactness: ``bit-exact`` where every operation on numbers stays, ``real-exact`` where only
            their order or grouping changes, ``approximate`` else.
        note: What a reader of the report should know about it; empty where nothing.
        apply: The rewrite; it never changes the proto that it is given.
        why: What it is good for, with the figure that was measured; no full stop.
        targets: The kinds of CPU on which it is known to pay, or to be needed.
        is_optional: Whether it has to be asked for: it is off otherwise.
        domains: Operator domains that it may bring in, beside the standard one.
    """

    name: str
    exactness: Exactness
    note: str
    apply: Callable[[ModelProto], Rewritten]
    why: str
    targets: frozenset[TargetName] = EVERYWHERE
    is_optional: bool = False
    domains: frozenset[str] = frozenset()

    @property
    def slug(self) -> str:
        """What options call it: ``pool-spatial-mean``."""
        return self.name.lower().replace(" ", "-")

    def is_taken(self, tuning: Tuning) -> bool:
        """Whether it is let at graphs for a kind of CPU.

        Args:
            tuning: Which CPU, and what was asked for.
        """
        here = tuning.target in self.targets or self.slug in tuning.added
        return here and tuning.allows(self.slug, is_optional=self.is_optional)


def describe_rewrite(name: str, note: str, subjects: tuple[str, ...]) -> Finding:
    """Say that a rewrite changed a graph.

    Args:
        name: Of the rewrite.
        note: What a reader should know about it.
        subjects: What changed; not empty.

    Returns:
        OQ116.
    """
    shown = ", ".join(subjects[:_NAMES_SHOWN])
    more = f" and {len(subjects) - _NAMES_SHOWN} more" if len(subjects) > _NAMES_SHOWN else ""
    return Finding(
        code="OQ116",
        subject=name,
        message=f"{shown}{more}: {note}.",
        evidence={"changed": len(subjects)},
    )
