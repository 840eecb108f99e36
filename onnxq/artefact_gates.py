"""What must hold before a quantized model is believed, whatever the quantizer returned.

Runs in a process of its own, in which nothing else has touched the model.
"""

from pathlib import Path

import numpy as np

from onnxq.arrays import Array
from onnxq.errors import QuantizationError
from onnxq.events import Tell
from onnxq.graph import load_proto
from onnxq.graph.gates import check_calibrated, check_structure
from onnxq.integer_tensors import dequantize_outputs, quantize_feeds
from onnxq.quantization.observing_saturation import look_for_saturation
from onnxq.runtime import open_predict
from onnxq.stages import GateRequest, GateResult
from onnxq.targets import TARGETS


def check_artefact(request: GateRequest, folder: Path, tell: Tell) -> GateResult:  # noqa: ARG001 - the signature of a stage
    """Check a candidate's structure, that it loads, and that it runs like its original.

    Args:
        request: The candidate, its original, and the inputs of one inference.
        folder: Takes a model whose activations are outputs, where one is needed.
        tell: Not told anything.

    Returns:
        What the candidate passed.

    Raises:
        QuantizationError: OQ172 if it does not pass, OQ166 if its activations were not
            calibrated; the offender is named.
        InferenceError: If onnxruntime cannot load or run it.
    """
    proto = load_proto(request.candidate.path)
    check_structure(proto, load_proto(request.original.path), request.io)
    check_calibrated(proto)
    inputs = {name: np.load(path, allow_pickle=False) for name, path in request.inputs.items()}
    fed = quantize_feeds(inputs, request.io)
    candidate = dequantize_outputs(open_predict(request.candidate.path)(fed), request.io)
    original = open_predict(request.original.path)(inputs)
    for name, expected in original.items():
        _check_like(name, candidate[name], expected)
    saturates = TARGETS[request.tuning.target].int8_saturates
    findings = look_for_saturation(proto, fed, folder) if saturates else ()
    return GateResult(gates=("structure", "calibrated", "loads", "runs"), findings=findings)


def _check_like(name: str, found: Array, expected: Array) -> None:
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        message = (
            f"output {name!r} of the quantized model is {found.dtype}{list(found.shape)}; "
            f"expected {expected.dtype}{list(expected.shape)}."
        )
        hint = "Report this model to onnxq; meanwhile leave this recipe out with -r."
        raise QuantizationError(message, code="OQ172", hint=hint)
    finite = np.isfinite(expected) if expected.dtype.kind == "f" else np.ones(expected.shape, bool)
    if found.dtype.kind == "f" and not np.isfinite(found[finite]).all():
        message = (
            f"output {name!r} of the quantized model is not finite where the float model's is."
        )
        hint = (
            "Check the calibration rows for values out of proportion: their ranges become scales."
        )
        raise QuantizationError(message, code="OQ172", hint=hint)
