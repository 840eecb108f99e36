import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.errors import UsageError
from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.quantization.fitting_ranges import check_kept_float, check_ranges
from onnxq.ranges import TensorRange, TensorRanges

SIX = TensorRange(0.0, 6.0)


def graph_of():
    """Two convolutions; the first's result ``c`` shares the scale of its Relu's, ``r``."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv1"),
        helper.make_node("Relu", ["c"], ["r"], name="relu1"),
        helper.make_node("Conv", ["r", "w"], ["y"], name="conv2"),
    ]
    return helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 4])],
        [numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "w")],
    )


def check(*, kept_float=(), **ranges):
    graph = graph_of()
    given = TensorRanges("mse", ranges, kept_float=kept_float, origin="net.ranges.json")
    check_kept_float(graph, given)
    check_ranges(graph, find_qdq_edges(graph, kept_float=kept_float), given)


def refusal(**given):
    with pytest.raises(UsageError) as caught:
        check(**given)
    assert caught.value.code == "OQ147"
    assert caught.value.message.startswith("net.ranges.json ")
    return caught.value


def test_ranges_that_fit_pass():
    check(x=SIX, c=SIX, r=SIX, y=SIX)
    check(kept_float=("y",), x=SIX, c=SIX, r=SIX)


def test_tensors_that_share_a_scale_have_one_range():
    error = refusal(x=SIX, c=TensorRange(-1.0, 4.0), r=SIX, y=SIX)
    assert "different ranges for 'c', [-1, 4], and 'r', [0, 6]: they share" in error.message
    assert error.hint == "Give both the same range."


def test_a_range_that_lacks_is_told_with_the_one_that_it_equals():
    error = refusal(x=SIX, r=SIX, y=SIX)
    assert "has no range for 'c', which becomes integer" in error.message
    assert error.hint == "Add that of 'r', with which it shares one scale: [0, 6]."
    assert "onnxq calibrate" in refusal(c=SIX, r=SIX, y=SIX).hint


def test_a_range_of_no_tensor_is_told_with_a_near_miss():
    error = refusal(x=SIX, c=SIX, r=SIX, y_=SIX)
    assert "has a range for 'y_', and the model has no such tensor" in error.message
    assert error.hint.startswith("Did you mean 'y'? ")


def test_a_range_of_what_stays_float_is_told():
    error = refusal(kept_float=("y",), x=SIX, c=SIX, r=SIX, y=SIX)
    assert "'y', which stays float and needs none" in error.message
    assert "kept_float (y)" in error.hint


def test_a_name_that_keeps_nothing_float_is_refused():
    error = refusal(kept_float=("nosuch",), x=SIX, c=SIX, r=SIX, y=SIX)
    assert "keeps 'nosuch' float: no node" in error.message
    assert "Did you mean" not in error.hint
    assert refusal(kept_float=("conv2",), x=SIX).hint.startswith("Did you mean 'y'? ")
