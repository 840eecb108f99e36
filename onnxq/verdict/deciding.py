"""Which answer a set of measurements leads to.

*Fast*: at every thread count the lower end of the speed-up's interval is above 1.02 and above
the limit that the user gave. *Accurate*: the drop is shown to be at most the limit, by a test
of non-inferiority at one-sided 2.5 %, with Holm's correction for choosing among the fast
candidates that are small enough. *Ship* the fastest that is both; *cannot tell* where a fast
one's interval holds the limit, or where the answer depends on the thread count; else *keep
fp32*. Without labels nothing is shipped: the fastest is named, with its agreement.
"""

from collections.abc import Sequence

from onnxq.measurements import Judged
from onnxq.reports import Limits, Variant, Verdict
from onnxq.verdict.answers import answer_cannot_tell, answer_no_labels, answer_ship
from onnxq.verdict.refusals import answer_depends_on_threads, answer_keep, answer_not_timed
from onnxq.verdict.weighing import make_field, weigh


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
    if fast and not (labelled and all(isinstance(one.quality, Judged) for one in fast)):
        return answer_no_labels(fast, field)
    weighed = weigh(fast, limits)
    accurate = [one for one in weighed if one.is_accurate]
    if accurate:
        return answer_ship(accurate, field, len(fast))
    still_open = [one for one in weighed if one.is_open(limits)]
    if still_open:
        return answer_cannot_tell(still_open, field, len(fast))
    torn = [candidate for candidate in small if field.is_torn(candidate)]
    refused = {
        one.candidate.alias
        for one in weigh(torn, limits)
        if not one.is_accurate and not one.is_open(limits)
    }
    hopeful = [candidate for candidate in torn if candidate.alias not in refused]
    if hopeful:
        return answer_depends_on_threads(hopeful, field, len(fast))
    return answer_keep(timed, weighed, field)
