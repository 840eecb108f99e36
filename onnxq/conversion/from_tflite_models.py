"""A TFLite file, run by TFLite: what its inputs and outputs are called, and what it computes."""

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxq.arrays import Array
from onnxq.conversion.from_keras_backend import said, tf
from onnxq.conversion.from_keras_naming import BATCH, unique_names
from onnxq.conversion.from_tflite_files import TfliteContents
from onnxq.conversion.tf2onnx_graphs import Port
from onnxq.errors import InferenceError, SourceError
from onnxq.tensors import Dim

_DEPRECATED = r"\s*Warning: tf\.lite\.Interpreter is deprecated"
_OWN_KERNELS = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
_GENERIC = re.compile(r"(?:serving_default_)?(.+?)(?::0)?")
"""How TFLite's converter calls the tensor behind an input that a signature calls ``\\1``."""

ORIGINAL_HINT = "Give onnxq what the file was converted from: the Keras file or the SavedModel."
"""What to do about a file that cannot be run or written."""


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """An input or output of a TFLite file.

    Attributes:
        port: Its name and shape in the ONNX graph.
        tensor: The tensor's name in the file.
        index: The tensor's number in the file.
        dtype: Of its elements.
        scale: Of integers that stand for real numbers; 0 for elements that stand for themselves.
        zero_point: Which integer stands for 0.
    """

    port: Port
    tensor: str
    index: int
    dtype: np.dtype[Any]
    scale: float
    zero_point: int


@dataclass(frozen=True, kw_only=True)
class TfliteModel:
    """A TFLite file, ready to run by TFLite's default kernels.

    The default kernels (XNNPACK's) round as onnxruntime does; the reference kernels differ from
    both, by dozens of steps behind a softmax.

    Attributes:
        path: The file.
        interpreter: TFLite's.
        inputs: In the signature's order.
        outputs: In the signature's order.
    """

    path: Path
    interpreter: Any
    inputs: tuple[Terminal, ...]
    outputs: tuple[Terminal, ...]

    def predict(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Run the file on arrays by name.

        Raises:
            InferenceError: If TFLite fails on them.
        """
        try:
            return self._run(arrays)
        except (ValueError, RuntimeError) as error:
            shapes = {name: list(array.shape) for name, array in arrays.items()}
            message = f"TFLite failed on inputs of shapes {shapes}: {said(error)}"
            hint = "Check that the rows are what the model expects."
            raise InferenceError(message, code="OQ173", hint=hint) from error

    def layers(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Return every quantized tensor that the file stores, or computes on arrays by name.

        TFLite's own kernels run it: XNNPACK's keep nothing between layers.

        Args:
            arrays: One by each input's name.

        Returns:
            Integers by the tensors' names in the ONNX graph.
        """
        with deprecation_silenced():
            interpreter = tf.lite.Interpreter(
                str(self.path),
                experimental_op_resolver_type=_OWN_KERNELS,
                experimental_preserve_all_tensors=True,
            )
        self._invoke(interpreter, arrays)
        names = {one.tensor: one.port.name for one in self.outputs}
        return {
            names.get(one["name"], one["name"]): interpreter.get_tensor(one["index"])
            for one in _quantized(interpreter)
        }

    def _run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        self._invoke(self.interpreter, arrays)
        return {one.port.name: self.interpreter.get_tensor(one.index) for one in self.outputs}

    def _invoke(self, interpreter: Any, arrays: Mapping[str, Array]) -> None:  # noqa: ANN401 - TensorFlow has no types
        for one in self.inputs:
            interpreter.resize_tensor_input(one.index, arrays[one.port.name].shape)
        interpreter.allocate_tensors()
        for one in self.inputs:
            interpreter.set_tensor(one.index, arrays[one.port.name])
        interpreter.reset_all_variables()
        interpreter.invoke()


def open_tflite(path: Path, contents: TfliteContents) -> TfliteModel:
    """Load a TFLite file.

    Args:
        path: The file.
        contents: From :func:`read_tflite`.

    Returns:
        The file, ready to run.

    Raises:
        SourceError: If TFLite cannot load it (OQ111).
    """
    try:
        with deprecation_silenced():
            interpreter = tf.lite.Interpreter(str(path))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        message = f"TensorFlow {tf.__version__} cannot run {path.name}: {said(error)}"
        raise SourceError(message, code="OQ111", hint=ORIGINAL_HINT) from error
    inputs = _details(interpreter.get_input_details())
    outputs = _details(interpreter.get_output_details())
    for input_names, output_names in contents.signatures:
        if _covers(input_names, inputs) and _covers(output_names, outputs):
            break
    else:
        input_names, output_names = _own_names(inputs, {}), _own_names(outputs, inputs)
    return TfliteModel(
        path=path,
        interpreter=interpreter,
        inputs=tuple(_terminal(name, inputs[tensor]) for name, tensor in input_names.items()),
        outputs=tuple(_terminal(name, outputs[tensor]) for name, tensor in output_names.items()),
    )


def _quantized(interpreter: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - TensorFlow has no types
    """List the quantized tensors that operators of the main graph read or write, by unique names.

    TFLite's own scratch tensors have neither names nor scales.
    """
    found = interpreter.get_tensor_details()
    counts = Counter(one["name"] for one in found)
    return [
        one
        for one in found
        if one["quantization_parameters"]["scales"].size and counts[one["name"]] == 1
    ]


def _details(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in found}


def _covers(names: dict[str, str], tensors: dict[str, dict[str, Any]]) -> bool:
    return sorted(names.values()) == sorted(tensors)


def _own_names(tensors: Mapping[str, object], others: Mapping[str, object]) -> dict[str, str]:
    """Name tensors that no signature names: by their own names, without the converter's words."""
    plain = [_plain(name) for name in tensors]
    return dict(zip(unique_names(plain, tuple(map(_plain, others))), tensors, strict=True))


def _plain(tensor: str) -> str:
    match = _GENERIC.fullmatch(tensor)
    return match[1] if match else tensor


def _terminal(name: str, details: dict[str, Any]) -> Terminal:
    shape = tuple(_dim(name, axis, size) for axis, size in enumerate(details["shape_signature"]))
    scale, zero_point = details["quantization"]
    return Terminal(
        port=Port(name=name, shape=shape),
        tensor=details["name"],
        index=details["index"],
        dtype=np.dtype(details["dtype"]),
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _dim(name: str, axis: int, size: int) -> Dim:
    if size >= 0:
        return int(size)
    return f"{name}_{axis}" if axis else BATCH


@contextmanager
def deprecation_silenced() -> Iterator[None]:
    """Keep TensorFlow 2.21 from telling users about its Interpreter's successor."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _DEPRECATED, UserWarning)
        yield
