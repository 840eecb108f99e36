"""A model at a higher opset, with the proof that it computes the same."""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, version_converter

from onnxq.arrays import Array
from onnxq.errors import InferenceError, QuantizationError
from onnxq.graph.model_files import read_signature, write_proto
from onnxq.graph.nodes import default_opset
from onnxq.graph.portability import lowest_ir
from onnxq.graph.probes import make_probes, probe_shapes
from onnxq.runtime import open_predict

_RELATIVE = 1e-5
_HINT = "Leave this recipe out with -r, or export the model at opset 21 or above."


def lift_opset(proto: ModelProto, opset: int, folder: Path) -> ModelProto:
    """Convert a model to a higher opset, and run both on random inputs.

    Args:
        proto: A prepared model; not changed.
        opset: The one that is needed at least.
        folder: Takes two files while the models are run.

    Returns:
        A copy; the opset is the model's own where that is high enough.

    Raises:
        QuantizationError: OQ171 if it cannot be converted, or the result computes something else.
    """
    if default_opset(proto) >= opset:
        return proto
    try:
        lifted = version_converter.convert_version(proto, opset)
    except Exception as error:  # the converter, in C++, raises what it likes
        message = (
            f"onnx {onnx.__version__} cannot convert the model from opset {default_opset(proto)} "
            f"to {opset}, which int16 needs: {str(error).partition(chr(10))[0]}"
        )
        raise QuantizationError(message, code="OQ171", hint=_HINT) from error
    del lifted.graph.value_info[:]
    lifted.ir_version = max(lifted.ir_version, lowest_ir(opset))
    _prove(proto, lifted, folder)
    return lifted


def _prove(proto: ModelProto, lifted: ModelProto, folder: Path) -> None:
    paths = {name: folder / f"{name}.onnx" for name in ("unlifted", "lifted")}
    try:
        for path, one in zip(paths.values(), (proto, lifted), strict=True):
            write_proto(one, path)
        before, after = (open_predict(path, optimize=False) for path in paths.values())
        signature = read_signature(proto.graph)
        failure = "it ran on no random inputs"
        for shape in probe_shapes(signature):
            probes = make_probes(signature, shape)
            try:
                expected = [before(probe) for probe in probes]
            except InferenceError as error:
                failure = error.message
                continue
            found = [after(probe) for probe in probes]
            if all(map(_are_equal, found, expected)):
                return
            failure = "it computes something else"
            break
    except InferenceError as error:
        failure = error.message
    finally:
        for path in paths.values():
            path.unlink(missing_ok=True)
    message = f"the model at opset {default_opset(lifted)} could not be proven: {failure}"
    raise QuantizationError(message, code="OQ171", hint=_HINT)


def _are_equal(found: dict[str, Array], expected: dict[str, Array]) -> bool:
    return all(_is_equal(found[name], values) for name, values in expected.items())


def _is_equal(found: Array, expected: Array) -> bool:
    """Compare up to rounding: of sums of large values, what is left may be small."""
    if expected.dtype.kind != "f":
        return np.array_equal(found, expected)
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    limit = _RELATIVE * max(1.0, float(largest))
    return np.allclose(found, expected, rtol=0.0, atol=limit, equal_nan=True)
