"""Grids of QuantizeLinear and DequantizeLinear, as they stand in a graph."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.qdq_pairs import index_pairs

node = helper.make_node


@pytest.mark.parametrize(
    ("dtype", "kind"), [(np.int8, TensorProto.INT8), (np.uint8, TensorProto.UINT8)]
)
def test_a_zero_point_that_is_left_out_is_of_the_tensors_dtype(dtype, kind):
    graph = helper.make_graph(
        [node("DequantizeLinear", ["w", "s"], ["y"]), node("QuantizeLinear", ["y", "s"], ["q"])],
        "g",
        [],
        [helper.make_tensor_value_info("q", TensorProto.UINT8, [3])],
        [
            numpy_helper.from_array(np.ones(3, dtype), "w"),
            numpy_helper.from_array(np.float32(0.5), "s"),
        ],
    )
    pairs = index_pairs(graph)
    weights, results = (pairs.grid(one) for one in graph.node)
    assert (weights.dtype, weights.zero_point.dtype) == (kind, dtype)
    assert (results.dtype, results.zero_point.dtype) == (TensorProto.UINT8, np.uint8)


@pytest.mark.parametrize(("source", "axis"), [("w", 1), ("x", None)])
def test_an_axis_may_be_counted_from_the_back_of_a_constant(source, axis):
    graph = helper.make_graph(
        [
            node("QuantizeLinear", [source, "s"], ["q"], axis=-1),
            node("DequantizeLinear", ["q", "s"], ["y"], axis=-1),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
        [
            numpy_helper.from_array(np.ones((2, 3), np.float32), "w"),
            numpy_helper.from_array(np.ones(3, np.float32), "s"),
        ],
    )
    pairs = index_pairs(graph)
    grids = [pairs.grid(one) for one in graph.node]
    assert [None if grid is None else grid.axis for grid in grids] == [axis, axis]
    assert axis is None or not any(grid.is_per_tensor for grid in grids)
