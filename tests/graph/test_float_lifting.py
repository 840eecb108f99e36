import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.float_lifting import lift_floats
from onnxq.runtime import open_predict

FLOATS = {
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float64": TensorProto.DOUBLE,
}
WEIGHT = np.random.default_rng(0).standard_normal((4, 3))


def stored(name, array, kind):
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    return numpy_helper.from_array(np.asarray(array).astype(dtype), name)


def model(kind, nodes=(), weights=None, io=None, functions=()):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["p"]), *nodes]
        if nodes
        else [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value("x", io or kind, ["N", 4])],
        [value("y", io or kind, None)],
        weights or [stored("w", WEIGHT, kind)],
    )
    imports = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, functions=functions)


def types_in(proto):
    """Return every element type that a model mentions, wherever."""
    types = {tensor.data_type for tensor in proto.graph.initializer}
    types |= {v.type.tensor_type.elem_type for v in (*proto.graph.input, *proto.graph.output)}
    return types


def run(proto, folder, x):
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    (y,) = open_predict(folder / "m.onnx")({"x": x}).values()
    return y


@pytest.mark.parametrize("dtype", FLOATS)
def test_weights_and_interface_become_float32(dtype, tmp_path):
    given = model(FLOATS[dtype])
    before = given.SerializeToString()
    lifted = lift_floats(given)
    assert lifted.dtype == dtype
    assert types_in(lifted.proto) == {TensorProto.FLOAT}
    assert given.SerializeToString() == before
    weight = numpy_helper.to_array(given.graph.initializer[0]).astype(np.float32)
    x = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    np.testing.assert_allclose(run(lifted.proto, tmp_path, x), x @ weight, rtol=1e-5)


def test_constants_casts_and_bodies_follow(tmp_path):
    half = TensorProto.FLOAT16
    inner = [
        helper.make_node("Constant", [], ["two"], value=stored("", 2.0, half)),
        helper.make_node("Mul", ["c", "two"], ["t"]),
    ]
    body = helper.make_graph(inner, "body", [], [helper.make_tensor_value_info("t", half, None)])
    nodes = [
        helper.make_node("Shape", ["p"], ["s"]),
        helper.make_node("ConstantOfShape", ["s"], ["ones"], value=stored("", [1.0], half)),
        helper.make_node("Add", ["p", "ones"], ["a"]),
        helper.make_node("Cast", ["a"], ["b"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["b"], ["c"], to=half),
        helper.make_node("ReduceMax", ["b"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["k"], to=TensorProto.BOOL),
        helper.make_node("If", ["k"], ["y"], then_branch=body, else_branch=body),
    ]
    lifted = lift_floats(model(half, nodes)).proto
    x = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    weight = WEIGHT.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(run(lifted, tmp_path, x), 2 * (x @ weight + 1), rtol=1e-5)


def test_what_multiplies_inside_a_body_alone_counts():
    half = TensorProto.FLOAT16
    output = [helper.make_tensor_value_info("t", half, None)]
    product = helper.make_node("MatMul", ["h", "v"], ["t"])
    body = helper.make_graph([product], "body", [], output, [stored("v", WEIGHT, half)])
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=half),
        helper.make_node("Constant", [], ["k"], value=stored("", True, TensorProto.BOOL)),
        helper.make_node("If", ["k"], ["y"], then_branch=body, else_branch=body),
    ]
    given = model(TensorProto.FLOAT, nodes)
    del given.graph.node[0]
    assert lift_floats(given).dtype == "float16"


def test_what_float32_cannot_hold_becomes_its_largest_number():
    nodes = [helper.make_node("Add", ["p", "mask"], ["y"])]
    mask = np.array([np.finfo(np.float64).min, -np.inf, 1e300])
    double = TensorProto.DOUBLE
    weights = [stored("w", WEIGHT, double), stored("mask", mask, double)]
    lifted = lift_floats(model(double, nodes, weights)).proto
    largest = np.finfo(np.float32).max
    found = numpy_helper.to_array(lifted.graph.initializer[1])
    np.testing.assert_array_equal(found, np.array([-largest, -np.inf, largest], np.float32))


def test_a_float32_model_that_only_stores_half_is_kept():
    half = TensorProto.FLOAT16
    nodes = [helper.make_node("Cast", ["p"], ["y"], to=half)]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["p"]), *nodes],
        "g",
        [value("x", TensorProto.FLOAT, ["N", 4])],
        [value("y", half, None)],
        [stored("w", WEIGHT, TensorProto.FLOAT)],
    )
    imports = [helper.make_opsetid("", 17)]
    given = helper.make_model(graph, opset_imports=imports, ir_version=8)
    lifted = lift_floats(given)
    assert lifted.dtype == ""
    assert lifted.proto is given


def test_declared_types_of_sequences_follow():
    half = TensorProto.FLOAT16
    nodes = [
        helper.make_node("SequenceConstruct", ["p", "p"], ["q"]),
        helper.make_node("ConcatFromSequence", ["q"], ["y"], axis=0),
    ]
    given = model(half, nodes)
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(half, None))
    given.graph.output.append(onnx.helper.make_value_info("q", kind))
    lifted = lift_floats(given).proto
    assert lifted.graph.output[1].type.sequence_type.elem_type.tensor_type.elem_type == 1
