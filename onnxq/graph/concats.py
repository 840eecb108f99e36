"""Concats that become integer, and interface outputs made of several parts: who shares one scale.

What one scale has to hold is decided by the *parts*: the tensors that are put side by side. Boxes
between 0 and 640 beside scores between 0 and 1 leave the scores less than one step of 640/255. So
each part is looked at on its own while calibrating, and the histogram of the whole is the sum of
those of its parts, for nothing.

A Concat of Concats is taken as one, so that each part is judged by the scale that it gets in the
end. The *tail* of a Concat are the weighted nodes that read it with nothing but moving, absorbed
or pooling nodes between: where the Concat stays float, they do too, because they would have to
read it with the one scale again. What they make can be integer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from onnxq.graph.integer_nodes import IntegerNodes, activation_bounds
from onnxq.graph.operator_kinds import ABSORBED, MOVING, WEIGHTED
from onnxq.graph.tensor_flow import TensorFlow

_UNBOUNDED = (-np.inf, np.inf)
_UNARY = frozenset({"AveragePool", "GlobalAveragePool", "LeakyRelu"})
_RESHAPING = frozenset({
    "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze",
})  # fmt: skip
_CHANNELWISE = frozenset({
    "AveragePool", "Clip", "GlobalAveragePool", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "MaxPool", "Relu", "Resize", "Sigmoid", "Tanh",
})  # fmt: skip
"""Operators that leave axis 1 as it is."""


@dataclass(frozen=True, eq=False)
class ConcatJoin:
    """Tensors that get one scale because they are put side by side.

    Attributes:
        output: What they become: the output of the Concat, or of the graph.
        node: Name of the Concat.
        parts: Tensors whose values it holds, in order, as often as they occur; constants left out.
        leader: Whose range the Concat's output has if nothing else is shared: its own name, or
            that of the Relu or Clip which was absorbed by it.
        bounds: What that Relu or Clip lets through.
        is_sum: Whether the leader's values are those of the parts, once each, within the bounds.
        tail: First outputs of the weighted nodes that stay float if the Concat does.
        gains: For each node that reads it, if all are convolutions that keep the parts apart:
            squared weights, summed, float64 ``[output channels, parts]``; empty otherwise.
        is_border: Whether only the integer interface asks for the one scale.
    """

    output: str
    node: str
    parts: tuple[str, ...]
    leader: str
    bounds: tuple[float, float] = _UNBOUNDED
    is_sum: bool = False
    tail: tuple[str, ...] = ()
    gains: tuple[NDArray[np.float64], ...] = field(default=(), repr=False)
    is_border: bool = False


def find_joins(
    flow: TensorFlow, integer: IntegerNodes, leaders: dict[str, str]
) -> tuple[ConcatJoin, ...]:
    """Find the integer Concats.

    Args:
        flow: The edges of the graph.
        integer: Its integer nodes.
        leaders: Leader by quantized tensor, nothing shared along Concats yet.

    Returns:
        One for each, the last of the graph first.
    """
    return tuple(
        _join(node, flow, integer, leaders[node.output[0]])
        for node in reversed(flow.nodes)
        if node.op_type == "Concat" and node.output[0] in integer.names
    )


def find_border_joins(flow: TensorFlow, at_border: frozenset[str]) -> tuple[ConcatJoin, ...]:
    """Find outputs of a float Concat that the interface alone makes integer.

    Args:
        flow: The edges of the graph.
        at_border: Inputs and outputs that become integer for the interface alone.

    Returns:
        One for each output that is a Concat with nothing but its shape changed.
    """
    found = []
    for name in sorted(at_border & flow.producers.keys()):
        concat = _source_of(name, flow, _RESHAPING)
        if concat is not None:
            parts = tuple(_border_parts(concat, flow))
            found.append(ConcatJoin(name, concat.name, parts, leader=name, is_border=True))
    return tuple(found)


def _source_of(name: str, flow: TensorFlow, through: frozenset[str]) -> onnx.NodeProto | None:
    """Return the Concat that a tensor comes from through nodes of some types, if it does."""
    node = flow.producers.get(name)
    while node is not None and node.op_type in through:
        node = flow.producers.get(node.input[0])
    return node if node is not None and node.op_type == "Concat" else None


def _border_parts(concat: onnx.NodeProto, flow: TensorFlow) -> Iterator[str]:
    for name in concat.input:
        inner = _source_of(name, flow, _RESHAPING)
        if inner is not None:
            yield from _border_parts(inner, flow)
        elif name not in flow.initializers:
            yield name


def _join(node: onnx.NodeProto, flow: TensorFlow, integer: IntegerNodes, leader: str) -> ConcatJoin:
    bounds, is_sum = _way_to(leader, node.output[0], flow)
    readers = tuple(_readers_of(node.output[0], flow, integer))
    parts = tuple(_parts(node, flow, integer))
    return ConcatJoin(
        output=node.output[0],
        node=node.name,
        parts=parts,
        leader=leader,
        bounds=bounds,
        is_sum=is_sum,
        tail=tuple(dict.fromkeys(reader.output[0] for reader in readers)),
        gains=_gains(node, parts, readers, flow),
    )


def _parts(node: onnx.NodeProto, flow: TensorFlow, integer: IntegerNodes) -> Iterator[str]:
    for name in node.input:
        producer = flow.producers.get(name)
        if producer is not None and producer.op_type == "Concat" and name in integer.names:
            yield from _parts(producer, flow, integer)
        else:
            yield name


def _way_to(leader: str, output: str, flow: TensorFlow) -> tuple[tuple[float, float], bool]:
    """Say what bounds lie between a Concat's output and its leader, and if nothing else does."""
    low, high = _UNBOUNDED
    is_sum = True
    name = leader
    while name != output:
        node = flow.producers[name]
        if node.op_type in ABSORBED:
            bounds = activation_bounds(node, flow)
            low, high = max(low, bounds[0]), min(high, bounds[1])
        else:
            is_sum = False
        name = node.input[0]
    return (low, high), is_sum


