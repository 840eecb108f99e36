"""``int8-partial``: what measures slower as integers stays float.

Kernels of the float model and of the quantized one are timed, and the cheapest way to divide the
nodes among float and integer is reckoned (:mod:`onnxq.graph.placing`), for several guesses of what
crossings cost. The reckoning only proposes: each proposal is built, and short measurements choose.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from onnxq.errors import QuantizationError
from onnxq.findings import Finding
from onnxq.pipeline.blanks import Blank
from onnxq.pipeline.plans import Order
from onnxq.pipeline.scouting import Runnable, scout
from onnxq.recipe_kinds import StaticQdq, alias_of
from onnxq.stages import (
    PLACE,
    NodePlacement,
    PlaceRequest,
    PlaceResult,
    QuantizeResult,
)
from onnxq.tunings import Tuning
from onnxq.wording import count_noun

PLACING_S = 1.5
"""Wall time for timing the kernels of two models."""

MOST_PROPOSALS = 3
_SPECIAL = re.compile(r"[*?[]")
"""What GLOBs do not take literally."""

_NS_PER_MS = 1e6


@dataclass(frozen=True)
class Proposal:
    """A partly quantized model.

    Attributes:
        placement: What stays float in it, and why.
        made: The model.
    """

    placement: NodePlacement
    made: QuantizeResult

    @property
    def keep_float(self) -> tuple[str, ...]:
        """GLOBs that match the nodes that stay float, and nothing else."""
        names = (name for region in self.placement.regions for name in region.nodes.values())
        return tuple(_SPECIAL.sub(r"[\g<0>]", name) for name in names)


def quantize(blank: Blank, alias: str, order: Order) -> QuantizeResult:
    """Quantize a model by any recipe.

    Args:
        blank: The prepared model.
        alias: What people call the recipe.
        order: The recipe, and what it applies to.

    Returns:
        The quantized model, which passed its gates; by a partial recipe, the fastest of what is
        proposed.

    Raises:
        QuantizationError: OQ210 if a partial recipe would not be faster than the whole one, or
            that cannot be measured on this machine.
        OnnxqError: What the stages raise.
    """
    recipe = order.recipe
    if not isinstance(recipe, StaticQdq) or not recipe.is_partial:
        return blank.quantize(alias, order)
    _check_target(blank.tuning)
    whole = whole_order(order)
    made = blank.quantize(alias_of(whole.recipe), whole)
    placed = place_nodes(blank, alias, order, made)
    if not placed.placements:
        instead = "Keep fp32." if placed.is_float_faster else "Take int8: it is the same."
        message = f"{why_not_divided(placed)}."
        raise QuantizationError(message, code="OQ210", hint=instead)
    proposals = propose(blank, alias, order, placed)
    rates = scout(blank, name_proposals(proposals), (1,)) if len(proposals) > 1 else {}
    return pick(proposals, rates).made


def why_not_divided(placed: PlaceResult) -> str:
    """Say why no node stays float for its time; without a full stop."""
    where = "everywhere" if placed.is_float_faster else "nowhere"
    return f"integers are {where} slower than float here by more than crossings cost"


def measures_target(tuning: Tuning) -> bool:
    """Whether what is measured here holds for the CPU that will serve the model.

    Args:
        tuning: For which CPU.
    """
    from onnxq.profiling.environment import own_target  # noqa: PLC0415 - psutil, late

    return own_target().name == tuning.target


def _check_target(tuning: Tuning) -> None:
    if not measures_target(tuning):
        from onnxq.profiling.environment import own_target  # noqa: PLC0415 - psutil, late

        here = own_target().name
        message = (
            f"what to leave float is measured, and this machine's CPU is {here}, not "
            f"{tuning.target}."
        )
        hint = f"Run it on such a machine, or take int8 with --target {tuning.target}."
        raise QuantizationError(message, code="OQ210", hint=hint)


def whole_order(order: Order) -> Order:
    """Return what a partial recipe would be if it kept nothing float for its time."""
    if not isinstance(order.recipe, StaticQdq):
        return order
    return replace(order, recipe=msgspec.structs.replace(order.recipe, is_partial=False))


def partial_order(order: Order) -> Order:
    """Return the partial recipe of a static one."""
    if not isinstance(order.recipe, StaticQdq):
        return order
    return replace(order, recipe=msgspec.structs.replace(order.recipe, is_partial=True))


def place_nodes(blank: Blank, alias: str, order: Order, whole: Runnable) -> PlaceResult:
    """Find out where a quantized model is slower than the float one.

    Args:
        blank: The prepared model.
        alias: What people call the partial recipe.
        order: That recipe.
        whole: What it makes of the model where it keeps nothing float for its time.

    Returns:
        What may be tried. It raises what the stage raises.
    """
    request = PlaceRequest(
        original=blank.model,
        quantized=whole.model,
        ranges=blank.ranges_of(order),
        inputs=dict(blank.inputs),
        seconds=PLACING_S,
        scope=order.scope,
        io=whole.io,
    )
    return blank.bench.run(PLACE, request, alias)


def propose(blank: Blank, alias: str, order: Order, placed: PlaceResult) -> tuple[Proposal, ...]:
    """Quantize a model partly, in each way that is reckoned to be faster than wholly.

    Args:
        blank: The prepared model.
        alias: What people call the recipe.
        order: The partial recipe.
        placed: What may be tried.

    Returns:
        At most three different models. It raises what the stages raise.
    """
    made: dict[str, Proposal] = {}
    for placement in placed.placements[:MOST_PROPOSALS]:
        one = blank.quantize(alias, order, placement.slow)
        said = (*one.findings, _describe(alias, placement))
        proposal = Proposal(placement, msgspec.structs.replace(one, findings=said))
        made.setdefault(one.model.sha256, proposal)
    return tuple(made.values())


def name_proposals(proposals: Sequence[Proposal]) -> dict[str, QuantizeResult]:
    """Name proposals by their numbers, for :func:`scout`."""
    return {str(number): one.made for number, one in enumerate(proposals)}


def pick(proposals: Sequence[Proposal], rates: Mapping[str, float]) -> Proposal:
    """Return the fastest of some proposals, by their numbers; the first where none was timed."""
    number = max(range(len(proposals)), key=lambda number: rates.get(str(number), 0.0))
    return proposals[number]


def _describe(alias: str, placement: NodePlacement) -> Finding:
    regions = placement.regions
    nodes = [name for region in regions for name in region.nodes.values()]
    integer_ms, float_ms = (
        sum(getattr(region, key) for region in regions) / _NS_PER_MS
        for key in ("integer_ns", "float_ns")
    )
    where = count_noun(len(regions), "region")
    message = (
        f"{count_noun(len(nodes), 'node')} in {where} stay float: {integer_ms:.3f} ms as "
        f"integers, {float_ms:.3f} ms as float, on this CPU."
    )
    evidence: dict[str, str | int | float] = {
        "nodes": ", ".join(nodes),
        "integer_ms": integer_ms,
        "float_ms": float_ms,
    }
    return Finding(code="OQ211", subject=alias, message=message, evidence=evidence)
