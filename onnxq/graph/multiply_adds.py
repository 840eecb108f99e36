"""How many multiply-adds a node takes, from the shapes that it ran on.

Counted are convolutions, matrix products, recurrent layers and attention, those of onnxruntime's
own operators (``com.microsoft``) included; what else computes takes too few to matter.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from onnx import NodeProto

from onnxq.graph.edits import attribute_int

Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = Sequence[Shape | None]
"""One for each slot of a node; None where there is no tensor, or its shape is not known."""

_Count: TypeAlias = Callable[[NodeProto, Shapes, Shapes], int]


def count_macs(node: NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    """Count the multiply-adds of one run of a node.

    Args:
        node: Of any graph, also of one that onnxruntime optimized.
        inputs: Shapes of its inputs, slot by slot.
        outputs: Shapes of its outputs, slot by slot.

    Returns:
        Multiply-adds, those with padding included; 0 for operators that do not multiply, and
        where shapes that it takes are not known.
    """
    count = _COUNTS.get(node.op_type)
    if count is None:
        return 0
    try:
        return count(node, inputs, outputs)
    except (_Unknown, IndexError):
        return 0


def multiplies(operator: str) -> bool:
    """Whether nodes of a type are counted.

    Args:
        operator: Such as ``QLinearConv``.
    """
    return operator in _COUNTS


class _Unknown(Exception):  # noqa: N818 - no error: caught above, where a shape is not known
    """A shape is needed that is not known."""


def _known(shapes: Shapes, slot: int) -> Shape:
    shape = shapes[slot]
    if shape is None:
        raise _Unknown
    return shape


def _convolution(weight: int) -> _Count:
    """Each output value takes a product with one filter: ``[M, C/group, kernel...]``."""

    def count(_: NodeProto, inputs: Shapes, outputs: Shapes) -> int:
        return math.prod(_known(outputs, 0)) * math.prod(_known(inputs, weight)[1:])

    return count


def _transposed_convolution(_: NodeProto, inputs: Shapes, __: Shapes) -> int:
    """Each input value takes a product with one filter: ``[C, M/group, kernel...]``."""
    return math.prod(_known(inputs, 0)) * math.prod(_known(inputs, 1)[1:])


def _product(node: NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    """Each output value takes a dot product along the inner axis of the first operand."""
    first = _known(inputs, 0)
    if attribute_int(node, "transBatchA", 0):
        inner = first[0]
    elif attribute_int(node, "transA", 0):
        inner = first[-2]
    else:
        inner = first[-1]
    return math.prod(_known(outputs, 0)) * inner


def _recurrent(_: NodeProto, inputs: Shapes, __: Shapes) -> int:
    """At each step each row takes all weights once: those of the input and the recurrent ones."""
    steps = math.prod(_known(inputs, 0)[:2])
    return steps * (math.prod(_known(inputs, 1)) + math.prod(_known(inputs, 2)))


def _attention(_: NodeProto, inputs: Shapes, __: Shapes) -> int:
    """Count ``com.microsoft.Attention``: one product for Q, K and V, then scores and values."""
    batch, steps, _hidden = _known(inputs, 0)
    weight = _known(inputs, 1)
    return batch * steps * (math.prod(weight) + 2 * steps * weight[-1] // 3)


def _multi_head_attention(_: NodeProto, inputs: Shapes, __: Shapes) -> int:
    """Count ``com.microsoft.MultiHeadAttention`` of three operands: scores and values."""
    query, key, value = (_known(inputs, slot) for slot in range(3))
    return math.prod(query[:2]) * key[1] * (query[-1] + value[-1])


def _einsum(node: NodeProto, inputs: Shapes, _: Shapes) -> int:
    """Multiply the sizes of all letters of the equation."""
    equation = next(a.s.decode() for a in node.attribute if a.name == "equation")
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    if len(terms) == 1 or "." in equation:
        raise _Unknown
    sizes: dict[str, int] = {}
    for term, slot in zip(terms, range(len(terms)), strict=True):
        sizes |= dict(zip(term, _known(inputs, slot), strict=True))
    return math.prod(sizes.values())


_COUNTS: dict[str, _Count] = {
    **dict.fromkeys(("Conv", "FusedConv", "NhwcFusedConv", "ConvInteger"), _convolution(1)),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed_convolution,
    **dict.fromkeys((
        "MatMul", "Gemm", "FusedMatMul", "FusedGemm", "TransposeMatMul", "GemmFloat8",
        "MatMulInteger", "MatMulInteger16", "MatMulIntegerToFloat", "DynamicQuantizeMatMul",
        "QLinearMatMul", "QGemm", "MatMulNBits", "MatMulBnb4",
    ), _product),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"), _recurrent),
    **dict.fromkeys(("Attention", "QAttention"), _attention),
    "MultiHeadAttention": _multi_head_attention,
    "Einsum": _einsum,
}  # fmt: skip
