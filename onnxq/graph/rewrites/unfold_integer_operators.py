"""Integer operators become float operators between pairs, which onnxruntime fuses again.

Pattern: ``QLinearConv``, ``QLinearMatMul`` and their like of ``com.microsoft``, and operators that
move integers about. Replacement: ``DequantizeLinear -> the operator of the standard ->
QuantizeLinear``, with the same grids. Condition: scales and zero points are constants. Real-exact:
a kernel for integers sums without rounding and rounds once, as real numbers would. Why: the
kernels are taken by the dtype of the activations; in this form it can be changed where it is slow
(0.25x of float for int8 on ResNet-18), and the model needs no operator outside the standard.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import copy_of, taken_names
from onnxq.graph.grid_writing import GridWriter
from onnxq.graph.operator_kinds import MOVING
from onnxq.graph.qdq_pairs import Grid, index_pairs
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_MOVING = MOVING - {"Pad"}  # its value is an integer, and onnxruntime would not fuse it again
_WHOLE = -1
_LAST = -2
"""Stands for the last axis of the tensor, whatever its rank."""


@dataclass(frozen=True)
class _Form:
    """How an integer operator lays its inputs out.

    Attributes:
        operator: Of the standard.
        operands: Input slots of tensor, scale and zero point, for each quantized operand.
        result: Input slots of scale and zero point of the result; empty where it is float.
        channels: Axis of the second operand's scales where there are several.
        bias: Input slot of int32 biases; 0 where there is none.
        plain: Input slots that are handed on as they are, before the operands.
        dropped: Attributes that only the integer operator has.
    """

    operator: str
    operands: tuple[tuple[int, int, int], ...]
    result: tuple[int, int]
    channels: int = 0
    bias: int = 0
    plain: tuple[int, ...] = ()
    dropped: frozenset[str] = frozenset()


_TWO, _ONE = ((0, 1, 2), (3, 4, 5)), ((0, 1, 2),)
_FORMS: dict[str, _Form] = {
    "QLinearConv": _Form("Conv", _TWO, (6, 7), channels=0, bias=8),
    "QLinearMatMul": _Form("MatMul", _TWO, (6, 7), channels=_LAST),
    "QGemm": _Form("Gemm", _TWO, (7, 8), channels=_LAST, bias=6),
    "QLinearAdd": _Form("Add", _TWO, (6, 7)),
    "QLinearMul": _Form("Mul", _TWO, (6, 7)),
    "QLinearLeakyRelu": _Form("LeakyRelu", _ONE, (3, 4)),
    "QLinearSigmoid": _Form("Sigmoid", _ONE, (3, 4)),
    "QLinearSoftmax": _Form("Softmax", _ONE, (3, 4), dropped=frozenset({"opset"})),
    "QLinearAveragePool": _Form("AveragePool", _ONE, (3, 4), dropped=frozenset({"channels_last"})),
    "QLinearGlobalAveragePool": _Form(
        "GlobalAveragePool", _ONE, (3, 4), dropped=frozenset({"channels_last"})
    ),
    "QLinearWhere": _Form("Where", ((1, 2, 3), (4, 5, 6)), (7, 8), plain=(0,)),
}
"""As the ONNX specification and onnxruntime's contrib operator list have them."""

_MODERN_SOFTMAX = 13
_UNUSED = Grid(np.ones((), np.float32), np.zeros((), np.uint8), TensorProto.UINT8, _WHOLE)
"""In the place of the grid of a result that is float."""


def unfold_integer_operators(proto: ModelProto) -> Rewritten:
    """Write integer operators of the top graph as pairs.

    Args:
        proto: Any quantized model; not changed.

    Returns:
        The model, and the names of what the operators wrote.
    """
    if not any(
        node.op_type in _FORMS or node.op_type == "QLinearConcat" for node in proto.graph.node
    ):
        return Rewritten(proto, ())
    unfolding = _Unfolding(copy_of(proto))
    subjects = unfolding.unfold()
    return Rewritten(unfolding.proto if subjects else proto, subjects)


