"""How single nodes come to read integer weights: one function an operator.

Each takes a node and returns the width in bits that its weights took, or 0 and the reason why
they stay float.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from onnxq.arrays import Array
from onnxq.graph.edits import attribute_float, attribute_int
from onnxq.graph.weight_blocks import (
    fitting_block,
    packed_bytes,
    quantize_blocks,
    quantize_channels,
)
from onnxq.quantization.editing import GraphEditor
from onnxq.recipe_kinds import BLOCK_SIZES, WeightOnly

_CHANNELS: dict[str, tuple[tuple[int, int], ...]] = {
    "Conv": ((1, 0),),
    "ConvTranspose": ((1, 1),),  # of a depthwise one: 0
    "LSTM": ((1, 1), (2, 1)),
    "GRU": ((1, 1), (2, 1)),
    "RNN": ((1, 1), (2, 1)),
}
"""Input slot of each weight and the axis of its channels, by operator."""

_NODE_BYTES = 200
"""About what two nodes and their names add to a file."""

_FLOAT_BYTES = 4
_INT8_KERNEL = 4
_MATRIX_RANK = 2
_TOO_FEW = "its weights are too few to save bytes"
_NOT_CONSTANT = "its weights are not constant"
_OTHER_READER = "a node or an output that stays float reads its weights too"


class Channels:
    """Weights with a scale per channel, each stored once, however many nodes read it.

    Args:
        editor: Of the model that they are stored in.
        needed: Names of tensors that stay in the file as they are, whatever becomes of a node:
            to store them as integers too would make the file larger.
    """

    def __init__(self, editor: GraphEditor, needed: frozenset[str] = frozenset()) -> None:
        self.editor = editor
        self._needed = needed
        self._stored: dict[tuple[str, int], str] = {}

    def weight(self, name: str) -> Array:
        """Return a constant's values."""
        return numpy_helper.to_array(self.editor.initializers[name])

    def why_not(self, name: str) -> str:
        """Say why a tensor cannot be stored as integers; empty where it can."""
        tensor = self.editor.initializers.get(name)
        if tensor is None:
            return _NOT_CONSTANT
        if tensor.data_type != TensorProto.FLOAT:
            return "its weights are not float32"
        if name in self._needed:
            return _OTHER_READER
        if not np.isfinite(self.weight(name)).all():
            return "its weights hold values that are not finite"
        return ""

    def why_not_along(self, name: str, axis: int) -> str:
        """Say why a tensor cannot be stored as int8 with scales along an axis."""
        why = self.why_not(name)
        if why:
            return why
        dims = self.editor.initializers[name].dims
        count = math.prod(dims)
        return "" if _saves(count, count + _FLOAT_BYTES * dims[axis]) else _TOO_FEW

    def store(self, name: str, axis: int) -> str:
        """Store a weight as int8; return the name of the float tensor that comes of it."""
        if (name, axis) not in self._stored:
            self._stored[name, axis] = self._store(name, axis)
        return self._stored[name, axis]

    def _store(self, name: str, axis: int) -> str:
        stored = quantize_channels(self.weight(name), axis)
        integers = self.editor.constant(f"{name}_quantized", stored.integers)
        scales = self.editor.constant(f"{name}_scale", stored.scales)
        cast, scaled = self.editor.fresh(f"{name}_cast"), self.editor.fresh(f"{name}_scaled")
        self.editor.before_all(
            _node("Cast", [integers], cast, self.editor.fresh(f"{name}_Cast"), to=1),
            _node("Mul", [cast, scales], scaled, self.editor.fresh(f"{name}_Mul")),
        )
        return scaled


def _node(kind: str, inputs: list[str], output: str, name: str, **attributes: int) -> NodeProto:
    node = helper.make_node(kind, inputs, [output], name=name)
    node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    return node


def _saves(count: int, stored_bytes: int) -> bool:
    return _FLOAT_BYTES * count > stored_bytes + _NODE_BYTES


def _rewrite_channels(node: NodeProto, channels: Channels, _: WeightOnly) -> tuple[int, str]:
    slots = _CHANNELS[node.op_type]
    if node.op_type == "ConvTranspose" and attribute_int(node, "group", 1) > 1:
        # One group's channels lie along axis 1; those of a depthwise one along axis 0 alone.
        tensor = channels.editor.initializers.get(node.input[1])
        slots = ((1, 0),) if tensor is not None and tensor.dims[1] == 1 else slots
    for slot, axis in slots:
        why = channels.why_not_along(node.input[slot], axis)
        if why:
            return 0, why
    changed = _copy(node)
    for slot, axis in slots:
        changed.input[slot] = channels.store(node.input[slot], axis)
    channels.editor.replace(node, changed)
    return 8, ""


def _rewrite_matmul(node: NodeProto, channels: Channels, recipe: WeightOnly) -> tuple[int, str]:
    constants = channels.editor.initializers
    if node.input[1] not in constants:
        if node.input[0] not in constants:
            return 0, "both operands are activations"
        return _rewrite_operand(node, channels, slot=0, axis=-2)
    if len(constants[node.input[1]].dims) != _MATRIX_RANK or node.input[0] in constants:
        return _rewrite_operand(node, channels, slot=1, axis=-1)
    why = channels.why_not(node.input[1])
    if why:
        return 0, why
    matrix = channels.weight(node.input[1])
    if not _blocks_save(matrix, recipe):
        return _rewrite_operand(node, channels, slot=1, axis=-1)
    blocks = _in_blocks(node, node.output[0], matrix, channels, recipe)
    channels.editor.replace(node, blocks)
    return recipe.bits, ""


