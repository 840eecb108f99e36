"""Rewrites are taken one by one: each is run beside what it was made from, and kept or left out."""

import dataclasses
from functools import partial

from msgspec.structs import replace
from onnx import ModelProto

from onnxq.errors import InferenceError
from onnxq.events import Progressed, Tell
from onnxq.graph.cleaning import clean
from onnxq.graph.portability import used_domains
from onnxq.graph.rewrites import FOR_INTEGERS, FOR_REPAIR, Rewrite
from onnxq.graph.rewrites.complete_sums import COMPLETE_SUMS, complete_sums, float_operands
from onnxq.quantization.repair_trials import Trial, Trials, essence
from onnxq.stages import RepairRequest, RepairStep

_NOISE_DB = 3.0
"""How much of the given nearness to the model without rounding may go: a doubled noise."""
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Taken:
    """What the rewrites made of a model.

    Attributes:
        state: The model with those that were kept.
        steps: Those that changed something, or would have.
    """

    state: Trial
    steps: tuple[RepairStep, ...]


def take_steps(request: RepairRequest, bench: Trials, tell: Tell) -> Taken:
    """Let every rewrite at the given model, in their order.

    Args:
        request: With which rewrites, and whether rows say what ranges are.
        bench: Where they are tried out.
        tell: Told of each.

    Returns:
        What they came to.

    Raises:
        InferenceError: If onnxruntime cannot run the given model, even without optimizing it.
    """
    usual = (one for one in (*FOR_REPAIR, *FOR_INTEGERS) if one.is_taken(request.tuning))
    rewrites = tuple(usual)
    state, steps = bench.given, list[RepairStep]()
    for number, known in enumerate(rewrites, start=1):
        rewrite = known
        if known is COMPLETE_SUMS and request.rows_are_real:
            rewrite = _with_rows(state, bench)
        state, taken = _take(rewrite, state, bench)
        steps += taken
        tell(Progressed("repair", number, len(rewrites)))
    return Taken(state, tuple(steps))


def _with_rows(state: Trial, bench: Trials) -> Rewrite:
    """Let the rows say what operands of sums lie between."""
    observed = bench.observe(state.proto, float_operands(state.proto))
    return dataclasses.replace(COMPLETE_SUMS, apply=partial(complete_sums, observed=observed))


def _take(rewrite: Rewrite, state: Trial, bench: Trials) -> tuple[Trial, list[RepairStep]]:
    """Take one step if it holds what it claims."""
    rewritten = rewrite.apply(state.proto)
    if not rewritten.subjects:
        return state, []
    changed = clean(rewritten.proto, bench.original.graph)
    after = state
    why = _foreign(rewrite, changed, state.proto)
    try:
        after = after if why else bench.look(changed)
        if after.failure and not state.failure:
            why = f"onnxruntime cannot run what it makes ({essence(after.failure)})"
    except InferenceError as error:
        why = f"onnxruntime cannot run what it makes ({essence(error.message)})"
    step = RepairStep(
        name=rewrite.name,
        slug=rewrite.slug,
        exactness=rewrite.exactness,
        subjects=len(rewritten.subjects),
        shown=rewritten.subjects[:_SHOWN],
        is_equal=after.outputs.equals(state.outputs),
        sqnr_db=after.outputs.sqnr_db(state.outputs),
        is_equal_optimized=after.equals_served(state),
        unrounded_db=after.unrounded_db,
        why=rewrite.why,
        note=rewrite.note,
    )
    why = why or _complaint(step, bench.given.unrounded_db)
    return (state if why else after), [replace(step, left_out=why)]


def _foreign(rewrite: Rewrite, after: ModelProto, before: ModelProto) -> str:
    """Say which operators a step brought in that it may not; empty if none."""
    domains = set(used_domains(after)) - set(used_domains(before)) - rewrite.domains
    return f"it brought in operators of {', '.join(sorted(domains))}" if domains else ""


def _complaint(step: RepairStep, unrounded_db: float) -> str:
    """Say why a step is not kept; empty if it is."""
    if step.is_equal or step.is_equal_optimized:
        return ""
    if step.exactness == "bit-exact":
        return f"outputs changed ({step.sqnr_db:.1f} dB), and they must not"
    if step.unrounded_db < unrounded_db - _NOISE_DB:
        return (
            f"it costs accuracy: {step.unrounded_db:.1f} dB to the model without rounding, "
            f"{unrounded_db:.1f} dB as given"
        )
    return ""
