"""The rewrites, told as values to those who must not load their code."""

from pathlib import Path
from typing import get_args

from onnxq.events import Tell
from onnxq.graph.rewrites import (
    ALL_REWRITES,
    FIRST,
    FOR_INTEGERS,
    FOR_QUANTIZERS,
    FOR_REPAIR,
    REWRITES,
    Rewrite,
)
from onnxq.rewrite_facts import RewriteFacts, RewriteStep
from onnxq.stages import ListRewritesRequest, ListRewritesResult
from onnxq.targets import TargetName

_GROUPS: dict[RewriteStep, tuple[Rewrite, ...]] = {
    "preparation": (*FIRST, *REWRITES),
    "quantizers": FOR_QUANTIZERS,
    "integers": FOR_INTEGERS,
    "repair": FOR_REPAIR,
}


def list_rewrites(
    request: ListRewritesRequest,  # noqa: ARG001 - a stage's signature
    folder: Path,  # noqa: ARG001 - a stage's signature
    tell: Tell,  # noqa: ARG001 - a stage's signature
) -> ListRewritesResult:
    """Describe all rewrites.

    Args:
        request: Says nothing.
        folder: Not written to.
        tell: Not told anything.

    Returns:
        A description each, in the order in which they are taken.
    """
    return ListRewritesResult(rewrites=tuple(map(_facts, ALL_REWRITES)))


def _facts(rewrite: Rewrite) -> RewriteFacts:
    return RewriteFacts(
        name=rewrite.slug,
        exactness=rewrite.exactness,
        why=rewrite.why,
        step=next(step for step, group in _GROUPS.items() if rewrite in group),
        targets=tuple(name for name in get_args(TargetName) if name in rewrite.targets),
        is_optional=rewrite.is_optional,
        domains=tuple(sorted(rewrite.domains)),
    )
