"""The stage that repairs: a quantized model of another tool, rewritten step by step and proven.

Every rewrite is run beside what it was made from, on the same inputs, with onnxruntime's own
optimizations off: QuantizeLinear and DequantizeLinear are then computed as the specification has
them, and bit-identical means what it says. A step that claims to be exact and is not is left out.
"""

from pathlib import Path

import numpy as np

from onnxq.errors import QuantizationError
from onnxq.events import Tell
from onnxq.graph import load_proto, model_size, write_proto
from onnxq.graph.cleaning import clean, merge_equal_initializers
from onnxq.graph.gates import check_structure
from onnxq.graph.quantized_sources import check_repairable
from onnxq.models import OnnxModel
from onnxq.quantization.repair_findings import describe_steps
from onnxq.quantization.repair_steps import take_steps
from onnxq.quantization.repair_trials import Outputs, Trial, Trials, essence
from onnxq.stages import KernelCount, RepairRequest, RepairResult, RepairStep

_NOISE_DB = 3.0
"""How much of the given nearness to the model without rounding may go: a doubled noise."""


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
    name = request.given or Path(request.model.path).name
    check_repairable(original, name)
    loaded = {name: np.load(path, allow_pickle=False) for name, path in request.inputs.items()}
    bench = Trials(folder, loaded, original, name)
    taken = take_steps(request, bench, tell)
    steps = list(taken.steps)
    finished = clean(merge_equal_initializers(taken.state.proto), original.graph)
    check_structure(finished, original)
    model = write_proto(finished, folder / "repaired.onnx")
    written = bench.look(load_proto(model.path))
    _check_runs(written, bench.given, request)
    result = _result(request, written, steps, model, bench)
    _check_result(result)
    return result


def _result(
    request: RepairRequest,
    written: Trial,
    steps: list[RepairStep],
    model: OnnxModel,
    bench: Trials,
) -> RepairResult:
    """Compare what was written with what was given, as onnxruntime runs both by default."""
    given, before = bench.given, KernelCount(integer=0, floats=0, conversions=0)
    if not given.failure:
        before = bench.count(bench.original)
    after = bench.count(written.proto)
    apart_db = written.outputs.sqnr_db(given.outputs)
    return RepairResult(
        model=model,
        size=model_size(model.path),
        size_before=model_size(request.model.path),
        steps=tuple(steps),
        is_equal=written.outputs.equals(given.outputs),
        sqnr_db=apart_db,
        optimized_sqnr_db=written.served.sqnr_db(given.outputs),
        given_optimized_sqnr_db=_served_db(given, given.outputs),
        unrounded_db_before=given.unrounded_db,
        unrounded_db=written.served.sqnr_db(bench.unrounded),
        before=before,
        after=after,
        findings=describe_steps(request, steps, apart_db, (before, after), bench),
        given_failure=given.failure,
        is_equal_served=written.equals_served(given),
        served_sqnr_db=0.0 if given.failure else written.served.sqnr_db(given.served),
        served_unrounded_db_before=_served_db(given, bench.unrounded),
    )


def _served_db(given: Trial, reference: Outputs) -> float:
    return 0.0 if given.failure else given.served.sqnr_db(reference)


def _check_runs(written: Trial, given: Trial, request: RepairRequest) -> None:
    """Refuse to hand over what onnxruntime cannot run as it is served."""
    if not written.failure:
        return
    also = "neither the given model nor" if given.failure else "not even"
    message = (
        f"onnxruntime can run {also} the repaired one as it serves models, with its "
        f"optimizations: {essence(written.failure)}."
    )
    hint = "Report the model to onnxq; it runs with onnxruntime's optimizations off."
    if request.tuning.skipped:
        skipped = " ".join(f"--skip-rewrite {slug}" for slug in sorted(request.tuning.skipped))
        hint = f"Leave fewer rewrites out; left out were: {skipped}"
    raise QuantizationError(message, code="OQ172", hint=hint)


def _check_result(result: RepairResult) -> None:
    least = result.unrounded_db_before - 2 * _NOISE_DB
    if result.unrounded_db < least:
        message = (
            f"the repaired model computes something else once onnxruntime optimizes it: "
            f"{result.unrounded_db:.1f} dB, expected {least:.1f} dB at least."
        )
        hint = "Report the model to onnxq; meanwhile leave rewrites out with --skip-rewrite."
        raise QuantizationError(message, code="OQ172", hint=hint)
