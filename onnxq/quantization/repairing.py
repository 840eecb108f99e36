"""The stage that repairs: a quantized model of another tool, rewritten step by step and proven.

Every rewrite is run beside what it was made from, on the same inputs, with onnxruntime's own
optimizations off: QuantizeLinear and DequantizeLinear are then computed as the specification has
them, and bit-identical means what it says. A step that claims to be exact and is not is left out.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from onnx import ModelProto, TensorProto, helper

from onnxq.arrays import Array
from onnxq.errors import InferenceError, QuantizationError, SourceError
from onnxq.events import Progressed, Tell
from onnxq.findings import Finding
from onnxq.graph import load_proto, model_size, write_proto
from onnxq.graph.cleaning import clean, merge_equal_initializers
from onnxq.graph.edits import copy_of
from onnxq.graph.gates import check_structure
from onnxq.graph.portability import used_domains
from onnxq.graph.quantized_sources import describe_quantization
from onnxq.graph.quantized_tensors import list_quantized
from onnxq.graph.rewrites import FOR_INTEGERS, FOR_REPAIR, Rewrite
from onnxq.graph.rewrites.complete_sums import COMPLETE_SUMS, complete_sums, float_operands
from onnxq.graph.rewrites.unfold_integer_operators import UNFOLD_INTEGER_OPERATORS
from onnxq.graph.unrounded import without_rounding
from onnxq.models import OnnxModel
from onnxq.profiling.agreement import compare_output
from onnxq.quantization.kernel_counts import count_kernels
from onnxq.runtime import open_predict
from onnxq.stages import KernelCount, RepairRequest, RepairResult, RepairStep

_EQUAL_DB = 200.0
_NOISE_DB = 3.0
"""How much of its nearness to the model without rounding a step may cost: a doubled noise."""
_SHOWN = 5
_UNTIL_PAIRS = FOR_REPAIR[: FOR_REPAIR.index(UNFOLD_INTEGER_OPERATORS) + 1]
"""What makes pairs of whatever a tool wrote."""


@dataclass(frozen=True)
class _Outputs:
    """What a model gives for the inputs of the request, in the order of its outputs."""

    arrays: dict[str, Array]

    def equals(self, other: "_Outputs") -> bool:
        """Whether all outputs are bit-identical."""
        return all(
            array.dtype == other.arrays[name].dtype
            and array.shape == other.arrays[name].shape
            and array.tobytes() == other.arrays[name].tobytes()
            for name, array in self.arrays.items()
        )

    def sqnr_db(self, reference: "_Outputs") -> float:
        """Return that of the worst output against a reference's."""
        if self.equals(reference):
            return _EQUAL_DB
        found = [
            compare_output(name, self.arrays[name], array).sqnr_db
            for name, array in reference.arrays.items()
            if array.dtype.kind == "f"
        ]
        worst = min(found, default=-_EQUAL_DB)
        return worst if math.isfinite(worst) else -_EQUAL_DB


@dataclass(frozen=True)
class _State:
    """A model on its way, and what it gives."""

    proto: ModelProto
    outputs: _Outputs
    unrounded_db: float


@dataclass(frozen=True)
class _Bench:
    """Where models are tried out, and on what."""

    folder: Path
    inputs: dict[str, Array]
    original: ModelProto
    path: str

    def start(self) -> _State:
        """Run the given model."""
        return self.look(self.original)

    def look(self, proto: ModelProto) -> _State:
        """Run a model as the specification has it."""
        outputs = self.run(proto, optimize=False)
        return _State(proto, outputs, outputs.sqnr_db(self.unrounded))

    def is_equal_optimized(self, after: ModelProto, before: ModelProto) -> bool:
        """Tell whether two models give the same as onnxruntime runs them by default."""
        try:
            return self.run(after, optimize=True).equals(self.run(before, optimize=True))
        except InferenceError:  # it may load them without its optimizations only
            return False

    @cached_property
    def unrounded(self) -> _Outputs:
        """What the given model gives where nothing is rounded but weights."""
        proto = self.original
        for rewrite in _UNTIL_PAIRS:
            proto = rewrite.apply(proto).proto
        return self.run(clean(without_rounding(proto), self.original.graph), optimize=True)

    def observe(self, proto: ModelProto, names: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Return what float tensors lie between."""
        shown = copy_of(proto)
        shown.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
        )
        arrays = self.run(shown, optimize=False).arrays
        return {name: (float(arrays[name].min()), float(arrays[name].max())) for name in names}

    def run(self, proto: ModelProto, *, optimize: bool) -> _Outputs:
        """Run a model once."""
        path = self.folder / "trial.onnx"
        write_proto(proto, path)
        try:
            return _Outputs(open_predict(path, optimize=optimize)(self.inputs))
        finally:
            path.unlink()


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
    bench = _Bench(folder, loaded, original, request.model.path)
    given = bench.start()
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


def _with_rows(state: _State, bench: _Bench) -> Rewrite:
    """Let the rows say what operands of sums lie between."""
    observed = bench.observe(state.proto, float_operands(state.proto))
    return dataclasses.replace(COMPLETE_SUMS, apply=partial(complete_sums, observed=observed))


def _result(
    request: RepairRequest,
    given: _State,
    state: _State,
    steps: list[RepairStep],
    model: OnnxModel,
    bench: _Bench,
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


def _serve_given(given: _State, bench: _Bench) -> tuple[float, KernelCount, str]:
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


def _take(rewrite: Rewrite, state: _State, bench: _Bench) -> tuple[_State, list[RepairStep]]:
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
    why = why or _complaint(step, state.unrounded_db)
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
            f"it costs accuracy: {unrounded_db:.1f} dB to the model without rounding became "
            f"{step.unrounded_db:.1f} dB"
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
