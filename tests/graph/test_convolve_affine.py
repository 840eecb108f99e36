"""Normalization in front of convolutions: against the same graph, run without optimizations."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.rewrites.convolve_affine import convolve_affine

node = helper.make_node
CHANNELS = 16
GENERATOR = np.random.default_rng(0)


def constant(name, *shape):
    return numpy_helper.from_array(GENERATOR.uniform(0.5, 1.5, shape).astype(np.float32), name)


NORMALIZATION = [constant(name, CHANNELS) for name in ("gamma", "beta", "mean", "variance")]
NORMALIZE = node("BatchNormalization", ["x", "gamma", "beta", "mean", "variance"], ["n"], "norm")
CONVOLVE = node("Conv", ["r", "w"], ["y"], "conv")


def make(*nodes, channels=CHANNELS, outputs=("y",), constants=()):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", channels, 5, 5])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [*NORMALIZATION, constant("w", 4, CHANNELS, 3, 3), *constants],
    )
    imports = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def run(proto):
    rows = np.random.default_rng(3).standard_normal((2, CHANNELS, 5, 5)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, {"x": rows})


def changed(proto):
    before = proto.SerializeToString(deterministic=True)
    result = convolve_affine(proto)
    assert proto.SerializeToString(deterministic=True) == before
    for expected, found in zip(run(proto), run(result.proto), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert convolve_affine(result.proto).subjects == ()
    return [one.op_type for one in result.proto.graph.node], result.subjects


def test_normalization_becomes_a_convolution():
    relu = node("Relu", ["n"], ["r"])
    assert changed(make(NORMALIZE, relu, CONVOLVE)) == (["Conv", "Relu", "Conv"], ("norm",))


def test_a_chain_becomes_one_convolution():
    chain = [
        node("Mul", ["x", "by"], ["a"], "mul"),
        node("Add", ["to", "a"], ["r"], "add"),
    ]
    constants = [constant("by", CHANNELS, 1, 1), constant("to", 1, CHANNELS, 1, 1)]
    proto = make(*chain, CONVOLVE, constants=constants)
    assert changed(proto) == (["Conv", "Conv"], ("add",))


def test_a_chain_ends_where_somebody_else_reads():
    chain = [
        node("Mul", ["x", "by"], ["a"], "mul"),
        node("Add", ["to", "a"], ["r"], "add"),
        node("Relu", ["a"], ["z"]),
    ]
    constants = [constant("by", CHANNELS, 1, 1), constant("to", CHANNELS, 1, 1)]
    proto = make(*chain, CONVOLVE, outputs=("y", "z"), constants=constants)
    assert changed(proto) == (["Mul", "Conv", "Relu", "Conv"], ("add",))


@pytest.mark.parametrize("name", ["Sigmoid", "GlobalAveragePool"])
def test_what_no_convolution_reads_stays(name):
    proto = make(NORMALIZE, node(name, ["n"], ["y"]))
    assert changed(proto) == (["BatchNormalization", name], ())


def test_an_output_stays():
    relu = node("Relu", ["n"], ["r"])
    assert changed(make(NORMALIZE, relu, CONVOLVE, outputs=("n", "y")))[1] == ()


def test_constants_along_other_axes_stay():
    mul = node("Mul", ["x", "by"], ["r"], "mul")
    assert changed(make(mul, CONVOLVE, constants=[constant("by", 5)]))[1] == ()


def test_unknown_channels_stay():
    relu = node("Relu", ["n"], ["r"])
    assert changed(make(NORMALIZE, relu, CONVOLVE, channels="C"))[1] == ()


def test_the_model_is_a_valid_one():
    proto = convolve_affine(make(NORMALIZE, node("Relu", ["n"], ["r"]), CONVOLVE)).proto
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(proto))
