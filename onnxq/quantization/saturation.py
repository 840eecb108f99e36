"""Saturation on x86 without VNNI, in models as they are: which weights allow it, which rows see it.

:mod:`onnxq.quantization.pair_overflow` says why sums of two products saturate there, and which
two. What weights allow is a property of the model. What rows see is an observation: other rows
may see more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from onnxq.arrays import Array
from onnxq.findings import Finding
from onnxq.graph.edits import attribute_int
from onnxq.graph.qdq_pairs import DEQUANTIZE, Pairs, index_pairs
from onnxq.quantization.conv_windows import conv_windows
from onnxq.quantization.pair_overflow import CONVS, SAFE_SUM, packed_rows, pair_sums
from onnxq.wording import count_noun

_INT16 = np.iinfo(np.int16)
_WEIGHT_SLOTS = {"QLinearConv": 3, "QLinearMatMul": 3, "ConvInteger": 1, "MatMulInteger": 1}
_ZERO_POINT_SLOTS = {"QLinearConv": 2, "QLinearMatMul": 2, "ConvInteger": 2, "MatMulInteger": 2}
_READERS = frozenset({"Conv", "Gemm", "MatMul"})
_MATRIX_RANK = 2


@dataclass(frozen=True, eq=False)
class IntegerProduct:
    """A node that multiplies uint8 activations with constant int8 weights.

    Attributes:
        node: The node; a QLinearConv, QLinearMatMul, ConvInteger, MatMulInteger, or a Conv, Gemm
            or MatMul between pairs.
        activation: Name of the uint8 tensor.
        zero_point: Of the activation: what a Conv pads with.
        rows: Weights as the kernels read them, int8 ``[channels, products]``.
        kernel: Shape of the weights of a Conv; empty for a matrix.
    """

    node: NodeProto
    activation: str
    zero_point: int
    rows: NDArray[np.int8]
    kernel: tuple[int, ...]

    @property
    def overflowing(self) -> NDArray[np.int64]:
        """Channel and pair of each sum that overflows for some activations, ``[sums, 2]``."""
        return np.argwhere(pair_sums(self.rows) > SAFE_SUM)


@dataclass(frozen=True)
class Saturation:
    """What rows saw of a node's sums.

    Attributes:
        node: Its name.
        saturated: Sums of two products that did not fit int16, all channels and positions.
        computed: Sums of two products in all.
    """

    node: str
    saturated: int
    computed: int


def find_products(proto: ModelProto) -> tuple[IntegerProduct, ...]:
    """Find the nodes that multiply uint8 activations with constant int8 weights.

    Args:
        proto: A quantized model: QDQ, QOperator, or dynamic.

    Returns:
        In the order of the nodes.
    """
    pairs = index_pairs(proto.graph)
    found = (_product(node, pairs) for node in proto.graph.node)
    return tuple(one for one in found if one is not None)


def _product(node: NodeProto, pairs: Pairs) -> IntegerProduct | None:
    if node.op_type in _READERS:
        return _between_pairs(node, pairs)
    if node.op_type not in _WEIGHT_SLOTS:
        return None
    slot = _ZERO_POINT_SLOTS[node.op_type]
    zero_point = node.input[slot] if len(node.input) > slot else ""
    weight = node.input[_WEIGHT_SLOTS[node.op_type]]
    return _make(node, node.input[0], zero_point, weight, pairs)


def _between_pairs(node: NodeProto, pairs: Pairs) -> IntegerProduct | None:
    readers = [pairs.producer(name, DEQUANTIZE) for name in node.input[:2]]
    if readers[0] is None or readers[1] is None:
        return None
    activation, weight = readers[0], readers[1]
    grid = pairs.grid(activation)
    if grid is None or grid.dtype != TensorProto.UINT8:
        return None
    return _make(node, activation.input[0], activation.input[2], weight.input[0], pairs)


def _make(
    node: NodeProto, activation: str, zero_point: str, weight: str, pairs: Pairs
) -> IntegerProduct | None:
    stored = pairs.constants.get(weight)
    if stored is None or stored.data_type != TensorProto.INT8:
        return None
    weights = numpy_helper.to_array(stored).astype(np.int8, copy=False)
    is_conv = node.op_type in CONVS
    if not is_conv and weights.ndim != _MATRIX_RANK:
        return None
    axis = 0 if is_conv else _matrix_axis(node)
    known = pairs.constant(zero_point)
    return IntegerProduct(
        node=node,
        activation=activation,
        zero_point=0 if known is None else int(known.ravel()[0]),
        rows=packed_rows(node, weights, axis),
        kernel=weights.shape if is_conv else (),
    )


def _matrix_axis(node: NodeProto) -> int:
    is_transposed = node.op_type == "Gemm" and attribute_int(node, "transB", 0)
    return 0 if is_transposed else 1


def observe_saturation(product: IntegerProduct, activation: Array) -> Saturation:
    """Count the sums of two products of a node that do not fit int16.

    Args:
        product: The node.
        activation: uint8, what it read.

    Returns:
        The counts.
    """
    take = _reader(product, activation)
    channels, products = product.rows.shape
    sums = take(0, 0).size * channels * ((products + 1) // 2) if product.rows.size else 0
    saturated = 0
    for channel, pair in product.overflowing.tolist():
        both = product.rows[channel, 2 * pair : 2 * pair + 2].astype(np.int32)
        total = sum(
            take(2 * pair + at, channel).astype(np.int32) * weight for at, weight in enumerate(both)
        )
        saturated += int(np.count_nonzero((total < _INT16.min) | (total > _INT16.max)))
    return Saturation(product.node.name, saturated, sums)


def _reader(product: IntegerProduct, activation: Array) -> Callable[[int, int], Array]:
    """Return what looks up what a weight is multiplied with: by its place and output channel."""
    if product.kernel:
        windows = conv_windows(product.node, product.kernel, activation, product.zero_point)
        return windows.take
    matrix = activation
    if product.node.op_type == "Gemm" and attribute_int(product.node, "transA", 0):
        matrix = activation.T

    def take(place: int, channel: int) -> Array:  # noqa: ARG001 - all channels read the same
        column: Array = matrix[..., place]
        return column

    return take


def describe_saturation(
    products: Sequence[IntegerProduct], observed: Sequence[Saturation], rows: int
) -> tuple[Finding, ...]:
    """Say which weights let sums of two products saturate, and whether rows did.

    Args:
        products: Of a model.
        observed: What its rows saw.
        rows: How many they were.

    Returns:
        OQ409 where some weights allow it, as a warning where rows saw it.
    """
    counts = {one.node.name: len(one.overflowing) for one in products}
    if not any(counts.values()):
        return ()
    pairs, nodes = sum(counts.values()), sum(map(bool, counts.values()))
    saturated = sum(one.saturated for one in observed)
    computed = max(1, sum(one.computed for one in observed))
    worst = max(observed, key=lambda one: one.saturated / max(1, one.computed))
    seen = f"none did on {count_noun(rows, 'row')}"
    if saturated:
        seen = (
            f"on {count_noun(rows, 'row')} {saturated} did ({saturated / computed:.2g} of all), "
            f"most of them in {worst.node}"
        )
    return (
        Finding(
            code="OQ409",
            subject="weights",
            message=(
                f"On CPUs without VNNI, sums of two products can exceed 16 bits for "
                f"{count_noun(pairs, 'pair')} of weights in {count_noun(nodes, 'node')}; {seen}."
            ),
            evidence={"pairs": pairs, "nodes": nodes, "saturated": saturated, "rows": rows},
            fix="Quantize the float model for such CPUs: --target x86",
            severity="warning" if saturated else "note",
        ),
    )
