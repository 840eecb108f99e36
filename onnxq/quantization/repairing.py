"""The stage that repairs: a quantized model of another tool, rewritten step by step and proven.

Every rewrite is run beside what it was made from, on the same inputs, with onnxruntime's own
optimizations off: QuantizeLinear and DequantizeLinear are then computed as the specification has
them, and bit-identical means what it says. A step that claims to be exact and is not is left out.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from onnx import ModelProto

from onnxq.errors import InferenceError, QuantizationError, SourceError
from onnxq.events import Progressed, Tell
from onnxq.findings import Finding
from onnxq.graph import load_proto, model_size, write_proto
from onnxq.graph.cleaning import clean, merge_equal_initializers
from onnxq.graph.gates import check_structure
from onnxq.graph.portability import used_domains
from onnxq.graph.quantized_sources import describe_quantization
from onnxq.graph.quantized_tensors import list_quantized
from onnxq.graph.rewrites import FOR_INTEGERS, FOR_REPAIR, Rewrite
from onnxq.graph.rewrites.complete_sums import COMPLETE_SUMS, complete_sums, float_operands
from onnxq.models import OnnxModel
from onnxq.quantization.kernel_counts import count_kernels
from onnxq.quantization.repair_trials import Trial, Trials
from onnxq.stages import KernelCount, RepairRequest, RepairResult, RepairStep

_NOISE_DB = 3.0
"""How much of the given nearness to the model without rounding may go: a doubled noise."""
_SHOWN = 5


def repair(request: RepairRequest, folder: Path, tell: Tell) -> RepairResult:
    """Rewrite a quantized model for onnxruntime's integer kernels.

    Args:
        request: The model, and the inputs of one inference.
        folder: Where the repaired model is written.
        tell: Told of each rewrite.

    Returns:
        The repaired model, and what each step did to its outputs.

    Raises:
        SourceError: OQ175 if no activation has a fixed grid.
        QuantizationError: OQ172 if the result does not pass its gates.
        InferenceError: If onnxruntime cannot run the given model.
    """
    original = load_proto(request.model.path)
    _check_repairable(original, request.given or Path(request.model.path).name)
    loaded = {name: np.load(path, allow_pickle=False) for name, path in request.inputs.items()}
    bench = Trials(folder, loaded, original, request.model.path)
    given = bench.given
    rewrites = [one for one in (*FOR_REPAIR, *FOR_INTEGERS) if one.is_taken(request.tuning)]
    state, steps = given, list[RepairStep]()
    for number, known in enumerate(rewrites, start=1):
        rewrite = known
        if known is COMPLETE_SUMS and request.rows_are_real:
            rewrite = _with_rows(state, bench)
        state, taken = _take(rewrite, state, bench)
        steps += taken
        tell(Progressed("repair", number, len(rewrites)))
    finished = clean(merge_equal_initializers(state.proto), original.graph)
    check_structure(finished, original)
    model = write_proto(finished, folder / "repaired.onnx")
    result = _result(request, given, state, steps, model, bench)
    _check_result(result)
    return result


def _with_rows(state: Trial, bench: Trials) -> Rewrite:
    """Let the rows say what operands of sums lie between."""
    observed = bench.observe(state.proto, float_operands(state.proto))
    return dataclasses.replace(COMPLETE_SUMS, apply=partial(complete_sums, observed=observed))


def _result(
    request: RepairRequest,
    given: Trial,
    state: Trial,
    steps: list[RepairStep],
    model: OnnxModel,
    bench: Trials,
) -> RepairResult:
    """Compare what was written with what was given, as onnxruntime runs both by default."""
    optimized = bench.run(load_proto(model.path), optimize=True)
    served_db, before, failure = _serve_given(given, bench)
    return RepairResult(
        model=model,
        size=model_size(model.path),
        size_before=model_size(request.model.path),
        steps=tuple(steps),
        is_equal=all(step.is_equal or step.is_equal_optimized for step in steps if step.is_kept),
        sqnr_db=state.outputs.sqnr_db(given.outputs),
        optimized_sqnr_db=optimized.sqnr_db(given.outputs),
        given_optimized_sqnr_db=served_db,
        unrounded_db_before=given.unrounded_db,
        unrounded_db=optimized.sqnr_db(bench.unrounded),
        before=before,
        after=count_kernels(model.path, bench.folder),
        findings=tuple(_describe(steps, state.outputs.sqnr_db(given.outputs))),
        given_failure=failure,
    )


def _serve_given(given: Trial, bench: Trials) -> tuple[float, KernelCount, str]:
    """Run the given model as it would be served; say why where that is impossible."""
    try:
        found = bench.run(bench.original, optimize=True).sqnr_db(given.outputs)
        return found, count_kernels(bench.path, bench.folder), ""
    except InferenceError as error:
        return 0.0, KernelCount(integer=0, floats=0, conversions=0), error.message


def _check_repairable(proto: ModelProto, name: str) -> None:
    activations = [one for one in list_quantized(proto) if one.role == "activation"]
    if any(one.scales.size for one in activations):
        return
    how = describe_quantization(proto)
    message = f"{name} is not quantized: there is nothing to repair."
    hint = f"Quantize it:  onnxq run {name} --data ROWS"
    if how:
        message = f"no activation of {name} has a fixed grid: there is nothing to repair ({how})."
        hint = f"See how fast it is:  onnxq profile {name}"
    raise SourceError(message, code="OQ175", hint=hint)


def _check_result(result: RepairResult) -> None:
    least = result.unrounded_db_before - 2 * _NOISE_DB
    if result.unrounded_db < least:
        message = (
            f"the repaired model computes something else once onnxruntime optimizes it: "
            f"{result.unrounded_db:.1f} dB, expected {least:.1f} dB at least."
        )
        hint = "Report the model to onnxq; meanwhile leave rewrites out with --skip-rewrite."
        raise QuantizationError(message, code="OQ172", hint=hint)


def _take(rewrite: Rewrite, state: Trial, bench: Trials) -> tuple[Trial, list[RepairStep]]:
    """Take one step if it holds what it claims."""
    rewritten = rewrite.apply(state.proto)
    if not rewritten.subjects:
        return state, []
    changed = clean(rewritten.proto, bench.original.graph)
    after, is_equal_optimized = state, False
    why = _foreign(rewrite, changed, state.proto)
    try:
        after = after if why else bench.look(changed)
        same = after.outputs.equals(state.outputs)
        if not (why or same):
            is_equal_optimized = bench.is_equal_optimized(changed, state.proto)
    except InferenceError as error:
        why = error.message
    step = RepairStep(
        name=rewrite.name,
        slug=rewrite.slug,
        exactness=rewrite.exactness,
        subjects=len(rewritten.subjects),
        shown=rewritten.subjects[:_SHOWN],
        is_equal=after.outputs.equals(state.outputs),
        sqnr_db=after.outputs.sqnr_db(state.outputs),
        is_equal_optimized=is_equal_optimized,
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


def _describe(steps: Sequence[RepairStep], sqnr_db: float) -> list[Finding]:
    findings = [
        Finding(
            code="OQ177",
            subject=step.name,
            message=f"{step.name} was left out: {step.left_out}.",
            severity="warning",
        )
        for step in steps
        if not step.is_kept
    ]
    kept = [step for step in steps if step.is_kept]
    if not kept:
        message = "Nothing had to be repaired: onnxruntime runs it as fast as onnxq could make it."
        findings.append(Finding(code="OQ176", subject="the model", message=message))
    loose = [one.slug for one in kept if not (one.is_equal or one.is_equal_optimized)]
    if loose:
        skipping = " ".join(f"--skip-rewrite {slug}" for slug in loose)
        findings.append(
            Finding(
                code="OQ178",
                subject="the outputs",
                message=f"They are not bit-identical to the given model's ({sqnr_db:.1f} dB), "
                f"because of {', '.join(loose)}.",
                evidence={"sqnr_db": sqnr_db, "rewrites": len(loose)},
                fix=f"For bit-identical outputs: {skipping}",
            )
        )
    return findings
