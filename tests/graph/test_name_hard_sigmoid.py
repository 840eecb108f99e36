"""HardSigmoid in pieces, as exporters spell it, becomes one operator."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.rewrites.name_hard_sigmoid import name_hard_sigmoids

F = TensorProto.FLOAT


def spelled(*, order="gate", scale="Div", offset=3.0, low=0.0, top=6.0, factor=6.0, extra=()):
    """``x * relu6(x + 3) / 6``; ``order`` says whether the gate or the product is scaled."""
    by = 1.0 / factor if scale == "Mul" else factor
    constants = {"three": offset, "low": low, "top": top, "by": by}
    nodes = [
        helper.make_node("Add", ["x", "three"], ["a"], "shift"),
        helper.make_node("Clip", ["a", "low", "top"], ["c"], "clip"),
    ]
    if order == "gate":
        nodes += [
            helper.make_node(scale, ["c", "by"], ["s"], "scale"),
            helper.make_node("Mul", ["x", "s"], ["y"], "product"),
        ]
    else:
        nodes += [
            helper.make_node("Mul", ["x", "c"], ["p"], "product"),
            helper.make_node(scale, ["p", "by"], ["y"], "scale"),
        ]
    graph = helper.make_graph(
        [*nodes, *extra],
        "g",
        [helper.make_tensor_value_info("x", F, ["N", 40])],
        [helper.make_tensor_value_info("y", F, ["N", 40])],
        [numpy_helper.from_array(np.array(v, np.float32), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(proto):
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": np.linspace(-8, 8, 80, dtype=np.float32).reshape(2, 40)})[0]


@pytest.mark.parametrize("order", ["gate", "product"])
@pytest.mark.parametrize("scale", ["Div", "Mul"])
@pytest.mark.parametrize("bounds", [{}, {"offset": 2.0, "top": 4.0, "factor": 4.0}])
def test_it_is_named(order, scale, bounds):
    proto = spelled(order=order, scale=scale, **bounds)
    before = proto.SerializeToString()
    result = name_hard_sigmoids(proto)
    assert proto.SerializeToString() == before
    assert result.subjects == ("clip",)
    assert [node.op_type for node in result.proto.graph.node] == ["HardSigmoid", "Mul"]
    onnx.checker.check_model(result.proto, full_check=True)
    np.testing.assert_allclose(run(result.proto), run(proto), rtol=1e-5, atol=1e-6)
    assert name_hard_sigmoids(result.proto).proto is result.proto


@pytest.mark.parametrize(
    "proto",
    [
        spelled(factor=5.0),
        spelled(low=-1.0),
        spelled(extra=[helper.make_node("Neg", ["c"], ["n"], "reader")]),
        spelled(order="product", extra=[helper.make_node("Neg", ["p"], ["n"], "reader")]),
    ],
    ids=["another factor", "below zero", "read elsewhere", "product read elsewhere"],
)
def test_what_is_none_stays(proto):
    assert name_hard_sigmoids(proto).proto is proto


@pytest.mark.parametrize("name", ["three", "by"])
def test_a_constant_that_adds_an_axis_stays(name):
    proto = spelled()
    for tensor in proto.graph.initializer:
        if tensor.name == name:
            tensor.dims.extend([1, 1, 1])
    assert name_hard_sigmoids(proto).proto is proto
