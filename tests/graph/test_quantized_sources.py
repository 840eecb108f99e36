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
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from onnxq.conversion.from_onnx import convert_onnx
from onnxq.errors import SourceError
from onnxq.events import tell_nobody
from onnxq.graph import read_model
from onnxq.graph.quantized_sources import describe_quantization
from onnxq.preparation import prepare
from onnxq.quantization.dynamic import quantize_dynamic_int8
from onnxq.quantization.weights import quantize_weights
from onnxq.recipe_kinds import DynamicInt8, WeightOnly
from onnxq.runtime import open_predict
from onnxq.stages import PrepareRequest

GENERATOR = np.random.default_rng(0)
node = helper.make_node


def stored(name, *shape):
    return numpy_helper.from_array(GENERATOR.standard_normal(shape).astype(np.float32), name)


def model(nodes, weights, shape):
    value = helper.make_tensor_value_info
    inputs, outputs = [value("x", 1, shape)], [value("y", 1, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


@pytest.fixture(scope="module")
def float_path(tmp_path_factory):
    nodes = [
        node("Conv", ["x", "w"], ["a"], "conv", pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["b"], "relu"),
        node("Flatten", ["b"], ["d"], "flatten"),
        node("MatMul", ["d", "g"], ["y"], "matmul"),
    ]
    proto = model(nodes, [stored("w", 4, 3, 3, 3), stored("g", 256, 5)], ["N", 3, 8, 8])
    path = tmp_path_factory.mktemp("float") / "m.onnx"
    onnx.save(proto, path)
    return path


class Rows(CalibrationDataReader):
    def __init__(self):
        rows = [GENERATOR.standard_normal((1, 3, 8, 8)).astype(np.float32) for _ in range(2)]
        self.rows = iter(rows)

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {"x": row}


def static(path, target, **options):
    quantize_static(path, target, Rows(), **options)


def dynamic(path, target, **options):
    quantize_dynamic(path, target, **options)


def blocks(path, target, **options):
    quantizer = MatMulNBitsQuantizer(onnx.load(path), **options)
    quantizer.process()
    onnx.save(quantizer.model.model, target)


@pytest.mark.parametrize(
    ("quantize", "options", "words"),
    [
        (
            static,
            {"per_channel": True, "activation_type": QuantType.QUInt8},
            ("static, as QuantizeLinear pairs", "2 weights in int8, per channel", "in uint8"),
        ),
        (static, {"activation_type": QuantType.QInt8}, ("per tensor", "activations in int8")),
        (
            static,
            {"quant_format": QuantFormat.QOperator},
            ("static, as integer operators", "2 weights in int8"),
        ),
        (dynamic, {}, ("dynamic", "2 weights in int8, per tensor")),
        (blocks, {"bits": 4, "block_size": 32}, ("weights only, in blocks (MatMulNBits)", "uint4")),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_onnxruntime_writes(quantize, options, words, float_path, tmp_path):
    assert describe_quantization(onnx.load(float_path)) == ""
    quantize(str(float_path), str(tmp_path / "q.onnx"), **options)
    said = describe_quantization(onnx.load(tmp_path / "q.onnx"))
    for word in words:
        assert word in said
    assert convert_onnx(tmp_path / "q.onnx", tmp_path / "out.onnx").quantized == said
    x = GENERATOR.standard_normal((3, 3, 8, 8)).astype(np.float32)
    given, written = (open_predict(tmp_path / name)({"x": x}) for name in ("q.onnx", "out.onnx"))
    np.testing.assert_array_equal(written["y"], given["y"])


def scalar(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def pairs(*nodes, weights=()):
    """Make a model of QuantizeLinear pairs, one scale for all."""
    common = [scalar("s", np.float32(0.1)), scalar("z", np.int8(0))]
    return model(nodes, [*common, *weights], ["N", 4])


def test_weights_alone():
    integers = numpy_helper.from_array(np.ones((4, 3), np.int8), "w")
    nodes = [node("DequantizeLinear", ["w", "s", "z"], ["d"]), node("MatMul", ["x", "d"], ["y"])]
    said = describe_quantization(pairs(*nodes, weights=[integers]))
    assert said == "weights only, as DequantizeLinear: 1 weight in int8, per tensor"


@pytest.mark.parametrize("recipe", [WeightOnly(8, 128), WeightOnly(4)], ids=["int8", "int4"])
def test_what_our_own_weight_recipes_write(recipe, float_path, tmp_path):
    quantize_weights(float_path, tmp_path / "q.onnx", recipe)
    said = describe_quantization(onnx.load(tmp_path / "q.onnx"))
    assert said.startswith("weights only, as integers behind Cast and Mul and in blocks (MatMulNB")
    assert f"2 weights in int8 and uint{recipe.bits}" in said
    assert convert_onnx(tmp_path / "q.onnx", tmp_path / "out.onnx").quantized == said


def scaled(*nodes, rows=8):
    """Make a model of int8 weights that become floats as the int8-weights recipe has it."""
    common = [
        node("Cast", ["w_quantized"], ["c"], to=TensorProto.FLOAT),
        node("Mul", ["c", "f"], ["w"]),
    ]
    tensors = [
        scalar("w_quantized", np.ones((rows, 3), np.int8)),
        scalar("f", np.full((1, 3), 2.0, "f")),
    ]
    return model([*common, *nodes], tensors, ["N", rows])


def test_integers_behind_a_cast_that_a_node_multiplies_with_are_weights():
    said = describe_quantization(scaled(node("MatMul", ["x", "w"], ["y"])))
    assert said == "weights only, as integers behind Cast and Mul: 1 weight in int8, per channel"


def test_integers_behind_a_cast_that_nothing_multiplies_with_are_a_mask():
    assert describe_quantization(scaled(node("Add", ["x", "w"], ["y"]), rows=3)) == ""


@pytest.mark.parametrize("recipe", [WeightOnly(8, 128), DynamicInt8()], ids=["weights", "dynamic"])
def test_our_own_models_are_never_quantized_twice(recipe, float_path, tmp_path):
    """A Cast and a Mul are no integer operators: onnxruntime would fold them and say nothing."""
    quantizer = quantize_weights if isinstance(recipe, WeightOnly) else quantize_dynamic_int8
    quantizer(float_path, tmp_path / "q.onnx", recipe)
    request = PrepareRequest(model=read_model(tmp_path / "q.onnx"))
    with pytest.raises(SourceError, match="quantized already") as caught:
        prepare(request, tmp_path, tell_nobody)
    assert caught.value.code == "OQ110"


def test_what_training_leaves():
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["r"]),
        node("QuantizeLinear", ["w", "s", "z"], ["i"]),
        node("DequantizeLinear", ["i", "s", "z"], ["d"]),
        node("MatMul", ["r", "d"], ["y"]),
    ]
    said = describe_quantization(pairs(*nodes, weights=[stored("w", 4, 3)]))
    assert said.startswith("static, as QuantizeLinear pairs, some weights still in float")
    assert "1 weight in int8, per tensor; 1 activation in int8" in said


def test_inside_a_body():
    inner = [node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             node("DequantizeLinear", ["q", "s", "z"], ["t"])]  # fmt: skip
    body = helper.make_graph(inner, "b", [], [helper.make_tensor_value_info("t", 1, None)])
    nodes = [
        node("Constant", [], ["c"], value=scalar("", np.bool_(True))),
        node("If", ["c"], ["y"], then_branch=body, else_branch=body),
    ]
    assert describe_quantization(pairs(*nodes))


def test_an_operator_without_tensors_to_name():
    nodes = [node("QLinearConcat", ["s", "z", "x", "s", "z"], ["y"], domain="com.microsoft")]
    said = describe_quantization(pairs(*nodes))
    assert said == "static, as integer operators: 1 QLinearConcat"


def test_integers_that_quantize_nothing_are_float():
    nodes = [
        node("Cast", ["x"], ["i"], to=TensorProto.INT8),
        node("Cast", ["i"], ["y"], to=TensorProto.FLOAT),
    ]
    assert describe_quantization(model(nodes, [], ["N", 4])) == ""
