"""What the user demands, and the answer in one sentence."""

from typing import Literal, TypeAlias

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """What the user demands.

    Attributes:
        max_drop: Largest drop of the metric that is acceptable, as a fraction (0.01 is 1 pp).
        max_drop_given: Whether the user named it.
        max_drop_metric: The unit that the user named, such as ``pp`` or ``mse``; else empty.
        min_speedup: Least ratio that counts as fast.
        min_speedup_given: Whether the user named it.
        max_size_bytes: Largest file; 0 sets no limit.
    """

    max_drop: float = 0.01
    max_drop_given: bool = False
    max_drop_metric: str = ""
    min_speedup: float = 1.02
    min_speedup_given: bool = False
    max_size_bytes: int = 0


LimitName: TypeAlias = Literal["max_drop", "min_speedup", "max_size"]
"""A limit that a user can give, as its option is called."""

VerdictKind: TypeAlias = Literal[
    "ship", "keep_fp32", "cannot_tell", "no_labels", "quantized_already"
]


class Verdict(Struct, frozen=True, kw_only=True):
    """The answer, in one sentence.

    Attributes:
        kind: ``ship`` a candidate, ``keep_fp32``, ``cannot_tell`` yet, or ``no_labels``: the
            fastest is named, with its agreement, but nothing is recommended for shipping. A
            model that is ``quantized_already`` leaves nothing to choose.
        alias: The candidate that the sentence is about; empty for ``keep_fp32``, and where
            nothing that is fast agrees with fp32 and no labels say more.
        sentence: For a person.
        detail: A second sentence: the interval, the limit, or what would settle it.
        candidates: How many candidates the choice was among (Holm's correction).
        limits_met: False where a limit that the user gave is not met: exit code 3.
        broken_limits: Which those are: ``max_drop``, ``min_speedup``, ``max_size``.
        threads: Where the answer depends on the count of threads, one at which the candidate is
            fast; else 0.
    """

    kind: VerdictKind
    alias: str
    sentence: str
    detail: str
    candidates: int
    limits_met: bool
    broken_limits: tuple[LimitName, ...] = ()
    threads: int = 0
