"""What options about rewrites come to: those that change nothing are said."""

from collections.abc import Collection, Sequence
from typing import Final

from onnxq.findings import Finding
from onnxq.graph.rewrites import (
    ALL_REWRITES,
    FIRST,
    FOR_INTEGERS,
    FOR_QUANTIZERS,
    FOR_REPAIR,
    REWRITES,
    Rewrite,
)
from onnxq.tunings import Tuning

_ELSEWHERE: Final = frozenset(FOR_REPAIR) - {*FIRST, *REWRITES, *FOR_QUANTIZERS, *FOR_INTEGERS}


def remark_tuning(tuning: Tuning) -> tuple[Finding, ...]:
    """Say what ``--rewrite`` and ``--skip-rewrite`` come to where a float model is quantized.

    Args:
        tuning: For which CPU, with which rewrites.

    Returns:
        OQ213 for each that changes nothing whatever the model, and for each that is taken although
        it is not known to pay on that CPU.
    """
    known = {rewrite.slug: rewrite for rewrite in ALL_REWRITES}
    said = [
        *(("--rewrite", name, _about_added) for name in tuning.added),
        *(("--skip-rewrite", name, _about_skipped) for name in tuning.skipped),
    ]
    return tuple(
        _finding(name, f"{flag} {name}: {words}.")
        for flag, name, about in said
        if name in known
        for words in [about(known[name], tuning)]
        if words
    )


def remark_unmatched(
    group: Sequence[Rewrite], taken: Collection[str], tuning: Tuning
) -> tuple[Finding, ...]:
    """Say which rewrites were asked for and changed nothing.

    Args:
        group: Those that were let at the model.
        taken: Names of those that changed something.
        tuning: What was asked for.

    Returns:
        OQ213 for each.
    """
    return tuple(
        _finding(one.slug, f"--rewrite {one.slug}: nothing matched in this model.")
        for one in dict.fromkeys(group)
        if one.slug in tuning.added and one.name not in taken
    )


def _about_added(rewrite: Rewrite, tuning: Tuning) -> str:
    if rewrite in _ELSEWHERE:
        return "nothing is done, it is for onnxq repair only"
    if tuning.target not in rewrite.targets:
        listed = ", ".join(sorted(rewrite.targets))
        return f"it is for {listed}, and is taken for {tuning.target} because it was asked for"
    return "" if rewrite.is_optional else "it is taken anyway"


def _about_skipped(rewrite: Rewrite, tuning: Tuning) -> str:
    if rewrite in _ELSEWHERE:
        return "nothing changes, it is for onnxq repair only"
    if tuning.target not in rewrite.targets:
        return f"nothing changes, it is not for {tuning.target}"
    return "nothing changes, it is off unless asked for" if rewrite.is_optional else ""


def _finding(subject: str, message: str) -> Finding:
    return Finding(code="OQ213", subject=subject, message=message)
