"""Multiply-adds: sums of all-ones products count them, without padding, one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from onnxq.graph.multiply_adds import count_macs, multiplies

SMALL = st.integers(1, 4)


def ones_sum(node, *shapes):
    """Run a node on ones: each product is 1, so that the sum of the results counts them."""
    arrays = [np.ones(shape, np.float32) for shape in shapes]
    names = [name for name in node.input if name]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "g",
        [info(n, TensorProto.FLOAT, a.shape) for n, a in zip(names, arrays, strict=True)],
        [info(node.output[0], TensorProto.FLOAT, None)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (result,) = ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))
    return int(result.sum()), result.shape


def check(node, *shapes):
    total, shape = ones_sum(node, *shapes)
    assert count_macs(node, shapes, [shape]) == total


@settings(max_examples=40, deadline=None)
@given(SMALL, SMALL, SMALL, st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), SMALL)
def test_convolutions(batch, channels, filters, kernel, stride, dilation, group):
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], strides=[stride] * 2, dilations=[dilation] * 2, group=group
    )
    check(node, (batch, group * channels, 7, 8), (group * filters, channels, kernel, kernel))


@settings(max_examples=20, deadline=None)
@given(SMALL, SMALL, st.integers(1, 3), st.integers(1, 3))
def test_transposed_convolutions(channels, filters, kernel, stride):
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[stride] * 2)
    check(node, (2, channels, 4, 5), (channels, filters, kernel, kernel))


@settings(max_examples=20, deadline=None)
@given(SMALL, SMALL, SMALL, st.booleans(), st.booleans())
def test_products_of_matrices(rows, inner, columns, left, right):
    node = helper.make_node("Gemm", ["a", "b"], ["y"], transA=int(left), transB=int(right))
    first, second = (rows, inner), (inner, columns)
    check(node, first[::-1] if left else first, second[::-1] if right else second)


@pytest.mark.parametrize(
    "shapes", [((2, 3, 4, 5), (2, 3, 5, 6)), ((4, 5), (3, 5, 2)), ((5,), (5, 3)), ((3, 5), (5,))]
)
def test_batched_products(shapes):
    check(helper.make_node("MatMul", ["a", "b"], ["y"]), *shapes)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bij,bjk->bik", ((2, 3, 4), (2, 4, 5))),
        ("i,j->ij", ((3,), (4,))),
        ("ij,ij->", ((3, 4),) * 2),
    ],
)
def test_einsums(equation, shapes):
    check(helper.make_node("Einsum", ["a", "b"], ["y"], equation=equation), *shapes)


def test_integer_kernels_count_as_their_float_ones_do():
    conv = helper.make_node("Conv", ["x", "w"], ["y"])
    x, w, y = (1, 3, 9, 9), (8, 3, 3, 3), (1, 8, 7, 7)
    integer = helper.make_node("QLinearConv", list("abcdefgh"), ["y"])
    scalar = ()
    slots = (x, scalar, scalar, w, (8,), (8,), scalar, scalar)
    assert count_macs(integer, slots, [y]) == count_macs(conv, (x, w), [y]) == 8 * 49 * 27
    last = helper.make_node("QLinearConv", list("abcdefgh"), ["y"], channels_last=1)
    slots = ((1, 9, 9, 3), *slots[1:])
    assert count_macs(last, slots, [(1, 7, 7, 8)]) == 8 * 49 * 27


def test_recurrent_layers_take_all_weights_at_each_step():
    steps, batch, width, hidden = 5, 2, 3, 4
    lstm = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=hidden)
    shapes = ((steps, batch, width), (2, 4 * hidden, width), (2, 4 * hidden, hidden))
    expected = steps * batch * 2 * 4 * hidden * (width + hidden)
    assert count_macs(lstm, shapes, []) == expected
    integer = helper.make_node("DynamicQuantizeLSTM", ["x", "w", "r"], ["y"])
    turned = (shapes[0], (2, width, 4 * hidden), (2, hidden, 4 * hidden))
    assert count_macs(integer, turned, []) == expected


def test_attention():
    node = helper.make_node("MultiHeadAttention", ["q", "k", "v"], ["y"], num_heads=2)
    shapes = ((2, 5, 8), (2, 7, 8), (2, 7, 6))
    assert count_macs(node, shapes, []) == 2 * 5 * 7 * (8 + 6)
    fused = helper.make_node("Attention", ["x", "w", "b"], ["y"], num_heads=2)
    assert count_macs(fused, ((2, 5, 8), (8, 24), (24,)), []) == 2 * 5 * (8 * 24 + 2 * 5 * 8)


def test_what_does_not_multiply_or_is_not_known_counts_nothing():
    assert count_macs(helper.make_node("Add", ["a", "b"], ["y"]), [(3,), (3,)], [(3,)]) == 0
    matmul = helper.make_node("MatMul", ["a", "b"], ["y"])
    assert count_macs(matmul, [None, (3, 4)], [(2, 4)]) == 0
    assert count_macs(matmul, [(2, 3), (3, 4)], []) == 0
    one_term = helper.make_node("Einsum", ["a"], ["y"], equation="ij->ji")
    assert count_macs(one_term, [(2, 3)], [(3, 2)]) == 0
    assert multiplies("QGemm")
    assert not multiplies("Add")
