"""What a graph rewrite is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from onnx import ModelProto

Exactness: TypeAlias = Literal["bit-exact", "real-exact", "approximate"]


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
        name: For messages.
        exactness: ``bit-exact`` where every float operation stays, ``real-exact`` where only
            their order or grouping changes, ``approximate`` else.
        note: What a reader of the report should know about it; empty where nothing.
        apply: The rewrite; it never changes the proto that it is given.
    """

    name: str
    exactness: Exactness
    note: str
    apply: Callable[[ModelProto], Rewritten]
