"""Repair as a stage: what it makes of whole models, what it proves, and what it refuses."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.errors import QuantizationError, SourceError
from onnxq.events import tell_nobody
from onnxq.graph.model_files import load_proto, read_model
from onnxq.graph.qdq_pairs import index_pairs
from onnxq.graph.unrounded import without_rounding
from onnxq.quantization import repair_steps
from onnxq.quantization.repair_trials import Outputs, essence
from onnxq.quantization.repairing import repair
from onnxq.runtime import open_predict
from onnxq.stages import RepairRequest
from onnxq.tunings import Tuning

CHANNELS, SIZE = 8, 12


def quantized_net(dtype=np.int8, *, relu=True, bias_factor=1.0, second_factor=0.0):
    """Build two convolutions and a sum, quantized as onnxruntime does by default."""
    factors = {"first": bias_factor, "second": second_factor or bias_factor}
    random = np.random.default_rng(5)
    nodes, stored = [], []

    def constant(values, name):
        stored.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def pair(name, scale, point):
        grid = (
            constant(np.float32(scale), f"{name}_s"),
            constant(np.asarray(point, dtype), f"{name}_z"),
        )
        nodes.append(helper.make_node("QuantizeLinear", [name, *grid], [f"{name}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", *grid], [f"{name}_d"]))
        return f"{name}_d"

    def conv(data, scale, output):
        weight = random.integers(-127, 128, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8)
        weight = constant(weight, f"{output}_w")
        grid = (constant(np.float32(0.01), f"{output}_ws"), constant(np.int8(0), f"{output}_wz"))
        nodes.append(helper.make_node("DequantizeLinear", [weight, *grid], [f"{output}_wd"]))
        bias = constant(np.arange(CHANNELS, dtype=np.int32) * 9, f"{output}_b")
        grid = (
            constant(np.float32(scale * 0.01 * factors[output]), f"{output}_bs"),
            constant(np.int32(0), f"{output}_bz"),
        )
        nodes.append(helper.make_node("DequantizeLinear", [bias, *grid], [f"{output}_bd"]))
        inputs = [data, f"{output}_wd", f"{output}_bd"]
        nodes.append(helper.make_node("Conv", inputs, [output], pads=[1, 1, 1, 1]))
        return output

    shift = 0 if dtype == np.int8 else 128
    first = conv(pair("x", 0.03, shift), 0.03, "first")
    if relu:
        nodes.append(helper.make_node("Relu", [first], ["relu"]))
        first = "relu"
    one = pair(first, 0.2, shift - 128 if relu else shift)
    two = pair(conv(one, 0.2, "second"), 1.0, shift)
    nodes.append(helper.make_node("Add", [two, one], ["sum"]))
    pair("sum", 1.1, shift)
    shape = [2, CHANNELS, SIZE, SIZE]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("sum_d", TensorProto.FLOAT, shape)],
        stored,
    )
    for number, node in enumerate(graph.node):
        node.name = f"n{number}"
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def repaired(proto, folder, tuning=None):
    onnx.save(proto, folder / "given.onnx")
    values = np.random.default_rng(2).standard_normal((2, CHANNELS, SIZE, SIZE))
    np.save(folder / "x.npy", values.astype(np.float32))
    request = RepairRequest(
        model=read_model(folder / "given.onnx"),
        inputs={"x": str(folder / "x.npy")},
        tuning=tuning or Tuning(),
    )
    return repair(request, folder, tell_nobody)


def test_int8_activations_are_repaired_to_the_last_bit(tmp_path):
    result = repaired(quantized_net(), tmp_path)
    assert "shift-activations-to-uint8" in {step.slug for step in result.steps}
    assert result.is_equal
    assert all(step.is_equal for step in result.steps)
    assert result.sqnr_db == 200.0
    assert (result.after.integer, result.after.floats) == (2, 0)
    assert [finding.code for finding in result.findings] == []


def test_what_was_written_gives_what_was_given(tmp_path):
    result = repaired(quantized_net(), tmp_path)
    inputs = {"x": np.load(tmp_path / "x.npy")}
    expected = open_predict(tmp_path / "given.onnx", optimize=False)(inputs)
    found = open_predict(result.model.path, optimize=False)(inputs)
    np.testing.assert_array_equal(found["sum_d"], expected["sum_d"])


def test_a_bias_of_another_scale_is_told_apart_from_what_is_exact(tmp_path):
    result = repaired(quantized_net(np.uint8, bias_factor=0.37), tmp_path)
    assert not result.is_equal
    assert any(finding.code == "OQ178" for finding in result.findings)
    assert "keep the given file" in result.findings[-1].fix  # nothing else runs on integers


def test_a_bias_of_another_scale_no_longer_keeps_convolutions_in_float(tmp_path):
    result = repaired(quantized_net(np.uint8, bias_factor=30.0), tmp_path)
    assert (result.before.integer, result.before.floats) == (0, 2)
    assert (result.after.integer, result.after.floats) == (2, 0)
    assert result.is_equal  # its integers are multiples of 30 now


def test_a_model_that_needs_nothing_is_handed_on(tmp_path):
    result = repaired(quantized_net(np.uint8, relu=False), tmp_path)
    assert result.steps == ()
    assert [finding.code for finding in result.findings] == ["OQ176"]
    assert result.is_equal


def test_rewrites_can_be_left_out(tmp_path):
    skipped = Tuning(skipped=("shift-activations-to-uint8",))
    result = repaired(quantized_net(), tmp_path, skipped)
    assert "shift-activations-to-uint8" not in {step.slug for step in result.steps}
    assert result.after.integer < 2


def test_on_arm64_int8_activations_stay(tmp_path):
    result = repaired(quantized_net(), tmp_path, Tuning(target="arm64"))
    assert "shift-activations-to-uint8" not in {step.slug for step in result.steps}


def test_names_of_inputs_and_outputs_stay(tmp_path):
    result = repaired(quantized_net(), tmp_path)
    before, after = read_model(tmp_path / "given.onnx"), read_model(result.model.path)
    assert before.signature == after.signature


def test_a_float_model_is_refused(tmp_path):
    proto = without_rounding(quantized_net())
    weight = numpy_helper.from_array(np.ones((CHANNELS, CHANNELS, 1, 1), np.float32), "w")
    del proto.graph.node[:]
    proto.graph.node.append(helper.make_node("Conv", ["x", "w"], ["sum_d"]))
    proto.graph.initializer.append(weight)
    with pytest.raises(SourceError, match="is not quantized") as caught:
        repaired(proto, tmp_path)
    assert caught.value.code == "OQ175"


def test_scales_of_one_element_are_no_end_of_it(tmp_path):
    proto = quantized_net(np.uint8)
    for tensor in proto.graph.initializer:
        if not tensor.dims:
            tensor.dims.append(1)
    result = repaired(proto, tmp_path)
    assert "must be a scalar" in result.given_failure
    assert result.steps[0].slug == "flatten-grids"
    assert result.is_equal
    assert (result.after.integer, result.after.floats) == (2, 0)


def test_weights_alone_are_refused(tmp_path):
    proto = without_rounding(quantized_net())
    with pytest.raises(SourceError, match="no activation") as caught:
        repaired(proto, tmp_path)
    assert caught.value.code == "OQ175"


def test_without_rounding_a_model_still_saturates(tmp_path):
    proto = without_rounding(quantized_net(relu=False))
    pairs = index_pairs(proto.graph)
    assert all(node.op_type != "QuantizeLinear" for node in proto.graph.node)
    clips = [node for node in proto.graph.node if node.op_type == "Clip"]
    bounds = [float(pairs.constant(name)) for name in clips[0].input[1:]]
    np.testing.assert_allclose(bounds, [-128 * 0.03, 127 * 0.03], rtol=1e-6)
    onnx.save(proto, tmp_path / "unrounded.onnx")
    inputs = {"x": np.full((2, CHANNELS, SIZE, SIZE), 100.0, np.float32)}
    given = quantized_net(relu=False)
    onnx.save(given, tmp_path / "given.onnx")
    found = open_predict(tmp_path / "unrounded.onnx")(inputs)["sum_d"]
    expected = open_predict(tmp_path / "given.onnx", optimize=False)(inputs)["sum_d"]
    assert np.abs(found - expected).max() < 1.1 * 3
    assert load_proto(tmp_path / "given.onnx").graph.node


def test_what_keeps_every_bit_was_tried_and_says_what_it_costs(tmp_path):
    given = quantized_net(bias_factor=1.0, second_factor=0.37)
    fix = repaired(given, tmp_path).findings[-1].fix
    assert "with 1 of 2 convolutions and matrix products on integer kernels instead of 2" in fix
    flags = fix.split("--skip-rewrite ")[1:]
    tuning = Tuning(skipped=tuple(flag.strip() for flag in flags))
    (tmp_path / "again").mkdir()
    again = repaired(given, tmp_path / "again", tuning)
    assert again.is_equal
    assert again.after.integer == 1


def test_a_step_that_onnxruntime_cannot_run_is_left_out(tmp_path, monkeypatch):
    usual = repair_steps.FOR_REPAIR

    def bad(proto):
        copy = onnx.ModelProto.FromString(proto.SerializeToString())
        next(node for node in copy.graph.node if node.op_type == "Conv").attribute[0].ints[0] = -99
        return dataclasses.replace(usual[0].apply(proto), proto=copy, subjects=("first",))

    broken = dataclasses.replace(usual[0], name="break it", apply=bad)
    monkeypatch.setattr(repair_steps, "FOR_REPAIR", (broken, *usual))
    result = repaired(quantized_net(), tmp_path)
    assert result.steps[0].left_out.startswith("onnxruntime cannot run what it makes (")
    assert [finding.code for finding in result.findings] == ["OQ177"]
    assert result.after.integer == 2


def test_what_cannot_be_served_afterwards_is_not_handed_over(tmp_path):
    proto = quantized_net(np.uint8)
    for tensor in proto.graph.initializer:
        if not tensor.dims:
            tensor.dims.append(1)
    kept_so = Tuning(skipped=("flatten-grids",))
    with pytest.raises(QuantizationError, match="neither the given model nor") as caught:
        repaired(proto, tmp_path, kept_so)
    assert caught.value.code == "OQ172"
    assert str(caught.value.hint).endswith("--skip-rewrite flatten-grids")


def test_a_failure_is_told_in_whole_words():
    failure = (
        "m.onnx failed on inputs of shapes {'x': [4]}: [ONNXRuntimeError] : 1 : FAIL : Non-zero "
        "status code returned. Name:'n' Status Message: /src/q.cc:77 static void f() "
        "IsScalar(Y) was false. QLinearConv : result zero point must be a scalar"
    )
    assert essence(failure) == "QLinearConv : result zero point must be a scalar"
    assert essence("word " * 100).endswith("word …")


def test_integers_are_compared_as_numbers():
    wanted = np.arange(-60, 60, dtype=np.int8).reshape(8, 15)
    near = wanted.copy()
    near[0, 0] += 1
    reference = Outputs({"y": wanted})
    noise = float(((wanted - wanted.mean(axis=0)) ** 2).sum())
    assert Outputs({"y": near}).sqnr_db(reference) == pytest.approx(10 * np.log10(noise))
    labels = np.array([1, 2, 3])
    beside = Outputs({"y": wanted, "label": labels})
    assert Outputs({"y": near, "label": labels[::-1]}).sqnr_db(beside) > 0
