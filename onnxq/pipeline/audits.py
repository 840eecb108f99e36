"""What onnxruntime really runs of a model: looked at for ``inspect``, and told as findings."""

import shlex
from collections import defaultdict
from collections.abc import Iterable

from msgspec.structs import replace

from onnxq.audits import Audit, Island, RuntimeAudit, SlowKernel
from onnxq.datasets.values import DataRequest
from onnxq.findings import Finding
from onnxq.integer_tensors import IntegerTensor
from onnxq.models import OnnxModel
from onnxq.pipeline.arrivals import inference_rows, load_rows, store_inference
from onnxq.pipeline.bench import Bench
from onnxq.sources import InputDeclaration
from onnxq.stages import (
    PROFILE_OPERATORS,
    NoDataRequest,
    ProfileOperatorsRequest,
    ProfileOperatorsResult,
)
from onnxq.wording import count_noun

AUDIT_RUNS = 20
NOTABLE_TIME = 0.05
"""Share of the time of all kernels from which float islands and slow kernels are worth a word."""

OWN_PRODUCER = "onnxq"
"""What files say that onnxq wrote."""

_SEED = 0
_REPAIR, _DYNAMIC = "onnxq repair FILE", "-r int8-dynamic"


def audit_model(
    bench: Bench,
    model: OnnxModel,
    io: tuple[IntegerTensor, ...],
    data: DataRequest | NoDataRequest,
    declared: tuple[InputDeclaration, ...],
    *,
    title: str,
) -> ProfileOperatorsResult:
    """Run a model and look at what runs.

    Args:
        bench: Where the stages are carried out.
        model: Which.
        io: Its integer inputs and outputs.
        data: Rows to run it on; random ones are made where there are none.
        declared: Sizes of free axes and values of integers where there are no rows.
        title: What the user calls the model.

    Returns:
        Times, nodes and the audit. It raises what the stages raise.
    """
    rows = load_rows(bench, model, data, NoDataRequest(), declared, split=False)
    inputs = store_inference(
        bench,
        model,
        rows.evaluation,
        declared,
        batch_rows=inference_rows(model, 0, rows.evaluation),
        seed=_SEED,
    )
    request = ProfileOperatorsRequest(model=model, inputs=inputs, runs=AUDIT_RUNS, io=io)
    return bench.run(PROFILE_OPERATORS, request, title)


def explain_audit(subject: str, audit: Audit) -> tuple[Finding, ...]:
    """Tell what keeps a quantized model from running on integers, or from running fast on them.

    Args:
        subject: What people call the model.
        audit: Of it; a float model has nothing to tell.

    Returns:
        A finding for float operators between integers, and one for slow integer kernels; each
        only where it takes a notable share of the time.
    """
    if not isinstance(audit, RuntimeAudit):
        return ()
    return (*_explain_islands(subject, audit), *_explain_slow(subject, audit))


def advise_audit(
    audit: Audit, *, file: str = "", model: str = "", has_dynamic: bool = False
) -> Audit:
    """Say in the fixes which files they speak of, and leave out what would change nothing.

    Args:
        audit: Of a model.
        file: The model, if repairing it may help: of a file that onnxq wrote, it answers that
            nothing was changed. Empty for such a one.
        model: The float model that it was made from; empty where that is not known.
        has_dynamic: Whether dynamic int8 is measured beside it.

    Returns:
        The audit with other fixes.
    """
    if not isinstance(audit, RuntimeAudit):
        return audit

    def fix(text: str) -> str:
        if _REPAIR in text:
            return text.replace(_REPAIR, f"onnxq repair {shlex.quote(file)}") if file else ""
        if _DYNAMIC in text:
            named = text.replace("MODEL", shlex.quote(model)) if model else text
            return "" if has_dynamic else named
        return text

    return replace(
        audit,
        islands=tuple(replace(one, fix=fix(one.fix)) for one in audit.islands),
        slow=tuple(replace(one, fix=fix(one.fix)) for one in audit.slow),
    )


def main_cause(audit: Audit) -> str:
    """Say in a clause what float islands or slow kernels cost most time.

    Args:
        audit: Of a model that is slower than float.

    Returns:
        Such as ``34% of its time is in float islands (...)``; empty where they take little.
    """
    if not isinstance(audit, RuntimeAudit):
        return ""
    islands, slow = _time_of(audit.islands), _time_of(audit.slow)
    if not max(islands, slow) >= NOTABLE_TIME * audit.ns > 0:
        return ""
    where = "float operators beside integer ones" if islands >= slow else "slow integer kernels"
    reason, _ = _main_reason(audit.islands if islands >= slow else audit.slow)
    return f"{max(islands, slow) / audit.ns:.0%} of its time is in {where}: {reason}"


def _explain_islands(subject: str, audit: RuntimeAudit) -> tuple[Finding, ...]:
    time_ns = _time_of(audit.islands)
    if not time_ns >= NOTABLE_TIME * audit.ns > 0:
        return ()
    reason, fix = _main_reason(audit.islands)
    islands = count_noun(len(audit.islands), "float island")
    return (
        Finding(
            code="OQ202",
            subject=subject,
            message=(
                f"{audit.integer_ratio:.0%} of its multiply-adds run in integer kernels; "
                f"{islands} beside them, {time_ns / audit.ns:.0%} of its time: {reason}."
            ),
            evidence={
                "islands": len(audit.islands),
                "time_ratio": time_ns / audit.ns,
                "integer_ratio": audit.integer_ratio,
            },
            fix=fix,
        ),
    )


def _explain_slow(subject: str, audit: RuntimeAudit) -> tuple[Finding, ...]:
    time_ns = _time_of(audit.slow)
    if not time_ns >= NOTABLE_TIME * audit.ns > 0:
        return ()
    reason, fix = _main_reason(audit.slow)
    return (
        Finding(
            code="OQ203",
            subject=subject,
            message=f"{time_ns / audit.ns:.0%} of its time: {reason}.",
            evidence={"kernels": len(audit.slow), "time_ratio": time_ns / audit.ns},
            fix=fix,
            severity="warning",
        ),
    )


def _time_of(parts: Iterable[Island | SlowKernel]) -> float:
    return sum(one.ns for one in parts)


def _main_reason(parts: Iterable[Island | SlowKernel]) -> tuple[str, str]:
    """Return the reason that holds for most of the time, and its fix."""
    times: defaultdict[tuple[str, str], float] = defaultdict(float)
    for one in parts:
        times[one.reason, one.fix] += one.ns
    return max(times, key=lambda pair: times[pair])
