"""Integer inputs and outputs, as TensorFlow Lite's full-integer mode has them.

The QuantizeLinear at an input and the DequantizeLinear at an output move out of the graph: who
calls the model quantizes and dequantizes, by the scales that stand in its metadata. Inside,
activations are uint8. An int8 input is 128 below its uint8 twin, so a DequantizeLinear and a
QuantizeLinear of equal scales stand at the border and shift it exactly; a uint8 input needs
neither.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnxq.graph.edits import (
    copy_of,
    fresh_name,
    initializers_of,
    producers_of,
    taken_names,
    uses_of,
)
from onnxq.graph.integer_io import write_integer_io
from onnxq.integer_tensors import IntegerTensor
from onnxq.ranges import TensorRange

_SHIFT = 128
_LEVELS = 255
_TYPES = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8}


@dataclass(frozen=True)
class _Grid:
    """Scale and zero point of a uint8 tensor."""

    scale: float
    zero_point: int


def make_interface_integer(
    finished: ModelProto,
    io: Literal["uint8", "int8"],
    interface: frozenset[str],
    ranges: dict[str, TensorRange],
) -> tuple[ModelProto, tuple[IntegerTensor, ...]]:
    """Turn float inputs and outputs of a QDQ model into integers.

    Args:
        finished: A QDQ model with uint8 activations; not changed.
        io: What they become.
        interface: Names of inputs and outputs to turn.
        ranges: Of those, among others.

    Returns:
        A copy, whose metadata tell scales and zero points; and those, in the graph's order.
    """
    border = _Border(copy_of(finished), io)
    inputs = [value.name for value in finished.graph.input if value.name in interface]
    outputs = [value.name for value in finished.graph.output if value.name in interface]
    tensors = [
        *(border.take_integers(name, ranges[name]) for name in inputs),
        *(border.return_integers(name, ranges[name]) for name in outputs),
    ]
    _sort_in_place(border)
    write_integer_io(border.proto, tuple(tensors))
    return border.proto, tuple(tensors)


def _sort_in_place(border: "_Border") -> None:
    """Put what was added where it belongs: at the inputs first, at the outputs last."""
    graph = border.proto.graph
    kept = (node for node in graph.node if node.name not in border.removed)
    nodes = [*border.first, *kept, *border.last]
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


class _Border:
    """A QDQ model of one's own, at whose border nodes come and go."""

    def __init__(self, proto: ModelProto, io: Literal["uint8", "int8"]) -> None:
        self.proto = proto
        self.io = io
        self.first: list[NodeProto] = []
        self.last: list[NodeProto] = []
        self.removed: set[str] = set()
        self._taken = taken_names(proto.graph)
        self._constants = initializers_of(proto.graph)

    def take_integers(self, name: str, one: TensorRange) -> IntegerTensor:
        """Turn an input into integers."""
        readers = uses_of(self.proto.graph).get(name, [])
        grids = [self._grid_of(use.node) for use in readers if self._is_quantize(use.node)]
        grid = grids[0] if grids else _grid(one)
        tensor = self._tensor(name, grid)
        floats = ""
        for use in readers:
            if (
                self.io == "uint8"
                and self._is_quantize(use.node)
                and self._grid_of(use.node) == grid
            ):
                self._rename(use.node.output[0], name)
                self.removed.add(use.node.name)
                continue
            floats = floats or self._dequantize(tensor)
            use.node.input[use.slot] = floats
        self._declare(name)
        return tensor

    def return_integers(self, name: str, one: TensorRange) -> IntegerTensor:
        """Turn an output into integers."""
        producer = producers_of(self.proto.graph)[name]
        is_exact = producer.op_type == "DequantizeLinear" and self._is_uint8(producer)
        grid = self._grid_of(producer) if is_exact else _grid(one)
        tensor = self._tensor(name, grid)
        floats = fresh_name(f"{name}_float", self._taken)
        for use in uses_of(self.proto.graph).get(name, []):
            use.node.input[use.slot] = floats
        slot = list(producer.output).index(name)
        producer.output[slot] = floats
        integers = producer.input[0] if is_exact else ""
        ends = {value.name for value in (*self.proto.graph.input, *self.proto.graph.output)}
        if self.io == "uint8" and is_exact and integers not in ends:
            self._rename(integers, name)
            if not uses_of(self.proto.graph).get(floats):
                self.removed.add(producer.name)
        else:
            scale, point = self._constants_of(tensor)
            node = fresh_name(f"{name}_QuantizeLinear", self._taken)
            self.last.append(
                helper.make_node("QuantizeLinear", [floats, scale, point], [name], name=node)
            )
        self._declare(name)
        return tensor

    def _dequantize(self, tensor: IntegerTensor) -> str:
        floats = fresh_name(f"{tensor.name}_float", self._taken)
        scale, point = self._constants_of(tensor)
        name = fresh_name(f"{tensor.name}_DequantizeLinear", self._taken)
        self.first.append(
            helper.make_node("DequantizeLinear", [tensor.name, scale, point], [floats], name=name)
        )
        return floats

    def _tensor(self, name: str, grid: _Grid) -> IntegerTensor:
        shift = _SHIFT if self.io == "int8" else 0
        return IntegerTensor(
            name=name, dtype=self.io, scale=grid.scale, zero_point=grid.zero_point - shift
        )

    def _constants_of(self, tensor: IntegerTensor) -> tuple[str, str]:
        names = []
        for what, value in (
            ("scale", np.float32(tensor.scale)),
            ("zero_point", np.dtype(tensor.dtype).type(tensor.zero_point)),
        ):
            names.append(fresh_name(f"{tensor.name}_io_{what}", self._taken))
            self.proto.graph.initializer.append(numpy_helper.from_array(np.array(value), names[-1]))
        return names[0], names[1]

    def _is_quantize(self, node: NodeProto) -> bool:
        return node.op_type == "QuantizeLinear" and self._is_uint8(node)

    def _is_uint8(self, node: NodeProto) -> bool:
        """Whether a node's scale and zero point are constants of a uint8 tensor."""
        point = self._constants.get(node.input[2]) if len(node.input) > 2 else None  # noqa: PLR2004 - the zero point is input 2
        is_uint8 = point is not None and point.data_type == TensorProto.UINT8 and not point.dims
        return is_uint8 and node.input[1] in self._constants

    def _grid_of(self, node: NodeProto) -> _Grid:
        scale, point = (numpy_helper.to_array(self._constants[node.input[at]]) for at in (1, 2))
        return _Grid(float(scale.reshape(())), int(point.reshape(())))

    def _rename(self, old: str, new: str) -> None:
        """Let a tensor have another name, who makes it and who reads it."""
        for use in uses_of(self.proto.graph).get(old, []):
            use.node.input[use.slot] = new
        for node in self.proto.graph.node:
            for slot, output in enumerate(node.output):
                if output == old and node.name not in self.removed:
                    node.output[slot] = new

    def _declare(self, name: str) -> None:
        for value in (*self.proto.graph.input, *self.proto.graph.output):
            if value.name == name:
                value.type.tensor_type.elem_type = _TYPES[self.io]


def _grid(one: TensorRange) -> _Grid:
    """Return the uint8 grid of a range that includes zero, as onnxruntime's quantizer does."""
    low, high = min(0.0, one.low), max(0.0, one.high)
    scale = np.float32((high - low) / _LEVELS)
    if scale < np.finfo(np.float32).tiny:
        return _Grid(1.0, 0)
    return _Grid(float(scale), int(np.clip(np.rint(-low / float(scale)), 0, _LEVELS)))
