"""Weights and biases that onnxruntime's own scales would harm."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.quantization.channel_scales import settle_channel_scales
from onnxq.quantization.static import quantize_static_qdq
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipe_kinds import MinMax, StaticQdq
from onnxq.runtime import open_predict

GENERATOR = np.random.default_rng(0)
WEIGHTS = GENERATOR.standard_normal((4, 3, 1, 1)).astype(np.float32)
BIASES = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
ROWS = GENERATOR.standard_normal((8, 3, 4, 4)).astype(np.float32)


def proto_of(weights=WEIGHTS, biases=BIASES, op="Conv"):
    """One node from x to y, or two: a Gemm or a Conv, then one that hands its channels on."""
    last = np.eye(4, dtype=np.float32)
    if op == "Conv":
        last = last.reshape(4, 4, 1, 1)
    nodes = [
        helper.make_node(op, ["x", "w", "b"], ["a"], "first"),
        helper.make_node(op, ["a", "w2"], ["y"], "last"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.asarray(weights, np.float32), "w"),
            numpy_helper.from_array(np.asarray(biases, np.float32), "b"),
            numpy_helper.from_array(last, "w2"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def quantized(proto, rows, folder, *, per_channel=True):
    visible = onnx.ModelProto()
    visible.CopyFrom(proto)
    visible.graph.output.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, None))
    expected, inner = ReferenceEvaluator(visible).run(None, {"x": rows})
    values = {"x": rows, "a": inner, "y": expected}
    ranges = {
        name: TensorRange(
            min(0.0, float(values[leader].min())), max(0.0, float(values[leader].max()))
        )
        for name, leader in find_qdq_edges(proto.graph).leaders.items()
    }
    onnx.save(proto, folder / "float.onnx")
    recipe = StaticQdq(ranges=MinMax(), per_channel=per_channel)
    result = quantize_static_qdq(
        folder / "float.onnx", folder / "int8.onnx", recipe, TensorRanges("minmax", ranges)
    )
    found = open_predict(folder / "int8.onnx")({"x": rows})["y"]
    assert np.isfinite(found).all()
    return result, expected, found


def step_of(values):
    return (max(values.max(), 0.0) - min(values.min(), 0.0)) / 255


def scales_for(weights=WEIGHTS, biases=BIASES, *, input_scale=0.02, per_channel=True):
    proto = proto_of(weights, biases)
    return settle_channel_scales(
        proto.graph, proto.graph.node[0], input_scale=input_scale, per_channel=per_channel
    )


@pytest.mark.parametrize("per_channel", [True, False])
def test_ordinary_weights_keep_onnxruntimes_scales(per_channel):
    found = scales_for(per_channel=per_channel)
    assert found.is_usual
    largest = np.abs(WEIGHTS).reshape(4, -1).max(axis=1)
    expected = largest / 127 if per_channel else [largest.max() / 127]
    np.testing.assert_allclose(found.scales, expected, rtol=1e-6)


@pytest.mark.parametrize("size", [0.0, 1e-40])
def test_the_bias_of_a_zero_channel_is_kept(size, tmp_path):
    """onnxruntime 1.31 takes 1 for its scale: a bias below half of the input's scale is lost."""
    weights, biases = WEIGHTS * 0.05, BIASES * 0.01
    weights[1] *= np.float32(size)
    result, expected, found = quantized(proto_of(weights, biases), ROWS, tmp_path)
    assert abs(found[:, 1] - expected[:, 1]).max() <= step_of(expected) * 0.51 < biases[1]
    (finding,) = [one for one in result.findings if one.code == "OQ405"]
    assert (finding.subject, finding.evidence["channel"]) == ("w", 1)
    assert finding.message == (
        "1 of 4 channels in w is all zero, or too small for a scale: channel 1 gives its bias of "
        "0.002 alone."
    )


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("op", ["Conv", "Gemm"])
def test_weights_that_are_all_zero_give_their_biases(op, per_channel, tmp_path):
    weights = np.zeros((4, 3, 1, 1) if op == "Conv" else (3, 4))
    rows = ROWS if op == "Conv" else ROWS[:, :, 0, 0]
    result, expected, found = quantized(
        proto_of(weights, BIASES * 0.01, op), rows, tmp_path, per_channel=per_channel
    )
    np.testing.assert_allclose(found, expected, atol=step_of(expected) * 0.51 + 1e-9)
    assert "OQ405" in {one.code for one in result.findings}


