"""Weights of Conv, ConvTranspose, Gemm and MatMul, with their output channels in front."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

from onnxq.graph.edits import (
    attribute_float,
    attribute_int,
    fresh_name,
    initializers_of,
    interface_names,
    uses_of,
)

LINEAR = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_BIAS_SLOT = 2
_MATRIX_RANK = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearNode:
    """A node that multiplies by constant weights and adds a constant bias.

    Attributes:
        node: Of a type in ``LINEAR``.
        weights: float32, as the node has them.
        bias: float64, ``[channels]`` or ``[1]``; zeros where it has none.
        rank: Of its result; of a MatMul, whose result may have more axes, 1: the last.
        axis: Of the channels in its result, of ``rank`` axes.
    """

    node: NodeProto
    weights: NDArray[np.float32]
    bias: Floats
    rank: int
    axis: int

    @property
    def takes_bias(self) -> bool:
        """Whether the operator has a bias."""
        return self.node.op_type != "MatMul"

    def scaled(self, scale: Floats) -> NDArray[np.float32]:
        """Return the weights of a node whose output channels are multiplied.

        Args:
            scale: ``[channels]`` or ``[1]``.
        """
        weights = self.weights.astype(np.float64)
        if self.node.op_type == "ConvTranspose":  # [inputs, outputs / groups, ...]
            group = attribute_int(self.node, "group", 1)
            grouped = weights.reshape(group, -1, *weights.shape[1:])
            factors = np.broadcast_to(scale, group * weights.shape[1])
            rest = [1] * (weights.ndim - _MATRIX_RANK)
            return _narrow(grouped * factors.reshape(group, 1, -1, *rest), weights.shape)
        axis = self._weight_axis
        shape = [1] * weights.ndim
        shape[axis] = -1
        return _narrow(weights * scale.reshape(shape), weights.shape)

    @property
    def channels(self) -> int:
        """How many channels its result has."""
        if self.node.op_type == "ConvTranspose":
            return int(self.weights.shape[1]) * attribute_int(self.node, "group", 1)
        return int(self.weights.shape[self._weight_axis])

    @property
    def _weight_axis(self) -> int:
        if self.node.op_type == "Conv":
            return 0
        is_transposed = self.node.op_type == "Gemm" and attribute_int(self.node, "transB", 0)
        return 0 if is_transposed else 1


def _narrow(values: Floats, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return values.astype(np.float32).reshape(shape)


def read_linear(node: NodeProto, constants: dict[str, TensorProto]) -> LinearNode | None:
    """Read a node that multiplies by constant float32 weights.

    Args:
        node: Any node.
        constants: Initializers by name.

    Returns:
        The node; None where its weights or its bias are not constant, or it scales them.
    """
    if node.op_type not in LINEAR or node.domain not in {"", "ai.onnx"}:
        return None
    tensor = constants.get(node.input[1])
    if tensor is None or tensor.data_type != TensorProto.FLOAT:
        return None
    is_matrix = node.op_type in {"Gemm", "MatMul"}
    if is_matrix and len(tensor.dims) != _MATRIX_RANK:
        return None
    if any(attribute_float(node, name, 1.0) != 1.0 for name in ("alpha", "beta")):
        return None
    bias = _bias(node, constants)
    if bias is None:
        return None
    is_product = node.op_type == "MatMul"
    rank = 1 if is_product else len(tensor.dims)
    return LinearNode(node, numpy_helper.to_array(tensor), bias, rank, axis=0 if is_product else 1)


def _bias(node: NodeProto, constants: dict[str, TensorProto]) -> Floats | None:
    name = node.input[_BIAS_SLOT] if len(node.input) > _BIAS_SLOT else ""
    if not name:
        return np.zeros(1)
    tensor = constants.get(name)
    if tensor is None or tensor.data_type != TensorProto.FLOAT:
        return None
    if any(dim != 1 for dim in tensor.dims[:-1]):  # of a Gemm, a bias for each row
        return None
    return numpy_helper.to_array(tensor).astype(np.float64).reshape(-1)


def give_constant(
    graph: GraphProto, node: NodeProto, slot: int, values: NDArray[np.float32], taken: set[str]
) -> None:
    """Let a node read other values; whoever else read the old ones still does.

    Args:
        graph: To edit; the node is of it.
        node: To edit.
        slot: Of the input, which may not be there yet.
        values: What to read.
        taken: Names in use; grows.
    """
    while len(node.input) <= slot:
        node.input.append("")
    old = node.input[slot]
    is_own = bool(old) and len(uses_of(graph)[old]) == 1 and old not in interface_names(graph)
    if is_own:
        tensor = initializers_of(graph)[old]
        tensor.CopyFrom(numpy_helper.from_array(values, old))
        return
    name = fresh_name(old or f"{node.output[0]}_bias", taken)
    graph.initializer.append(numpy_helper.from_array(values, name))
    node.input[slot] = name
