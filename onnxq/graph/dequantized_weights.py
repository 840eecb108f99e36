"""Quantized weights become real numbers again, as their operators read them.

The arithmetic is that of DequantizeLinear (ONNX specification): ``(q - zero_point) * scale``, with
one scale for all, one an index of an axis, or one a block along an axis; and that of
``com.microsoft.MatMulNBits`` (onnxruntime's contrib operator list), whose blocks are packed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto

from onnxq.arrays import Array
from onnxq.graph.edits import attribute_int, walk_graphs
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.quantized_tensors import TensorQuantization, list_quantized
from onnxq.graph.weight_blocks import unpack_bits

_BYTE_BITS = 8


@dataclass(frozen=True)
class DequantizedWeight:
    """A weight as a quantized model really uses it.

    Attributes:
        tensor: How it is quantized.
        values: Real numbers, in the shape that they are stored in; ``[K, N]`` for MatMulNBits, and
            for DynamicQuantizeLSTM as the standard LSTM has them: ``[directions, gates, inputs]``.
        scales: The scale of each value; broadcasts to the shape of ``values``.
    """

    tensor: TensorQuantization
    values: Array
    scales: Array


def list_dequantized(proto: ModelProto) -> Iterator[DequantizedWeight]:
    """Dequantize every weight and bias of a model, in the order of ``list_quantized``.

    Args:
        proto: A quantized model, with its external data.

    Yields:
        Those whose integers and scales are constants and fit each other.
    """
    stored = {n: onnx.numpy_helper.to_array(tensor) for n, tensor in constants_of(proto).items()}
    readers = {(slot, name): node for node in walk_nodes(proto.graph)
               for slot, name in enumerate(node.input)}  # fmt: skip
    for tensor in list_quantized(proto):
        if tensor.role == "activation" or tensor.stored not in stored or not tensor.scales.size:
            continue
        integers = stored[tensor.stored]
        blocked = readers.get((1, tensor.stored))
        linear = readers.get((0, tensor.stored))
        if blocked is not None and blocked.op_type == "MatMulNBits":
            yield from _unpack_blocks(tensor, integers, blocked, stored)
        elif linear is not None and attribute_int(linear, "block_size", 0):
            yield from _dequantize_blocks(tensor, integers, linear, stored)
        elif not _is_readable(tensor, integers.shape):
            continue
        elif linear is not None and linear.op_type == "QuantizeLinear":
            yield _round_trip(tensor, integers)
        elif tensor.operator == "DynamicQuantizeLSTM":
            yield _turned(_dequantize(tensor, integers.astype(np.float64)))
        else:
            yield _dequantize(tensor, integers.astype(np.float64))


def constants_of(proto: ModelProto) -> dict[str, TensorProto]:
    """Return initializers and Constant nodes, by name, those of subgraphs included."""
    tensors: dict[str, TensorProto] = {}
    for graph in walk_graphs(proto.graph):
        tensors |= {tensor.name: tensor for tensor in graph.initializer}
        tensors |= {
            node.output[0]: node.attribute[0].t
            for node in graph.node
            if node.op_type == "Constant" and node.attribute[0].name == "value"
        }
    return tensors


def _layout(size: int, axis: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape in which flat scales broadcast to a weight; empty if they do not.

    One is for all; else there is one an index of the axis, or one a direction of an LSTM (axis
    0), or one for each of both.
    """
    for kept in ((), (axis,), (0, axis), (0,)):
        sizes = tuple(size if at in kept else 1 for at, size in enumerate(shape))
        if math.prod(sizes) == size:
            return sizes
    return ()


def _spread(values: Array, axis: int, shape: tuple[int, ...]) -> Array:
    return values.astype(np.float64).reshape(_layout(values.size, axis, shape))


def _is_readable(tensor: TensorQuantization, shape: tuple[int, ...]) -> bool:
    """Tell whether scales and zero points are of a number that a weight of this shape can have."""
    counts = (tensor.scales.size, tensor.zero_points.size)
    return all(_layout(count, tensor.axis, shape) or count == 1 for count in counts)


