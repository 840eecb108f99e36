import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.errors import QuantizationError
from onnxq.graph import default_opset, load_proto
from onnxq.quantization import lifting
from onnxq.quantization.lifting import lift_opset
from onnxq.recipe_kinds import ALIASES
from onnxq.runtime import open_predict


def model(opset=13):
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], "mean", axes=[2], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["y"], "mm"),
    ]
    weight = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def test_a_lifted_model_computes_the_same(tmp_path):
    lifted = lift_opset(model(), 21, tmp_path)
    assert default_opset(lifted) == 21
    assert lifted.ir_version == 10
    rows = np.random.default_rng(1).standard_normal((2, 4, 5)).astype(np.float32)
    found, expected = (ReferenceEvaluator(m).run(None, {"x": rows})[0] for m in (lifted, model()))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_high_enough_stays(tmp_path):
    proto = model(17)
    assert lift_opset(proto, 17, tmp_path) is proto


def test_a_converter_that_changes_the_model_is_found_out(tmp_path, monkeypatch):
    def convert(proto, _opset):
        broken = onnx.ModelProto()
        broken.CopyFrom(proto)
        broken.graph.initializer[0].raw_data = np.ones((4, 3), np.float32).tobytes()
        broken.opset_import[0].version = 17
        return broken

    monkeypatch.setattr(lifting.version_converter, "convert_version", convert)
    with pytest.raises(QuantizationError, match="it computes something else") as caught:
        lift_opset(model(), 17, tmp_path)
    assert caught.value.code == "OQ171"
    assert not list(tmp_path.iterdir())


def test_small_values_beside_large_ones_may_be_rounded_as_these(tmp_path, monkeypatch):
    def scaled(proto, *factors):
        weight = numpy_helper.to_array(proto.graph.initializer[0]) * np.float32(factors)
        proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
        proto.opset_import[0].version = 17
        return proto

    monkeypatch.setattr(
        lifting.version_converter, "convert_version", lambda *_: scaled(model(), 1e5, 1.001, 1)
    )
    assert default_opset(lift_opset(scaled(model(), 1e5, 1, 1), 18, tmp_path)) == 17
    with pytest.raises(QuantizationError, match="it computes something else"):
        lift_opset(model(), 17, tmp_path)


def test_a_converter_that_fails_is_told(tmp_path, monkeypatch):
    def convert(*_):
        message = "no adapter"
        raise RuntimeError(message)

    monkeypatch.setattr(lifting.version_converter, "convert_version", convert)
    with pytest.raises(QuantizationError, match="no adapter"):
        lift_opset(model(), 21, tmp_path)


@pytest.mark.parametrize("name", ["cnn", "mlp", "attention"])
def test_int16_models_compute_what_the_reference_says(kit_of, name):
    kit = kit_of(name)
    result = kit.quantize(ALIASES["int16"])
    rows = kit.rows(seed=6, count=4)
    expected = ReferenceEvaluator(load_proto(result.model.path)).run(None, rows)[0]
    found = open_predict(result.model.path, optimize=False)(rows)["y"]
    assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max()
    assert result.model.opset == 21


def test_int16_quantizes_behind_an_activation_not_before_it(kit_of):
    graph = load_proto(kit_of("cnn").quantize(ALIASES["int16"]).model.path).graph
    producers = {name: node.op_type for node in graph.node for name in node.output}
    relus = [node for node in graph.node if node.op_type == "Relu"]
    assert {producers[node.input[0]] for node in relus} == {"Conv", "Add"}
