import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from onnxq.errors import QuantizationError
from onnxq.graph import load_proto
from onnxq.quantization.dynamic import quantize_dynamic_int8
from onnxq.quantization.finishing import (
    count_quantized,
    finish_quantized,
    load_for_quantizer,
    write_quantized,
)
from onnxq.recipe_kinds import DynamicInt8
from onnxq.runtime import open_predict

F = TensorProto.FLOAT


class Rows(CalibrationDataReader):
    def __init__(self, rows):
        self._rows = iter(rows)

    def get_next(self):
        return next(self._rows, None)


def weight(name, *shape):
    values = np.random.default_rng(len(name) + sum(shape)).standard_normal(shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def save_cnn(path):
    """Two Convs that share their weights, one ConvTranspose, a head; the input is an output."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["ar"], "relu"),
        helper.make_node("Conv", ["ar", "w", "b"], ["c"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["c", "t"], ["d"], "up"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], "pool"),
        helper.make_node("Flatten", ["e"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "m"], ["y"], "head"),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info("x", F, ["N", 4, 8, 8])],
        [info("y", F, ["N", 5]), info("x", F, ["N", 4, 8, 8])],
        [weight("w", 4, 4, 3, 3), weight("b", 4), weight("t", 4, 4, 2, 2), weight("m", 4, 5)],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def quantize(folder, source, **options):
    """Run the stock static quantizer on what load_for_quantizer gives."""
    onnx.save(load_for_quantizer(source), folder / "private.onnx")
    generator = np.random.default_rng(0)
    rows = [{"x": generator.standard_normal((2, 4, 8, 8)).astype(np.float32)} for _ in range(4)]
    quantize_static(
        folder / "private.onnx", folder / "stock.onnx", Rows(rows), per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, **options,
    )  # fmt: skip
    return load_proto(folder / "stock.onnx"), rows[0]


def test_static_model_is_finished_counted_and_equal_enough(tmp_path):
    source = save_cnn(tmp_path / "float.onnx")
    proto, row = quantize(tmp_path, source, op_types_to_quantize=["Conv", "MatMul", "Relu"])
    result = write_quantized(proto, load_proto(source), tmp_path / "int8.onnx", "static")
    assert (result.count.quantized, result.count.quantizable) == (3, 4)
    assert result.count.left_float == {"up": "onnxruntime has no integer kernel for it"}
    assert [spec.name for spec in result.model.signature.outputs] == ["y", "x"]
    expected, found = (open_predict(path)(row) for path in (source, result.model.path))
    np.testing.assert_array_equal(found["x"], expected["x"])
    error = np.sum((expected["y"] - found["y"]) ** 2) / np.sum(expected["y"] ** 2)
    assert error < 0.02
    finished = load_proto(result.model.path)
    assert [entry.domain for entry in finished.opset_import] == [""]
    assert not finished.graph.value_info
    assert (finished.ir_version, finished.producer_name) == (8, "onnxq")


def test_float_left_in_is_counted_as_float(tmp_path):
    source = save_cnn(tmp_path / "float.onnx")
    proto, _ = quantize(tmp_path, source, op_types_to_quantize=["Conv"], nodes_to_exclude=["conv2"])
    count = count_quantized(
        finish_quantized(proto, load_proto(source)), load_proto(source), "static"
    )
    assert count.quantized == 1
    assert count.left_float["conv2"] == "the recipe leaves it out"
    assert count.quantized + len(count.left_float) == count.quantizable


def test_float_model_counts_nothing(tmp_path):
    original = load_proto(save_cnn(tmp_path / "float.onnx"))
    for kind in ("static", "dynamic"):
        assert count_quantized(original, original, kind).quantized == 0
    with pytest.raises(QuantizationError, match=r"nothing to do in 4 nodes: ") as caught:
        write_quantized(original, original, tmp_path / "int8.onnx", "static")
    assert caught.value.code == "OQ163"
    assert not (tmp_path / "int8.onnx").exists()


def test_model_that_does_not_load_is_not_left_behind(tmp_path):
    source = save_cnn(tmp_path / "float.onnx")
    proto, _ = quantize(tmp_path, source, op_types_to_quantize=["Conv", "MatMul", "Relu"])
    next(node for node in proto.graph.node if node.name == "flatten").op_type = "NoSuchOperator"
    with pytest.raises(QuantizationError, match="does not load") as caught:
        write_quantized(proto, load_proto(source), tmp_path / "int8.onnx", "static")
    assert caught.value.code == "OQ172"
    assert not (tmp_path / "int8.onnx").exists()


def test_nodes_in_bodies_are_named_with_the_reason():
    body = helper.make_graph(
        [helper.make_node("MatMul", ["x", "m"], ["o"], "inside")], "body", [],
        [helper.make_tensor_value_info("o", F, None)],
    )  # fmt: skip
    nodes = [helper.make_node("If", ["c"], ["y"], "if", then_branch=body, else_branch=body)]
    info = helper.make_tensor_value_info
    inputs = [info("x", F, [2, 2]), info("c", TensorProto.BOOL, [])]
    graph = helper.make_graph(nodes, "g", inputs, [info("y", F, None)], [weight("m", 2, 2)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    count = count_quantized(proto, proto, "dynamic")
    assert count.left_float == {"inside": "it stands in the body of an If, Loop or Scan"}


def test_a_weight_that_is_an_output_comes_back(tmp_path):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "head")], "g",
        [info("x", F, ["N", 64])], [info("y", F, ["N", 48]), info("w", F, [64, 48])],
        [weight("w", 64, 48)],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, tmp_path / "float.onnx")
    result = quantize_dynamic_int8(tmp_path / "float.onnx", tmp_path / "int8.onnx", DynamicInt8())
    assert result.count.quantized == 1
    found = open_predict(result.model.path)({"x": np.ones((2, 64), np.float32)})
    np.testing.assert_array_equal(found["w"], numpy_helper.to_array(weight("w", 64, 48)))
