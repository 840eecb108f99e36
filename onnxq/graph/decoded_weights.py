"""What the weights of a model are worth, as real numbers, however they are stored.

Read are matrices and more (rank 2 up) that QDQ, dynamic, weight-only and float16 models hold:
constants behind DequantizeLinear, in MatMulInteger, DynamicQuantizeLSTM and MatMulNBits, behind
Cast (and Mul), and those that a multiplying operator or a Gather reads as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from onnxq.arrays import Array
from onnxq.graph.edits import attribute_int, walk_graphs
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.quantized_tensors import TensorQuantization, list_quantized
from onnxq.graph.weight_blocks import unpack_blocks

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

_UNREAD: Array = np.zeros(0, np.float32)
_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16})


@dataclass(frozen=True)
class DecodedWeight:
    """A weight as real numbers.

    Attributes:
        name: That of the float model's weight, unless it was renamed.
        values: float32, in the layout of the float model, but that the matrix of a Gemm may be
            transposed.
    """

    name: str
    values: Array


def decode_weights(proto: ModelProto) -> Iterator[DecodedWeight]:
    """Yield every weight of rank 2 and more once.

    Args:
        proto: Any model, with its external data.

    Yields:
        Quantized weights first, then those that are stored as floats.
    """
    nodes = {node.name: node for node in walk_nodes(proto.graph)}
    constants = dict(_constants(proto))
    quantized = [t for t in list_quantized(proto) if t.role == "weight" and t.stored in constants]
    for tensor in quantized:
        values = _decode(
            tensor, nodes[tensor.node], numpy_helper.to_array(constants[tensor.stored])
        )
        if values.ndim >= _MATRIX_RANK:
            yield DecodedWeight(tensor.name, values)
    yield from _floats(proto, constants)


def zero_share(proto: ModelProto) -> float:
    """Return the share of a model's weights that is exactly zero.

    Args:
        proto: Any model, with its external data.

    Returns:
        0 to 1; 0 for a model without weights. What fills blocks up does not count.
    """
    zeros = elements = 0
    for weight in decode_weights(proto):
        zeros += weight.values.size - int(np.count_nonzero(weight.values))
        elements += weight.values.size
    return zeros / elements if elements else 0.0


def weight_errors(proto: ModelProto, reference: ModelProto) -> dict[str, float]:
    """Return the mean absolute quantization error of each weight.

    Args:
        proto: A quantized model.
        reference: The prepared float model that it was made from.

    Returns:
        By the name of the float weight, in the reference's order; weights that are not found
        under their name, or not in their shape, are left out.
    """
    found = {weight.name: weight.values for weight in decode_weights(proto)}
    errors: dict[str, float] = {}
    for weight in decode_weights(reference):
        if weight.name in found:
            values = found[weight.name]
            # A square matrix does not show whether it was transposed; what is nearer is.
            turned = [values, values.T] if values.ndim == _MATRIX_RANK else [values]
            means = [
                float(np.abs(one - weight.values).mean(dtype=np.float64))
                for one in turned
                if one.shape == weight.values.shape
            ]
            if means:
                errors[weight.name] = min(means)
    return errors


def _constants(proto: ModelProto) -> Iterator[tuple[str, TensorProto]]:
    for graph in walk_graphs(proto.graph):
        yield from ((tensor.name, tensor) for tensor in graph.initializer)
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                yield node.output[0], node.attribute[0].t


def _decode(tensor: TensorQuantization, node: NodeProto, integers: Array) -> Array:
    """Return a weight's values; an empty vector where its scales are of a kind not read here."""
    if node.op_type == "MatMulNBits":
        return _from_blocks(tensor, node, integers)
    if node.op_type == "DynamicQuantizeLSTM":
        # Stored are [directions, inputs, gates], the scales being [directions, gates].
        directions = integers.shape[0]
        return _scaled(tensor, integers, (directions, 1, -1)).transpose(0, 2, 1)
    shape = [1] * integers.ndim
    if tensor.axis >= 0:
        shape[tensor.axis] = -1
        if tensor.scales.size != integers.shape[tensor.axis]:
            return _UNREAD
    return _scaled(tensor, integers, tuple(shape))


def _scaled(tensor: TensorQuantization, integers: Array, shape: tuple[int, ...]) -> Array:
    scales, points = tensor.scales, tensor.zero_points.astype(np.int32)
    if not scales.size:
        return _UNREAD
    scales = scales.reshape(shape) if scales.size > 1 else scales
    points = points.reshape(shape) if points.size > 1 else points
    steps = (integers.astype(np.int32) - points).astype(np.float32)
    values: Array = steps * scales.astype(np.float32)
    return values


def _from_blocks(tensor: TensorQuantization, node: NodeProto, packed: Array) -> Array:
    rows, columns, bits = (attribute_int(node, name, 0) for name in ("K", "N", "bits"))
    size = attribute_int(node, "block_size", 0)
    levels = unpack_blocks(packed, bits, rows).reshape(columns, -1, size).astype(np.float32)
    blocks = levels.shape[1]
    points = tensor.zero_points.astype(np.float32)
    if points.size > 1:
        points = points.reshape(columns, -1)[:, :blocks, np.newaxis]
    values = (levels - points) * tensor.scales.reshape(columns, blocks, 1)
    matrix: Array = values.reshape(columns, -1)[:, :rows].T.astype(np.float32)
    return matrix


def _floats(proto: ModelProto, constants: dict[str, TensorProto]) -> Iterator[DecodedWeight]:
    """Yield weights that are stored as floats, behind a Cast too."""
    nodes = list(walk_nodes(proto.graph))
    casts = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Cast"}
    factors = {
        name
        for node in nodes
        if node.op_type == "Mul" and casts.keys() & set(node.input)
        for name in node.input
    }
    seen: set[str] = set()
    for node in nodes:
        if node.output[0] in factors:  # it looks up scales
            continue
        for name in (node.input[slot] for slot in _slots(node)):
            source = casts.get(name, name)
            tensor = constants.get(source)
            if tensor is None or source in seen or len(tensor.dims) < _MATRIX_RANK:
                continue
            seen.add(source)
            if tensor.data_type in _FLOATS:
                values = numpy_helper.to_array(tensor).astype(np.float32)
                yield DecodedWeight(source.removesuffix("_half"), values)


def _slots(node: NodeProto) -> range:
    """Return the inputs of a node that may be weights; biases are none."""
    first, end = _WEIGHT_SLOTS.get(node.op_type, (0, 0))
    return range(first, min(end, len(node.input)))
