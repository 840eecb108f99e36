"""Pad on integers: the same floats, bit for bit, with and without onnxruntime's optimizations."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.graph.rewrites.pad_integers import pad_integers

node = helper.make_node


def pair(source, result, grid="g"):
    scales = [f"{grid}_scale", f"{grid}_zero_point"]
    return [
        node("QuantizeLinear", [source, *scales], [f"{result}_q"], f"q_{result}"),
        node("DequantizeLinear", [f"{result}_q", *scales], [result], f"dq_{result}"),
    ]


def padded(pads, value=None, *, behind="g", dtype=np.uint8, **attributes):
    """``x`` between pairs, padded, between pairs of another grid or the same."""
    constants = {
        "g_scale": np.float32(0.05), "g_zero_point": dtype(100),
        "h_scale": np.float32(0.03), "h_zero_point": dtype(7),
        "pads": np.array(pads, np.int64),
    }  # fmt: skip
    read = ["x_in", "pads"]
    if value is not None:
        constants["value"] = np.float32(value)
        read.append("value")
    nodes = [*pair("x", "x_in"), node("Pad", read, ["p"], "pad", **attributes)]
    nodes += [*pair("p", "y", behind)] if behind else [node("Identity", ["p"], ["y"], "same")]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 4, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [*"abcd"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(proto, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rows = np.random.default_rng(5).standard_normal((2, 3, 4, 5)).astype(np.float32) * 4
    return session.run(None, {"x": rows})[0]


def check_exact(proto):
    before = proto.SerializeToString(deterministic=True)
    result = pad_integers(proto)
    assert proto.SerializeToString(deterministic=True) == before
    onnx.checker.check_model(result.proto, full_check=True)
    levels = onnxruntime.GraphOptimizationLevel
    for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL):
        np.testing.assert_array_equal(run(result.proto, level), run(proto, level))
    again = pad_integers(result.proto)
    assert again.proto is result.proto
    return result


PADS = st.lists(st.integers(-1, 3), min_size=8, max_size=8).map(lambda p: [0, *p[1:4], 0, *p[5:]])


@given(
    pads=PADS, behind=st.sampled_from(["g", "h", ""]), dtype=st.sampled_from([np.uint8, np.int8])
)
@settings(max_examples=30, deadline=None)
def test_zeros_around_integers_are_the_same_floats(pads, behind, dtype):
    result = check_exact(padded(pads, behind=behind, dtype=dtype))
    assert result.subjects == ("pad",)
    (pad,) = (one for one in result.proto.graph.node if one.op_type == "Pad")
    assert pad.input[0] == "x_in_q"


@pytest.mark.parametrize("mode", ["reflect", "edge"])
@pytest.mark.parametrize("value", [None, 0.0])
def test_modes_that_pad_with_values_of_their_own(mode, value):
    assert check_exact(padded([0, 0, 1, 1, 0, 0, 2, 1], value, mode=mode)).subjects


@pytest.mark.parametrize(
    ("value", "moves"), [(0.0, True), (np.float32(0.05) * np.float32(3), True), (0.11, False)]
)
def test_a_value_must_lie_on_the_grid(value, moves):
    result = check_exact(padded([0, 1, 0, 0, 0, 0, 0, 1], value))
    assert bool(result.subjects) is moves


def test_equal_grids_leave_one_dequantizer():
    result = check_exact(padded([0, 1, 0, 0, 0, 0, 0, 1]))
    operators = [one.op_type for one in result.proto.graph.node]
    assert operators == ["QuantizeLinear", "Pad", "DequantizeLinear"]


def test_sixteen_bits_stay_as_they_are():
    proto = padded([0, 1, 0, 0, 0, 0, 0, 1])
    for name in ("g_zero_point", "h_zero_point"):
        (tensor,) = (one for one in proto.graph.initializer if one.name == name)
        tensor.CopyFrom(numpy_helper.from_array(np.uint16(100), name))
    assert pad_integers(proto).proto is proto


@pytest.mark.parametrize(("value", "joins"), [(0.0, True), (1.0, False)])
def test_a_padded_shortcut_is_integer(value, joins):
    weights = {name: np.ones((4, 4, 1, 1), np.float32) for name in ("v", "w")}
    constants = {**weights, "pads": np.zeros(8, np.int64), "value": np.float32(value)}
    graph = helper.make_graph(
        [
            node("Conv", ["x", "v"], ["a"], "first"),
            node("Pad", ["a", "pads", "value"], ["b"], "pad"),
            node("Conv", ["a", "w"], ["c"], "second"),
            node("Add", ["b", "c"], ["d"], "sum"),
            node("Conv", ["d", "w"], ["y"], "third"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    found = find_qdq_edges(graph)
    assert ({"b", "d"} <= found.nodes) is joins
    assert (found.leaders.get("b") == "a") is joins
