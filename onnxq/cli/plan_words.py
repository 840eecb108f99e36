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
        "memory": _memory(plan),
        "cpu": plan.made_for,
        "usually": plan.families,
        "disk": f"at most {size_text(plan.disk_bytes)}" if plan.disk_bytes else "",
        "writes": _writes(plan, out or plan.out),
    }
    return {name: text for name, text in facts.items() if text}


def _sources(plan: Plan) -> str:
    return "; ".join(f"{given}: {kind}" for given, kind in plan.sources.items())


def _rows(plan: Plan) -> str:
    counts = {"judge": plan.evaluation_rows, "calibrate": plan.calibration_rows}
    said = [f"{_count(count)} to {verb} on" for verb, count in counts.items() if count]
    return ", ".join(said) or "none"


def _count(rows: int) -> str:
    return count_noun(rows, "row") if rows > 0 else "as many rows as your function gives"


def _detectable(plan: Plan) -> str:
    if not plan.detectable_drop:
        return ""
    points = rounded_up(_PERCENT * plan.detectable_drop, 1)
    return f"one of {points:.1f} pp can be expected to show on these rows; a smaller one may hide"


def _time(plan: Plan) -> str:
    known = math.fsum(step.seconds for step in plan.steps)
    unknown = [step.name for step in plan.steps if not step.seconds]
    rest = f", without {', '.join(dict.fromkeys(unknown))}" if unknown else ""
    calibrating = math.fsum(step.seconds for step in plan.steps if step.name == "calibrate")
    kept = ""
    if plan.may_be_cached and calibrating:
        kept = f"; {duration(known - calibrating)} where the cache holds this calibration already"
    return f"about {duration(known)}{rest}{kept}" if known else ""


def _memory(plan: Plan) -> str:
    """Say what a process would take, and what calibrating takes of it: the report compares that."""
    peak = f"about {size_text(plan.memory_bytes)}" if plan.memory_bytes else ""
    if not plan.calibration_bytes:
        return peak
    passes = plan.calibration_passes
    several = f" in {passes} passes over the rows" if passes > 1 else ""
    calibrating = f"calibrating {size_text(plan.calibration_bytes)} beyond the base{several}"
    return "; ".join(filter(None, (peak, calibrating)))


def _writes(plan: Plan, out: str) -> str:
    if not plan.out:
        return "nothing"
    return f"{out}: {', '.join(plan.files)}" if plan.files else out