def test_zero_weights_without_bias_give_exact_zeros(tmp_path):
    weights = WEIGHTS.copy()
    weights[2] = 0.0
    _, _, found = quantized(proto_of(weights, np.zeros(4)), ROWS, tmp_path)
    assert not found[:, 2].any()


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("bias", [3.0, -3.0])
def test_a_bias_that_overflows_int32_fits_and_is_told(bias, per_channel, tmp_path):
    weights, biases = WEIGHTS.copy(), BIASES.copy()
    if per_channel:
        weights[1] *= 1e-8
    else:
        weights *= 1e-8
    biases[1] = bias
    result, expected, found = quantized(
        proto_of(weights, biases), ROWS, tmp_path, per_channel=per_channel
    )
    np.testing.assert_allclose(found[:, 1], expected[:, 1], atol=step_of(expected) * 0.51 + 1e-6)
    (finding,) = [one for one in result.findings if one.code == "OQ406"]
    assert (finding.subject, finding.evidence["channel"]) == ("b", 1)
    assert finding.evidence["bias"] == bias
    assert "int32" in finding.message


def test_a_bias_that_just_fits_changes_nothing():
    found = scales_for(biases=np.array([0, 0.99 * 0.02 * np.abs(WEIGHTS[1]).max() / 127 * 2**31, 0,
                                        0]))  # fmt: skip
    assert found.is_usual


@pytest.mark.parametrize("input_scale", [1e-33, 1e-20, 1.0, 1e30])
@pytest.mark.parametrize("size", [1e-37, 1e-20, 1.0, 1e30])
def test_products_of_scales_are_normal_numbers(size, input_scale):
    found = scales_for(WEIGHTS * size, input_scale=input_scale)
    products = np.float32(found.scales) * np.float64(input_scale)
    assert (products >= np.finfo(np.float32).tiny * 0.999).all()
    assert (np.float32(found.scales) > 0).all()
    assert (np.abs(found.biases) <= products * 2.0**31).all()


def test_one_huge_weight_is_told_with_its_channel(tmp_path):
    weights = np.tile(WEIGHTS, (1, 1, 3, 3))
    weights[3, 0, 0, 0] = 1e4
    result, _, _ = quantized(proto_of(weights), ROWS, tmp_path)
    (finding,) = [one for one in result.findings if one.code == "OQ407"]
    assert (finding.subject, finding.evidence["channel"]) == ("w", 3)
    assert finding.evidence["largest"] == pytest.approx(1e4)
    assert finding.evidence["share"] > 0.9


def test_one_scale_for_unequal_channels_is_told(tmp_path):
    weights = WEIGHTS.copy()
    weights[0] *= 1e-3
    result, _, _ = quantized(proto_of(weights), ROWS, tmp_path, per_channel=False)
    (finding,) = [one for one in result.findings if one.code == "OQ407"]
    assert finding.evidence["channel"] == 0
    assert "the largest of all channels" in finding.message
    (tmp_path / "int8.onnx").unlink()
    result, _, _ = quantized(proto_of(weights), ROWS, tmp_path)
    assert result.findings == ()


@pytest.mark.parametrize("rows", [ROWS * 0, ROWS * 1e-40, ROWS * 1e-33])
def test_a_dead_input_leaves_biases_exact(rows, tmp_path):
    """onnxruntime 1.31 takes 1 for its scale, and biases are rounded to steps of the weights'."""
    biases = BIASES * 1e-3
    _, expected, found = quantized(proto_of(WEIGHTS, biases), rows.astype(np.float32), tmp_path)
    np.testing.assert_allclose(found, expected, atol=step_of(expected) * 0.8)


def test_a_constant_input_is_exact(tmp_path):
    rows = np.full_like(ROWS, 2.5)
    _, expected, found = quantized(proto_of(), rows, tmp_path)
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())
