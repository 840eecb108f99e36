"""What a reader of latencies should know about how they were measured."""

import math

from onnxq.findings import Finding
from onnxq.profiling.latency_study import LatencyMeasurements, half_width
from onnxq.wording import count_noun

BUSY_RATIO = 1.1
"""Wall over CPU time at one thread: above it the machine was busy with something else."""

_SUBJECT = "timing"
_LONGER = 1.5
_WIDE, _WIDE_TIE = math.log(1.1), math.log(1.05)
_NS_PER_S = 1e9
_ROUNDS_TO_1000 = 999.5


def timing_findings(
    measurements: LatencyMeasurements, *, spent_s: float, budget_s: float
) -> tuple[Finding, ...]:
    """Say what keeps the latencies from being as certain as wanted.

    Args:
        measurements: All blocks.
        spent_s: Wall time that measuring took.
        budget_s: Wall time that it was given.

    Returns:
        OQ205 for a busy machine; OQ207 for the widest interval that leaves open what matters
        (wider than ±5 % and touching the zone of ties, or wider than ±10 %), and for
        measurements that took much longer than they were given.
    """
    return (
        *_busy(measurements),
        *_wide(measurements, budget_s),
        *_long(measurements, spent_s, budget_s),
    )


def _busy(measurements: LatencyMeasurements) -> tuple[Finding, ...]:
    busy = measurements.busy_ratio
    if busy <= BUSY_RATIO:
        return ()
    message = (
        f"wall time was {busy:.2f} times CPU time at 1 thread: the machine was busy with something "
        "else, so wall times say little; CPU times and their ratios hold."
    )
    return (
        Finding(
            code="OQ205",
            subject=_SUBJECT,
            message=message,
            evidence={"busy_ratio": busy},
            fix="Run again on a quieter machine, or for longer: --seconds 60",
            severity="warning",
        ),
    )


def _wide(measurements: LatencyMeasurements, budget_s: float) -> tuple[Finding, ...]:
    ratios = measurements.ratios(measurements.names[0])
    wide = [
        (half_width(ratio), name, ratio)
        for name, of_model in ratios.items()
        for ratio in of_model
        if half_width(ratio) > (_WIDE_TIE if ratio.is_tie else _WIDE)
    ]
    if not wide:
        return ()
    half, name, ratio = max(wide, key=lambda found: found[0])
    message = (
        f"after {budget_s:g} s the speed of {name} at {count_noun(ratio.threads, 'thread')} is "
        f"known to ±{math.expm1(half):.0%} only: {ratio.ratio.low:.2f}x to {ratio.ratio.high:.2f}x."
    )
    return (
        Finding(
            code="OQ207",
            subject=_SUBJECT,
            message=message,
            evidence={"half_width": half, "threads": ratio.threads, "blocks": ratio.ratio.n},
            fix=f"Measure for longer: --seconds {_next_budget(budget_s)}",
        ),
    )


def _long(
    measurements: LatencyMeasurements, spent_s: float, budget_s: float
) -> tuple[Finding, ...]:
    if spent_s <= _LONGER * budget_s:
        return ()
    name, slowest = max(
        ((name, one) for name, of in measurements.latencies().items() for one in of),
        key=lambda found: found[1].wall_ns.value,
    )
    message = f"measuring took {spent_s:.{0 if spent_s >= 1 else 1}f} s and not {budget_s:g} s: "
    inference = f"an inference of {name} takes {_duration(slowest.wall_ns.value)}"
    if _inferring_s(measurements) < spent_s / 2:
        message += (
            f"five blocks of fresh processes of every model are the least, though {inference} only."
        )
        fix = f"Allow for it: --seconds {math.ceil(spent_s)}"
    else:
        blocks = len(measurements.blocks)
        message += f"{inference}, and each model is measured in {blocks} processes."
        fix = "Measure at one thread count: --threads 1." if len(measurements.threads) > 1 else ""
    return (
        Finding(
            code="OQ207",
            subject=_SUBJECT,
            message=message,
            evidence={"spent_s": spent_s, "budget_s": budget_s},
            fix=fix,
        ),
    )


def _inferring_s(measurements: LatencyMeasurements) -> float:
    """Sum the times of the runs that were kept: all but those of models far below 1 ms."""
    turns = (turn for block in measurements.blocks for of in block.values() for turn in of)
    return sum(sum(turn.walls_ns) for turn in turns) / _NS_PER_S


def _duration(time_ns: float) -> str:
    """Write a time in the unit that keeps it below 1000: 11 us, 1.2 ms, 3 s."""
    for unit, unit_ns in (("us", 1e3), ("ms", 1e6)):
        if time_ns < _ROUNDS_TO_1000 * unit_ns:
            return f"{time_ns / unit_ns:.3g} {unit}"
    return f"{time_ns / _NS_PER_S:.3g} s"


def _next_budget(budget_s: float) -> int:
    return max(round(3 * budget_s), 1)
