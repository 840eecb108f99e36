"""What a reader should know of a repair, and what outputs without any change would cost."""

from collections.abc import Sequence

from msgspec.structs import replace

from onnxq.events import tell_nobody
from onnxq.findings import Finding
from onnxq.quantization.repair_steps import take_steps
from onnxq.quantization.repair_trials import Trials
from onnxq.stages import KernelCount, RepairRequest, RepairStep

_KEEP = (
    "No choice of rewrites that was tried is faster and keeps every bit: keep the given file "
    "where that matters"
)


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
                fix=_exact_way(request, steps, loose, kernels, bench),
            )
        )
    return tuple(findings)


def _apart(sqnr_db: float) -> str:
    return f" ({sqnr_db:.1f} dB)" if abs(sqnr_db) < 200 else ""  # noqa: PLR2004 - stands for none


def _exact_way(
    request: RepairRequest,
    steps: Sequence[RepairStep],
    loose: Sequence[str],
    kernels: tuple[KernelCount, KernelCount],
    bench: Trials,
) -> str:
    """Say how outputs stay as they were to the last bit, and what that costs; it was tried."""
    before, now = kernels
    left_out = [one.slug for one in steps if not one.is_kept and one.exactness != "bit-exact"]
    skipped = tuple(dict.fromkeys((*request.tuning.skipped, *loose, *left_out)))
    found = _without(request, skipped, bench)
    gains = found.integer > before.integer or found.conversions < before.conversions
    if not found.integer or not (gains or bench.given.failure):
        return _KEEP
    flags = " ".join(f"--skip-rewrite {slug}" for slug in skipped)
    return (
        f"For bit-identical outputs, with {found.integer} of {found.integer + found.floats} "
        f"convolutions and matrix products on integer kernels instead of {now.integer}: {flags}"
    )


def _without(request: RepairRequest, slugs: Sequence[str], bench: Trials) -> KernelCount:
    """Count the kernels that a repair without some steps ends with; none if outputs change."""
    added = tuple(slug for slug in request.tuning.added if slug not in slugs)
    tuning = replace(request.tuning, skipped=tuple(slugs), added=added)
    state = take_steps(replace(request, tuning=tuning), bench, tell_nobody).state
    same = state.outputs.equals(bench.given.outputs) or state.equals_served(bench.given)
    if state.failure or not same:
        return KernelCount(integer=0, floats=0, conversions=0)
    return bench.count(state.proto)
