import pytest
from onnx import TensorProto, helper

from onnxq.graph import foreign_domains, lowest_ir, min_runtime, used_domains


def model_of(opset, ir_version, *nodes):
    value = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])]
    graph = helper.make_graph(nodes or [helper.make_node("Relu", ["x"], ["y"])], "g", value, [])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )


@pytest.mark.parametrize(
    ("opset", "ir_version"), [(13, 7), (17, 8), (18, 8), (19, 9), (21, 10), (23, 11), (26, 13)]
)
def test_lowest_ir_of_an_opset(opset, ir_version):
    assert lowest_ir(opset) == ir_version


@pytest.mark.parametrize(
    ("opset", "ir_version", "release"),
    [
        (17, 8, "1.17"), (20, 9, "1.17"), (20, 10, "1.18"), (21, 10, "1.18"), (22, 10, "1.21"),
        (23, 11, "1.23"), (17, 13, "1.24"), (25, 13, "1.24"), (26, 13, "1.26"),
        (26, 14, "newer than 1.31"), (28, 13, "newer than 1.31"),
    ],
)  # fmt: skip
def test_min_runtime_follows_the_measured_limits(opset, ir_version, release):
    assert min_runtime(model_of(opset, ir_version)) == release


def contrib(op_type, **attributes):
    return helper.make_node(op_type, ["x"], ["y"], domain="com.microsoft", **attributes)


@pytest.mark.parametrize(
    ("node", "release"),
    [
        (contrib("MatMulNBits", bits=4), "1.17"),
        (contrib("MatMulNBits", bits=8), "1.23"),
        (contrib("MatMulNBits", bits=2), "1.24"),
        (contrib("DequantizeLinear"), "1.20"),
        (contrib("DynamicQuantizeLSTM"), "1.17"),
    ],
)
def test_min_runtime_looks_at_contrib_operators(node, release):
    assert min_runtime(model_of(17, 8, node)) == release


def test_operators_that_no_release_has_leave_no_release():
    acme = helper.make_node("Blend", ["x"], ["y"], domain="com.acme")
    proto = model_of(17, 8, helper.make_node("Relu", ["x"], ["a"]), acme, contrib("QGemm"))
    assert foreign_domains(proto) == ("com.acme",)
    assert min_runtime(proto) == ""


def test_functions_that_a_model_brings_along_are_not_foreign():
    blend = helper.make_node("Blend", ["x"], ["y"], domain="com.acme")
    proto = model_of(17, 8, blend)
    opsets = [helper.make_opsetid("", 17)]
    relu = helper.make_node("Relu", ["a"], ["b"])
    function = helper.make_function("com.acme", "Blend", ["a"], ["b"], [relu], opsets)
    proto.functions.append(function)
    assert (foreign_domains(proto), min_runtime(proto)) == ((), "1.17")
    function.node[0].domain = "com.other"
    proto.functions[0].CopyFrom(function)
    assert foreign_domains(proto) == ("com.other",)


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"])
def test_domains_of_onnxruntime_are_not_foreign(domain):
    node = helper.make_node("Some", ["x"], ["y"], domain=domain)
    assert foreign_domains(model_of(17, 8, node)) == ()


def test_domains_are_those_of_nodes():
    proto = model_of(17, 8, helper.make_node("Relu", ["x"], ["a"]), contrib("QGemm"))
    proto.opset_import.append(helper.make_opsetid("org.pytorch.aten", 1))
    assert used_domains(proto) == ("ai.onnx", "com.microsoft")
