"""Sums of two products in int16: brute force over weights and activations, and what is shrunk."""

import itertools

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.model_files import load_proto
from onnxq.quantization.channel_findings import describe_widened
from onnxq.quantization.channel_scales import settle_channel_scales
from onnxq.quantization.dynamic import quantize_dynamic_int8
from onnxq.quantization.pair_overflow import (
    SAFE_SUM,
    count_overflowing,
    packed_rows,
    pair_sums,
    round_rows,
    widen_for_pairs,
    widen_matrices,
)
from onnxq.quantization.saturation import find_products
from onnxq.quantization.static import quantize_static_qdq
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipe_kinds import DynamicInt8, MinMax, StaticQdq
from onnxq.tunings import Tuning

INT16 = np.iinfo(np.int16)
ENDS = np.array([0, 255])
EVERY_WEIGHT = np.arange(-128, 128)


def node_of(op="Conv", **attributes):
    return helper.make_node(op, ["x", "w"], ["y"], "node", **attributes)


def test_a_pair_overflows_exactly_where_some_activations_make_it():
    """All 65536 pairs of weights; sums are linear in activations, so their ends decide."""
    first, second = (one.ravel() for one in np.meshgrid(EVERY_WEIGHT, EVERY_WEIGHT))
    sums = [a * first + b * second for a in ENDS for b in ENDS]
    low, high = np.min(sums, axis=0), np.max(sums, axis=0)
    overflows = (low < INT16.min) | (high > INT16.max)
    rows = np.stack([first, second], axis=1).astype(np.int8)
    np.testing.assert_array_equal(count_overflowing(rows) > 0, overflows)
    assert overflows.any()
    assert not overflows.all()


def test_the_ends_of_activations_decide():
    """A few pairs next to the limit, with every activation."""
    activations = np.arange(256)
    for weights in ((64, 64), (64, 65), (127, 1), (127, 2), (-64, -65), (-128, 1), (-127, 127)):
        sums = activations[:, np.newaxis] * weights[0] + activations * weights[1]
        overflows = sums.max() > INT16.max or sums.min() < INT16.min
        found = count_overflowing(np.array([weights], np.int8))[0]
        assert found == overflows, weights
    assert SAFE_SUM * 255 <= INT16.max < (SAFE_SUM + 1) * 255


def test_a_conv_is_packed_by_position_and_then_by_channel():
    weights = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    rows = packed_rows(node_of(), weights, 0)
    expected = [
        [weights[o, c, y, x] for y in range(2) for x in range(2) for c in range(3)]
        for o in range(2)
    ]
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize(
    ("shape", "group", "products"),
    [((8, 1, 3, 3), 8, 0), ((16, 1, 3, 3), 8, 9), ((8, 2, 3), 4, 6), ((8, 1, 1, 1), 1, 1)],
)
def test_a_depthwise_conv_has_no_pairs(shape, group, products):
    rows = packed_rows(node_of(group=group), np.ones(shape, np.int8), 0)
    assert rows.shape == (shape[0], products)
    assert pair_sums(rows).shape == (shape[0], (products + 1) // 2)


@pytest.mark.parametrize(("axis", "op"), [(1, "MatMul"), (1, "Gemm"), (0, "Gemm")])
def test_a_matrix_is_packed_by_rows_of_products(axis, op):
    weights = np.arange(12).reshape(4, 3)
    rows = packed_rows(node_of(op), weights, axis)
    np.testing.assert_array_equal(rows, weights if axis == 0 else weights.T)


def test_an_odd_last_product_is_alone():
    assert count_overflowing(np.array([[1, 127, 127]], np.int8)) == [0]
    assert count_overflowing(np.array([[127, 127, 127]], np.int8)) == [1]


WEIGHTS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(0, 9)),
    elements=st.floats(-4, 4, width=32, allow_nan=False),
)


@given(WEIGHTS, st.booleans())
def test_widened_scales_overflow_nowhere_and_by_one_bit_at_most(rows, per_channel):
    largest = np.abs(rows).max(axis=1, initial=0.0).astype(np.float64)
    tops = largest if per_channel else largest.max(keepdims=True)
    scales = np.where(tops > 1e-6, tops / 127, 1.0)
    widened = widen_for_pairs(rows, scales)
    assert widened.shape == scales.shape
    whole = np.broadcast_to(widened, len(rows))
    assert not count_overflowing(round_rows(rows, whole)).any()
    assert ((widened >= scales) & (widened <= scales * 127 / 64 * (1 + 1e-12))).all()
    before = count_overflowing(round_rows(rows, np.broadcast_to(scales, len(rows))))
    untouched = before == 0 if per_channel else np.array([not before.any()])
    np.testing.assert_array_equal(widened[untouched], scales[untouched])


@given(st.integers(0, 2**32 - 1))
def test_one_level_more_would_overflow(seed):
    """Nothing is given away: the levels that are kept are the most that fit."""
    rows = np.random.default_rng(seed).standard_normal((1, 16)).astype(np.float32)
    scales = np.abs(rows).max(axis=1).astype(np.float64) / 127
    levels = int(np.rint(127 * scales / widen_for_pairs(rows, scales))[0])
    more = [
        k
        for k in range(levels + 1, 128)
        if not count_overflowing(round_rows(rows, scales * 127 / k))
    ]
    assert not more


def settled(weights, *, per_channel=True, saturates=True):
    graph = helper.make_graph(
        [node_of()], "g", [], [], [numpy_helper.from_array(weights.astype(np.float32), "w")]
    )
    return settle_channel_scales(
        graph, graph.node[0], input_scale=0.02, per_channel=per_channel, saturates=saturates
    )


