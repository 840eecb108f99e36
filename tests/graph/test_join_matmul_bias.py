"""Products of matrices and their biases: against the same graph, run without optimizations."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.rewrites.join_matmul_bias import join_matmul_bias

node = helper.make_node
ROWS, INNER, COLUMNS = 3, 5, 4
PRODUCT = node("MatMul", ["x", "w"], ["p"], "product")


def make(*nodes, bias=(COLUMNS,), shape=("N", INNER), outputs=("y",)):
    generator = np.random.default_rng(0)
    tensors = {"w": (INNER, COLUMNS), "b": bias}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [
            numpy_helper.from_array(generator.standard_normal(size).astype(np.float32), name)
            for name, size in tensors.items()
        ],
    )
    imports = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def run(proto, rows):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, {"x": rows})


def changed(proto):
    before = proto.SerializeToString(deterministic=True)
    result = join_matmul_bias(proto)
    assert proto.SerializeToString(deterministic=True) == before
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    shape = [dim.dim_value or ROWS for dim in dims]
    rows = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    for expected, found in zip(run(proto, rows), run(result.proto, rows), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert join_matmul_bias(result.proto).subjects == ()
    return [one.op_type for one in result.proto.graph.node], result.subjects


@pytest.mark.parametrize("bias", [(COLUMNS,), (1, COLUMNS), (1,), (), (1, 1)])
@pytest.mark.parametrize("operands", [["p", "b"], ["b", "p"]])
def test_a_product_and_its_bias_become_a_gemm(operands, bias):
    proto = make(PRODUCT, node("Add", operands, ["y"], "sum"), bias=bias)
    assert changed(proto) == (["Gemm"], ("p",))


@pytest.mark.parametrize(
    ("bias", "shape"),
    [
        ((ROWS, COLUMNS), (ROWS, INNER)),
        ((ROWS, 1), (ROWS, INNER)),
        ((1, 1, COLUMNS), ("N", INNER)),
        ((COLUMNS,), ("N", 2, INNER)),
        ((COLUMNS,), (INNER,)),
    ],
)
def test_other_ranks_and_biases_stay(bias, shape):
    proto = make(PRODUCT, node("Add", ["p", "b"], ["y"], "sum"), bias=bias, shape=shape)
    assert changed(proto) == (["MatMul", "Add"], ())


def test_a_product_that_is_read_twice_stays():
    add = node("Add", ["p", "b"], ["y"], "sum")
    assert changed(make(PRODUCT, add, outputs=("y", "p")))[1] == ()
    again = node("Add", ["p", "p"], ["y"], "twice")
    assert changed(make(PRODUCT, again))[1] == ()


def test_computed_weights_stay():
    twice = node("Add", ["w", "w"], ["ww"], "twice")
    product = node("MatMul", ["x", "ww"], ["p"], "product")
    assert changed(make(twice, product, node("Add", ["p", "b"], ["y"], "sum")))[1] == ()


def test_the_model_is_a_valid_one():
    proto = join_matmul_bias(make(PRODUCT, node("Add", ["p", "b"], ["y"], "sum"))).proto
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(proto))
