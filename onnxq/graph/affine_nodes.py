"""Nodes that scale and shift each channel by constants, and the weights that can do so for them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, numpy_helper

from onnxq.graph.edits import attribute_float, attribute_int

Floats = NDArray[np.float64]

_EPSILON = 1e-5
_STANDARD = frozenset({"", "ai.onnx"})
_PAIR = 2


@dataclass(frozen=True, eq=False)
class Affine:
    """``x * scale + shift``.

    Attributes:
        source: Name of x.
        scale: float64, ``[channels]`` or ``[1]``.
        shift: float64, of the same shape.
    """

    source: str
    scale: Floats
    shift: Floats

    @property
    def is_finite(self) -> bool:
        """Whether it can be folded into anything."""
        return bool(np.isfinite(self.scale).all() and np.isfinite(self.shift).all())


def read_affine(
    node: NodeProto, constants: dict[str, TensorProto], rank: int, axis: int
) -> Affine | None:
    """Read a BatchNormalization, Mul, Add, Sub or Div as a scale and a shift of channels.

    Args:
        node: Any node.
        constants: Initializers by name.
        rank: Of the tensor that it is asked about.
        axis: Of the channels in that tensor, from 0.

    Returns:
        What it does to each channel; None if that is not all it does, or not by finite float32
        constants.
    """
    if node.domain not in _STANDARD:
        return None
    if node.op_type == "BatchNormalization":
        affine = _read_normalization(node, constants) if axis == 1 else None
    elif node.op_type in {"Mul", "Add", "Sub", "Div"} and len(node.input) == _PAIR:
        affine = _read_arithmetic(node, constants, rank, axis)
    else:
        affine = None
    return affine if affine is not None and affine.is_finite else None


def _read_normalization(node: NodeProto, constants: dict[str, TensorProto]) -> Affine | None:
    """See BatchNormalization-15 of the ONNX specification."""
    names = node.input[1:5]
    if attribute_int(node, "training_mode", 0) or any(n not in constants for n in names):
        return None
    gamma, beta, mean, variance = (
        numpy_helper.to_array(constants[name]).astype(np.float64) for name in names
    )
    scale = gamma / np.sqrt(variance + attribute_float(node, "epsilon", _EPSILON))
    return Affine(node.input[0], scale, beta - mean * scale)


def _read_arithmetic(
    node: NodeProto, constants: dict[str, TensorProto], rank: int, axis: int
) -> Affine | None:
    is_first = node.input[0] in constants
    if is_first == (node.input[1] in constants) or (is_first and node.op_type == "Div"):
        return None
    source, name = (node.input[1], node.input[0]) if is_first else (node.input[0], node.input[1])
    values = _by_channel(constants[name], rank, axis)
    if values is None:
        return None
    one, nothing = np.ones_like(values), np.zeros_like(values)
    if node.op_type == "Mul":
        return Affine(source, values, nothing)
    if node.op_type == "Div":
        return Affine(source, 1.0 / values, nothing) if values.all() else None
    if node.op_type == "Add":
        return Affine(source, one, values)
    return Affine(source, -one, values) if is_first else Affine(source, one, -values)


def _by_channel(tensor: TensorProto, rank: int, axis: int) -> Floats | None:
    """Return a constant that is broadcast along all axes but that of the channels."""
    if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) > rank:
        return None
    values = numpy_helper.to_array(tensor).astype(np.float64)
    shape = (1,) * (rank - values.ndim) + values.shape
    if any(size != 1 for place, size in enumerate(shape) if place != axis):
        return None
    return values.reshape(-1)
