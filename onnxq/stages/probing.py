"""A child is asked to behave in some way, to see whether it is held."""

from typing import Literal

from msgspec import Struct

from onnxq.stages.stage import Stage


class ProbeRequest(Struct, frozen=True, kw_only=True):
    """Ask a child for a behaviour, to see whether it is held.

    Attributes:
        behaviour: What it does.
    """

    behaviour: Literal["answer", "refuse", "break", "die", "hang", "eat", "exit", "chatter"]


class ProbeResult(Struct, frozen=True, kw_only=True):
    """What a child that answers saw.

    Attributes:
        environment: Names of its environment variables, sorted.
        pid: Its process number.
    """

    environment: tuple[str, ...]
    pid: int


PROBE = Stage("probe", "onnxq.isolation.probing:probe", ProbeRequest, ProbeResult)