class _Unfolding:
    """One graph on its way, node by node in their order."""

    def __init__(self, proto: ModelProto) -> None:
        self.proto = proto
        self.pairs = index_pairs(proto.graph)
        self.writer = GridWriter(proto.graph)
        self.grids: dict[str, Grid] = {}
        self.taken = taken_names(proto.graph)

    def unfold(self) -> tuple[str, ...]:
        """Replace what can be replaced, and return what it wrote."""
        nodes, subjects = list[NodeProto](), list[str]()
        for node in self.proto.graph.node:
            made = list(self._replacement(node))
            if not made:
                self._note(node)
            elif node.op_type not in _MOVING:
                subjects.append(node.output[0])
            nodes += made or [node]
        kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del self.proto.graph.node[:]
        self.proto.graph.node.extend(kept)
        return tuple(subjects)

    def _note(self, node: NodeProto) -> None:
        """Remember the grid of what a QuantizeLinear wrote."""
        grid = self.pairs.grid(node) if node.op_type == "QuantizeLinear" else None
        if grid is not None:
            self.grids[node.output[0]] = grid

    def _replacement(self, node: NodeProto) -> Iterator[NodeProto]:
        if node.op_type in _MOVING and node.input[0] in self.grids:
            yield from self._moved(node)
        elif node.op_type == "QLinearConcat":
            slots = [(at, at + 1, at + 2) for at in range(2, len(node.input), 3)]
            yield from self._unfolded(node, _Form("Concat", tuple(slots), (0, 1)))
        elif node.op_type in _FORMS and self._is_plain(node):
            yield from self._unfolded(node, _FORMS[node.op_type])

    def _is_plain(self, node: NodeProto) -> bool:
        """Tell whether the operator computes just what its standard form does."""
        given = {attribute.name: attribute for attribute in node.attribute}
        if "channels_last" in given and given["channels_last"].i:
            return False
        if node.op_type == "QGemm":
            return "alpha" not in given or given["alpha"].f == 1.0
        return "opset" not in given or given["opset"].i >= _MODERN_SOFTMAX

    def _moved(self, node: NodeProto) -> Iterator[NodeProto]:
        """Let an operator move floats in the place of integers."""
        grid = self.grids[node.input[0]]
        if not grid.is_per_tensor or len([name for name in node.output if name]) != 1:
            return
        float_in, float_out = self._float(node.input[0]), self._float(node.output[0])
        yield self.writer.dequantizer(node.input[0], grid, float_in)
        moved = NodeProto()
        moved.CopyFrom(node)
        moved.input[0], moved.output[0] = float_in, float_out
        yield moved
        yield self.writer.quantizer(float_out, grid, node.output[0])
        self.grids[node.output[0]] = grid

    def _unfolded(self, node: NodeProto, form: _Form) -> Iterator[NodeProto]:
        grids = [self._grid(node, slots, at, form) for at, slots in enumerate(form.operands)]
        result = self._result(node, form)
        if any(grid is None for grid in grids) or result is None:
            return
        known = [grid for grid in grids if grid is not None]
        operands = [node.input[slot] for slot in form.plain]
        for (slot, _, _), grid in zip(form.operands, known, strict=True):
            operands.append(self._float(node.input[slot]))
            yield self.writer.dequantizer(node.input[slot], grid, operands[-1])
        if form.bias and len(node.input) > form.bias and node.input[form.bias]:
            operands.append(self._float(node.input[form.bias]))
            scale = known[0].scale * known[1].scale
            points = np.zeros(scale.shape, np.int32)
            grid = Grid(scale, points, TensorProto.INT32, 0 if scale.ndim else _WHOLE)
            yield self.writer.dequantizer(node.input[form.bias], grid, operands[-1])
        has_grid = form.result[0] < len(node.input) and node.input[form.result[0]]
        output = self._float(node.output[0]) if has_grid else node.output[0]
        yield self._standard(node, form, operands, output)
        if has_grid:
            yield self.writer.quantizer(output, result, node.output[0])
            self.grids[node.output[0]] = result

    def _standard(
        self, node: NodeProto, form: _Form, operands: list[str], output: str
    ) -> NodeProto:
        made = onnx.helper.make_node(form.operator, operands, [output], node.name)
        made.attribute.extend(one for one in node.attribute if one.name not in form.dropped)
        return made

    def _grid(
        self, node: NodeProto, slots: tuple[int, int, int], at: int, form: _Form
    ) -> Grid | None:
        axis = form.channels if at == 1 else 0
        if axis == _LAST:
            stored = self.pairs.constants.get(node.input[slots[0]])
            axis = 0 if self._is_turned(node) else len(stored.dims) - 1 if stored else 0
        return self._read(node, slots[1], slots[2], axis)

    def _is_turned(self, node: NodeProto) -> bool:
        return any(one.name == "transB" and one.i for one in node.attribute)

    def _result(self, node: NodeProto, form: _Form) -> Grid | None:
        scale, point = form.result
        if len(node.input) <= scale or not node.input[scale]:
            return _UNUSED
        return self._read(node, scale, point, 0)

    def _read(self, node: NodeProto, scale_slot: int, point_slot: int, axis: int) -> Grid | None:
        scale = self.pairs.constant(node.input[scale_slot])
        has_point = len(node.input) > point_slot and node.input[point_slot]
        tensor = self.pairs.constants.get(node.input[point_slot]) if has_point else None
        if scale is None or tensor is None:
            return None
        points = onnx.numpy_helper.to_array(tensor)
        values = scale.astype(np.float32)
        if values.size == 1:
            return Grid(values.reshape(()), points.reshape(()), tensor.data_type, _WHOLE)
        shape = values.ravel().shape
        return Grid(values.ravel(), np.broadcast_to(points.ravel(), shape), tensor.data_type, axis)

    def _float(self, name: str) -> str:
        return self.writer.name(f"{name.removesuffix('_quantized')}_float")


UNFOLD_INTEGER_OPERATORS = Rewrite(
    "unfold integer operators",
    "real-exact",
    "integer operators became float ones between QuantizeLinear and DequantizeLinear; a runtime "
    "whose optimizer is off runs them in float",
    unfold_integer_operators,
    why="in this form the dtype of activations can change: QLinearConv on int8 runs at 0.25x",
)
