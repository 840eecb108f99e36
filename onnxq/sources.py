"""What the user gave as a model: a closed family of values."""

import difflib
import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

from msgspec import Struct

from onnxq.errors import UsageError
from onnxq.findings import Finding
from onnxq.tensors import DTYPES, Dim, DType


class OnnxFile(Struct, frozen=True, tag="onnx"):
    """An ``.onnx`` file.

    Attributes:
        path: Where it is.
    """

    path: str


class KerasFile(Struct, frozen=True, tag="keras"):
    """A ``.keras``, ``.h5`` or ``.hdf5`` file that holds a whole Keras model.

    Attributes:
        path: Where it is.
    """

    path: str


class SavedModelFolder(Struct, frozen=True, tag="saved-model"):
    """A TensorFlow SavedModel.

    Attributes:
        path: The folder that holds ``saved_model.pb``.
        signature: Which of its signatures is converted.
    """

    path: str
    signature: str = "serving_default"


class TfliteFile(Struct, frozen=True, tag="tflite"):
    """A ``.tflite`` file, float or quantized.

    Attributes:
        path: Where it is.
    """

    path: str


class TorchExportFile(Struct, frozen=True, tag="torch-export"):
    """A ``.pt2`` file of ``torch.export.save``; loading it can run code.

    Attributes:
        path: Where it is.
    """

    path: str


class TorchScriptFile(Struct, frozen=True, tag="torchscript"):
    """A TorchScript file of ``torch.jit.save``; loading it can run TorchScript code.

    Attributes:
        path: Where it is.
    """

    path: str


class LiveExport(Struct, frozen=True, tag="live"):
    """A live module or Keras model, exported already in the process that holds it.

    Attributes:
        path: The ONNX file that was written.
        name: What messages call it: the name of its class.
        framework: ``keras`` or ``torch``.
        exporter: What wrote the file, with its version.
        proof: Path of the probes and the source's own outputs, for the comparison in a child;
            empty where there is none.
        traced_rows: Rows of the batch that the source was traced at; 0 for none.
        findings: What was noticed on the way.
        quantized_already: How the model is quantized already; empty where it is float.
    """

    path: str
    name: str
    framework: Literal["keras", "torch"]
    exporter: str
    proof: str = ""
    traced_rows: int = 0
    findings: tuple[Finding, ...] = ()
    quantized_already: str = ""


class OwnWeights(Struct, frozen=True, tag="own"):
    """The module keeps the weights that its factory gave it."""


class WeightsFile(Struct, frozen=True, tag="file"):
    """Weights on disk: a state dict, a safetensors file, or the weights of a Keras model.

    A state dict is loaded with ``weights_only=True``; Keras weights are ``.weights.h5`` or ``.h5``.

    Attributes:
        path: Where it is.
    """

    path: str


class Factory(Struct, frozen=True, tag="factory"):
    """A function without required arguments that returns an ``nn.Module`` or a Keras model.

    Which of the two is only known once it was called, in the child.

    Attributes:
        module: ``pkg.mod``, or the path of a ``.py`` file.
        function: The function's name in it.
        weights: Where the module's weights come from.
    """

    module: str
    function: str
    weights: OwnWeights | WeightsFile = OwnWeights()


Source: TypeAlias = (
    OnnxFile
    | KerasFile
    | SavedModelFolder
    | TfliteFile
    | TorchExportFile
    | TorchScriptFile
    | Factory
    | LiveExport
)


class InputDeclaration(Struct, frozen=True):
    """An input as ``--input NAME:SHAPE[:dtype[:lo..hi]]`` declares it.

    Attributes:
        name: The input's name.
        shape: Sizes, or a symbol for a free axis; the batch axis comes first.
        dtype: The element type.
        low: Smallest value that integer rows may take, where values were declared.
        high: Largest value; below ``low`` where no values were declared.
    """

    name: str
    shape: tuple[Dim, ...]
    dtype: DType = "float32"
    low: int = 0
    high: int = -1

    @property
    def has_values(self) -> bool:
        """Whether a range of integer values was declared."""
        return self.low <= self.high


def source_path(source: Source) -> str:
    """Return what the user typed for the source, for messages."""
    match source:
        case Factory(module=module, function=function):
            return f"{module}:{function}"
        case LiveExport(name=name):
            return name
        case _:
            return source.path


