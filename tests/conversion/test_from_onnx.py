import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.conversion.from_onnx import convert_onnx
from onnxq.errors import SourceError
from onnxq.graph.model_files import load_proto, read_model
from onnxq.runtime import open_predict

WEIGHT = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


def matmul_model(*, opset=17, ir_version=8, batch="N", listed=False, domain="", op="MatMul"):
    w = numpy_helper.from_array(WEIGHT, "w")
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4])]
    if listed:
        inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3]))
    node = helper.make_node(op, ["x", "w"], ["y"], "product", domain=domain)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])
    imports = [helper.make_opsetid("", opset)]
    if domain:
        imports.append(helper.make_opsetid(domain, 1))
    graph = helper.make_graph([node], "g", inputs, [output], [w])
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def converted(model, tmp_path):
    onnx.save(model, tmp_path / "given.onnx")
    result = convert_onnx(tmp_path / "given.onnx", tmp_path / "out.onnx")
    return result, read_model(tmp_path / "out.onnx")


def run(path, rows=2):
    x = np.random.default_rng(1).standard_normal((rows, 4)).astype(np.float32)
    (y,) = open_predict(path)({"x": x}).values()
    np.testing.assert_allclose(y, x @ WEIGHT, rtol=1e-5, atol=1e-6)


def test_a_clean_model_keeps_its_opset(tmp_path):
    result, model = converted(matmul_model(opset=15, ir_version=10), tmp_path)
    assert (result.lifted_from, result.floats, result.changes) == (0, "", ())
    assert (model.opset, model.ir_version) == (15, 8)
    run(tmp_path / "out.onnx")


def test_initializers_are_no_longer_inputs(tmp_path):
    result, model = converted(matmul_model(listed=True), tmp_path)
    assert result.changes == ("weights are no longer listed as inputs",)
    assert [spec.name for spec in model.signature.inputs] == ["x"]
    assert [i.name for i in load_proto(model.path).graph.input] == ["x"]
    run(tmp_path / "out.onnx")


def test_a_fixed_batch_is_kept(tmp_path):
    _, model = converted(matmul_model(batch=1), tmp_path)
    assert model.signature.fixed_batch_rows == 1


def test_an_old_opset_is_lifted(tmp_path):
    result, model = converted(matmul_model(opset=9, ir_version=4, listed=True), tmp_path)
    assert (result.lifted_from, model.opset, model.ir_version) == (9, 13, 7)
    assert [spec.name for spec in model.signature.inputs] == ["x"]
    run(tmp_path / "out.onnx")


def test_external_data_comes_inside(tmp_path):
    onnx.save(
        matmul_model(),
        tmp_path / "given.onnx",
        save_as_external_data=True,
        location="given.data",
        size_threshold=0,
    )
    result = convert_onnx(tmp_path / "given.onnx", tmp_path / "out.onnx")
    assert result.changes == ("external data came inside",)
    (tmp_path / "given.data").unlink()
    run(tmp_path / "out.onnx")


def function(name, inputs, outputs, nodes, attributes=(), defaults=()):
    return helper.make_function(
        "mine",
        name,
        inputs,
        outputs,
        nodes,
        [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)],
        attributes,
        defaults,
    )


def test_local_functions_are_inlined(tmp_path):
    model = matmul_model(domain="mine", op="Product")
    body = [helper.make_node("MatMul", ["a", "b"], ["c"])]
    model.functions.append(function("Product", ["a", "b"], ["c"], body))
    result, out = converted(model, tmp_path)
    assert out.operators == {"MatMul": 1}
    assert result.changes == ("local functions were inlined",)
    run(tmp_path / "out.onnx")


def scaling(name, alpha):
    """Make a node of LeakyRelu whose slope is an attribute of the function around it."""
    node = helper.make_node("LeakyRelu", ["p"], [name])
    node.attribute.add(name="alpha", ref_attr_name=alpha, type=onnx.AttributeProto.FLOAT)
    return node


