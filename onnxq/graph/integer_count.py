"""How much of a float model became integer in a quantized one, and why the rest did not.

A node counts if it multiplies and adds (:data:`~onnxq.graph.operator_kinds.MULTIPLIERS`) or looks
rows up in a float table: that is where a model's bytes and its time are. Nodes that only move, add
or activate follow their neighbours and are not counted.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from onnx import ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import initializers_of, producers_of
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.operator_kinds import MULTIPLIERS
from onnxq.graph.scoped_nodes import why_kept_float
from onnxq.scopes import EVERYTHING, QuantizationScope

Kind: TypeAlias = Literal["static", "dynamic"]

_NO_KERNEL = "onnxruntime has no integer kernel for it"
_REASONS: dict[Kind, dict[str, str]] = {
    "dynamic": {
        "Conv": "ConvInteger is slower than float: 0.13x on MobileNetV2, so it stays float",
        "ConvTranspose": _NO_KERNEL,
        "GRU": _NO_KERNEL,
        "RNN": _NO_KERNEL,
        "Einsum": _NO_KERNEL,
        "Attention": "onnxruntime 1.31 writes an invalid QAttention from it",
        "LSTM": "its weights are not constant",
        "Gather": "its table is too small to be worth it, or none of rows",
    },
    "static": {
        "ConvTranspose": _NO_KERNEL,
        "LSTM": "only dynamic int8 has an integer kernel for it",
        "GRU": _NO_KERNEL,
        "RNN": _NO_KERNEL,
        "Einsum": _NO_KERNEL,
        "Attention": _NO_KERNEL,
        "Gather": "a table is looked up, not computed: static int8 leaves it float",
    },
}
_IN_A_BODY = "it stands in the body of an If, Loop or Scan"
_NOTHING = "the recipe has nothing for its type"
_INTEGER_RESULTS = frozenset({"QuantizeLinear"})
_MATRIX_RANK = 2
_ABSORBED = frozenset({"Relu", "Clip"})


@dataclass(frozen=True)
class QuantizedCount:
    """How much of a model became integer.

    Attributes:
        quantized: Nodes whose computation became integer.
        quantizable: All nodes that count; ``quantized + len(left_float)``.
        left_float: Reason, by the name of each node that stayed float.
    """

    quantized: int
    quantizable: int
    left_float: dict[str, str]


def count_quantized(
    proto: ModelProto,
    original: ModelProto,
    kind: Kind,
    scope: QuantizationScope = EVERYTHING,
) -> QuantizedCount:
    """Count the original's nodes that became integer, with a reason for each that did not.

    Args:
        proto: What the quantizer made of it.
        original: The prepared float model; its nodes have names of their own.
        kind: Which quantizer it was.
        scope: What it was let at; its words are the reasons where they apply.

    Returns:
        The count. A static node is integer if it stands between DequantizeLinear and (for a Conv)
        QuantizeLinear; a dynamic one if its result comes out of MatMulInteger,
        DynamicQuantizeLSTM or a table of integers.
    """
    nodes = counted_nodes(original)
    reading = _Reading(proto)
    is_integer = reading.is_static if kind == "static" else reading.is_dynamic
    top = {id(node) for node in original.graph.node}
    left: dict[str, str] = {}
    for node in nodes:
        if id(node) not in top:
            left[node.name] = _IN_A_BODY
        elif not is_integer(node):
            reason = why_kept_float(node, scope)
            left[node.name] = reason or _reason(node, kind, initializers_of(original.graph))
    return QuantizedCount(len(nodes) - len(left), len(nodes), left)


def count_changed(
    original: ModelProto,
    changed: frozenset[str],
    reasons: dict[str, str],
    scope: QuantizationScope = EVERYTHING,
) -> QuantizedCount:
    """Count where the quantizer itself says what it changed.

    Args:
        original: The prepared float model; its nodes have names of their own.
        changed: Names of the nodes whose weights became smaller.
        reasons: Why not, by name, where it says so.
        scope: What it was let at.

    Returns:
        The count, with a reason for each node that did not change.
    """
    nodes = counted_nodes(original)
    top = {id(node) for node in original.graph.node}
    left = {
        node.name: reasons.get(node.name)
        or why_kept_float(node, scope)
        or (_NOTHING if id(node) in top else _IN_A_BODY)
        for node in nodes
        if node.name not in changed
    }
    return QuantizedCount(len(nodes) - len(left), len(nodes), left)


def counted_nodes(original: ModelProto) -> list[NodeProto]:
    """Return the nodes of a float model that count, bodies of If, Loop and Scan included.

    Args:
        original: The prepared float model.
    """
    tables = _float_tables(original)
    return [
        n for n in walk_nodes(original.graph) if n.op_type in MULTIPLIERS or _looks_up(n, tables)
    ]


def _float_tables(proto: ModelProto) -> set[str]:
    return {t.name for t in proto.graph.initializer if t.data_type == TensorProto.FLOAT}


def _looks_up(node: NodeProto, tables: set[str]) -> bool:
    return node.op_type == "Gather" and node.input[0] in tables


def _reason(node: NodeProto, kind: Kind, initializers: dict[str, TensorProto]) -> str:
    if node.op_type in {"MatMul", "Gemm"}:
        if node.input[1] in initializers:
            rank = len(initializers[node.input[1]].dims)
            return (
                "the recipe leaves it out" if rank == _MATRIX_RANK else "its weights are no matrix"
            )
        constant = node.input[0] in initializers
        return (
            "its first operand is the constant one" if constant else "both operands are activations"
        )
    return _REASONS[kind].get(node.op_type, "the recipe leaves it out")


class _Reading:
    """A quantized graph, indexed by tensor and by node name."""

    def __init__(self, proto: ModelProto) -> None:
        self.initializers = initializers_of(proto.graph)
        self.producers = producers_of(proto.graph)
        self.nodes = {node.name: node for node in proto.graph.node}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in proto.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def is_static(self, original: NodeProto) -> bool:
        """Whether a node stands between QuantizeLinear and DequantizeLinear."""
        node = self.nodes.get(original.name)
        if node is None or original.op_type not in {"Conv", "Gemm", "MatMul", "Gather"}:
            return False
        operands = node.input[:1] if node.op_type == "Gather" else node.input[:2]
        if not all(self._made_by(name) == "DequantizeLinear" for name in operands):
            return False
        return node.op_type != "Conv" or self._is_quantized(node.output[0])

    def is_dynamic(self, original: NodeProto) -> bool:
        """Whether a node's result comes out of integers."""
        result = next(name for name in original.output if name)
        if original.op_type == "Gather":
            return self._reads_integer_table(original.name)
        if self._made_by(result) == "DynamicQuantizeLSTM":
            return True
        return any(self._is_scaled_product(name) for name in (result, f"{result}_MatMul"))

    def _reads_integer_table(self, name: str) -> bool:
        table = self.initializers.get(self.nodes[name].input[0]) if name in self.nodes else None
        return table is not None and table.data_type in {TensorProto.INT8, TensorProto.UINT8}

    def _is_scaled_product(self, name: str) -> bool:
        """Whether a tensor is ``Mul(Cast(MatMulInteger), scales)``."""
        if self._made_by(name) != "Mul":
            return False
        cast = self.producers[name].input[0]
        return (
            self._made_by(cast) == "Cast"
            and self._made_by(self.producers[cast].input[0]) == "MatMulInteger"
        )

    def _is_quantized(self, name: str) -> bool:
        readers = self.readers.get(name, [])
        return bool(readers) and all(
            reader.op_type in _INTEGER_RESULTS
            or (reader.op_type in _ABSORBED and self._is_quantized(reader.output[0]))
            for reader in readers
        )

    def _made_by(self, name: str) -> str:
        return self.producers[name].op_type if name in self.producers else ""