def test_a_cpu_with_vnni_keeps_the_usual_scales():
    weights = np.ones((4, 4, 3, 3))
    assert settled(weights, saturates=False).is_usual
    assert not describe_widened([settled(weights, saturates=False)])


def test_only_the_channels_that_need_it_are_widened():
    weights = np.zeros((3, 2, 1, 1))
    weights[0, :, 0, 0] = (1.0, 1.0)  # overflows
    weights[1, :, 0, 0] = (1.0, -1.0)  # opposite signs never do
    weights[2, :, 0, 0] = (1.0, 0.0)
    chosen = settled(weights)
    np.testing.assert_allclose(chosen.widened, [127 / 64, 1, 1])
    np.testing.assert_array_equal(chosen.overflowing, [1, 0, 0])
    (finding,) = describe_widened([chosen])
    assert finding.code == "OQ408"
    assert finding.evidence["levels"] == 64
    assert finding.message.startswith("1 of 3 channels in 1 of 1 node got coarser steps")
    whole = settled(weights, per_channel=False)
    np.testing.assert_allclose(whole.scales, [1 / 64])


def convolution(folder):
    weights = np.random.default_rng(0).standard_normal((8, 5, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], "conv")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 5, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 6, 6])],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "float.onnx")


def integer_weights(path):
    tensors = [numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer]
    return next(one for one in tensors if one.dtype == np.int8 and one.ndim == 4)


def test_the_static_recipe_for_such_a_cpu_has_no_pair_that_overflows(tmp_path):
    convolution(tmp_path)
    ranges = TensorRanges("minmax", {"x": TensorRange(-1.0, 1.0), "y": TensorRange(-4.0, 4.0)})
    recipe = StaticQdq(ranges=MinMax())
    found = {}
    for target in ("x86-vnni", "x86", "arm64"):
        out = tmp_path / f"{target}.onnx"
        done = quantize_static_qdq(
            tmp_path / "float.onnx", out, recipe, ranges, tuning=Tuning(target=target)
        )
        rows = packed_rows(node_of(), integer_weights(out), 0)
        found[target] = int(count_overflowing(rows).sum())
        assert any(one.code == "OQ408" for one in done.findings) == (target == "x86")
    assert found["x86"] == 0
    assert found["x86-vnni"] == found["arm64"] > 0


def saturating_product(activations, rows):
    """Multiply as ``vpmaddubsw`` and ``vpmaddwd`` do: uint8 ``[n, k]``, int8 ``[channels, k]``."""
    total = np.zeros((len(activations), len(rows)), np.int64)
    for k in range(0, rows.shape[1], 2):
        pair = activations[:, k : k + 2].astype(np.int64) @ rows[:, k : k + 2].astype(np.int64).T
        total += np.clip(pair, INT16.min, INT16.max)
    return total


@given(WEIGHTS, st.integers(0, 2**32 - 1))
def test_saturating_arithmetic_is_exact_on_widened_weights(rows, seed):
    largest = np.abs(rows).max(axis=1, initial=0.0).astype(np.float64)
    scales = np.where(largest > 1e-6, largest / 127, 1.0)
    integers = round_rows(rows, widen_for_pairs(rows, scales))
    draws = np.random.default_rng(seed).integers(0, 256, (16, rows.shape[1]), np.uint8)
    corners = list(itertools.islice(itertools.product((0, 255), repeat=rows.shape[1]), 64))
    activations = np.concatenate([draws, np.array(corners, np.uint8)])
    exact = activations.astype(np.int64) @ integers.astype(np.int64).T
    np.testing.assert_array_equal(saturating_product(activations, integers), exact)


def test_an_lstm_has_one_scale_for_each_direction():
    weights = np.random.default_rng(0).standard_normal((2, 12, 5)).astype(np.float32)
    scales = (np.abs(weights).max(axis=(1, 2)) / 127).astype(np.float32)
    widened = widen_matrices(weights, scales, 0)
    assert widened.dtype == np.float32
    for matrix, before, after in zip(weights, scales, widened, strict=True):
        assert before <= after <= before * 127 / 64 * (1 + 1e-6)
        assert not count_overflowing(round_rows(matrix, np.full(12, after, np.float64))).any()
    flat = np.abs(weights).max(axis=2).reshape(-1) / 127
    each = widen_matrices(weights.reshape(24, 5), flat.astype(np.float32), 0)
    assert not count_overflowing(round_rows(weights.reshape(24, 5), each)).any()


@pytest.mark.parametrize("per_channel", [True, False])
def test_the_dynamic_recipe_for_such_a_cpu_has_no_pair_that_overflows(tmp_path, per_channel):
    weights = np.random.default_rng(0).standard_normal((33, 16)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"], "first"),
         helper.make_node("Relu", ["h"], ["r"], "relu"),
         helper.make_node("MatMul", ["r", "v"], ["y"], "second")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 33])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 33])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(weights.T.copy(), "v")],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    found = {}
    for target in ("x86-vnni", "x86"):
        out = tmp_path / f"{target}.onnx"
        quantize_dynamic_int8(
            tmp_path / "m.onnx", out, DynamicInt8(per_channel), tuning=Tuning(target=target)
        )
        products = find_products(load_proto(out))
        assert products
        found[target] = sum(len(one.overflowing) for one in products)
    assert found["x86"] == 0 < found["x86-vnni"]
