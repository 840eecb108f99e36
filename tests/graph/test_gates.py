"""Mutation tests of the structural gates: each kind of damage is found and named."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.errors import QuantizationError
from onnxq.graph.gates import check_structure


def interface():
    info = helper.make_tensor_value_info
    return (
        [info("x", TensorProto.FLOAT, ["N", 4])],
        [info("y", TensorProto.FLOAT, ["N", 4]), info("z", TensorProto.FLOAT, ["N", 4])],
    )


def wrap(nodes, initializers):
    graph = helper.make_graph(nodes, "g", *interface(), initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def float_model():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"], "mm"),
        helper.make_node("Relu", ["y"], ["z"], "relu"),
    ]
    return wrap(nodes, [numpy_helper.from_array(np.ones((4, 4), np.float32), "w")])


def quantized_model():
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"], "q"),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"], "dx"),
        helper.make_node("DequantizeLinear", ["w_quantized", "ws", "wz"], ["wd"], "dw", axis=1),
        helper.make_node("MatMul", ["xd", "wd"], ["y"], "mm"),
        helper.make_node("Relu", ["y"], ["z"], "relu"),
    ]
    arrays = {
        "xs": np.float32(0.1), "xz": np.uint8(128), "w_quantized": np.ones((4, 4), np.int8),
        "ws": np.full(4, 0.5, np.float32), "wz": np.zeros(4, np.int8),
    }  # fmt: skip
    return wrap(nodes, [numpy_helper.from_array(np.asarray(a), n) for n, a in arrays.items()])


def set_scale(name, value):
    def mutate(proto):
        tensor = next(t for t in proto.graph.initializer if t.name == name)
        array = numpy_helper.to_array(tensor).copy()
        array.flat[-1] = value
        tensor.CopyFrom(numpy_helper.from_array(array, name))

    return mutate


def rename_output(proto):
    for node in proto.graph.node:
        node.input[:] = ["y_new" if name == "y" else name for name in node.input]
        node.output[:] = ["y_new" if name == "y" else name for name in node.output]
    proto.graph.output[0].name = "y_new"


def swap_outputs(proto):
    proto.graph.output[0].name, proto.graph.output[1].name = "z", "y"


def repeat_node_name(proto):
    proto.graph.node[4].name = "mm"


def repeat_initializer(proto):
    proto.graph.initializer.append(proto.graph.initializer[0])


def write_tensor_twice(proto):
    proto.graph.node[4].output[0] = "y"
    proto.graph.output[1].name = "y2"
    proto.graph.node.append(helper.make_node("Relu", ["y"], ["y2"]))


def reverse_nodes(proto):
    nodes = list(proto.graph.node)[::-1]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def lose_weight(proto):
    del proto.graph.initializer[2]


def change_dtype(proto):
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def fix_batch(proto):
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def add_input(proto):
    proto.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def test_intact_model_passes():
    check_structure(quantized_model(), float_model())


@pytest.mark.parametrize(
    ("mutate", "named"),
    [
        (set_scale("xs", np.nan), "scale 0 of 'x' is nan"),
        (set_scale("xs", 0.0), "scale 0 of 'x' is 0.0"),
        (set_scale("ws", -0.5), "scale 3 of 'w' is -0.5"),
        (set_scale("ws", np.inf), "scale 3 of 'w' is inf"),
        (rename_output, "its outputs are y_new float32"),
        (swap_outputs, "its outputs are z float32"),
        (repeat_node_name, "the node 'mm' is defined 2 times"),
        (repeat_initializer, "the tensor 'xs' is defined 2 times"),
        (write_tensor_twice, "the tensor 'y' is defined 2 times"),
        (reverse_nodes, "not sorted"),
        (lose_weight, "a tensor that nothing writes"),
        (change_dtype, "its inputs are x float16"),
        (fix_batch, "its inputs are x float32 .1, 4., expected x float32 .N, 4."),
        (add_input, "more float32"),
    ],
)
def test_damage_is_named(mutate, named):
    proto = quantized_model()
    mutate(proto)
    with pytest.raises(QuantizationError, match=named) as caught:
        check_structure(proto, float_model())
    assert caught.value.code == "OQ172"


def test_float_model_is_no_quantized_model():
    with pytest.raises(QuantizationError, match="no weight is quantized"):
        check_structure(float_model(), float_model())
