"""Inspecting: each way of quantizing is read as it was written."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from onnxq.datasets.values import DataRequest
from onnxq.errors import SourceError
from onnxq.events import tell_nobody
from onnxq.inspecting import inspect_model
from onnxq.quantization.weights import quantize_weights
from onnxq.recipe_kinds import WeightOnly
from onnxq.stages import InspectRequest, NotCompared, WeightError

F = TensorProto.FLOAT


def weight(name, *shape):
    values = np.random.default_rng(len(name) + sum(shape)).standard_normal(shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def save(folder, nodes, inputs, outputs, initializers, opset=17):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g",
        [info(name, F, shape) for name, shape in inputs.items()],
        [info(name, F, shape) for name, shape in outputs.items()],
        initializers,
    )  # fmt: skip
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    path = folder / "model.onnx"
    proto = helper.make_model(graph, opset_imports=imports, ir_version=10)
    proto.producer_name, proto.producer_version = "maker", "1.2"
    onnx.save(proto, path)
    return path


def cnn(folder):
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"], "conv"),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("Flatten", ["r"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "m"], ["y"], "head"),
    ]
    weights = [weight("w", 6, 3, 3, 3), weight("b", 6), weight("m", 24, 5)]
    return save(folder, nodes, {"x": ["N", 3, 4, 4]}, {"y": ["N", 5]}, weights)


class Rows(CalibrationDataReader):
    def __init__(self, *rows):
        self._rows = iter(rows)

    def get_next(self):
        return next(self._rows, None)


def inspect(path, folder):
    return inspect_model(InspectRequest(path=str(path)), folder, tell_nobody)


def static(folder, quant_format, *, per_channel=True):
    rows = Rows({"x": np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)})
    quantize_static(
        cnn(folder), folder / "int8.onnx", rows, quant_format=quant_format,
        per_channel=per_channel, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    result = inspect(folder / "int8.onnx", folder)
    return {tensor.name: tensor for tensor in result.quantized}


def test_float_model(tmp_path):
    result = inspect(cnn(tmp_path), tmp_path)
    assert result.quantized == ()
    assert result.parameters == 6 * 27 + 6 + 24 * 5
    assert result.size.initializer_bytes == {"float32": 4 * result.parameters}
    assert result.domains == ("ai.onnx",)
    assert (result.producer, result.min_runtime) == ("maker 1.2", "1.18")
    assert result.model.operators == {"Conv": 1, "Flatten": 1, "MatMul": 1, "Relu": 1}
    assert [str(spec) for spec in result.model.signature.inputs] == ["x float32 [N, 3, 4, 4]"]


def test_operators_that_onnxruntime_does_not_have_are_named(tmp_path):
    proto = onnx.load(cnn(tmp_path))
    proto.graph.node[0].domain = "com.acme"
    proto.opset_import.append(helper.make_opsetid("com.acme", 1))
    onnx.save(proto, tmp_path / "acme.onnx")
    result = inspect(tmp_path / "acme.onnx", tmp_path)
    assert (result.min_runtime, result.foreign_domains) == ("", ("com.acme",))


@pytest.mark.parametrize("quant_format", [QuantFormat.QDQ, QuantFormat.QOperator])
def test_static_weights_and_activations(tmp_path, quant_format):
    tensors = static(tmp_path, quant_format)
    w, m = tensors["w"], tensors["m"]
    assert (w.role, w.dtype, w.scheme, w.axis, w.scales) == ("weight", "int8", "symmetric", 0, 6)
    assert (m.role, m.dtype, m.scheme, m.axis, m.scales) == ("weight", "int8", "symmetric", 1, 5)
    values = numpy_helper.to_array(weight("w", 6, 3, 3, 3))
    largest = np.abs(values).max(axis=(1, 2, 3)) / 127
    np.testing.assert_allclose(
        [w.scale_min, w.scale_max], [largest.min(), largest.max()], rtol=0.01
    )
    x = tensors["x"]
    assert (x.role, x.dtype, x.axis, x.scales) == ("activation", "uint8", -1, 1)
    assert 0 < x.zero_point_min == x.zero_point_max < 255
    assert tensors["y"].role == "activation"


@pytest.mark.parametrize("quant_format", [QuantFormat.QDQ, QuantFormat.QOperator])
def test_static_bias_is_a_bias(tmp_path, quant_format):
    tensors = static(tmp_path, quant_format)
    bias = tensors["b"]
    assert bias.scale_max == pytest.approx(tensors["x"].scale_max * tensors["w"].scale_max)
    assert (bias.role, bias.dtype, bias.scheme) == ("bias", "int32", "symmetric")
    assert bias.scales == 6


def test_one_scale_has_no_axis(tmp_path):
    tensors = static(tmp_path, QuantFormat.QDQ, per_channel=False)
    assert (tensors["w"].axis, tensors["w"].scales) == (-1, 1)


def test_float_weight_between_a_pair(tmp_path):
    nodes = [
        helper.make_node("QuantizeLinear", ["w", "s", "z"], ["q"], axis=0),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], axis=0),
        helper.make_node("MatMul", ["x", "d"], ["y"]),
    ]
    scales = numpy_helper.from_array(np.array([0.1, 0.2], np.float32), "s")
    zeros = numpy_helper.from_array(np.array([0, 3], np.int8), "z")
    path = save(
        tmp_path, nodes, {"x": ["N", 2]}, {"y": ["N", 4]}, [weight("w", 2, 4), scales, zeros]
    )
    (tensor,) = inspect(path, tmp_path).quantized
    assert (tensor.name, tensor.role, tensor.axis, tensor.scheme) == (
        "w",
        "weight",
        0,
        "asymmetric",
    )
    assert (tensor.zero_point_min, tensor.zero_point_max) == (0, 3)


@pytest.mark.parametrize("per_channel", [True, False])
def test_dynamic_weights_have_scales_and_activations_none(tmp_path, per_channel):
    source = cnn(tmp_path)
    quantize_dynamic(
        source, tmp_path / "int8.onnx", per_channel=per_channel, weight_type=QuantType.QInt8
    )
    tensors = {
        tensor.name: tensor for tensor in inspect(tmp_path / "int8.onnx", tmp_path).quantized
    }
    m = tensors["m"]
    assert (m.role, m.dtype, m.scheme) == ("weight", "int8", "symmetric")
    assert (m.axis, m.scales) == ((1, 5) if per_channel else (-1, 1))
    assert m.scale_min > 0
    assert (tensors["w"].scales, tensors["w"].role) == (1, "weight")
    activation = tensors["f"]
    assert (activation.role, activation.dtype, activation.scales) == ("activation", "uint8", 0)
    assert (activation.scheme, activation.scale_max) == ("asymmetric", 0.0)


def test_dynamic_lstm(tmp_path):
    node = helper.make_node("LSTM", ["x", "W", "R"], ["y"], "lstm", hidden_size=8)
    weights = [weight("W", 1, 32, 16), weight("R", 1, 32, 8)]
    path = save(tmp_path, [node], {"x": [5, "N", 16]}, {"y": [5, 1, "N", 8]}, weights)
    quantize_dynamic(path, tmp_path / "int8.onnx", per_channel=True, weight_type=QuantType.QInt8)
    result = inspect(tmp_path / "int8.onnx", tmp_path)
    found = [(t.name, t.role, t.dtype, t.axis, t.scales) for t in result.quantized]
    assert found == [("W", "weight", "int8", 2, 32), ("R", "weight", "int8", 2, 32)]
    assert result.domains == ("com.microsoft",)


def test_weight_only_blocks(tmp_path):
    node = helper.make_node(
        "MatMulNBits", ["x", "B", "scales", "zeros"], ["y"], "nbits", domain="com.microsoft",
        K=32, N=4, bits=4, block_size=16,
    )  # fmt: skip
    arrays = {
        "B": np.zeros((4, 2, 8), np.uint8),
        "scales": np.linspace(0.1, 0.8, 8, dtype=np.float32),
        "zeros": np.array([0x87, 0x98, 0x88, 0x88], np.uint8),
    }
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    path = save(tmp_path, [node], {"x": ["N", 32]}, {"y": ["N", 4]}, tensors)
    (b,) = inspect(path, tmp_path).quantized
    assert (b.name, b.role, b.dtype, b.axis, b.scales) == ("B", "weight", "uint4", 1, 8)
    assert (b.scheme, b.zero_point_min, b.zero_point_max) == ("asymmetric", 7, 9)
    assert b.scale_max == pytest.approx(0.8)


def test_input_of_integers(tmp_path):
    scale = numpy_helper.from_array(np.float32(0.5), "s")
    zero = numpy_helper.from_array(np.int8(-128), "z")
    node = helper.make_node("DequantizeLinear", ["x", "s", "z"], ["y"])
    path = save(tmp_path, [node], {"x": ["N"]}, {"y": ["N"]}, [scale, zero])
    proto = onnx.load(path)
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.INT8
    onnx.save(proto, path)
    (tensor,) = inspect(path, tmp_path).quantized
    assert (tensor.name, tensor.role, tensor.dtype) == ("x", "activation", "int8")
    assert (tensor.zero_point_min, tensor.scheme) == (-128, "asymmetric")


def test_int8_lookup_table_is_a_weight(tmp_path):
    nodes = [
        helper.make_node("Gather", ["table_quantized", "x"], ["rows"]),
        helper.make_node("DequantizeLinear", ["rows", "s", "z"], ["y"]),
    ]
    arrays = {"table_quantized": np.ones((9, 4), np.uint8), "s": np.float32(1), "z": np.uint8(128)}
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    path = save(tmp_path, nodes, {"x": ["N"]}, {"y": ["N", 4]}, tensors)
    (table,) = inspect(path, tmp_path).quantized
    assert (table.name, table.role, table.scheme) == ("table", "weight", "symmetric")


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not onnx")
    with pytest.raises(SourceError) as caught:
        inspect(tmp_path / "model.onnx", tmp_path)
    assert caught.value.code == "OQ104"


# Errors of weights, and whether rows fit.


def test_weights_are_compared_with_a_reference(tmp_path):
    quantize_dynamic(cnn(tmp_path), tmp_path / "int8.onnx", weight_type=QuantType.QInt8)
    request = InspectRequest(
        path=str(tmp_path / "int8.onnx"), reference=str(tmp_path / "model.onnx")
    )
    found = inspect_model(request, tmp_path, tell_nobody)
    tensors = {tensor.name: tensor for tensor in found.quantized}
    error = tensors["m"].error
    assert isinstance(error, WeightError)
    assert error.original == "m"
    assert 0 < error.mean_abs_error < error.max_abs_error <= tensors["m"].scale_max * 0.51
    assert tensors["f"].error == NotCompared()
    assert found.reference == request.reference
    assert found.quantized_already.startswith("dynamic")


@pytest.mark.parametrize("bits", [8, 4])
def test_our_weight_recipes_are_told_with_errors(tmp_path, bits):
    """A Conv takes int8 per channel; its matrix of 24 rows takes blocks of 16."""
    path = cnn(tmp_path)
    proto = onnx.load(path)
    proto.graph.initializer[2].CopyFrom(weight("m", 24, 64))
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 64
    onnx.save(proto, path)
    quantize_weights(path, tmp_path / "small.onnx", WeightOnly(bits, 128))
    request = InspectRequest(path=str(tmp_path / "small.onnx"), reference=str(path))
    tensors = {t.name: t for t in inspect_model(request, tmp_path, tell_nobody).quantized}
    w, m = tensors["w"], tensors["m"]
    assert (w.role, w.dtype, w.scheme, w.axis, w.scales) == ("weight", "int8", "symmetric", 0, 6)
    assert (m.role, m.dtype, m.scheme, m.scales) == ("weight", f"uint{bits}", "symmetric", 2 * 64)
    assert m.zero_point_min == m.zero_point_max == 1 << (bits - 1)
    for tensor in (w, m):
        assert isinstance(tensor.error, WeightError)
        assert tensor.error.original == tensor.name
        assert 0.1 < tensor.error.mean_error_scales < 0.35


def test_what_has_no_original_says_so(tmp_path):
    quantize_dynamic(cnn(tmp_path), tmp_path / "int8.onnx", weight_type=QuantType.QInt8)
    other = tmp_path / "other"
    other.mkdir()
    node = helper.make_node("MatMul", ["x", "k"], ["y"])
    reference = save(other, [node], {"x": ["N", 4]}, {"y": ["N", 3]}, [weight("k", 4, 3)])
    request = InspectRequest(path=str(tmp_path / "int8.onnx"), reference=str(reference))
    found = inspect_model(request, tmp_path, tell_nobody)
    error = next(tensor.error for tensor in found.quantized if tensor.name == "m")
    assert isinstance(error, NotCompared)
    assert error.reason


def test_rows_are_tried(tmp_path):
    rows = tmp_path / "rows"
    rows.mkdir()
    np.savez(tmp_path / "val.npz", x=np.zeros((7, 3, 4, 4)), y=np.arange(7) % 5)
    data = DataRequest(spec=str(tmp_path / "val.npz"))
    request = InspectRequest(path=str(cnn(tmp_path)), data=data)
    answers = inspect_model(request, rows, tell_nobody).data_fit
    assert answers[0].subject == "x"
    assert all(answer.fits for answer in answers)


def test_every_node_is_named(tmp_path):
    found = inspect_model(InspectRequest(path=str(cnn(tmp_path))), tmp_path, tell_nobody)
    assert [(node.name, node.operator) for node in found.nodes] == [
        ("conv", "Conv"), ("relu", "Relu"), ("flatten", "Flatten"), ("head", "MatMul"),
    ]  # fmt: skip