@pytest.mark.parametrize("given", [{}, {"slope": 0.25}], ids=["default", "given"])
def test_functions_call_functions_and_attributes_have_defaults(tmp_path, given):
    model = matmul_model(domain="mine", op="Outer")
    model.graph.node[0].attribute.extend(
        helper.make_attribute(name, value) for name, value in given.items()
    )
    inner = function(
        "Inner", ["p"], ["q"], [scaling("q", "slope")], [], [helper.make_attribute("slope", 0.5)]
    )
    call = helper.make_node("Inner", ["t"], ["c"], domain="mine")
    call.attribute.add(name="slope", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    nodes = [helper.make_node("MatMul", ["a", "b"], ["t"]), call]
    defaults = [helper.make_attribute("slope", 0.125)]
    outer = function("Outer", ["a", "b"], ["c"], nodes, [], defaults)
    model.functions.extend([inner, outer])
    _, out = converted(model, tmp_path)
    assert out.operators == {"LeakyRelu": 1, "MatMul": 1}
    x = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    product = x @ WEIGHT
    expected = np.where(product < 0, given.get("slope", 0.125) * product, product)
    (y,) = open_predict(out.path)({"x": x}).values()
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def averaging(*, opset, function_opset):
    """Make a model whose only function takes axes as an input, from opset 18, or an attribute."""
    nodes = [helper.make_node("ReduceMean", ["p"], ["q"], axes=[1], keepdims=0)]
    if function_opset >= 18:
        nodes = [
            helper.make_node("Constant", [], ["axes"], value_ints=[1]),
            helper.make_node("ReduceMean", ["p", "axes"], ["q"], keepdims=0),
        ]
    value = helper.make_tensor_value_info
    call = helper.make_node("Average", ["x"], ["y"], domain="mine")
    graph = helper.make_graph([call], "g", [value("x", 1, ["N", 4])], [value("y", 1, ["N"])])
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("mine", 1)]
    body = helper.make_function(
        "mine", "Average", ["p"], ["q"], nodes, [helper.make_opsetid("", function_opset)]
    )
    return helper.make_model(graph, opset_imports=imports, ir_version=9, functions=[body])


def test_a_function_of_an_older_opset_is_lifted(tmp_path):
    _, out = converted(averaging(opset=18, function_opset=13), tmp_path)
    x = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    (y,) = open_predict(out.path)({"x": x}).values()
    np.testing.assert_allclose(y, x.mean(axis=1), rtol=1e-5)


def test_a_function_of_a_newer_opset_is_said(tmp_path):
    with pytest.raises(SourceError, match="cannot inline the local functions Average") as caught:
        converted(averaging(opset=17, function_opset=18), tmp_path)
    assert caught.value.code == "OQ111"


def test_the_producer_is_named(tmp_path):
    model = matmul_model()
    model.producer_name, model.producer_version = "pytorch", "1.2"
    assert converted(model, tmp_path)[0].exporter == "pytorch 1.2"
    (tmp_path / "out.onnx").unlink()
    assert converted(matmul_model(), tmp_path)[0].exporter


def quantized_model():
    scale = numpy_helper.from_array(np.float32(0.1), "s")
    zero = numpy_helper.from_array(np.uint8(0), "z")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, ["N", 4])],
        [value("y", TensorProto.FLOAT, ["N", 4])],
        [scale, zero],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_quantized_model_is_written_as_it_is(tmp_path):
    given = quantized_model()
    result, model = converted(given, tmp_path)
    assert result.quantized.startswith("static, as QuantizeLinear pairs")
    assert model.operators == {"DequantizeLinear": 1, "QuantizeLinear": 1}
    assert [list(node.input) for node in load_proto(model.path).graph.node] == [
        list(node.input) for node in given.graph.node
    ]


def test_a_quantized_model_keeps_an_old_opset_and_other_floats(tmp_path):
    given = quantized_model()
    given.opset_import[0].version = 10
    result, model = converted(given, tmp_path)
    assert (result.lifted_from, model.opset) == (0, 10)
    assert result.quantized


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        (matmul_model(opset=27), "OQ111", ("opset 27", "up to 26")),
        (matmul_model(ir_version=14), "OQ111", ("IR version 14", "up to 13")),
        (matmul_model(domain="my.ops", op="Mine"), "OQ111", ("my.ops.Mine",)),
    ],
    ids=["opset", "ir", "domain"],
)
def test_what_cannot_be_converted_says_why(model, code, words, tmp_path):
    (tmp_path / "given.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(SourceError) as caught:
        convert_onnx(tmp_path / "given.onnx", tmp_path / "out.onnx")
    assert caught.value.code == code
    for word in words:
        assert word in caught.value.message
    assert not (tmp_path / "out.onnx").exists()
