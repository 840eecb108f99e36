"""int8 activations for ARM: the very numbers of the uint8 model."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.model_files import load_proto
from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.graph.rewrites.shift_activations_to_int8 import shift_activations_to_int8
from onnxq.graph.rewrites.shift_activations_to_uint8 import shift_activations_to_uint8
from onnxq.quantization.static import quantize_static_qdq
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipe_kinds import MinMax, QuantizationScope, StaticQdq
from onnxq.runtime import open_predict
from onnxq.tunings import Tuning

GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.standard_normal((1, 4, 8, 8)).astype(np.float32)


@pytest.fixture
def network(tmp_path):
    """Conv, Relu, a shortcut with a constant, pooling and a Gemm."""
    weights = {
        "w1": GENERATOR.standard_normal((8, 4, 3, 3)),
        "w2": GENERATOR.standard_normal((8, 8, 3, 3)),
        "b": GENERATOR.standard_normal((1, 8, 1, 1)),
        "g": GENERATOR.standard_normal((8, 3)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], "first", pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"], "relu"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "second", pads=[1] * 4),
        helper.make_node("Add", ["c2", "r1"], ["a"], "shortcut"),
        helper.make_node("Add", ["a", "b"], ["a2"], "offset"),
        helper.make_node("GlobalAveragePool", ["a2"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "g"], ["y"], "head"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(a.astype(np.float32), n) for n, a in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def quantized(path, target, io="float"):
    names = find_qdq_edges(load_proto(path).graph, QuantizationScope(io=io)).leaders
    ranges = TensorRanges("minmax", dict.fromkeys(names, TensorRange(-6.0, 9.0)))
    out = path.with_name(f"{target}-{io}.onnx")
    quantize_static_qdq(
        path,
        out,
        StaticQdq(ranges=MinMax()),
        ranges,
        QuantizationScope(io=io),
        Tuning(target=target),
    )
    return out


def written_dtypes(path):
    graph = load_proto(path).graph
    constants = {one.name: one.data_type for one in graph.initializer}
    return {constants[n.input[2]] for n in graph.node if n.op_type == "QuantizeLinear"}


def test_arm_gets_int8_and_the_very_numbers(network):
    paths = {target: quantized(network, target) for target in ("x86-vnni", "arm64")}
    assert written_dtypes(paths["x86-vnni"]) == {TensorProto.UINT8}
    assert written_dtypes(paths["arm64"]) == {TensorProto.INT8}
    found = [open_predict(path, optimize=False)({"x": ROWS})["y"] for path in paths.values()]
    np.testing.assert_array_equal(*found)


def test_there_and_back_are_the_same_pairs(network):
    given = load_proto(quantized(network, "x86-vnni"))
    back = shift_activations_to_uint8(shift_activations_to_int8(given).proto).proto
    path = network.with_name("back.onnx")
    onnx.save(back, path)
    assert written_dtypes(path) == {TensorProto.UINT8}
    found = [
        open_predict(one, optimize=False)({"x": ROWS})["y"]
        for one in (path, network.with_name("x86-vnni-float.onnx"))
    ]
    np.testing.assert_array_equal(*found)
    assert shift_activations_to_int8(load_proto(network)).subjects == ()


def test_a_uint8_interface_keeps_uint8_activations(network):
    assert written_dtypes(quantized(network, "arm64", io="uint8")) <= {TensorProto.UINT8}
