"""What scales or shifts the channels of a quantized Conv moves into its weights' scales and bias.

Pattern: ``Conv`` with weights that are dequantized from constants, then ``Mul``, ``Div``, ``Add``
or ``Sub`` with one number a channel, or ``BatchNormalization``. Replacement: the Conv alone; the
factors multiply the scales of the weights, whose integers stay. Condition: nothing else reads in
between; factors are above 0. Real-exact: ``k * sum(x * (w * s)) = sum(x * (w * (k * s)))``. Why:
PyTorch's quantization-aware training exports Conv, Div and BatchNormalization in a row, which
onnxruntime cannot fuse with the QuantizeLinear behind them: all 20 Conv of ResNet-18 run in float.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

from onnxq.graph.edits import attribute_float, copy_of
from onnxq.graph.grid_writing import GridWriter
from onnxq.graph.qdq_pairs import DEQUANTIZE, Grid, Pairs, index_pairs
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_WEIGHT, _BIAS = 1, 2
_CHANNEL_AXIS = 1


@dataclass(frozen=True)
class _Affine:
    """``y = factor * x + shift``, channel by channel; ``[channels]`` each."""

    factor: NDArray[np.float64]
    shift: NDArray[np.float64]


def fold_channel_factors(proto: ModelProto) -> Rewritten:
    """Fold what follows quantized Conv nodes of the top graph into them.

    Args:
        proto: A model with pairs; not changed.

    Returns:
        The model, and the names of what was folded away.
    """
    copy, subjects = copy_of(proto), list[str]()
    writer = GridWriter(copy.graph)
    while (found := _first(index_pairs(copy.graph))) is not None:
        conv, after, affine = found
        subjects.append(after.name or after.output[0])
        _fold(conv, affine, index_pairs(copy.graph), writer)
        conv.output[0] = after.output[0]
        copy.graph.node.remove(after)
    return Rewritten(copy if subjects else proto, tuple(subjects))


def _first(pairs: Pairs) -> tuple[NodeProto, NodeProto, _Affine] | None:
    for conv in pairs.graph.node:
        if conv.op_type != "Conv" or conv.output[0] in pairs.kept:
            continue
        readers, channels = pairs.readers(conv.output[0]), _channels(conv, pairs)
        affine = _affine(readers[0], conv, channels, pairs) if len(readers) == 1 else None
        if affine is not None and channels and (affine.factor > 0).all():
            return conv, readers[0], affine
    return None


def _channels(conv: NodeProto, pairs: Pairs) -> int:
    """Return how many channels a Conv writes, if its weights and bias can be scaled; else 0."""
    dequantizer = pairs.producer(conv.input[_WEIGHT], DEQUANTIZE)
    grid = None if dequantizer is None else pairs.grid(dequantizer)
    weight = None if dequantizer is None else pairs.constant(dequantizer.input[0])
    if weight is None or grid is None or len(pairs.readers(conv.input[_WEIGHT])) != 1:
        return 0
    if not (grid.is_per_tensor or grid.axis == 0) or _bias(conv, pairs) is None:
        return 0
    return int(weight.shape[0])


def _affine(node: NodeProto, conv: NodeProto, channels: int, pairs: Pairs) -> _Affine | None:
    if node.op_type == "BatchNormalization" and len([o for o in node.output if o]) == 1:
        return _normalization(node, pairs)
    if node.op_type not in {"Mul", "Div", "Add", "Sub"} or not channels:
        return None
    other = 1 - list(node.input).index(conv.output[0])
    value = pairs.constant(node.input[other])
    is_turned = node.op_type in {"Div", "Sub"} and other == 0
    if value is None or is_turned:
        return None
    rank = len(pairs.constants[pairs.producers[conv.input[_WEIGHT]].input[0]].dims)
    if not _is_channelwise(value, channels, rank):
        return None
    numbers = np.broadcast_to(value.astype(np.float64).ravel(), channels)
    if node.op_type in {"Add", "Sub"}:
        return _Affine(np.ones(channels), numbers if node.op_type == "Add" else -numbers)
    factor = numbers if node.op_type == "Mul" else 1 / np.where(numbers == 0, 1.0, numbers)
    return _Affine(factor, np.zeros(channels)) if numbers.all() else None


def _is_channelwise(value: NDArray[np.generic], channels: int, rank: int) -> bool:
    """Tell whether a constant broadcasts to ``[N, channels, ...]`` along the channels alone."""
    shape = (1,) * (rank - value.ndim) + value.shape
    is_flat = all(size == 1 for axis, size in enumerate(shape) if axis != _CHANNEL_AXIS)
    return len(shape) == rank and is_flat and shape[_CHANNEL_AXIS] in {1, channels}


def _normalization(node: NodeProto, pairs: Pairs) -> _Affine | None:
    found = [pairs.constant(name) for name in node.input[1:5]]
    known = [one.astype(np.float64) for one in found if one is not None]
    if len(known) < len(found):
        return None
    gamma, beta, mean, variance = known
    factor = gamma / np.sqrt(variance + attribute_float(node, "epsilon", 1e-5))
    return _Affine(factor, beta - mean * factor)


def _bias(conv: NodeProto, pairs: Pairs) -> NDArray[np.float64] | None:
    """Return the real bias of a Conv, zeros where it has none; None where it is computed."""
    if len(conv.input) <= _BIAS or not conv.input[_BIAS]:
        return np.zeros(1)
    plain = pairs.constant(conv.input[_BIAS])
    if plain is not None:
        return plain.astype(np.float64)
    dequantizer = pairs.producer(conv.input[_BIAS], DEQUANTIZE)
    grid = None if dequantizer is None else pairs.grid(dequantizer)
    stored = None if dequantizer is None else pairs.constant(dequantizer.input[0])
    if grid is None or stored is None:
        return None
    real: NDArray[np.float64] = (
        stored.astype(np.float64) - grid.zero_point.astype(np.float64)
    ) * grid.scale.astype(np.float64)
    return real


def _fold(conv: NodeProto, affine: _Affine, pairs: Pairs, writer: GridWriter) -> None:
    bias, dequantizer = _bias(conv, pairs), pairs.producers[conv.input[_WEIGHT]]
    grid = pairs.grid(dequantizer)
    if bias is None or grid is None:
        return
    scale = (grid.scale * affine.factor).astype(np.float32)
    points = np.broadcast_to(grid.zero_point, scale.shape)
    writer.assign(dequantizer, Grid(scale, points, grid.dtype, 0))
    folded = (bias * affine.factor + affine.shift).astype(np.float32)
    name = writer.constant(folded, f"{conv.output[0]}_bias")
    del conv.input[_BIAS:]
    conv.input.append(name)


FOLD_CHANNEL_FACTORS = Rewrite(
    "fold channel factors",
    "real-exact",
    "factors and normalizations behind convolutions moved into the scales of their weights",
    fold_channel_factors,
    why="Div and BatchNormalization behind Conv, as training exports them, keep it in float",
)
