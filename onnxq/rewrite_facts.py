"""What there is to know of a graph rewrite without its code. Values only."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from onnxq.errors import UsageError
from onnxq.targets import TargetName

RewriteStep: TypeAlias = Literal["preparation", "quantizers", "repair", "integers"]


class RewriteFacts(Struct, frozen=True, kw_only=True):
    """A rewrite, described.

    Attributes:
        name: As ``--rewrite`` and ``--skip-rewrite`` spell it.
        exactness: ``bit-exact`` where every operation on numbers stays, ``real-exact`` where only
            their order or grouping changes, ``approximate`` else.
        why: What it is good for, with the figure that was measured.
        step: When it is taken: in the preparation of a float model, on the private copy of the
            quantizers, in the repair of a foreign quantized model, or on quantized graphs.
        targets: The kinds of CPU for which it is taken.
        is_optional: Whether it has to be asked for.
        domains: Operator domains that it may bring in, beside the standard one.
    """

    name: str
    exactness: str
    why: str
    step: RewriteStep
    targets: tuple[TargetName, ...]
    is_optional: bool = False
    domains: tuple[str, ...] = ()


def check_rewrites(
    known: Iterable[str], added: Sequence[str] = (), skipped: Sequence[str] = ()
) -> None:
    """Refuse names of rewrites that there are not, and names both taken and left out.

    Args:
        known: All names.
        added: Given with ``--rewrite``.
        skipped: Given with ``--skip-rewrite``.

    Raises:
        UsageError: OQ100, near misses suggested.
    """
    names = tuple(known)
    both = [name for name in added if name in skipped]
    if both:
        message = f"--rewrite {both[0]} and --skip-rewrite {both[0]} contradict each other."
        raise UsageError(message, code="OQ100", hint="Leave one of them out.")
    for flag, given in (("--rewrite", added), ("--skip-rewrite", skipped)):
        for name in given:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                guess = f"Did you mean {near[0]!r}? " if near else ""
                message = f"{flag} {name!r}: there is no such rewrite."
                hint = f"{guess}They are listed by: onnxq rewrites"
                raise UsageError(message, code="OQ100", hint=hint)
