"""Convolutions between integers, made wider with zeros."""

from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, NodeProto, numpy_helper

from onnxq.arrays import Array
from onnxq.graph.edits import attribute_int, fresh_name
from onnxq.graph.qdq_pairs import DEQUANTIZE, Pairs
from onnxq.graph.unread import drop_unread, inherit_names

_BIAS_SLOT = 2


@dataclass(frozen=True)
class IntegerConv:
    """A Conv whose weights, and bias if it has one, are integers behind DequantizeLinear.

    Attributes:
        node: The Conv.
        parameters: The DequantizeLinear of its weights, then that of its bias.
        shape: Of its weights.
        group: How many groups it has.
    """

    node: NodeProto
    parameters: tuple[NodeProto, ...]
    shape: tuple[int, ...]
    group: int

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel is convolved alone, with one filter."""
        return self.group > 1 and self.shape[0] == self.group and self.shape[1] == 1


def read_conv(node: NodeProto, pairs: Pairs) -> IntegerConv | None:
    """Read a Conv.

    Args:
        node: A Conv.
        pairs: Its graph, indexed.

    Returns:
        None where its weights are not constant integers of zero point 0, scaled as a whole or by
        output.
    """
    names = [name for name in node.input[1 : _BIAS_SLOT + 1] if name]
    found = [pairs.producer(name, DEQUANTIZE) for name in names]
    parameters = tuple(one for one in found if one is not None)
    if len(parameters) < len(names) or not parameters:
        return None
    for one in parameters:
        grid = pairs.grid(one)
        if one.input[0] not in pairs.constants or grid is None:
            return None
        if np.any(grid.zero_point) or not (grid.is_per_tensor or grid.axis == 0):
            return None
    shape = tuple(pairs.constants[parameters[0].input[0]].dims)
    return IntegerConv(node, parameters, shape, attribute_int(node, "group", 1))


def widen_conv(pairs: Pairs, conv: IntegerConv, added: tuple[int, int], taken: set[str]) -> None:
    """Give a convolution more channels, of zeros.

    Args:
        pairs: A graph to edit, indexed; the index need not know of earlier calls.
        conv: Of that graph.
        added: How many outputs, and how many inputs of the weights.
        taken: Names in use; grows.
    """
    outputs, inputs = added
    heirs: dict[str, str] = {}
    parameters = conv.parameters if outputs else conv.parameters[:1]
    for slot, old in enumerate(parameters, start=1):
        widths = [(0, outputs), (0, inputs)] if slot == 1 else [(0, outputs)]
        dequantizer = take_dequantizer(pairs, old, taken)
        for place, name in enumerate(old.input):
            values = pairs.constant(name)
            if values is None or (place and (not outputs or values.size == 1)):
                continue
            wide = np.pad(values, widths[:1], mode="edge") if place else _pad(values, widths)
            heirs[name] = store_constant(pairs.graph, f"{name}_widened", wide, taken)
            dequantizer.input[place] = heirs[name]
        put_before(pairs.graph, conv.node, [dequantizer])
        conv.node.input[slot] = dequantizer.output[0]
    drop_unread(pairs.graph)
    inherit_names(pairs.graph, heirs)


def take_dequantizer(pairs: Pairs, node: NodeProto, taken: set[str]) -> NodeProto:
    """Return a DequantizeLinear for one reader alone, not in the graph, to be put in elsewhere.

    Args:
        pairs: A graph to edit, indexed.
        node: A DequantizeLinear of that graph; taken out if it has one reader.
        taken: Names in use; grows by those of a copy.
    """
    own = NodeProto()
    own.CopyFrom(node)
    if len(pairs.readers(node.output[0])) == 1 and node.output[0] not in pairs.kept:
        pairs.graph.node.remove(node)
    else:
        own.output[0] = fresh_name(f"{node.output[0]}_own", taken)
        own.name = fresh_name(f"{node.name}_own", taken)
    return own


def put_before(graph: GraphProto, node: NodeProto, added: list[NodeProto]) -> None:
    """Insert nodes in front of another one.

    Args:
        graph: To edit.
        node: Of that graph.
        added: In their order.
    """
    at = list(graph.node).index(node)
    for one in reversed(added):
        graph.node.insert(at, one)


def store_constant(graph: GraphProto, base: str, values: Array, taken: set[str]) -> str:
    """Store an initializer under a name of its own.

    Args:
        graph: To edit.
        base: What the name should begin with.
        values: Of any shape.
        taken: Names in use; grows.

    Returns:
        Its name.
    """
    name = fresh_name(base, taken)
    graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _pad(values: Array, widths: list[tuple[int, int]]) -> Array:
    return np.pad(values, [*widths, *[(0, 0)] * (values.ndim - len(widths))])
