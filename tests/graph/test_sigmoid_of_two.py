"""Softmax over two values as a Sigmoid: the same real function."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from onnxq.graph.rewrites.sigmoid_of_two import take_sigmoids_of_two
from onnxq.graph.tails import tail_of
from onnxq.graph.tensor_flow import trace_tensors


def model(shape, axis=-1, *, opset=13, then=()):
    nodes = [helper.make_node("Relu", ["x"], ["r"], "relu")]
    nodes += [helper.make_node("Softmax", ["r"], ["s"], "classes", axis=axis)]
    nodes += [helper.make_node(one, ["s"], [f"y_{one}"], one) for one in then]
    outputs = [f"y_{one}" for one in then] or ["s"]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in outputs],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(proto, rows):
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": rows})[0]


@pytest.mark.parametrize(
    ("shape", "axis"), [([300, 2], -1), (["N", 300, 2], 2), ([1, 2, 16, 17], 1), ([2, 256], 0)]
)
@pytest.mark.parametrize("opset", [13, 18, 21])
def test_two_classes_are_a_sigmoid(shape, axis, opset):
    proto = model(shape, axis, opset=opset)
    before = proto.SerializeToString(deterministic=True)
    result = take_sigmoids_of_two(proto)
    assert result.subjects == ("classes",)
    assert proto.SerializeToString(deterministic=True) == before
    onnx.checker.check_model(result.proto, full_check=True)
    sizes = [size if isinstance(size, int) else 3 for size in shape]
    rows = np.random.default_rng(3).standard_normal(sizes).astype(np.float32) * 6
    powers = np.exp(np.maximum(rows, 0).astype(np.float64))
    found = run(result.proto, rows)
    np.testing.assert_allclose(found, powers / powers.sum(axis, keepdims=True), atol=3e-7)
    np.testing.assert_allclose(found, run(proto, rows), atol=3e-7)
    assert take_sigmoids_of_two(result.proto).proto is result.proto


@pytest.mark.parametrize(
    "proto",
    [model([300, 3]), model([200, 2]), model(["N", 2]), model([300, 2], then=["Log"])],
    ids=["three", "few", "unknown", "logarithm"],
)
def test_other_softmaxes_stay(proto):
    assert take_sigmoids_of_two(proto).proto is proto


def test_what_it_reads_is_still_ranked():
    proto = model([300, 2], then=["Neg"])
    for one in (proto, take_sigmoids_of_two(proto).proto):
        assert tail_of("r", trace_tensors(one.graph)) == "ranked"
