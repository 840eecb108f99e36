"""A given ``.onnx`` file, run as it was given: what its normalized form is compared with."""

from collections.abc import Mapping

from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from onnxq.arrays import Array, Predict
from onnxq.conversion.proving import load_written
from onnxq.errors import SourceError
from onnxq.graph.model_files import load_proto, read_signature
from onnxq.tensors import Signature

_OTHER_FLOATS = {
    "float16": helper.tensor_dtype_to_np_dtype(TensorProto.FLOAT16),
    "bfloat16": helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16),
    "float64": helper.tensor_dtype_to_np_dtype(TensorProto.DOUBLE),
}


def open_given(path: str, *, floats: str) -> Predict:
    """Load a given file as a function that takes and gives what its float32 form does.

    Args:
        path: The file, with its external data.
        floats: What it computes in, such as ``float16``; empty for float32.

    Returns:
        The model; arrays of its other floats are cast from and to float32.

    Raises:
        SourceError: OQ111 if nothing here can run it: onnxruntime's CPU has few kernels for
            float64, where onnx's own implementation stands in, and none for bfloat16, whose sums
            that one rounds after each step, which no other engine does.
    """
    if not floats:
        return load_written(path, "onnx")
    try:
        given = load_written(path, "onnx")
    except SourceError:
        if floats != "float64":
            raise
        given = _open_reference(path)
    return _in_float32(given, read_signature(load_proto(path).graph))


def _open_reference(path: str) -> Predict:
    """Load a model by onnx's implementation in numpy: slow, but float64 throughout."""
    try:
        session = ReferenceEvaluator(load_proto(path))
    except Exception as error:  # it raises whatever it meets
        message = f"neither onnxruntime nor onnx's own implementation loads the model: {error}"
        raise SourceError(message, code="OQ111", hint="Export the model in float32.") from error
    names = list(session.output_names)

    def predict(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    return predict


def _in_float32(given: Predict, signature: Signature) -> Predict:
    """Cast what is fed to other floats, and what comes back from them."""
    wanted = {s.name: _OTHER_FLOATS[s.dtype] for s in signature.inputs if s.dtype in _OTHER_FLOATS}
    returned = {spec.name for spec in signature.outputs if spec.dtype in _OTHER_FLOATS}

    def predict(inputs: Mapping[str, Array]) -> dict[str, Array]:
        fed = {name: array.astype(wanted.get(name, array.dtype)) for name, array in inputs.items()}
        return {
            name: array.astype("float32") if name in returned else array
            for name, array in given(fed).items()
        }

    return predict
