"""What a reader should know beside the figures: one sentence each, with its evidence."""

from msgspec.structs import replace

from onnxq.audits import NotAudited
from onnxq.findings import Finding
from onnxq.measurements import OperatorTime, SpeedRatio
from onnxq.pipeline.audits import main_cause
from onnxq.pipeline.timings import Timings
from onnxq.presets import PRESETS
from onnxq.reports import Environment, Verdict
from onnxq.targets import TargetName, detect_target
from onnxq.tunings import Tuning
from onnxq.wording import count_noun

_MOST_PROFILED_RATIO = 1.5
_WHY = {
    "ConvInteger": "it has no fast kernel; dynamic int8 suits MatMul-heavy models, use int8",
    "DequantizeLinear": "operators between quantized regions run in float",
    "QuantizeLinear": "operators between quantized regions run in float",
    "DynamicQuantizeLinear": "activations are quantized anew in each run",
    "Conv": "convolutions stayed float",
}


def explain_speed(alias: str, timings: Timings) -> tuple[Finding, ...]:
    """Say where the time goes of a candidate that is slower than fp32.

    Args:
        alias: The candidate's.
        timings: Of all candidates.

    Returns:
        One finding for a candidate that is slower at some thread count; else none.
    """
    slower = [ratio for ratio in timings.speed.get(alias, ()) if _is_slower(ratio)]
    if not slower:
        return ()
    worst = min(slower, key=lambda ratio: ratio.ratio.value)
    operators = _blamable(alias, timings)
    audit = timings.audits.get(alias, NotAudited())
    cause = main_cause(audit) if operators else ""
    where = count_noun(worst.threads, "thread")
    return (
        Finding(
            code="OQ201",
            subject=alias,
            message=(
                f"{worst.ratio.value:.2f}x the speed of fp32 at {where}"
                f"{f' because {cause}' if cause else _because(operators)}."
            ),
            evidence={
                "speed_ratio": worst.ratio.value,
                "threads": worst.threads,
                **{f"share_{one.operator}": one.share for one in operators[:3]},
            },
            severity="warning",
        ),
    )


def explain_target(environment: Environment, tuning: Tuning) -> tuple[Finding, ...]:
    """Warn where this CPU's int8 kernels are slow or saturate, or it is not the one that serves.

    Args:
        environment: Where models were measured.
        tuning: What they were made for.

    Returns:
        OQ204 and OQ206, where they hold.
    """
    here = detect_target(environment.isa, environment.system.rpartition(" ")[2])
    found = []
    if not here.int8_is_fast or here.int8_saturates:
        message = f"This CPU has {here.sentence}; int8 figures from it do not hold for others."
        found.append(_warning("OQ204", here.name, message))
    if tuning.target != here.name:
        message = (
            f"The models were made for {tuning.target}, and this CPU is {here.name}: latencies "
            f"and what is recommended do not hold there. Recipes: {PRESETS[tuning.target].choice}."
        )
        fix = f"Measure on such a CPU, or leave --target {tuning.target} out."
        found.append(_warning("OQ206", tuning.target, message, fix))
    return tuple(found)


def explain_foreign(tuning: Tuning, here: TargetName) -> tuple[Finding, ...]:
    """Say that models which nobody measured were made for another kind of CPU.

    Args:
        tuning: What they were made for.
        here: The kind of this CPU.

    Returns:
        OQ206; nothing where it is this one's kind.
    """
    if tuning.target == here:
        return ()
    message = (
        f"The models were made for {tuning.target}, and this CPU is {here}: latencies from here "
        f"do not hold there. Recipes: {PRESETS[tuning.target].choice}."
    )
    fix = f"Measure on such a CPU, or leave --target {tuning.target} out."
    return (_warning("OQ206", tuning.target, message, fix),)


def name_machine(verdict: Verdict, environment: Environment, tuning: Tuning) -> Verdict:
    """Say in a verdict that its figures are not of the CPU that will serve the model.

    Args:
        verdict: From what was measured here.
        environment: Where that is.
        tuning: What the models were made for.

    Returns:
        The verdict; the one that was given where both are of one kind.
    """
    here = detect_target(environment.isa, environment.system.rpartition(" ")[2]).name
    if tuning.target == here:
        return verdict
    said = f"All figures are of this CPU ({here}), not of {tuning.target}, which will serve it."
    return replace(verdict, detail=f"{verdict.detail} {said}".lstrip())


def _warning(code: str, subject: str, message: str, fix: str = "") -> Finding:
    return Finding(code=code, subject=subject, message=message, fix=fix, severity="warning")


def explain_limits(verdict: Verdict) -> tuple[Finding, ...]:
    """Say that a limit which the user gave is not met: the exit code is 3."""
    if verdict.limits_met:
        return ()
    flags = ", ".join(f"--{name.replace('_', '-')}" for name in verdict.broken_limits)
    message = f"No recipe keeps the limits that were given; not shown to be kept: {flags}."
    fix = "Loosen a limit, try other recipes (-r), or give more rows."
    return (Finding(code="OQ301", subject="limits", message=message, fix=fix, severity="warning"),)


def _blamable(alias: str, timings: Timings) -> tuple[OperatorTime, ...]:
    """Return operator times that may be blamed: those that add up to about the latency.

    onnxruntime's profiler adds some microseconds to each node, which is most of the time of a
    tiny model.
    """
    operators = timings.operators.get(alias, ())
    at_one = [time for time in timings.latencies.get(alias, ()) if time.threads == 1]
    profiled_ns = sum(time.ns for time in operators)
    trusted = bool(at_one) and profiled_ns < _MOST_PROFILED_RATIO * at_one[0].cpu_ns.value
    return operators if trusted else ()


def _is_slower(ratio: SpeedRatio) -> bool:
    return ratio.ratio.high < 1 and not ratio.is_tie


def _because(operators: tuple[OperatorTime, ...]) -> str:
    if not operators:
        return ""
    first = operators[0]
    nodes = count_noun(first.count, f"{first.operator} node")
    spent = f" because {first.share:.0%} of its time is in {nodes}"
    return f"{spent}: {_WHY[first.operator]}" if first.operator in _WHY else spent
