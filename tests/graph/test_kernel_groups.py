"""Kernels find the nodes that they stand for, by the names that onnxruntime gives them."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.kernel_groups import group_kernels

node = helper.make_node


def graph_of(nodes, inputs, outputs, weights=()):
    value = helper.make_tensor_value_info
    return helper.make_graph(
        nodes,
        "g",
        [value(name, TensorProto.FLOAT, [1, 8, 8, 8]) for name in inputs],
        [value(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.full((8, 8, 1, 1), 0.1, np.float32), name) for name in weights],
    )


SOURCE = graph_of(
    [
        node("Conv", ["x", "w"], ["a"], "conv_a"),
        node("Relu", ["a"], ["r"], "relu"),
        node("Conv", ["r", "v"], ["b"], "conv_b"),
        node("Add", ["b", "r"], ["s"], "add"),
        node("Relu", ["s"], ["t"], "relu_t"),
        node("Softmax", ["t"], ["y"], "softmax"),
    ],
    ["x"],
    ["y"],
    ["w", "v"],
)
FLOAT = graph_of(
    [
        node("Conv", ["x", "w2"], ["token_1"], "r_nchwc"),
        node("Conv", ["token_1", "v2", "token_1"], ["token_2"], "t_nchwc"),
        node("ReorderOutput", ["token_2"], ["t"], "ReorderOutput_token_3"),
        node("Softmax", ["t"], ["y"], "softmax"),
    ],
    ["x"],
    ["y"],
)
INTEGER = graph_of(
    [
        node("QuantizeLinear", ["x", "sx"], ["x_QuantizeLinear_Output"], "x_QuantizeLinear"),
        node("Transpose", ["x_QuantizeLinear_Output"], ["laid"], "Transpose_token_7"),
        node("QLinearConv", ["laid"], ["conv_a"], "conv_a_token_1"),
        node("QLinearConv", ["conv_a"], ["conv_b"], "conv_b_token_4"),
        node("QLinearAdd", ["conv_b", "conv_a"], ["add"], "add"),
        node("Transpose", ["add"], ["t_QuantizeLinear_Output"], "Transpose_token_9"),
        node("DequantizeLinear", ["t_QuantizeLinear_Output", "st"], ["t"], "t_DequantizeLinear"),
        node("Softmax", ["t"], ["y"], "softmax"),
    ],
    ["x"],
    ["y"],
)


def test_what_a_kernel_swallowed_is_grouped_with_it():
    groups = group_kernels(SOURCE, [FLOAT, INTEGER])
    assert groups.members() == {"a": ("a", "r"), "b": ("b", "s", "t"), "y": ("y",)}


def test_kernels_of_both_graphs_belong_to_the_same_groups():
    floats, integers = group_kernels(SOURCE, [FLOAT, INTEGER]).kernels
    assert floats == {
        "r_nchwc": "a",
        "t_nchwc": "b",
        "ReorderOutput_token_3": "b",
        "softmax": "y",
    }
    seams = {"x_QuantizeLinear", "Transpose_token_7", "t_DequantizeLinear"}
    assert not seams & integers.keys()
    assert integers.items() >= {("conv_a_token_1", "a"), ("add", "b"), ("softmax", "y")}


@pytest.mark.parametrize("level", ["ORT_ENABLE_BASIC", "ORT_ENABLE_ALL"])
def test_all_kernels_of_this_onnxruntime_are_placed(tmp_path, level):
    source = onnx.GraphProto()
    source.CopyFrom(SOURCE)
    opsets = [helper.make_opsetid("", 17)]
    proto = helper.make_model(source, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    optimized = onnx.load(tmp_path / "optimized.onnx").graph
    groups = group_kernels(SOURCE, [optimized])
    assert groups.kernels[0].keys() == {one.name for one in optimized.node}
    conv = next(one.name for one in optimized.node if one.op_type == "Conv")
    assert groups.kernels[0][conv] == "a"