def _rewrite_gemm(node: NodeProto, channels: Channels, recipe: WeightOnly) -> tuple[int, str]:
    transposed = attribute_int(node, "transB", 0)
    scaled = attribute_float(node, "alpha", 1.0) != 1.0
    has_bias = len(node.input) > _MATRIX_RANK and bool(node.input[2])
    scaled |= has_bias and attribute_float(node, "beta", 1.0) != 1.0
    name, turned = node.input[1], attribute_int(node, "transA", 0)
    if name not in channels.editor.initializers:
        return _rewrite_operand(node, channels, slot=0, axis=1 if turned else 0)
    if scaled or turned or node.input[0] in channels.editor.initializers:
        return _rewrite_operand(node, channels, slot=1, axis=0 if transposed else 1)
    why = channels.why_not(name)
    if why:
        return 0, why
    matrix = channels.weight(name).T if transposed else channels.weight(name)
    if not _blocks_save(matrix, recipe):
        return _rewrite_operand(node, channels, slot=1, axis=0 if transposed else 1)
    product = channels.editor.fresh(f"{node.output[0]}_product") if has_bias else node.output[0]
    nodes = [_in_blocks(node, product, matrix, channels, recipe)]
    if has_bias:
        added = channels.editor.fresh(f"{node.name}_Add")
        nodes.append(_node("Add", [product, node.input[2]], node.output[0], added))
    channels.editor.replace(node, *nodes)
    return recipe.bits, ""


def _blocks_save(matrix: Array, recipe: WeightOnly) -> bool:
    """Whether blocks are smaller than float32, their padding counted."""
    rows, columns = matrix.shape
    stored = packed_bytes(rows, columns, recipe.bits, _block_size(rows, recipe))
    return _saves(matrix.size, stored)


def _block_size(rows: int, recipe: WeightOnly) -> int:
    return fitting_block(rows, [size for size in BLOCK_SIZES if size <= recipe.block_size])


def _rewrite_operand(
    node: NodeProto, channels: Channels, *, slot: int, axis: int
) -> tuple[int, str]:
    """Store one operand per channel, along an axis that is not summed over."""
    name = node.input[slot]
    tensor = channels.editor.initializers.get(name)
    axis = axis + len(tensor.dims) if tensor is not None and axis < 0 else axis
    if axis < 0:
        return 0, "its weights are a vector"
    why = channels.why_not_along(name, axis)
    if why:
        return 0, why
    changed = _copy(node)
    changed.input[slot] = channels.store(name, axis)
    channels.editor.replace(node, changed)
    return 8, ""


def _in_blocks(
    node: NodeProto, output: str, matrix: Array, channels: Channels, recipe: WeightOnly
) -> NodeProto:
    rows, columns = matrix.shape
    size = _block_size(rows, recipe)
    stored = quantize_blocks(matrix, recipe.bits, size)
    name = node.input[1]
    return helper.make_node(
        "MatMulNBits",
        [
            node.input[0],
            channels.editor.constant(f"{name}_quantized", stored.packed),
            channels.editor.constant(f"{name}_scale", stored.scales.reshape(-1)),
        ],
        [output],
        name=node.name,
        domain="com.microsoft",
        K=rows,
        N=columns,
        bits=recipe.bits,
        block_size=size,
        accuracy_level=_INT8_KERNEL,
    )


def store_table(node: NodeProto, channels: Channels) -> tuple[int, str]:
    """Let a Gather look up rows of int8, each with a scale of its own.

    Args:
        node: A Gather of the top graph.
        channels: Where weights are stored.

    Returns:
        8 and nothing, or 0 and why the table stays float.
    """
    name = node.input[0]
    tensor = channels.editor.initializers.get(name)
    if tensor is None:
        return 0, "it looks up activations"
    if len(tensor.dims) != _MATRIX_RANK or attribute_int(node, "axis", 0) not in {0, -2}:
        return 0, "it does not look up rows of a table"
    why = channels.why_not_along(name, 0)
    if why:
        return 0, why
    editor = channels.editor
    stored = quantize_channels(channels.weight(name), 0)
    table = editor.constant(f"{name}_quantized", stored.integers)
    scales = editor.constant(f"{name}_scale", stored.scales)
    out = node.output[0]
    rows, floats, factors = (editor.fresh(f"{out}_{what}") for what in ("rows", "cast", "scale"))
    editor.replace(
        node,
        _node("Gather", [table, node.input[1]], rows, node.name, axis=0),
        _node("Cast", [rows], floats, editor.fresh(f"{node.name}_Cast"), to=1),
        _node("Gather", [scales, node.input[1]], factors, editor.fresh(f"{node.name}_s"), axis=0),
        _node("Mul", [floats, factors], out, editor.fresh(f"{node.name}_Mul")),
    )
    return 8, ""


def _rewrite_gather(node: NodeProto, channels: Channels, _: WeightOnly) -> tuple[int, str]:
    return store_table(node, channels)


REWRITES: Final[dict[str, Callable[[NodeProto, Channels, WeightOnly], tuple[int, str]]]] = {
    **dict.fromkeys(_CHANNELS, _rewrite_channels),
    "MatMul": _rewrite_matmul,
    "Gemm": _rewrite_gemm,
    "Gather": _rewrite_gather,
}


def _copy(node: NodeProto) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    return copy
