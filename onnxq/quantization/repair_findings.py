"""What a reader should know of a repair, and what outputs without any change would cost."""

import math
from collections.abc import Sequence

from msgspec.structs import replace

from onnxq.events import tell_nobody
from onnxq.findings import Finding
from onnxq.quantization.repair_steps import take_steps
from onnxq.quantization.repair_trials import Trials
from onnxq.stages import KernelCount, RepairRequest, RepairStep
from onnxq.tunings import Tuning

_KEEP = (
    "No choice of rewrites that was tried keeps every bit and runs more on integer kernels: keep "
    "the given file where that matters"
)
_ATTEMPTS = 2
_BROKEN_DB = 6.0
"""So much more noise by default than without optimizations is no mere other rounding."""


def describe_steps(
    request: RepairRequest,
    steps: Sequence[RepairStep],
    sqnr_db: float,
    kernels: tuple[KernelCount, KernelCount],
    bench: Trials,
) -> tuple[Finding, ...]:
    """Say what was left out, that nothing had to be done, and which steps changed outputs.

    Args:
        request: What was asked for.
        steps: Those that changed something.
        sqnr_db: Of the worst output against the given model's.
        kernels: Of the given model and of the repaired one.
        bench: Where the way without loose steps is tried before it is told.

    Returns:
        OQ177, OQ176 and OQ178.
    """
    findings = [
        Finding(
            code="OQ177",
            subject=step.slug,
            message=f"{step.slug} was left out: {step.left_out}.",
            severity="warning",
        )
        for step in steps
        if not step.is_kept
    ]
    kept = [step for step in steps if step.is_kept]
    if not kept:
        message = "Nothing was repaired: onnxq knows of no rewrite that helps this file."
        if not findings:
            message = "Nothing had to be repaired: onnxq knows no faster form of this file."
        findings.append(Finding(code="OQ176", subject="the model", message=message))
    loose = [one.slug for one in kept if not (one.is_equal or one.is_equal_optimized)]
    if loose:
        findings.append(
            Finding(
                code="OQ178",
                subject="the outputs",
                message=f"They are not bit-identical to the given model's{_apart(sqnr_db)}, "
                f"because of {', '.join(loose)}.",
                evidence={"sqnr_db": sqnr_db, "rewrites": len(loose)},
                fix=_exact_way(request, steps, kernels, bench),
            )
        )
    return tuple(findings)


def _apart(sqnr_db: float) -> str:
    return f" ({sqnr_db:.1f} dB)" if abs(sqnr_db) < 200 else ""  # noqa: PLR2004 - stands for none


def _exact_way(
    request: RepairRequest,
    steps: Sequence[RepairStep],
    kernels: tuple[KernelCount, KernelCount],
    bench: Trials,
) -> str:
    """Say how outputs stay as they were to the last bit, and what that costs; it was tried."""
    before, now = kernels
    for _ in range(_ATTEMPTS):
        skipped = _with_unequal(request.tuning, steps)
        if skipped == request.tuning.skipped:
            break
        added = tuple(slug for slug in request.tuning.added if slug not in skipped)
        request = replace(request, tuning=replace(request.tuning, skipped=skipped, added=added))
        taken = take_steps(request, bench, tell_nobody)
        state, steps = taken.state, taken.steps
        if state.failure or not state.outputs.equals(bench.given.outputs):
            continue  # others took the place of those that were skipped
        found = bench.count(state.proto)
        if (found.integer, -found.conversions) > (before.integer, -before.conversions):
            flags = " ".join(f"--skip-rewrite {slug}" for slug in skipped)
            return (
                f"For bit-identical outputs without onnxruntime's optimizations, with "
                f"{found.integer} of {found.integer + found.floats} convolutions and matrix "
                f"products on integer kernels instead of {now.integer}: {flags}"
            )
    return _KEEP if _serves_well(bench) else ""


def _serves_well(bench: Trials) -> bool:
    """Whether the given model, as onnxruntime runs it by default, is what its makers meant."""
    given = bench.given
    served_db = given.served.sqnr_db(bench.unrounded) if not given.failure else -math.inf
    return served_db >= given.unrounded_db - _BROKEN_DB


def _with_unequal(tuning: Tuning, steps: Sequence[RepairStep]) -> tuple[str, ...]:
    """Add those to the rewrites that are left out which changed a bit, or may another time."""
    changing = [
        one.slug
        for one in steps
        if (not one.is_equal if one.is_kept else one.exactness != "bit-exact")
    ]
    return tuple(dict.fromkeys((*tuning.skipped, *changing)))
