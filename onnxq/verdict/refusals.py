"""The answers that take no candidate: keep fp32, or ask for more to be measured."""

from collections.abc import Sequence

from onnxq.measurements import Compared, Judged
from onnxq.reports import LimitName, Limits, Measured, Tried, Unusable, Variant, Verdict
from onnxq.verdict.fitting import broken_limits, given_limits
from onnxq.verdict.weighing import Field, Weighed, fastest, weigh
from onnxq.verdict.words import (
    agreement_words,
    bytes_words,
    change_words,
    faster_words,
    limit_words,
    pace_words,
    ratio_words,
    speed_detail,
)
from onnxq.wording import count_noun


def answer_not_timed(limits: Limits) -> Verdict:
    """Say that the run ended too early for an answer.

    Args:
        limits: What is demanded.

    Returns:
        The verdict.
    """
    given = given_limits(limits)
    return Verdict(
        kind="cannot_tell",
        alias="",
        sentence="Cannot tell: no candidate was timed.",
        detail="The run ended before latencies were measured; run it again.",
        candidates=0,
        limits_met=not given,
        broken_limits=given,
    )


def answer_depends_on_threads(hopeful: Sequence[Measured], field: Field, count: int) -> Verdict:
    """Say that a candidate is fast at some thread counts only.

    Args:
        hopeful: Such candidates whose drop may be small enough; one or more.
        field: What they are held against.
        count: How many candidates are fast at every thread count.

    Returns:
        The verdict.
    """
    candidate, limits = fastest(hopeful), field.limits
    threads = next(s.threads for s in candidate.speed if s.ratio.low > field.threshold)
    quality, change = candidate.quality, ""
    if isinstance(quality, Judged):
        change = f" The price: {change_words(quality.accuracy, limits)}."
    elif isinstance(quality, Compared):
        near = agreement_words(quality.agreement)
        change = f" {near[0].upper()}{near[1:]}; there are no labels."
    depends = field.is_known(candidate)
    longer = "" if depends else "measure for longer (--seconds), or "
    name = f"{longer}name the count that you serve with, such as --threads {threads}."
    is_accurate = all(one.is_accurate for one in weigh([candidate], limits))
    missed = broken_limits(limits, "min_speedup", *(() if is_accurate else ("max_drop",)))
    return Verdict(
        kind="cannot_tell",
        alias=candidate.alias,
        sentence=(
            f"{'Depends on threads' if depends else 'Cannot tell'}: {candidate.alias} is "
            f"{_paces(candidate, field)}."
        ),
        detail=f"{name[0].upper()}{name[1:]}{change}",
        candidates=count,
        limits_met=not missed,
        broken_limits=missed,
        threads=threads,
    )


def answer_keep(timed: Sequence[Measured], weighed: Sequence[Weighed], field: Field) -> Verdict:
    """Say that fp32 stays, because of the candidate that came furthest.

    Args:
        timed: Every timed candidate.
        weighed: Those that are fast and small enough; each loses too much.
        field: What they are held against.

    Returns:
        The verdict.
    """
    fast = [candidate for candidate in timed if field.is_fast(candidate)]
    if weighed:
        because, detail = _loses_too_much(weighed, field)
    elif fast:
        because, detail = _is_too_large(fast, field)
    elif timed:
        because, detail = _is_too_slow(timed, field)
    else:
        because, detail = _was_not_measured(field.others)
    broken = _broken(field, is_fast=bool(fast), is_small=bool(weighed))
    return Verdict(
        kind="keep_fp32",
        alias="",
        sentence=f"Keep fp32: {because}.",
        detail=detail,
        candidates=len(weighed),
        limits_met=not broken,
        broken_limits=broken,
    )


def answer_quantized_already(already: str, limits: Limits) -> Verdict:
    """Answer for a model that is quantized already: there is nothing to choose.

    Args:
        already: How it is quantized.
        limits: What is demanded; none of them can be shown to be kept.

    Returns:
        The verdict.
    """
    given = given_limits(limits)
    return Verdict(
        kind="quantized_already",
        alias="",
        sentence=f"Nothing to choose: the model is quantized already ({already}).",
        detail=(
            "It was measured and is never quantized twice; give the float model that it was made "
            "from to compare recipes."
        ),
        candidates=0,
        limits_met=not given,
        broken_limits=given,
    )


def _broken(field: Field, *, is_fast: bool, is_small: bool) -> tuple[LimitName, ...]:
    """Name what keeps fp32 in its place; ``is_small`` is of the fast candidates."""
    missed: list[LimitName] = [] if is_fast else ["min_speedup"]
    if is_small:
        missed.append("max_drop")
    if not field.keeps_size or (is_fast and not is_small):
        missed.append("max_size")
    return broken_limits(field.limits, *missed)


def _loses_too_much(weighed: Sequence[Weighed], field: Field) -> tuple[str, str]:
    chosen = fastest([one.candidate for one in weighed])
    accuracy = next(one.accuracy for one in weighed if one.candidate is chosen)
    change = change_words(accuracy, field.limits)
    loses = f"but loses more than {limit_words(accuracy, field.limits)}: {change}"
    return f"{chosen.alias} is {faster_words(chosen)}, {loses}", speed_detail(chosen)


def _is_too_large(fast: Sequence[Measured], field: Field) -> tuple[str, str]:
    chosen = min(fast, key=lambda one: one.artefact.size.file_bytes)
    weight = bytes_words(chosen.artefact.size.file_bytes)
    over = f"but its {weight} are over your limit of {bytes_words(field.limits.max_size_bytes)}"
    return f"{chosen.alias} is {faster_words(chosen)}, {over}", speed_detail(chosen)


def _is_too_slow(timed: Sequence[Measured], field: Field) -> tuple[str, str]:
    chosen = max(timed, key=lambda one: one.speed[0].ratio.value)
    given = field.limits.min_speedup_given
    faster = f"{field.threshold:g}x faster" if given else "faster"
    where = "at every thread count" if any(map(field.is_torn, timed)) else "here"
    best = f"the best, {chosen.alias}, is {_paces(chosen, field)}"
    better = [
        f"{one.alias} ({ratio_words(one.speed_ratio)})"
        for one in field.others
        if isinstance(one, Tried) and one.speed_ratio > chosen.speed[0].ratio.value
    ]
    if better:
        best = f"the best that was measured at length, {chosen.alias}, is {_paces(chosen, field)}"
    shortly = f" Tried shortly, against fp32: {', '.join(better)}." * bool(better)
    return f"no recipe is {faster} {where}; {best}", f"{speed_detail(chosen)}{shortly}"


def _was_not_measured(others: Sequence[Variant]) -> tuple[str, str]:
    reasons = [(one.alias, one.reason) for one in others if not isinstance(one, Measured)]
    if not reasons:
        return "there is no candidate beside it", ""
    is_built = any(isinstance(one, Unusable) for one in others)
    because = "no candidate is usable" if is_built else "no recipe could be applied here"
    return because, " ".join(f"{alias}: {reason.rstrip('.')}." for alias, reason in reasons)


def _paces(candidate: Measured, field: Field) -> str:
    return ", ".join(
        f"{pace_words(speed, field.threshold)} at {count_noun(speed.threads, 'thread')}"
        for speed in candidate.speed
    )
