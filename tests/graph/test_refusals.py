import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.errors import QuantizationError, SourceError
from onnxq.graph.refusals import check_quantizable


def make_model(values, elem_type=TensorProto.FLOAT, opset=17, op_type="MatMul", extra=()):
    weight = numpy_helper.from_array(values, "w")
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x", "w"], ["y"], "node")], "g",
        [info("x", elem_type, ["N", 4])], [info("y", elem_type, ["N", 4])], [weight, *extra],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def test_float32_model_passes():
    check_quantizable(make_model(np.ones((4, 4), np.float32)))


@pytest.mark.parametrize(
    ("dtype", "elem_type", "name"),
    [(np.float16, TensorProto.FLOAT16, "float16"), (np.float64, TensorProto.DOUBLE, "float64")],
)
def test_other_floats_are_refused(dtype, elem_type, name):
    with pytest.raises(
        SourceError, match=f"MatMul 'node' computes in {name}, expected float32"
    ) as caught:
        check_quantizable(make_model(np.ones((4, 4), dtype), elem_type))
    assert caught.value.code == "OQ111"


def test_other_floats_that_nothing_multiplies_pass():
    check_quantizable(make_model(np.ones((4, 4)), TensorProto.DOUBLE, op_type="Add"))


def test_low_opset_is_refused():
    with pytest.raises(SourceError, match="opset 12, quantizing needs 13"):
        check_quantizable(make_model(np.ones((4, 4), np.float32), opset=12))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weight_that_is_not_finite_is_named_and_counted(bad):
    values = np.ones((4, 4), np.float32)
    values[1, :3] = bad
    counts = "3 NaN and 0" if np.isnan(bad) else "0 NaN and 3"
    with pytest.raises(
        QuantizationError, match=f"'w', which MatMul 'node' reads, holds {counts}"
    ) as caught:
        check_quantizable(make_model(values))
    assert caught.value.code == "OQ113"


def test_masks_may_be_infinite_but_not_nan():
    values = np.array([0, -np.inf, 0, 0], np.float32)
    check_quantizable(make_model(values, op_type="Add"))
    values[0] = np.nan
    with pytest.raises(QuantizationError, match="1 NaN and 1 infinite values among 4"):
        check_quantizable(make_model(values, op_type="Add"))
