"""The candidates of a verdict, and which of the limits each is known to keep."""

from collections.abc import Sequence
from dataclasses import dataclass

from onnxq.estimates import PAIRED_METHOD
from onnxq.measurements import TIE_HIGH, Accuracy, Compared, Judged
from onnxq.noninferiority import DropEvidence, Flips, MeanDrop, holm, holm_divisors
from onnxq.reports import Limits, Measured, Variant
from onnxq.verdict.fitting import has_limit

LEVEL = 0.025
"""One-sided, of the test of non-inferiority: the end of a two-sided 95 % interval."""

_NEARLY_AS_SMALL = 1.01
_FLOAT_RECIPE = "fp32"


@dataclass(frozen=True)
class Field:
    """The candidates, and what they are held against.

    Attributes:
        candidates: What was measured, without fp32.
        others: What was not measured.
        reference_bytes: Size of fp32; 0 where it was not measured.
        limits: What is demanded.
    """

    candidates: tuple[Measured, ...]
    others: tuple[Variant, ...]
    reference_bytes: int
    limits: Limits

    @property
    def threshold(self) -> float:
        """What the lower end of a speed-up must exceed to count as fast."""
        return max(TIE_HIGH, self.limits.min_speedup)

    @property
    def keeps_size(self) -> bool:
        """Whether fp32 itself is small enough."""
        return self._is_within(self.reference_bytes)

    def is_small(self, candidate: Measured) -> bool:
        """Whether a candidate is small enough."""
        return self._is_within(candidate.artefact.size.file_bytes)

    def is_fast(self, candidate: Measured) -> bool:
        """Whether a candidate is fast at every thread count."""
        return bool(candidate.speed) and all(self._paces(candidate))

    def is_torn(self, candidate: Measured) -> bool:
        """Whether a candidate is fast at some thread counts only."""
        return any(self._paces(candidate)) and not all(self._paces(candidate))

    def is_known(self, candidate: Measured) -> bool:
        """Whether it is known of each thread count at which a candidate is not fast."""
        slow = (s for s in candidate.speed if s.ratio.low <= self.threshold)
        return not any(speed.is_unknown for speed in slow)

    def _is_within(self, file_bytes: int) -> bool:
        return not 0 < self.limits.max_size_bytes < file_bytes

    def _paces(self, candidate: Measured) -> list[bool]:
        return [speed.ratio.low > self.threshold for speed in candidate.speed]


@dataclass(frozen=True)
class Weighed:
    """A candidate with labels, and what is known of its drop.

    Attributes:
        candidate: Which.
        accuracy: Its accuracy.
        evidence: What its drop is judged by.
        confidence: Of the two-sided interval whose upper end its step of Holm looks at.
        has_limit: Whether there is a limit: a rate has a default, another metric must be
            given one.
        is_accurate: Whether its drop is shown to be at most the limit.
    """

    candidate: Measured
    accuracy: Accuracy
    evidence: DropEvidence
    confidence: float
    has_limit: bool
    is_accurate: bool

    @property
    def interval(self) -> tuple[float, float]:
        """The two ends of the drop's interval at that confidence."""
        return self.evidence.interval(self.confidence)

    def is_open(self, limits: Limits) -> bool:
        """Whether the limit lies inside the interval, so that nothing is shown."""
        return not self.is_accurate and (not self.has_limit or self.interval[0] <= limits.max_drop)


def make_field(variants: Sequence[Variant], limits: Limits) -> Field:
    """Sort variants into candidates, fp32 and what was not measured.

    Args:
        variants: What came of each recipe.
        limits: What is demanded.

    Returns:
        The field.
    """
    measured = [variant for variant in variants if isinstance(variant, Measured)]
    reference = [one for one in measured if one.recipe == _FLOAT_RECIPE]
    return Field(
        candidates=tuple(one for one in measured if one.recipe != _FLOAT_RECIPE),
        others=tuple(variant for variant in variants if not isinstance(variant, Measured)),
        reference_bytes=reference[0].artefact.size.file_bytes if reference else 0,
        limits=limits,
    )


def weigh(candidates: Sequence[Measured], limits: Limits) -> list[Weighed]:
    """Test each candidate's drop against the limit, with Holm's correction for their number.

    Args:
        candidates: Those among which a choice is made; those without labels are left out.
        limits: What is demanded.

    Returns:
        One value per candidate with labels, in order.
    """
    judged = [(one, one.quality.accuracy) for one in candidates if isinstance(one.quality, Judged)]
    evidence = [_evidence(accuracy) for _, accuracy in judged]
    p_values = [known.p_value(limits.max_drop) for known in evidence]
    shown, divisors = holm(p_values, LEVEL), holm_divisors(p_values, LEVEL)
    weighed = []
    for (candidate, accuracy), known, is_shown, divisor in zip(
        judged, evidence, shown, divisors, strict=True
    ):
        weighed.append(
            Weighed(
                candidate=candidate,
                accuracy=accuracy,
                evidence=known,
                confidence=1 - 2 * LEVEL / divisor,
                has_limit=has_limit(accuracy, limits),
                is_accurate=has_limit(accuracy, limits) and is_shown,
            )
        )
    return weighed


def is_poor(candidate: Measured) -> bool:
    """Whether nothing but its agreement with fp32 is known, and that is too little (OQ402)."""
    quality = candidate.quality
    return isinstance(quality, Compared) and quality.agreement.is_poor


def fastest(candidates: Sequence[Measured]) -> Measured:
    """Return the candidate to take where speed decides.

    Args:
        candidates: One or more, each timed.

    Returns:
        The fastest at the first thread count. Candidates whose intervals reach into its are
        ties: of them the smallest file, and among files within 1 % of it the smallest drop.
    """
    best = max(candidates, key=lambda one: one.speed[0].ratio.value)
    ties = [one for one in candidates if one.speed[0].ratio.high >= best.speed[0].ratio.low]
    smallest = min(one.artefact.size.file_bytes for one in ties)
    small = [one for one in ties if one.artefact.size.file_bytes <= smallest * _NEARLY_AS_SMALL]
    return min(small, key=_drop)


def _drop(candidate: Measured) -> float:
    quality = candidate.quality
    return quality.accuracy.drop.value if isinstance(quality, Judged) else 0.0


def _evidence(accuracy: Accuracy) -> DropEvidence:
    """Return what is known of a drop; where rows are right or wrong, the flips that made it."""
    drop = accuracy.drop
    if not drop.method.startswith(PAIRED_METHOD):
        return MeanDrop(drop.value, drop.low, drop.high, drop.n)
    net = round(drop.value * drop.n)
    lost = (accuracy.discordant_rows + net) // 2
    return Flips(lost, lost - net, drop.n)
