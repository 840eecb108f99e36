"""What the library tells while it works. It never prints."""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct


class StageStarted(Struct, frozen=True, tag="started"):
    """A stage begins.

    Attributes:
        stage: The stage's name.
        subject: What it works on, for a person.
    """

    stage: str
    subject: str


class Progressed(Struct, frozen=True, tag="progressed"):
    """A stage has done some of its work.

    Attributes:
        stage: The stage's name.
        done: Units done so far.
        total: Units in all.
    """

    stage: str
    done: int
    total: int


class StageDone(Struct, frozen=True, tag="done"):
    """A stage ended well.

    Attributes:
        stage: The stage's name.
        subject: What came of it, for a person.
        seconds: Wall time that it took.
    """

    stage: str
    subject: str
    seconds: float


Event: TypeAlias = StageStarted | Progressed | StageDone
Tell: TypeAlias = Callable[[Event], None]


def tell_nobody(event: Event) -> None:
    """Drop an event: the default listener."""
