"""Ranges include zero, have a width, and let nothing through that an absorbed Clip would not."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.quantization.static import quantize_static_qdq
from onnxq.quantization.usable_ranges import make_usable
from onnxq.ranges import LEAST_WIDTH, TensorRange, TensorRanges
from onnxq.recipe_kinds import ALIASES, MinMax, StaticQdq
from onnxq.runtime import open_predict

node = helper.make_node
ROWS = np.random.default_rng(0).uniform(0, 4, (8, 3, 4, 4)).astype(np.float32)


def net(low, high):
    """x → Conv (nothing negative for rows that are not) → Clip → MaxPool → Conv → y."""
    weights = np.abs(np.random.default_rng(1).standard_normal((4, 3, 1, 1))).astype(np.float32)
    nodes = [
        node("Conv", ["x", "w1"], ["a"], "conv1"),
        node("Clip", ["a", "low", "high"], ["b"], "clip"),
        node("MaxPool", ["b"], ["c"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["c", "w2", "bias"], ["y"], "conv2"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(weights, "w1"),
            numpy_helper.from_array(weights[:, :, 0, 0].T.reshape(3, 4, 1, 1), "w2"),
            numpy_helper.from_array(np.full(3, 5, np.float32), "bias"),
            numpy_helper.from_array(np.float32(low), "low"),
            numpy_helper.from_array(np.float32(high), "high"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def minmax(proto, rows):
    """Calibrate by another implementation of the operators."""
    edges = find_qdq_edges(proto.graph)
    visible = onnx.ModelProto()
    visible.CopyFrom(proto)
    names = [name for name in edges.collected if name not in {"x", "y"}]
    visible.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    found = ReferenceEvaluator(visible).run(["y", *names], {"x": rows})
    values = {"x": rows, **dict(zip(["y", *names], found, strict=True))}
    return {
        name: TensorRange(min(0.0, float(values[one].min())), max(0.0, float(values[one].max())))
        for name, one in edges.leaders.items()
    }


def outputs(proto, ranges, folder, recipe=StaticQdq(ranges=MinMax())):  # noqa: B008 - frozen
    """Return what the float and the quantized model make of the rows."""
    onnx.save(proto, folder / "float.onnx")
    quantize_static_qdq(
        folder / "float.onnx", folder / "int.onnx", recipe, TensorRanges("minmax", ranges)
    )
    return ReferenceEvaluator(proto).run(None, {"x": ROWS})[0], (
        open_predict(folder / "int.onnx")({"x": ROWS})["y"]
    )


@pytest.mark.parametrize("bounds", [(-2, 0), (-np.inf, 0), (0, 0), (-1e-35, 0), (0, 6)])
@pytest.mark.parametrize("recipe", ["int8-minmax", "int16"])
def test_what_a_clip_cuts_off_entirely_stays_cut_off(bounds, recipe, tmp_path):
    proto = net(*bounds)
    ranges = minmax(proto, ROWS)
    if recipe == "int16":
        ranges = {
            name: TensorRange(-max(-one.low, one.high), max(-one.low, one.high))
            for name, one in ranges.items()
        }
    expected, found = outputs(proto, ranges, tmp_path, ALIASES[recipe])
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize(("low", "high"), [(-9.0, 3.0), (0.0, 50.0), (1.0, 6.0)])
def test_a_range_that_was_edited_does_not_undo_a_clip(low, high, tmp_path):
    proto = net(0, 6)
    edited = minmax(proto, ROWS) | dict.fromkeys("abc", TensorRange(low, high))
    usable = make_usable(proto.graph, find_qdq_edges(proto.graph), edited, is_symmetric=False)
    assert (usable["b"].low, usable["b"].high) == (0.0, min(high, 6.0))
    assert usable["a"] == usable["b"] == usable["c"]
    if high >= 6.0:
        expected, found = outputs(proto, edited, tmp_path)
        np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_calibrated_ranges_stay_as_they_are():
    proto = net(-1, 6)
    ranges = minmax(proto, ROWS)
    edges = find_qdq_edges(proto.graph)
    assert make_usable(proto.graph, edges, ranges, is_symmetric=False) == ranges


@pytest.mark.parametrize("is_symmetric", [False, True])
def test_every_range_has_a_width_and_includes_zero(is_symmetric):
    proto = net(-2, 0)
    edges = find_qdq_edges(proto.graph)
    tiny = dict.fromkeys(edges.leaders, TensorRange(0.0, 1e-38))
    usable = make_usable(proto.graph, edges, tiny, is_symmetric=is_symmetric)
    assert all(one.low <= 0.0 <= one.high for one in usable.values())
    assert all(one.high - one.low >= LEAST_WIDTH for one in usable.values())
    assert all(one.low == -one.high for one in usable.values()) or not is_symmetric
