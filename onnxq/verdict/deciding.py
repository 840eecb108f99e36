"""Which answer a set of measurements leads to.

*Fast*: at every thread count the lower end of the speed-up's interval is above 1.02 and above
the limit that the user gave. *Accurate*: the drop is shown to be at most the limit, by a test
of non-inferiority at one-sided 2.5 %, with Holm's correction for choosing among the fast
candidates that are small enough. *Ship* the fastest that is both; *cannot tell* where a fast
one's interval holds the limit, or where the answer depends on the thread count; else *keep
fp32*. Without labels nothing is shipped: the fastest that agrees with fp32 is named, with its
agreement; none where all agree little (OQ402).
"""

from collections.abc import Sequence

from onnxq.measurements import Judged
from onnxq.reports import Limits, Measured, Variant, Verdict
from onnxq.verdict.answers import (
    answer_cannot_tell,
    answer_disagree,
    answer_no_labels,
    answer_ship,
)
from onnxq.verdict.refusals import answer_depends_on_threads, answer_keep, answer_not_timed
from onnxq.verdict.weighing import Field, is_poor, make_field, weigh


def decide(variants: Sequence[Variant], limits: Limits, *, labelled: bool) -> Verdict:
    """Decide what to do with a model.

    Args:
        variants: What came of each recipe, fp32 among them.
        limits: What is demanded.
        labelled: Whether the evaluation rows have labels.

    Returns:
        The verdict. ``limits_met`` is False where a limit that the user gave is not shown to be
        kept: no candidate is so fast, fp32 or every fast candidate is too large, or no fast
        candidate's drop is shown to be so small. ``candidates`` counts those that are fast and
        small enough.
    """
    field = make_field(variants, limits)
    timed = [candidate for candidate in field.candidates if candidate.speed]
    if field.candidates and not timed:
        return answer_not_timed(limits)
    small = [candidate for candidate in timed if field.is_small(candidate)]
    fast = [candidate for candidate in small if field.is_fast(candidate)]
    torn = [candidate for candidate in small if field.is_torn(candidate)]
    if fast and not (labelled and all(isinstance(one.quality, Judged) for one in fast)):
        return _answer_unlabelled(fast, torn, field)
    weighed = weigh(fast, limits)
    accurate = [one for one in weighed if one.is_accurate]
    if accurate:
        return answer_ship(accurate, field, len(fast))
    still_open = [one for one in weighed if one.is_open(limits)]
    if still_open:
        return answer_cannot_tell(still_open, field, len(fast))
    refused = {
        one.candidate.alias
        for one in weigh(torn, limits)
        if not one.is_accurate and not one.is_open(limits)
    }
    hopeful = [one for one in torn if one.alias not in refused and not is_poor(one)]
    if hopeful:
        return answer_depends_on_threads(hopeful, field, len(fast))
    return answer_keep(timed, weighed, field)


def _answer_unlabelled(fast: list[Measured], torn: list[Measured], field: Field) -> Verdict:
    """Answer where nothing is judged by labels: what agrees little with fp32 is not named.

    Args:
        fast: The fast candidates that are small enough; one or more.
        torn: Those that are fast at some thread counts only.
        field: What they are held against.

    Returns:
        The verdict.
    """
    agreeing = [candidate for candidate in fast if not is_poor(candidate)]
    if agreeing:
        return answer_no_labels(agreeing, field)
    hopeful = [candidate for candidate in torn if not is_poor(candidate)]
    if hopeful:
        return answer_depends_on_threads(hopeful, field, 0)
    return answer_disagree(fast, field)
