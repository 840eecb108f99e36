"""Convolutions on integers of few channels, as the first of a network is.

onnxruntime 1.31's fast kernel for uint8 activations and int8 weights takes input channels by fours
and wants 16 outputs or more. An image has three channels, so its convolution goes the slow way:
windows are copied apart, multiplied into an int32 buffer, and requantized from there. On ResNet-18
that is a fifth of the time, for a fifteenth of the multiplications.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import attribute_int, inferred_shapes
from onnxq.graph.integer_convs import put_before, store_constant, take_dequantizer
from onnxq.graph.qdq_pairs import DEQUANTIZE, QUANTIZE, Grid, Pairs
from onnxq.graph.unread import drop_unread, inherit_names

CHANNELS_AT_ONCE = 4
"""Input channels that the fast kernel takes at once."""

LEAST_OUTPUTS = 16
"""Output channels below which onnxruntime does not take the fast kernel."""

MOST_PIXELS = 8
"""Pixels of an axis that are taken together; a stem on larger patches does not wait for values."""

_MOVING = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Pad", "Slice", QUANTIZE})
_PLANE_RANK = 4


@dataclass(frozen=True, eq=False)
class Stem:
    """A convolution near a graph's input, between integers.

    Attributes:
        node: The Conv: two spatial axes, group 1, dilation 1.
        reading: The DequantizeLinear of what it reads.
        weighing: The DequantizeLinear of its weights.
        grid: Of what it reads: uint8, one scale for the whole tensor.
        weights: int8, ``[outputs, channels, rows, columns]``, zero point 0.
        pads: At the begin of rows and columns, then at their end.
        strides: Of rows and columns.
    """

    node: NodeProto
    reading: NodeProto
    weighing: NodeProto
    grid: Grid
    weights: NDArray[np.int8]
    pads: tuple[int, int, int, int]
    strides: tuple[int, int]

    @property
    def source(self) -> str:
        """The integer tensor that it reads."""
        return self.reading.input[0]

    @property
    def channels(self) -> int:
        """How many channels it reads."""
        return int(self.weights.shape[1])


def find_stems(pairs: Pairs) -> list[Stem]:
    """Find convolutions that read integers made of a graph's inputs.

    Args:
        pairs: The graph, indexed.

    Returns:
        Those whose channels the fast kernel does not take, and whose outputs are enough for it.
    """
    inputs = {value.name for value in pairs.graph.input} - pairs.constants.keys()
    found = (_read_stem(node, pairs, inputs) for node in pairs.graph.node)
    return [stem for stem in found if stem is not None]


def _read_stem(node: NodeProto, pairs: Pairs, inputs: set[str]) -> Stem | None:
    if node.op_type != "Conv" or node.domain not in {"", "ai.onnx"}:
        return None
    reading = pairs.producer(node.input[0], DEQUANTIZE)
    weighing = pairs.producer(node.input[1], DEQUANTIZE)
    if reading is None or weighing is None or not _comes_from(reading.input[0], inputs, pairs):
        return None
    grid, weights = pairs.grid(reading), _weights(weighing, pairs)
    window = _window(node)
    if grid is None or weights is None or window is None:
        return None
    is_wanted = weights.shape[0] >= LEAST_OUTPUTS and weights.shape[1] % CHANNELS_AT_ONCE != 0
    if not is_wanted or grid.dtype != TensorProto.UINT8 or not grid.is_per_tensor:
        return None
    return Stem(node, reading, weighing, grid, weights, *window)


def _comes_from(name: str, inputs: set[str], pairs: Pairs) -> bool:
    """Whether a tensor is an input of the graph, at most quantized and moved."""
    while name not in inputs:
        node = pairs.producers.get(name)
        if node is None or node.op_type not in _MOVING:
            return False
        name = node.input[0]
    return True


def _weights(weighing: NodeProto, pairs: Pairs) -> NDArray[np.int8] | None:
    """Return symmetric int8 weights of two spatial axes, scaled as a whole or by output."""
    grid, stored = pairs.grid(weighing), pairs.constant(weighing.input[0])
    if grid is None or stored is None or stored.dtype != np.int8 or stored.ndim != _PLANE_RANK:
        return None
    if np.any(grid.zero_point) or not (grid.is_per_tensor or grid.axis == 0):
        return None
    return stored.astype(np.int8)


def _window(node: NodeProto) -> tuple[tuple[int, int, int, int], tuple[int, int]] | None:
    """Return pads and strides of a plain window; None for groups, dilation and implied pads."""
    given = {attribute.name: attribute for attribute in node.attribute}
    implied = "auto_pad" in given and given["auto_pad"].s not in {b"NOTSET", b"VALID"}
    is_dilated = any(step != 1 for step in _ints(given, "dilations", 2, 1))
    if implied or is_dilated or attribute_int(node, "group", 1) != 1:
        return None
    is_valid = "auto_pad" in given and given["auto_pad"].s == b"VALID"
    top, left, bottom, right = (0,) * 4 if is_valid else _ints(given, "pads", 4, 0)
    rows, columns = _ints(given, "strides", 2, 1)
    return (top, left, bottom, right), (rows, columns)


def _ints(given: dict[str, AttributeProto], name: str, count: int, default: int) -> tuple[int, ...]:
    return tuple(given[name].ints) if name in given else (default,) * count


def planes(proto: ModelProto) -> dict[str, tuple[int, int]]:
    """Infer rows and columns of tensors ``[N, C, H, W]`` where both are known.

    Args:
        proto: A model; not changed.

    Returns:
        Rows and columns by tensor name.
    """
    return {
        name: (shape[2], shape[3])
        for name, shape in inferred_shapes(proto).items()
        if len(shape) == _PLANE_RANK and isinstance(shape[2], int) and isinstance(shape[3], int)
    }


def feed_stem(
    pairs: Pairs, stem: Stem, moves: list[NodeProto], weights: NDArray[np.int8], taken: set[str]
) -> None:
    """Let a stem read what some nodes make of its integers, with other weights.

    Args:
        pairs: A graph to edit, indexed.
        stem: Of that graph.
        moves: Nodes in their order; the last one writes what is read.
        weights: ``[outputs, channels, rows, columns]`` of what is read.
        taken: Names in use; grows.
    """
    graph, before = pairs.graph, stem.weighing.input[0]
    stored = store_constant(graph, f"{before}_regrouped", weights, taken)
    reading = take_dequantizer(pairs, stem.reading, taken)
    weighing = take_dequantizer(pairs, stem.weighing, taken)
    reading.input[0], weighing.input[0] = moves[-1].output[0], stored
    put_before(graph, stem.node, [*moves, reading, weighing])
    stem.node.input[0], stem.node.input[1] = reading.output[0], weighing.output[0]
    drop_unread(graph)
    inherit_names(graph, {before: stored})
