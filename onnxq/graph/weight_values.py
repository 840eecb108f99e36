"""Weights of a model as real numbers, however they are stored; how many of them are zero."""

from collections.abc import Iterator

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from onnxq.arrays import Array
from onnxq.graph.dequantized_weights import constants_of, list_dequantized
from onnxq.graph.nodes import walk_nodes

_MATRIX_RANK = 2
_WEIGHT_SLOTS: dict[str, tuple[int, int]] = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (0, 2),
    "MatMul": (0, 2),
    "Einsum": (0, 9),
    "LSTM": (1, 3),
    "GRU": (1, 3),
    "RNN": (1, 3),
    "Gather": (0, 1),
}
"""First input that may be a weight, and the one after the last, by operator."""

_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16})


def weight_values(proto: ModelProto) -> Iterator[tuple[str, Array]]:
    """Yield every weight of rank 2 and more: first those that are quantized, then float ones.

    Args:
        proto: Any model, with its external data.

    Yields:
        The name of the float model's weight, unless it was renamed, and its values; the matrix of
        a Gemm may be transposed.
    """
    for weight in list_dequantized(proto):
        if weight.tensor.role == "weight" and weight.values.ndim >= _MATRIX_RANK:
            yield weight.tensor.name, weight.values
    yield from _floats(proto)


def zero_share(proto: ModelProto) -> float:
    """Return the share of a model's weights that is exactly zero.

    Args:
        proto: Any model, with its external data.

    Returns:
        0 to 1; 0 for a model without weights. What fills blocks up does not count.
    """
    zeros = elements = 0
    for _, values in weight_values(proto):
        zeros += values.size - int(np.count_nonzero(values))
        elements += values.size
    return zeros / elements if elements else 0.0


def _floats(proto: ModelProto) -> Iterator[tuple[str, Array]]:
    """Yield weights that are stored as floats, behind a Cast too."""
    constants = constants_of(proto)
    nodes = list(walk_nodes(proto.graph))
    casts = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Cast"}
    scales = {
        name
        for node in nodes
        if node.op_type == "Mul" and casts.keys() & set(node.input)
        for name in node.input
    }
    seen: set[str] = set()
    for node in nodes:
        if node.output[0] in scales:  # it looks up scales
            continue
        for name in (casts.get(one, one) for one in _operands(node)):
            tensor = constants.get(name)
            if tensor is None or name in seen or len(tensor.dims) < _MATRIX_RANK:
                continue
            seen.add(name)
            if tensor.data_type in _FLOATS:
                yield name.removesuffix("_half"), numpy_helper.to_array(tensor)


def _operands(node: NodeProto) -> list[str]:
    """Return the inputs of a node that may be weights; biases are none."""
    first, end = _WEIGHT_SLOTS.get(node.op_type, (0, 0))
    return list(node.input[first:end])
