import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from onnxq.integer_tensors import (
    IntegerTensor,
    dequantize_array,
    dequantize_outputs,
    quantize_array,
    quantize_feeds,
)

TENSORS = {
    "uint8": IntegerTensor(name="x", dtype="uint8", scale=0.037, zero_point=131),
    "int8": IntegerTensor(name="x", dtype="int8", scale=0.037, zero_point=3),
}


def evaluate(op, dtype, values, tensor):
    types = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8}
    given_type = TensorProto.FLOAT if op == "QuantizeLinear" else types[dtype]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "s", "z"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", given_type, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)],
        [
            helper.make_tensor("s", TensorProto.FLOAT, [], [tensor.scale]),
            helper.make_tensor("z", types[dtype], [], [tensor.zero_point]),
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return ReferenceEvaluator(proto).run(None, {"x": values})[0]


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_the_arithmetic_is_that_of_onnx(dtype):
    values = np.random.default_rng(0).normal(0, 4, 4096).astype(np.float32)
    integers = quantize_array(values, TENSORS[dtype])
    assert integers.dtype == dtype
    np.testing.assert_array_equal(
        integers, evaluate("QuantizeLinear", dtype, values, TENSORS[dtype])
    )
    np.testing.assert_array_equal(
        dequantize_array(integers, TENSORS[dtype]),
        evaluate("DequantizeLinear", dtype, integers, TENSORS[dtype]),
    )


@given(st.sampled_from(sorted(TENSORS)), st.floats(-4.5, 4.5, width=32))
def test_rounding_errs_by_half_a_step(dtype, value):
    tensor = TENSORS[dtype]
    back = dequantize_array(quantize_array(np.array([value], np.float32), tensor), tensor)
    assert abs(back[0] - value) <= 0.5001 * tensor.scale


def test_only_what_is_named_is_turned():
    feeds = {"x": np.array([0.0, 1e9], np.float32), "ids": np.array([1, 2])}
    fed = quantize_feeds(feeds, [TENSORS["uint8"]])
    assert fed["x"].tolist() == [131, 255]
    assert fed["ids"] is feeds["ids"]
    back = dequantize_outputs(fed, [TENSORS["uint8"]])
    assert back["x"].dtype == np.float32
    assert back["x"][0] == 0.0
