"""What a reader should know beside the figures: one sentence each, with its evidence."""

from onnxq.findings import Finding
from onnxq.measurements import OperatorTime, SpeedRatio
from onnxq.pipeline.timings import Timings
from onnxq.reports import Environment, Verdict
from onnxq.targets import detect_target
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
    where = count_noun(worst.threads, "thread")
    return (
        Finding(
            code="OQ201",
            subject=alias,
            message=(
                f"{worst.ratio.value:.2f}x the speed of fp32 at {where}{_because(operators)}."
            ),
            evidence={
                "speed_ratio": worst.ratio.value,
                "threads": worst.threads,
                **{f"share_{one.operator}": one.share for one in operators[:3]},
            },
            severity="warning",
        ),
    )


def explain_target(environment: Environment) -> tuple[Finding, ...]:
    """Warn where this CPU's int8 kernels are slow or saturate; they decide every figure."""
    target = detect_target(environment.isa)
    if target.int8_is_fast and not target.int8_saturates:
        return ()
    message = f"This CPU has {target.sentence}; int8 figures from it do not hold for others."
    return (Finding(code="OQ204", subject=target.name, message=message, severity="warning"),)


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
