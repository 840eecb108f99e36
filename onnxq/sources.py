"""What the user gave as a model: a closed family of values."""

from typing import TypeAlias

from msgspec import Struct

from onnxq.tensors import Dim, DType


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


class OwnWeights(Struct, frozen=True, tag="own"):
    """The module keeps the weights that its factory gave it."""


class WeightsFile(Struct, frozen=True, tag="file"):
    """A state dict on disk, loaded with ``weights_only=True``.

    Attributes:
        path: Where it is.
    """

    path: str


class TorchFactory(Struct, frozen=True, tag="torch"):
    """A function without required arguments that returns an ``nn.Module``.

    Attributes:
        module: ``pkg.mod``, or the path of a ``.py`` file.
        function: The function's name in it.
        weights: Where the module's weights come from.
    """

    module: str
    function: str
    weights: OwnWeights | WeightsFile = OwnWeights()


Source: TypeAlias = OnnxFile | KerasFile | TorchFactory


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
        case OnnxFile(path=path) | KerasFile(path=path):
            return path
        case TorchFactory(module=module, function=function):
            return f"{module}:{function}"