def _readers_of(name: str, flow: TensorFlow, integer: IntegerNodes) -> Iterator[onnx.NodeProto]:
    """Walk to the weighted integer nodes that read a tensor, along what keeps its values apart."""
    for reader in flow.read_by(name):
        if reader.output[0] not in integer.names:
            continue
        if reader.op_type in WEIGHTED:
            yield reader
        elif reader.op_type in MOVING | ABSORBED | _UNARY:
            for output in reader.output:
                yield from _readers_of(output, flow, integer)


def _gains(
    concat: onnx.NodeProto,
    parts: tuple[str, ...],
    readers: tuple[onnx.NodeProto, ...],
    flow: TensorFlow,
) -> tuple[NDArray[np.float64], ...]:
    """Sum squared weights by part, for each reader; empty where one cannot be told."""
    channels = [_channels_of(part, flow) for part in parts]
    if not all(channels) or not _is_along_channels(concat, flow):
        return ()
    found = []
    integer = {reader.output[0]: reader for reader in readers if reader.op_type == "Conv"}
    for end in _ends_of(concat.output[0], flow):
        if end not in integer:
            return ()
        reader = integer[end]
        weight = numpy_helper.to_array(flow.initializers[reader.input[1]])
        if weight.shape[1] != sum(channels):  # in groups
            return ()
        squared = np.square(weight, dtype=np.float64).reshape(*weight.shape[:2], -1).sum(axis=2)
        found.append(np.add.reduceat(squared, np.cumsum([0, *channels[:-1]]), axis=1))
    return tuple(found)


def _is_along_channels(concat: onnx.NodeProto, flow: TensorFlow) -> bool:
    """Whether a Concat, and all that it reads directly, are along axis 1."""
    inner = (flow.producers.get(name) for name in concat.input)
    return _axis_of(concat) == 1 and all(
        _is_along_channels(node, flow) for node in inner if node and node.op_type == "Concat"
    )


def _axis_of(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)


def _channels_of(name: str, flow: TensorFlow) -> int:
    """Return the length of axis 1 of what a convolution makes; 0 where it is not known."""
    node = flow.producers.get(name)
    while node is not None and node.op_type in _CHANNELWISE:
        node = flow.producers.get(node.input[0])
    if node is None or node.op_type != "Conv" or node.input[1] not in flow.initializers:
        return 0
    return int(flow.initializers[node.input[1]].dims[0])


def _ends_of(name: str, flow: TensorFlow) -> Iterator[str]:
    """Name, by first output, what reads a tensor and does more than act on each channel.

    An output of the graph, and what a subgraph captures, has a reader without a name.
    """
    if name in flow.kept:
        yield ""
    for reader in flow.read_by(name):
        if reader.op_type in _CHANNELWISE:
            yield from _ends_of(reader.output[0], flow)
        else:
            yield reader.output[0]
