"""Which candidates no other one beats in both time and quality, uncertainty counted in."""

from collections.abc import Iterable
from dataclasses import dataclass

from onnxq.estimates import Estimate, exact
from onnxq.measurements import Compared, Judged, Quality
from onnxq.reports import Measured


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a candidate stands.

    Attributes:
        alias: Of the candidate.
        speed: More is faster.
        quality: More is better.
    """

    alias: str
    speed: Estimate
    quality: Estimate


def undominated(standings: Iterable[Standing]) -> frozenset[str]:
    """Return the aliases of the candidates that stand on the front.

    A candidate is off the front if another one is clearly better in time or quality and not
    clearly worse in the other; clearly means that the two intervals do not touch. This is
    epsilon-dominance with the measurement's own uncertainty as epsilon: a strict front would
    keep nearly every candidate, for differences that are noise.
    """
    everyone = tuple(standings)
    return frozenset(
        one.alias for one in everyone if not any(_dominates(other, one) for other in everyone)
    )


def _dominates(one: Standing, other: Standing) -> bool:
    faster = _above(one.speed, other.speed)
    better = _above(one.quality, other.quality)
    slower = _above(other.speed, one.speed)
    worse = _above(other.quality, one.quality)
    return (faster and not worse) or (better and not slower)


def _above(one: Estimate, other: Estimate) -> bool:
    return one.low > other.high


def standings_of(candidates: Iterable[Measured], reference: str) -> tuple[Standing, ...]:
    """Return where candidates stand at the first thread count.

    Args:
        candidates: What was measured.
        reference: Alias of the one that the others' speed is a ratio to.

    Returns:
        One standing for each candidate that was both timed and judged.
    """
    standings = []
    for candidate in candidates:
        timed = [exact(1.0)] if candidate.alias == reference else _ratios(candidate)
        standings += [
            Standing(alias=candidate.alias, speed=speed, quality=quality)
            for speed in timed[:1]
            for quality in _quality_of(candidate.quality)
        ]
    return tuple(standings)


def _ratios(candidate: Measured) -> list[Estimate]:
    return [speed.ratio for speed in candidate.speed]


def _quality_of(quality: Quality) -> tuple[Estimate, ...]:
    match quality:
        case Judged(accuracy=accuracy):
            drop = accuracy.drop
            return (Estimate(-drop.value, -drop.high, -drop.low, drop.n, drop.method),)
        case Compared(agreement=agreement) if isinstance(agreement.same_top1, Estimate):
            return (agreement.same_top1,)
    return ()
