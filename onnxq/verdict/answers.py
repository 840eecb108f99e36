"""The answers that name a candidate: ship it, cannot tell yet, or no labels to tell by."""

from collections.abc import Sequence

from onnxq.measurements import Unjudged
from onnxq.noninferiority import Flips, rows_to_settle
from onnxq.reports import Limits, Measured, Verdict
from onnxq.verdict.fitting import broken_limits
from onnxq.verdict.weighing import LEVEL, Field, Weighed, fastest, is_poor
from onnxq.verdict.words import (
    about,
    agreement_words,
    among_words,
    change_words,
    confidence_words,
    faster_words,
    interval_words,
    limit_option,
    limit_words,
    metric_words,
    pace_words,
    size_words,
    speed_detail,
)

_MOST_ROWS = 10**7
"""More are not asked for."""


def answer_ship(accurate: Sequence[Weighed], field: Field, count: int) -> Verdict:
    """Say which candidate to ship.

    Args:
        accurate: The fast candidates whose drop is shown to be small enough; one or more.
        field: What they are held against.
        count: Among how many the choice is made.

    Returns:
        The verdict.
    """
    chosen = _fastest_of(accurate)
    candidate, limits = chosen.candidate, field.limits
    change = change_words(chosen.accuracy, limits)
    among = f", {among_words(count)}" if count > 1 else ""
    inside = f"The interval is inside {limit_words(chosen.accuracy, limits)}{among}."
    return Verdict(
        kind="ship",
        alias=candidate.alias,
        sentence=f"Ship {candidate.alias} on this CPU: {_gain(candidate, field)}, {change}.",
        detail=f"{speed_detail(candidate)} {inside}{_passed_over(field)}",
        candidates=count,
        limits_met=True,
    )


def answer_cannot_tell(still_open: Sequence[Weighed], field: Field, count: int) -> Verdict:
    """Say that the rows do not decide, what would, and with which limit it would ship.

    Args:
        still_open: The fast candidates whose interval holds the limit; one or more.
        field: What they are held against.
        count: Among how many the choice is made.

    Returns:
        The verdict.
    """
    chosen, limits = _fastest_of(still_open), field.limits
    candidate, broken = chosen.candidate, broken_limits(limits, "max_drop")
    faster = f"{candidate.alias} is {faster_words(candidate)}"
    if chosen.has_limit:
        doubt, assumed = _crossing(chosen, limits, count)
    else:
        largest = "name the largest acceptable change with --max-drop"
        doubt, assumed = f"{change_words(chosen.accuracy, limits)}; {largest}", ""
    return Verdict(
        kind="cannot_tell",
        alias=candidate.alias,
        sentence=f"Cannot tell: {faster}, {doubt}.",
        detail=f"{_condition(chosen, count)}{assumed} {speed_detail(candidate)}",
        candidates=count,
        limits_met=not broken,
        broken_limits=broken,
    )


def answer_no_labels(fast: Sequence[Measured], field: Field) -> Verdict:
    """Name the fastest candidate, without a word on shipping it.

    Args:
        fast: The fast candidates that are small enough; one or more.
        field: What they are held against.

    Returns:
        The verdict.
    """
    candidate, broken = fastest(fast), broken_limits(field.limits, "max_drop")
    quality = candidate.quality
    if isinstance(quality, Unjudged):
        missing, near = "No rows", "nothing says what its outputs are worth"
    else:
        missing, near = "No labels", agreement_words(quality.agreement)
    named = f"the fastest on this CPU is {candidate.alias}, {_gain(candidate, field)}"
    return Verdict(
        kind="no_labels",
        alias=candidate.alias,
        sentence=f"{missing}: {named}; {near}.",
        detail=(
            f"{speed_detail(candidate)}{_passed_over(field)} Give labelled rows with --data to "
            "have it judged."
        ),
        candidates=len(fast),
        limits_met=not broken,
        broken_limits=broken,
    )


def answer_disagree(fast: Sequence[Measured], field: Field) -> Verdict:
    """Say that nothing that is fast agrees with fp32, and that no labels say whether it matters.

    Args:
        fast: The fast candidates that are small enough; one or more, none of which agrees.
        field: What they are held against.

    Returns:
        The verdict, which names no candidate.
    """
    candidate, broken = fastest(fast), broken_limits(field.limits, "max_drop")
    quality = candidate.quality
    near = "" if isinstance(quality, Unjudged) else agreement_words(quality.agreement)
    return Verdict(
        kind="no_labels",
        alias="",
        sentence=(
            f"No labels, and nothing fast agrees with fp32: {candidate.alias} is "
            f"{_gain(candidate, field)}, but {near} only."
        ),
        detail=(
            f"{speed_detail(candidate)}{_passed_over(field)} Keep fp32 until labelled rows "
            "(--data) say what it is worth, or take other recipes (-r)."
        ),
        candidates=len(fast),
        limits_met=not broken,
        broken_limits=broken,
    )


def _passed_over(field: Field) -> str:
    """Name the candidates that are not fast, and how fast they are, where another one is.

    Args:
        field: All candidates.

    Returns:
        Sentences with a space before them; empty where every candidate is fast, and judged or
        near fp32.
    """
    slow = [one for one in field.candidates if one.speed and not field.is_fast(one)]
    told = [f"{one.alias} ({pace_words(one.speed[0], field.threshold)})" for one in slow]
    poor = [one.alias for one in field.candidates if field.is_fast(one) and is_poor(one)]
    return f" Not fast: {', '.join(told)}." * bool(
        told
    ) + f" Fast, but far from fp32: {', '.join(poor)}." * bool(poor)


def _fastest_of(weighed: Sequence[Weighed]) -> Weighed:
    chosen = fastest([one.candidate for one in weighed])
    return next(one for one in weighed if one.candidate is chosen)


def _gain(candidate: Measured, field: Field) -> str:
    size = size_words(candidate.artefact.size.file_bytes, field.reference_bytes)
    return f"{faster_words(candidate)}, {size}"


def _condition(chosen: Weighed, count: int) -> str:
    """Say with which limit the answer would be to ship.

    At the confidence of Holm's first step, which passes in whatever order the steps come.
    """
    _, high = chosen.evidence.interval(1 - 2 * LEVEL / count)
    return f"It would ship with {limit_option(chosen.accuracy, max(high, 0.0))}."


def _crossing(chosen: Weighed, limits: Limits, count: int) -> tuple[str, str]:
    """Say that the interval crosses the limit and how many rows would settle it; and how so."""
    ends = interval_words(chosen.accuracy, *chosen.interval, limits)
    interval = f"the {confidence_words(chosen.confidence)} of its {metric_words(chosen.accuracy)}"
    crosses = f"but {interval} ({ends}) crosses {limit_words(chosen.accuracy, limits)}"
    corrected = f" The interval is {among_words(count)}." if count > 1 else ""
    if limits.max_drop <= 0:
        return crosses, f"{corrected} No number of rows shows that nothing at all is lost."
    confidence = 1 - 2 * LEVEL / count
    more = rows_to_settle(chosen.evidence, limits.max_drop, confidence=confidence)
    if more > _MOST_ROWS:
        return crosses, f"{corrected} More rows than anybody has would have to settle it."
    kept = "flip rate" if isinstance(chosen.evidence, Flips) else "spread of the differences"
    assumed = f" The rows are reckoned for the present {kept} and a true drop of 0."
    return f"{crosses}; about {about(more)} more rows would settle it", f"{corrected}{assumed}"
