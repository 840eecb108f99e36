"""Why a candidate is not faster: one sentence, with the operators that the time goes into."""

from onnxq.findings import Finding
from onnxq.measurements import OperatorTime, SpeedRatio
from onnxq.pipeline.timings import Timings

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
    operators = timings.operators.get(alias, ())
    return (
        Finding(
            code="OQ201",
            subject=alias,
            message=(
                f"{worst.ratio.value:.2f}x the speed of fp32 at {worst.threads} thread(s)"
                f"{_because(operators)}."
            ),
            evidence={
                "speed_ratio": worst.ratio.value,
                "threads": worst.threads,
                **{f"share_{one.operator}": one.share for one in operators[:3]},
            },
            severity="warning",
        ),
    )


def _is_slower(ratio: SpeedRatio) -> bool:
    return ratio.ratio.high < 1 and not ratio.is_tie


def _because(operators: tuple[OperatorTime, ...]) -> str:
    if not operators:
        return ""
    first = operators[0]
    spent = f" because {first.share:.0%} of its time is in {first.count} {first.operator} node(s)"
    return f"{spent}: {_WHY[first.operator]}" if first.operator in _WHY else spent
