"""What a plan says in words: models, rows, what they can show, what it would cost."""

import math

from onnxq.cli.cells import duration, rounded_up, size_text
from onnxq.documents import Plan
from onnxq.wording import count_noun

_PERCENT = 100.0


def plan_facts(plan: Plan, out: str = "") -> dict[str, str]:
    """Say what a plan is about.

    Args:
        plan: The plan.
        out: Where it would write, as the user named it.

    Returns:
        Sentences by what they are about; what is not known is left out.
    """
    facts = {
        "model" if len(plan.sources) == 1 else "models": _sources(plan),
        "rows": _rows(plan),
        "drop": _detectable(plan),
        "time": _time(plan),
        "memory": f"about {size_text(plan.memory_bytes)}" if plan.memory_bytes else "",
        "disk": f"about {size_text(plan.disk_bytes)}" if plan.disk_bytes else "",
        "writes": _writes(plan, out or plan.out),
    }
    return {name: text for name, text in facts.items() if text}


def _sources(plan: Plan) -> str:
    return "; ".join(f"{given}: {kind}" for given, kind in plan.sources.items())


def _rows(plan: Plan) -> str:
    said = [
        f"{count_noun(plan.evaluation_rows, 'row')} to judge on" if plan.evaluation_rows else "",
        f"{count_noun(plan.calibration_rows, 'row')} to calibrate on"
        if plan.calibration_rows
        else "",
    ]
    return ", ".join(filter(None, said)) or "none"


def _detectable(plan: Plan) -> str:
    if not plan.detectable_drop:
        return ""
    points = rounded_up(_PERCENT * plan.detectable_drop, 1)
    return f"one of {points:.1f} pp can be expected to show on these rows; a smaller one may hide"


def _time(plan: Plan) -> str:
    known = math.fsum(step.seconds for step in plan.steps)
    unknown = [step.name for step in plan.steps if not step.seconds]
    rest = f", without {', '.join(dict.fromkeys(unknown))}" if unknown else ""
    return f"about {duration(known)}{rest}" if known else ""


def _writes(plan: Plan, out: str) -> str:
    if not plan.out:
        return "nothing"
    return f"{out}: {', '.join(plan.files)}" if plan.files else out
