"""What a TFLite file holds, read before any kernel of TFLite sees it.

TFLite's interpreter does not verify files: a truncated one is misread, junk kills the process.
So every table is walked here first, by the classes that tf2onnx generated from TFLite's schema
(tensorflow/lite/schema/schema.fbs).
"""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf2onnx.tflite.BuiltinOperator import BuiltinOperator
from tf2onnx.tflite.Model import Model
from tf2onnx.tflite.TensorType import TensorType

from onnxq.errors import SourceError

_MAGIC = b"TFL3"
_DAMAGE = (struct.error, IndexError, ValueError, TypeError, AttributeError, UnicodeDecodeError)
"""What flatbuffers' Python classes raise beyond the end of a file."""

_CUSTOM = BuiltinOperator.CUSTOM
_NAMES = {value: name for name, value in vars(BuiltinOperator).items() if name.isupper()}
_AGAIN = "Download it again, or convert the model again where it was made."
_INT8_HINT = """\
Convert it with int8 activations (TFLITE_BUILTINS_INT8), or give onnxq the float model:
  onnxq run FLOAT-MODEL --data DATA -r int16"""
_BUILTIN_HINT = """\
Convert the model with TFLite's own operators alone, or give onnxq what it was converted from:
  converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]"""


@dataclass(frozen=True, kw_only=True)
class TfliteContents:
    """What a TFLite file holds.

    Attributes:
        operators: How often each operator occurs, by TFLite's name, all subgraphs included.
        custom: Names of operators that are not TFLite's own, sorted.
        signatures: Inputs and outputs of each signature, from its names to tensors' names.
        integer_activations: Whether a tensor that is computed is quantized.
        integer_weights: Whether a stored tensor is quantized.
        wide_activations: Whether a tensor is quantized to 16 bits.
    """

    operators: dict[str, int]
    custom: tuple[str, ...]
    signatures: tuple[tuple[dict[str, str], dict[str, str]], ...]
    integer_activations: bool
    integer_weights: bool
    wide_activations: bool


def read_tflite(path: Path) -> TfliteContents:
    """Read a TFLite file and refuse what no route leads from.

    Args:
        path: A ``.tflite`` file.

    Returns:
        What it holds.

    Raises:
        SourceError: If it does not exist (OQ101), is truncated or something else (OQ104), or
            needs operators or integers that cannot be converted (OQ111).
    """
    if not path.is_file():
        message = f"{path.name} does not exist, or is not a file."
        raise SourceError(message, code="OQ101", hint="Check the path.")
    content = path.read_bytes()
    if content[4:8] != _MAGIC:
        message = f"{path.name} is truncated or is not a TFLite file: {_MAGIC!r} is not in it."
        raise SourceError(message, code="OQ104", hint=_AGAIN)
    try:
        found = _read(Model.GetRootAs(bytearray(content), 0))
    except _DAMAGE as error:
        message = f"{path.name} is truncated or damaged: {error}"
        raise SourceError(message, code="OQ104", hint=_AGAIN) from error
    _check_convertible(found, path.name)
    return found


def _check_convertible(found: TfliteContents, name: str) -> None:
    if found.custom:
        message = f"{name} needs operators beside TFLite's own: {', '.join(found.custom)}."
        raise SourceError(message, code="OQ111", hint=_BUILTIN_HINT)
    if found.wide_activations:
        message = (
            f"{name} has int16 activations (16x8), which tf2onnx writes for opsets that do not "
            "have them."
        )
        raise SourceError(message, code="OQ111", hint=_INT8_HINT)


def _read(model: Any) -> TfliteContents:  # noqa: ANN401 - generated without types
    if not model.SubgraphsLength():
        message = "it has no graph"
        raise ValueError(message)
    _check_buffers(model)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    used = Counter(_operator(codes[op.OpcodeIndex()]) for graph in graphs for op in _walk(graph))
    tensors = [(model, graph.Tensors(i)) for graph in graphs for i in range(graph.TensorsLength())]
    quantized = [(_is_stored(m, t), t.Type()) for m, t in tensors if _is_quantized(t)]
    return TfliteContents(
        operators={name: count for (name, _), count in sorted(used.items())},
        custom=tuple(sorted({name for name, is_custom in used if is_custom})),
        signatures=tuple(_signatures(model, graphs[0])),
        integer_activations=any(not stored for stored, _ in quantized),
        integer_weights=any(stored for stored, _ in quantized),
        wide_activations=any(kind == TensorType.INT16 for _, kind in quantized),
    )


def _check_buffers(model: Any) -> None:  # noqa: ANN401 - generated without types
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if not buffer.DataIsNone() and len(buffer.DataAsNumpy()) != buffer.DataLength():
            message = f"buffer {index} ends beyond the file"
            raise ValueError(message)


def _walk(graph: Any) -> Iterator[Any]:  # noqa: ANN401 - generated without types
    """Yield a graph's operators, and see that they name tensors that exist."""
    count = graph.TensorsLength()
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        named = [operator.Inputs(i) for i in range(operator.InputsLength())]
        named += [operator.Outputs(i) for i in range(operator.OutputsLength())]
        if not operator.OutputsLength() or any(not -1 <= tensor < count for tensor in named):
            message = f"operator {index} names a tensor that does not exist"
            raise ValueError(message)
        yield operator


def _operator(code: Any) -> tuple[str, bool]:  # noqa: ANN401 - generated without types
    """Return an operator's name, and whether it is not TFLite's own."""
    number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())  # as TFLite itself reads it
    if number == _CUSTOM:
        return code.CustomCode().decode(), True
    if number not in _NAMES:
        return f"operator {number}, newer than tf2onnx", True
    return _NAMES[number], False


def _signatures(model: Any, graph: Any) -> Iterator[tuple[dict[str, str], dict[str, str]]]:  # noqa: ANN401 - generated without types
    """Yield the signatures of the main graph."""
    for index in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(index)
        if signature.SubgraphIndex():
            continue
        inputs = [signature.Inputs(i) for i in range(signature.InputsLength())]
        outputs = [signature.Outputs(i) for i in range(signature.OutputsLength())]
        yield _by_name(graph, inputs), _by_name(graph, outputs)


def _by_name(graph: Any, maps: list[Any]) -> dict[str, str]:  # noqa: ANN401 - generated without types
    return {m.Name().decode(): graph.Tensors(m.TensorIndex()).Name().decode() for m in maps}


def _is_quantized(tensor: Any) -> bool:  # noqa: ANN401 - generated without types
    found = tensor.Quantization()
    has_scales = found is not None and found.ScaleLength() > 0
    return bool(
        has_scales
        and tensor.Type() in {TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32}
    )


def _is_stored(model: Any, tensor: Any) -> bool:  # noqa: ANN401 - generated without types
    return bool(tensor.Buffer() and not model.Buffers(tensor.Buffer()).DataIsNone())
