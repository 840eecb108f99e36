"""``plan``: what another verb would do."""

import difflib
from collections.abc import Callable

from onnxq.documents import Plan
from onnxq.errors import UsageError
from onnxq.verbs.arguments import checked
from onnxq.verbs.calibrating import calibrate, merge
from onnxq.verbs.converting import convert
from onnxq.verbs.profiling import profile
from onnxq.verbs.quantizing import quantize
from onnxq.verbs.repairing import repair
from onnxq.verbs.running import run

_PLANS: dict[str, Callable[..., Plan]] = {
    "run": run.plan,
    "convert": convert.plan,
    "quantize": quantize.plan,
    "calibrate": calibrate.plan,
    "merge": merge.plan,
    "profile": profile.plan,
    "repair": repair.plan,
}


@checked
def plan(verb: str, model: object, **options: object) -> Plan:
    """Say what a verb would do, and about what it would cost; nothing is done.

    Args:
        verb: ``run``, ``convert``, ``quantize``, ``calibrate``, ``merge``, ``profile``,
            or ``repair``.
        model: As for that verb.
        options: As for that verb.

    Returns:
        Steps, rows, recipes and files. ``onnxq.run.plan(...)`` is the same, with typed options.

    Raises:
        UsageError: If there is no such verb, or options contradict each other (OQ100).
        OnnxqError: What can be known to fail: the output, the data, the model's file.
    """
    if verb not in _PLANS:
        near = difflib.get_close_matches(verb, _PLANS, n=1)
        guess = f"Did you mean {near[0]!r}? " if near else ""
        message = f"{verb!r} cannot be planned."
        raise UsageError(message, code="OQ100", hint=f"{guess}There are {', '.join(_PLANS)}.")
    return _PLANS[verb](model, **options)