def _dequantize(tensor: TensorQuantization, integers: Array) -> DequantizedWeight:
    scales = _spread(tensor.scales, tensor.axis, integers.shape)
    points = _spread(tensor.zero_points, tensor.axis, integers.shape)
    return DequantizedWeight(tensor, (integers - points) * scales, scales)


def _turned(weight: DequantizedWeight) -> DequantizedWeight:
    scales = np.broadcast_to(weight.scales, weight.values.shape)
    return DequantizedWeight(weight.tensor, weight.values.swapaxes(-1, -2), scales.swapaxes(-1, -2))


def _round_trip(tensor: TensorQuantization, floats: Array) -> DequantizedWeight:
    """Quantize and dequantize a weight that is still float, as QuantizeLinear does."""
    scales = _spread(tensor.scales, tensor.axis, floats.shape)
    points = _spread(tensor.zero_points, tensor.axis, floats.shape)
    bits = int("".join(filter(str.isdigit, tensor.dtype)))
    low = 0 if tensor.dtype.startswith("u") else -(1 << (bits - 1))
    integers = np.clip(np.rint(floats / scales) + points, low, low + (1 << bits) - 1)
    return DequantizedWeight(tensor, (integers - points) * scales, scales)


def _dequantize_blocks(
    tensor: TensorQuantization, integers: Array, node: NodeProto, stored: dict[str, Array]
) -> Iterator[DequantizedWeight]:
    """Spread each scale over the values of its block, the last of which may be short."""
    axis, block = attribute_int(node, "axis", 1), attribute_int(node, "block_size", 0)
    given = stored[node.input[1]]
    points = _operand(node, 2, stored, np.zeros_like(given))
    blocks = [-(-size // block) if at == axis % integers.ndim else size
              for at, size in enumerate(integers.shape)]  # fmt: skip
    if list(given.shape) != blocks or points.shape != given.shape:
        return

    def spread(values: Array) -> Array:
        repeated = np.repeat(values.astype(np.float64), block, axis=axis)
        return repeated.take(np.arange(integers.shape[axis]), axis=axis)

    scales = spread(given)
    yield DequantizedWeight(tensor, (integers.astype(np.float64) - spread(points)) * scales, scales)


def _unpack_blocks(
    tensor: TensorQuantization, packed: Array, node: NodeProto, stored: dict[str, Array]
) -> Iterator[DequantizedWeight]:
    """Unpack ``[N, blocks, bytes]``: rows of B transposed, low bits first, in whole blocks."""
    columns, rows = attribute_int(node, "K", 0), attribute_int(node, "N", 0)
    bits, block = attribute_int(node, "bits", 4), attribute_int(node, "block_size", 32)
    blocks, scales = -(-columns // block), stored[node.input[2]]
    points = _operand(node, 3, stored, np.full(rows * blocks, 1 << (bits - 1)))
    if points.dtype == np.uint8 and points.size * _BYTE_BITS >= rows * blocks * bits:
        points = unpack_bits(points.reshape(rows, -1), bits)[:, :blocks]
    whole = packed.size * _BYTE_BITS == rows * blocks * block * bits
    if not whole or {scales.size, points.size} != {rows * blocks}:
        return

    def spread(values: Array) -> Array:
        table = values.astype(np.float64).reshape(rows, blocks)
        return np.repeat(table, block, axis=1)[:, :columns]

    values = unpack_bits(packed.reshape(rows, -1), bits)[:, :columns].astype(np.float64)
    dequantized = (values - spread(points)) * spread(scales)
    yield DequantizedWeight(tensor, dequantized.T, spread(scales).T)


def _operand(node: NodeProto, slot: int, stored: dict[str, Array], default: Array) -> Array:
    name = node.input[slot] if len(node.input) > slot else ""
    return stored.get(name, default)
