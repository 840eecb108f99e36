"""For which CPU graphs are made fit: the options become a value."""

import difflib
from collections.abc import Sequence
from typing import get_args

from onnxq.errors import UsageError
from onnxq.events import Tell
from onnxq.pipeline.rewrite_listing import known_rewrites
from onnxq.profiling.environment import own_target
from onnxq.rewrite_facts import check_rewrites
from onnxq.targets import TargetName
from onnxq.tunings import Tuning

_DETECTED = "auto"


def ask_tuning(
    *, target: str, rewrite: Sequence[str], skip_rewrite: Sequence[str], tell: Tell
) -> Tuning:
    """Ask for which CPU graphs are made fit, and with which rewrites.

    Args:
        target: A kind of CPU, or ``auto`` for this machine's.
        rewrite: Optional rewrites that are taken.
        skip_rewrite: Rewrites that are left out.
        tell: Who listens to events.

    Returns:
        What goes along with a model through preparation and quantizers.

    Raises:
        UsageError: OQ100 if there is no such kind of CPU or rewrite, near misses suggested.
    """
    name = _target(target)
    if rewrite or skip_rewrite:
        check_rewrites((one.name for one in known_rewrites(tell)), rewrite, skip_rewrite)
    return Tuning(
        target=name,
        skipped=tuple(dict.fromkeys(skip_rewrite)),
        added=tuple(dict.fromkeys(rewrite)),
    )


def _target(text: str) -> TargetName:
    if text == _DETECTED:
        return own_target().name
    names: tuple[TargetName, ...] = get_args(TargetName)
    named = next((name for name in names if name == text), None)
    if named is None:
        near = difflib.get_close_matches(text, (_DETECTED, *names), n=1)
        guess = f"Did you mean {near[0]!r}? " if near else ""
        message = f"--target {text!r}: expected one of {', '.join((_DETECTED, *names))}."
        raise UsageError(
            message, code="OQ100", hint=f"{guess}--target auto takes this machine's CPU."
        )
    return named
