"""How each tensor of a quantized model is quantized: QDQ, QOperator, dynamic and weight-only.

The operands are read as the ONNX specification lays them out (QuantizeLinear, DequantizeLinear,
QLinearConv, QLinearMatMul, MatMulInteger, ConvInteger) and as onnxruntime's contrib operator list
does (com.microsoft).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from onnxq.arrays import Array
from onnxq.graph.edits import attribute_int, walk_graphs
from onnxq.graph.model_files import dtype_name
from onnxq.graph.operator_kinds import MULTIPLIERS
from onnxq.graph.weight_blocks import unpack_bits

_TRIPLES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "QLinearConv": ((0, 1, 2), (3, 4, 5)),
    "QLinearMatMul": ((0, 1, 2), (3, 4, 5)),
    "QGemm": ((0, 1, 2), (3, 4, 5)),
    "QLinearAdd": ((0, 1, 2), (3, 4, 5)),
    "QLinearMul": ((0, 1, 2), (3, 4, 5)),
    "QLinearLeakyRelu": ((0, 1, 2),),
    "QLinearSigmoid": ((0, 1, 2),),
    "QLinearSoftmax": ((0, 1, 2),),
    "QLinearAveragePool": ((0, 1, 2),),
    "QLinearGlobalAveragePool": ((0, 1, 2),),
    "MatMulIntegerToFloat": ((0, 2, 4), (1, 3, 5)),
    "DynamicQuantizeMatMul": ((1, 2, 3),),
    "DynamicQuantizeLSTM": ((1, 8, 9), (2, 10, 11)),
    "MatMulNBits": ((1, 2, 3),),
}
"""Integer operand, scale, zero point: input slots, by operator."""

_RESULTS: dict[str, tuple[int, int]] = {
    "QLinearConv": (6, 7),
    "QLinearMatMul": (6, 7),
    "QGemm": (7, 8),
    "QLinearAdd": (6, 7),
    "QLinearMul": (6, 7),
    "QLinearLeakyRelu": (3, 4),
    "QLinearSigmoid": (3, 4),
    "QLinearSoftmax": (3, 4),
    "QLinearAveragePool": (3, 4),
    "QLinearGlobalAveragePool": (3, 4),
}
"""Scale and zero point of the result: input slots, by operator."""

_BIASES: dict[str, int] = {"QLinearConv": 8, "QGemm": 6}
"""Input slot of the int32 bias, whose scale is that of the input times that of the weight."""

_INTEGER = frozenset({"MatMulInteger", "ConvInteger"})
_MOVING = frozenset({"Gather", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice"})
_MATMUL_LIKE = frozenset({
    "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul",
})  # fmt: skip
_NO_VALUES = np.zeros(0, dtype=np.float32)
_NO_ZERO_POINTS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class TensorQuantization:
    """How one tensor is quantized.

    Attributes:
        name: Of the float tensor, or of the weight.
        role: ``weight``, ``bias`` or ``activation``.
        dtype: Of the integers, such as ``int8``.
        axis: Of the scales in the stored tensor; -1 for one scale.
        scales: All scales, flat; empty where they are computed while the model runs.
        zero_points: All zero points, flat; empty where they are computed while the model runs.
        node: The node that reads or writes it.
        stored: Name of the constant that holds the integers; empty for activations.
        operator: Type of that node.
    """

    name: str
    role: str
    dtype: str
    axis: int
    scales: Array
    zero_points: Array
    node: str
    stored: str = ""
    operator: str = ""


def list_quantized(proto: ModelProto) -> tuple[TensorQuantization, ...]:
    """List every quantized tensor of a model once, in graph order, subgraphs included.

    Args:
        proto: Any model.

    Returns:
        Nothing for a float model. A tensor that several nodes read stands at its first reader.
    """
    found: dict[tuple[str, str], TensorQuantization] = {}
    for graph in walk_graphs(proto.graph):
        reading = _Reading(graph)
        for node in graph.node:
            for tensor in reading.tensors_of(node):
                found.setdefault((tensor.name, tensor.role), replace(tensor, operator=node.op_type))
    return tuple(found.values())


class _Reading:
    """One graph, indexed for looking operands up."""

    def __init__(self, graph: GraphProto) -> None:
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.constants = {
            node.output[0]: node.attribute[0].t
            for node in graph.node
            if node.op_type == "Constant" and node.attribute[0].name == "value"
        } | self.initializers
        self.producers = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def tensors_of(self, node: NodeProto) -> Iterator[TensorQuantization]:
        """Yield what one node says about quantized tensors."""
        match node.op_type:
            case "QuantizeLinear":
                yield self._quantize(node)
            case "DequantizeLinear":
                yield from self._dequantize(node)
            case "DynamicQuantizeLinear":
                yield TensorQuantization(
                    node.input[0], "activation", "uint8", -1, _NO_VALUES, _NO_ZERO_POINTS, node.name
                )
            case "Cast":
                yield from self._cast(node)
            case kind if kind in _INTEGER:
                yield from self._integer(node)
            case kind if kind in _TRIPLES:
                yield from self._operator(node)
            case _:
                return

    def _quantize(self, node: NodeProto) -> TensorQuantization:
        role = "weight" if node.input[0] in self.constants else "activation"
        default = attribute_int(node, "output_dtype", 0) or TensorProto.UINT8
        return self._read(node, node.input[0], role, (1, 2), default)

    def _dequantize(self, node: NodeProto) -> Iterator[TensorQuantization]:
        source, moves = node.input[0], list[NodeProto]()
        while source not in self.constants and source in self.producers:
            producer = self.producers[source]
            if producer.op_type not in _MOVING:
                break
            moves.append(producer)
            source = producer.input[0]
        if source in self.constants:
            stored = self.constants[source].data_type
            role = "bias" if stored == TensorProto.INT32 else "weight"
            yield _before(moves, self._read(node, source, role, (1, 2), stored))
        elif source not in self.producers:
            yield self._read(node, source, "activation", (1, 2), TensorProto.UINT8)

    def _cast(self, node: NodeProto) -> Iterator[TensorQuantization]:
        """Read ``Mul(Cast(weight), scales)``, or the same of rows that are looked up in both."""
        name, rows = self._looked_up(node.input[0])
        weight = self.constants.get(name)
        if weight is None or weight.data_type not in {TensorProto.INT8, TensorProto.UINT8}:
            return
        for product in self.readers.get(node.output[0], []):
            if product.op_type != "Mul" or not (rows or self._is_multiplied(product.output[0])):
                continue
            other = next((f for f in product.input if f != node.output[0]), "")
            factor, same = self._looked_up(other)
            if factor in self.constants and same == rows:
                scales = onnx.numpy_helper.to_array(self.constants[factor])
                along = [at for at, size in enumerate(reversed(scales.shape), start=1) if size > 1]
                axis = len(weight.dims) - along[0] if along else -1
                zeros, dtype = np.zeros(1, dtype=np.int64), dtype_name(weight.data_type)
                yield TensorQuantization(
                    _plain(name), "weight", dtype, axis, scales.ravel(), zeros, node.name, name
                )
                return

    def _is_multiplied(self, name: str) -> bool:
        """Tell whether a node reads a tensor as it reads weights: not, say, as a mask."""
        return any(reader.op_type in MULTIPLIERS for reader in self.readers.get(name, []))

    def _looked_up(self, name: str) -> tuple[str, str]:
        """Return the table that a tensor is looked up in, and by what; itself where it is not."""
        producer = self.producers.get(name)
        is_row = producer is not None and producer.op_type == "Gather"
        return (producer.input[0], producer.input[1]) if producer and is_row else (name, "")

    def _integer(self, node: NodeProto) -> Iterator[TensorQuantization]:
        """Read the constant operands, of which the first may be rows that are looked up."""
        for operand in (0, 1):
            name, _ = self._looked_up(node.input[operand])
            if name not in self.constants:
                continue
            scales = self._scales_behind(node, operand)
            points = self._values(node, operand + 2)
            axis = -1 if scales.size < 2 else self._channel_axis(node, name)  # noqa: PLR2004 - one scale
            dtype = dtype_name(self.constants[name].data_type)
            points = points if points.size else np.zeros(1, dtype=np.int64)
            yield TensorQuantization(
                _plain(name), "weight", dtype, axis, scales, points, node.name, name
            )

    def _operator(self, node: NodeProto) -> Iterator[TensorQuantization]:
        for operand, scale, zero_point in _TRIPLES[node.op_type]:
            name = node.input[operand]
            constant = name in self.constants
            role = "weight" if constant else "activation"
            dtype = self.constants[name].data_type if constant else TensorProto.UINT8
            yield self._read(node, name, role, (scale, zero_point), dtype)
        slot = _BIASES.get(node.op_type, len(node.input))
        if slot < len(node.input) and node.input[slot] in self.constants:
            scales = self._values(node, 1) * self._values(node, 4)
            zeros = np.zeros(1, dtype=np.int64)
            stored, axis = node.input[slot], 0 if scales.size > 1 else -1
            yield TensorQuantization(
                _plain(stored), "bias", "int32", axis, scales, zeros, node.name, stored
            )
        if node.op_type in _RESULTS:
            result = _RESULTS[node.op_type]
            yield self._read(node, node.output[0], "activation", result, TensorProto.UINT8)

    def _read(
        self, node: NodeProto, name: str, role: str, slots: tuple[int, int], default: int
    ) -> TensorQuantization:
        """Read scales and zero points of one operand from two input slots."""
        scales, points = self._values(node, slots[0]), self._values(node, slots[1])
        stored = self.constants.get(node.input[slots[1]]) if len(node.input) > slots[1] else None
        data_type = stored.data_type if stored is not None else default
        dtype, middle = dtype_name(data_type), 0
        if node.op_type == "MatMulNBits":
            bits = attribute_int(node, "bits", 4)
            dtype, middle = f"uint{bits}", 1 << (bits - 1)
            if points.dtype == np.uint8:  # packed; float ones are not
                points = unpack_bits(points, bits).astype(np.int64)
        axis = -1 if scales.size < 2 else self._axis(node, name)  # noqa: PLR2004 - one scale
        points = points if points.size else np.full(min(scales.size, 1), middle, dtype=np.int64)
        stored_in = name if name in self.constants else ""
        return TensorQuantization(
            _plain(name), role, dtype, axis, scales, points, node.name, stored_in
        )

    def _axis(self, node: NodeProto, name: str) -> int:
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            axis = attribute_int(node, "axis", 1)
            is_from_end = axis < 0 and name in self.constants
            return axis + len(self.constants[name].dims) if is_from_end else axis
        if node.op_type == "QGemm":
            return 0 if attribute_int(node, "transB", 0) else 1
        return self._channel_axis(node, name)

    def _channel_axis(self, node: NodeProto, weight: str) -> int:
        if node.op_type == "DynamicQuantizeLSTM":
            return 2
        if node.op_type in _MATMUL_LIKE and weight in self.constants:
            return len(self.constants[weight].dims) - 1
        return 1 if node.op_type == "MatMulNBits" else 0

    def _scales_behind(self, node: NodeProto, operand: int) -> Array:
        """Find an operand's scales behind ``Mul(Cast(MatMulInteger), Mul(a_scale, b_scale))``."""
        casts = [n for n in self.readers.get(node.output[0], []) if n.op_type == "Cast"]
        products = [m for cast in casts for m in self.readers.get(cast.output[0], [])]
        for name in [name for m in products if m.op_type == "Mul" for name in m.input]:
            inner = self.producers[name].input if name in self.producers else ()
            for scale in (name, *inner[operand : operand + 1], *inner):
                if scale in self.constants:
                    return onnx.numpy_helper.to_array(self.constants[scale]).ravel()
        return _NO_VALUES

    def _values(self, node: NodeProto, slot: int) -> Array:
        name = node.input[slot] if len(node.input) > slot else ""
        if name not in self.constants:
            return _NO_VALUES
        return onnx.numpy_helper.to_array(self.constants[name]).ravel()


def _before(moves: list[NodeProto], tensor: TensorQuantization) -> TensorQuantization:
    """Follow the axis of the scales back to the stored integers; without it these are not told."""
    axis = tensor.axis
    for move in moves if axis >= 0 else ():
        order = next((tuple(a.ints) for a in move.attribute if a.name == "perm"), ())
        if move.op_type != "Transpose" or axis >= len(order):
            return replace(tensor, stored="")
        axis = order[axis]
    return replace(tensor, axis=axis)


def _plain(name: str) -> str:
    """Return the name that a tensor had before onnxruntime's quantizers renamed it."""
    return name.removesuffix("_quantized").removesuffix("_QuantizeLinear_Input") or name