_DIM = r"(?:[1-9][0-9]*|[A-Za-wyz_][A-Za-wyz0-9_]*)"
_DECLARATION = re.compile(
    rf"(?P<name>.+?):(?P<shape>{_DIM}(?:x{_DIM})*)"
    r"(?::(?P<dtype>[a-z][a-z0-9]*)(?::(?P<low>-?[0-9]+)\.\.(?P<high>-?[0-9]+))?)?"
)
_NICKNAMES = {"float": "float32", "double": "float64", "half": "float16", "int": "int64"}
_GRAMMAR = "NAME:SHAPE[:dtype[:lo..hi]]"
_EXAMPLE = "--input x:Nx3x224x224   or   --input tokens:Nx32:int64:0..999"


def parse_input(text: str) -> InputDeclaration:
    """Parse ``NAME:SHAPE[:dtype[:lo..hi]]``, the value of ``--input``.

    A shape is sizes joined by ``x``, such as ``1x3x224x224``; a free axis is written as a symbol
    without an ``x`` in it, such as ``N``. The name may hold colons. ``lo..hi`` are the smallest
    and largest value of an integer input.

    Args:
        text: Such as ``tokens:Nx32:int64:0..999``.

    Returns:
        The declaration; ``render_input`` turns it back.

    Raises:
        UsageError: If the text does not follow the grammar (OQ112).
    """
    match = _DECLARATION.fullmatch(text)
    if match is None:
        message = f"--input {text!r} cannot be read; expected {_GRAMMAR}."
        raise UsageError(message, code="OQ112", hint=f"{_near_shape(text)}Such as  {_EXAMPLE}")
    dtype = _dtype(match["dtype"] or "float32", text)
    shape = tuple(int(dim) if dim.isdigit() else dim for dim in match["shape"].split("x"))
    if match["low"] is None:
        return InputDeclaration(match["name"], shape, dtype)
    low, high = int(match["low"]), int(match["high"])
    _check_values(low, high, dtype, text)
    return InputDeclaration(match["name"], shape, dtype, low, high)


def parse_inputs(texts: Iterable[str]) -> tuple[InputDeclaration, ...]:
    """Parse what several ``--input`` declare.

    Args:
        texts: As :func:`parse_input` takes them.

    Returns:
        The declarations, in the given order.

    Raises:
        UsageError: If one cannot be read, or two declare the same input (OQ112).
    """
    declared: dict[str, InputDeclaration] = {}
    for text in texts:
        one = parse_input(text)
        if one.name in declared:
            message = f"--input declares {one.name!r} twice: {render_input(declared[one.name])} "
            message += f"and {render_input(one)}."
            raise UsageError(message, code="OQ112", hint="Declare each input once.")
        declared[one.name] = one
    return tuple(declared.values())


def render_input(declaration: InputDeclaration) -> str:
    """Render a declaration as ``parse_input`` reads it.

    Args:
        declaration: With at least one axis.

    Returns:
        Such as ``x:Nx3x224x224``; the dtype stands there unless it is float32.
    """
    shape = "x".join(map(str, declaration.shape))
    text = f"{declaration.name}:{shape}"
    if declaration.has_values:
        return f"{text}:{declaration.dtype}:{declaration.low}..{declaration.high}"
    return text if declaration.dtype == "float32" else f"{text}:{declaration.dtype}"


def _dtype(name: str, text: str) -> DType:
    for dtype in DTYPES:
        if dtype == name:
            return dtype
    near = [_NICKNAMES[name]] if name in _NICKNAMES else difflib.get_close_matches(name, DTYPES, 1)
    message = f"--input {text!r} names the dtype {name!r}, which does not exist."
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise UsageError(message, code="OQ112", hint=f"{hint}There are {', '.join(DTYPES)}.")


def _check_values(low: int, high: int, dtype: DType, text: str) -> None:
    match = re.fullmatch(r"(u?)int([0-9]+)", dtype)
    if match is None:
        message = f"--input {text!r} gives values of {dtype}; only integers have lo..hi."
        raise UsageError(message, code="OQ112", hint=f"Such as  {_EXAMPLE}")
    bits = int(match[2])
    least, most = (0, 2**bits - 1) if match[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if not least <= low <= high <= most:
        message = f"--input {text!r}: {low}..{high} is not a range of {dtype} values."
        hint = f"Expected lo <= hi, both within {least}..{most}."
        raise UsageError(message, code="OQ112", hint=hint)


def _near_shape(text: str) -> str:
    """Guess at the shapes that people write in other tools."""
    name, _, shape = text.partition(":")
    sizes = re.findall(r"-1|[0-9]+|[A-Za-z]+", shape.split(":")[0])
    if not name or not sizes or not re.fullmatch(r"[\[(]?[-A-Za-z0-9, xX*?]+[\])]?", shape):
        return ""
    sizes = [part for size in sizes for part in re.split("[xX]", size) if part]
    dims = ["N" if size in {"-1", "0"} else size for size in sizes]
    return f"Did you mean {name}:{'x'.join(dims)}? "
