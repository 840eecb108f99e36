"""Mutations that the gates must catch, and the healthy model that they must let through."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.artefact_gates import check_artefact
from onnxq.errors import OnnxqError
from onnxq.events import tell_nobody
from onnxq.graph import write_proto
from onnxq.stages import GateRequest


def quantized(scale=0.05, output_scale=0.1):
    constants = {
        "x_scale": np.float32(scale),
        "x_zero": np.uint8(128),
        "w_q": np.arange(-6, 6, dtype=np.int8).reshape(4, 3),
        "w_scale": np.float32(0.02),
        "w_zero": np.int8(0),
        "y_scale": np.float32(output_scale),
        "y_zero": np.uint8(100),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["x_q"], "q1"),
        helper.make_node("DequantizeLinear", ["x_q", "x_scale", "x_zero"], ["x_d"], "d1"),
        helper.make_node("DequantizeLinear", ["w_q", "w_scale", "w_zero"], ["w_d"], "d2"),
        helper.make_node("MatMul", ["x_d", "w_d"], ["y_f"], "matmul"),
        helper.make_node("QuantizeLinear", ["y_f", "y_scale", "y_zero"], ["y_q"], "q2"),
        helper.make_node("DequantizeLinear", ["y_q", "y_scale", "y_zero"], ["y"], "d3"),
    ]
    return model(nodes, constants)


def original():
    weight = np.arange(-6, 6, dtype=np.float32).reshape(4, 3) * np.float32(0.02)
    return model([helper.make_node("MatMul", ["x", "w"], ["y"], "matmul")], {"w": weight})


def model(nodes, constants):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def gate(proto, folder):
    np.save(folder / "x.npy", np.ones((2, 4), np.float32))
    request = GateRequest(
        candidate=write_proto(proto, folder / "candidate.onnx"),
        original=write_proto(original(), folder / "original.onnx"),
        inputs={"x": str(folder / "x.npy")},
    )
    return check_artefact(request, folder, tell_nobody)


def test_healthy_model_passes(tmp_path):
    assert gate(quantized(), tmp_path).gates == ("structure", "calibrated", "loads", "runs")


@pytest.mark.parametrize("scale", [np.nan, np.inf, 0.0, -0.05])
def test_mutated_scale_is_caught(scale, tmp_path):
    with pytest.raises(OnnxqError, match="scale") as caught:
        gate(quantized(scale=scale), tmp_path)
    assert caught.value.code == "OQ172"


def test_duplicate_node_names_are_caught(tmp_path):
    proto = quantized()
    proto.graph.node[1].name = "q1"
    with pytest.raises(OnnxqError, match="q1"):
        gate(proto, tmp_path)


def test_renamed_output_is_caught(tmp_path):
    proto = quantized()
    proto.graph.output[0].name = proto.graph.node[-1].output[0] = "z"
    with pytest.raises(OnnxqError, match="z"):
        gate(proto, tmp_path)


def test_float_model_is_no_candidate(tmp_path):
    with pytest.raises(OnnxqError) as caught:
        gate(original(), tmp_path)
    assert caught.value.code in {"OQ163", "OQ172"}


def test_model_that_does_not_load_is_caught(tmp_path):
    proto = quantized()
    proto.graph.node[3].op_type = "NoSuchOperator"
    with pytest.raises(OnnxqError):
        gate(proto, tmp_path)


def test_lost_row_is_caught(tmp_path):
    proto = quantized()
    node = helper.make_node("ReduceMax", ["y_f"], ["y_r"], "reduce", axes=[0], keepdims=1)
    proto.graph.node.insert(4, node)
    proto.graph.node[5].input[0] = "y_r"
    onnx.checker.check_model(proto)
    with pytest.raises(OnnxqError, match="expected float32"):
        gate(proto, tmp_path)


def test_activations_that_were_never_calibrated_are_refused(tmp_path):
    with pytest.raises(OnnxqError, match="none was calibrated") as caught:
        gate(quantized(scale=1.0, output_scale=1.0), tmp_path)
    assert caught.value.code == "OQ166"


def test_one_scale_of_one_is_no_sign(tmp_path):
    assert gate(quantized(scale=1.0), tmp_path).gates[1] == "calibrated"
