"""What a bare ``run`` tries beyond its first candidates.

The first candidates say how fast integers are on this CPU. Where a part of the model is slower as
integers, that part is left float (``int8-partial``); where the time goes into Gemm, whose kernel
takes longer for a scale per channel, each weight gets one scale (``int8-pertensor``). Where nothing
that is fast is accurate too, integer weights with float arithmetic are tried on models of matrices
(``int8-weights``). Each is measured shortly, and becomes a candidate only if it is faster than what
it was made to beat: the verdict then rests on the same long measurement and the same rows as for
every other one.

What this takes is bounded: :data:`~onnxq.pipeline.partial.PLACING_S` for timing kernels, at most
five models to quantize, three times :data:`~onnxq.pipeline.scouting.SCOUTING_S` for measuring them,
and the judging of at most three.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from onnxq.errors import Interrupted, OnnxqError
from onnxq.findings import Finding
from onnxq.measurements import TIE_HIGH, Judged
from onnxq.pipeline.candidates import Candidate, Outcome, Site, judge_candidate, refused_row
from onnxq.pipeline.partial import (
    Proposal,
    measures_target,
    name_proposals,
    partial_order,
    pick,
    place_nodes,
    propose,
    why_not_divided,
)
from onnxq.pipeline.plans import Order, RunPlan
from onnxq.pipeline.scouting import Runnable, scout
from onnxq.recipe_kinds import ALIASES, StaticQdq, alias_of, recipe_name
from onnxq.reports import Tried
from onnxq.stages import PlaceResult, QuantizeResult
from onnxq.verdict import fit_limits, has_limit

WEIGHTS = "int8-weights"
"""What is tried last, on models that have :data:`MATRICES`."""

MATRICES = frozenset({"Gemm", "MatMul"})

_GEMM_SHARE = 0.2
"""A scale per channel costs a quarter of QGemm's time (mnist_mlp: 2.6x the speed of fp32 with
it, 3.2x without, on x86-64 with AVX512-VNNI)."""

_FLAT_GAIN = 1.05
"""One scale a weight is less accurate: below this it is not worth it."""


def search_further(site: Site, outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
    """Try what the first candidates let hope for.

    Args:
        site: The run. Nothing is tried where the user named recipes, asked that every node
            becomes integer, wants to serve on another kind of CPU, or gave a model that is
            quantized already.
        outcomes: What came of the first candidates; fp32 first.

    Yields:
        Further candidates, and the rows of what was tried and is none.
    """
    if site.foundation.converted.quantized_already or not searches(site.plan):
        return
    built = {one.alias: one for one in outcomes[1:] if isinstance(one, Candidate)}
    rates: dict[str, float] = {}
    for alias in [alias for alias, order in site.orders.items() if can_be_divided(order)]:
        if alias in built:
            tried = _try_static(site, alias, built[alias])
            yield from tried.outcomes
            rates |= tried.rates
            built |= {one.alias: one for one in tried.outcomes if isinstance(one, Candidate)}
    if tries_weights(site.orders) and MATRICES & site.foundation.prepared.model.operators.keys():
        yield from _search_weights(site, built, rates)


def searches(plan: RunPlan) -> bool:
    """Whether more is tried than the recipes of a run.

    Args:
        plan: The run. What measures faster here says nothing of another kind of CPU.
    """
    strict = any(order.scope.strict for order in plan.orders.values())
    return not plan.recipes_named and not strict and measures_target(plan.tuning)


def can_be_divided(order: Order) -> bool:
    """Whether a recipe has a partial one."""
    recipe = order.recipe
    return isinstance(recipe, StaticQdq) and not recipe.is_partial and recipe.activation != "int16"


def flat_order(order: Order) -> Order:
    """Return a static recipe with one scale for each weight."""
    if not isinstance(order.recipe, StaticQdq):
        return order
    return replace(order, recipe=msgspec.structs.replace(order.recipe, per_channel=False))


def tries_weights(orders: Mapping[str, Order]) -> bool:
    """Whether integer weights alone may be tried: their inputs and outputs are float."""
    return all(order.scope.io == "float" for order in orders.values())


@dataclass(frozen=True)
class _Tried:
    """What came of a try.

    Attributes:
        outcomes: Rows; none where there was nothing to try.
        rates: How many times faster than fp32 models are, by alias, as far as they were scouted.
    """

    outcomes: tuple[Outcome, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Entrant:
    """A model that may become a candidate.

    Attributes:
        alias: What people call its recipe.
        order: The recipe.
        made: The model.
        rebuilt_by: What makes it again without measuring.
        least_gain: How many times faster than its rivals it must be.
    """

    alias: str
    order: Order
    made: QuantizeResult
    rebuilt_by: Order
    least_gain: float = TIE_HIGH


def _try_static(site: Site, whole: str, rival: Candidate) -> _Tried:
    """Try what may be faster than a candidate of a static recipe."""
    start, order = time.monotonic(), site.orders[whole]
    partial = partial_order(order)
    alias = alias_of(partial.recipe)
    try:
        placed = place_nodes(site.blank, alias, partial, rival)
        proposals = propose(site.blank, alias, partial, placed)
        entrants = _flat_entrants(site, order, placed.gemm_share)
        dropped = () if proposals else (_not_divided(alias, partial, placed),)
        if not proposals and not entrants:
            return _Tried(dropped)
        models: dict[str, Runnable] = {whole: rival, **name_proposals(proposals)}
        models |= {one.alias: one.made for one in entrants}
        rates = scout(site.blank, models, site.plan.timing.threads)
        if proposals:
            chosen = pick(proposals, rates)
            rates[alias] = max(rates.get(name, 0.0) for name in name_proposals(proposals))
            entrants.append(_Entrant(alias, partial, chosen.made, _pinned(order, chosen)))
        outcomes = [_judged(site, one, rates, whole, start) for one in entrants]
    except Interrupted:
        raise
    except OnnxqError as error:
        return _Tried((refused_row(alias, partial, error),))
    return _Tried((*dropped, *outcomes), rates)


def _flat_entrants(site: Site, order: Order, gemm_share: float) -> list[_Entrant]:
    flat = flat_order(order)
    if gemm_share < _GEMM_SHARE or flat == order:
        return []
    alias = alias_of(flat.recipe)
    made = site.blank.quantize(alias, flat)
    return [_Entrant(alias, flat, made, flat, least_gain=_FLAT_GAIN)]


def _pinned(order: Order, chosen: Proposal) -> Order:
    """Return the recipe that names the nodes which stay float."""
    kept = (*order.scope.keep_float, *chosen.keep_float)
    return replace(order, scope=msgspec.structs.replace(order.scope, keep_float=kept))


def _judged(
    site: Site, entrant: _Entrant, rates: Mapping[str, float], whole: str, start: float
) -> Outcome:
    """Judge a model, if it is faster than fp32 and than what it was made to beat."""
    rate, rival = rates.get(entrant.alias, 0.0), max(1.0, rates.get(whole, 0.0))
    if rate <= entrant.least_gain * rival:
        against = f"{whole} at {rival:.2f}x" if rival > 1 else "fp32 itself"
        reason = (
            f"{rate:.2f}x the speed of fp32 in a short measurement, no faster, or hardly, than "
            f"{against}"
            if rate
            else "it could not be measured"
        )
        name = recipe_name(entrant.order.recipe)
        return Tried(alias=entrant.alias, recipe=name, reason=reason, speed_ratio=rate)
    outcome = judge_candidate(site, entrant.alias, entrant.order, entrant.made)
    if not isinstance(outcome, Candidate):
        return outcome
    return replace(outcome, seconds=time.monotonic() - start, rebuilt_by=(entrant.rebuilt_by,))


def _not_divided(alias: str, partial: Order, placed: PlaceResult) -> Tried:
    """Say that no division of the nodes is reckoned to be faster than all of them as one kind."""
    name = recipe_name(partial.recipe)
    return Tried(alias=alias, recipe=name, reason=why_not_divided(placed))


def _search_weights(
    site: Site, built: Mapping[str, Candidate], rates: Mapping[str, float]
) -> Iterator[Outcome]:
    """Try integer weights alone, if nothing else that is fast may be accurate enough."""
    threads, start = site.plan.timing.threads, time.monotonic()
    scope = next(iter(site.orders.values())).scope
    order = Order(recipe=ALIASES[WEIGHTS], scope=scope)
    try:
        unknown = {alias: one for alias, one in built.items() if alias not in rates}
        if unknown and not _any_may_ship(site, built, rates):
            rates = {**rates, **scout(site.blank, unknown, threads)}
        if _any_may_ship(site, built, rates):
            return
        made = site.blank.quantize(WEIGHTS, order)
        rates = scout(site.blank, {WEIGHTS: made}, threads)
        outcome = _judged(site, _Entrant(WEIGHTS, order, made, order), rates, "", start)
    except Interrupted:
        raise
    except OnnxqError as error:
        outcome = refused_row(WEIGHTS, order, error)
    yield _noting(outcome)


def _noting(outcome: Outcome) -> Outcome:
    """Say that a model is not portable."""
    if not isinstance(outcome, Candidate):
        return outcome
    message = "It computes with MatMulNBits of com.microsoft: onnxruntime alone runs it."
    finding = Finding(code="OQ212", subject=outcome.alias, message=message)
    return replace(outcome, findings=(*outcome.findings, finding))


def _any_may_ship(site: Site, built: Mapping[str, Candidate], rates: Mapping[str, float]) -> bool:
    return any(_may_ship(site, one, rates.get(alias, 0.0)) for alias, one in built.items())


def _may_ship(site: Site, candidate: Candidate, rate: float) -> bool:
    """Whether a candidate seems fast enough, and is not known to lose too much."""
    limits, quality = site.plan.limits, candidate.quality
    if rate <= max(TIE_HIGH, limits.min_speedup):
        return False
    if not isinstance(quality, Judged):
        return True
    limits = fit_limits(limits, quality.accuracy)
    return not has_limit(quality.accuracy, limits) or quality.accuracy.drop.low <= limits.max_drop
