"""Nodes that stay float because integers measured slower there."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.errors import QuantizationError
from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.quantization.static import quantize_static_qdq
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipe_kinds import MinMax, QuantizationScope, StaticQdq
from onnxq.runtime import open_predict

RECIPE = StaticQdq(ranges=MinMax())
RANGES = {"x": (-3.0, 3.0), "a": (0.0, 4.0), "r": (0.0, 4.0), "b": (-5.0, 5.0), "c": (-6.0, 6.0)}


@pytest.fixture
def source(tmp_path):
    """Conv, Relu, Conv, Conv."""
    random = np.random.default_rng(5)
    nodes, weights = [], {}
    for name, read, inner in (("a", "x", 3), ("b", "r", 8), ("c", "b", 8)):
        weights[f"w{name}"] = random.normal(0, 0.2, (8, inner, 3, 3)).astype(np.float32)
        inputs = [read, f"w{name}"]
        nodes.append(helper.make_node("Conv", inputs, [name], f"conv_{name}", pads=[1] * 4))
    nodes.insert(1, helper.make_node("Relu", ["a"], ["r"], "relu"))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "chain",
        [value("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [value("c", TensorProto.FLOAT, [1, 8, 8, 8])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    proto = onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8)
    )
    path = tmp_path / "source.onnx"
    onnx.save(proto, path)
    return path


def ranges_for(names):
    return TensorRanges("minmax", {name: TensorRange(*RANGES[name]) for name in names})


def quantize(source, name, *, slow=(), scope=None, names=None):
    scope = scope or QuantizationScope()
    edges = find_qdq_edges(onnx.load(source).graph, scope)
    known = ranges_for(names or edges.leaders)
    return quantize_static_qdq(
        source,
        source.parent / name,
        RECIPE,
        known,
        scope,
        slow=dict.fromkeys(slow, "it is slow"),
    )


def test_what_is_slow_stays_float_and_says_why(source):
    made = quantize(source, "partial.onnx", slow=("a", "r"))
    assert made.count.left_float == {"conv_a": "it is slow"}
    assert (made.count.quantized, made.count.quantizable) == (2, 3)
    proto = onnx.load(made.model.path)
    first = next(node for node in proto.graph.node if node.op_type == "Conv")
    assert first.input[0] == "x"
    quantized = [node.input[0] for node in proto.graph.node if node.op_type == "QuantizeLinear"]
    assert quantized[0] == "r"


def test_it_is_what_keep_float_makes_of_the_same_ranges(source):
    slow = quantize(source, "slow.onnx", slow=("a", "r"))
    scope = QuantizationScope(keep_float=("conv_a", "relu"))
    kept = quantize(source, "kept.onnx", scope=scope)
    x = {"x": np.random.default_rng(2).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)}
    one, other = (open_predict(made.model.path)(x)["c"] for made in (slow, kept))
    np.testing.assert_array_equal(one, other)


def test_a_relu_left_float_alone_reads_the_range_it_would_have_clipped_to(source):
    made = quantize(source, "partial.onnx", slow=("r",))
    whole = quantize(source, "whole.onnx")
    x = {"x": np.random.default_rng(2).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)}
    one, other = (open_predict(model.model.path)(x)["c"] for model in (made, whole))
    np.testing.assert_allclose(one, other, atol=12 / 255)


def test_nothing_left_to_quantize_is_refused(source):
    with pytest.raises(QuantizationError) as caught:
        quantize(source, "none.onnx", slow=("a", "b", "c"))
    assert caught.value.code == "OQ163"
