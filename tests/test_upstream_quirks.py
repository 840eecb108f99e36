"""One test per upstream fault that onnxq works around; each fails once upstream mends it.

When one fails: read what works around it, see whether the floor of the dependency can be lifted,
and take both away together.
"""

import contextlib
import importlib.util
import io
import signal
import subprocess
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, inliner, numpy_helper, version_converter
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    load_tensors_data,
    quantize_dynamic,
    quantize_static,
)

from onnxq.calibration.reader import CalibrationReader
from onnxq.errors import InferenceError
from onnxq.graph import read_model
from onnxq.runtime import open_predict, open_session, session_options

# What onnxruntime's quantizers get wrong, and preparation or load_for_quantizer keeps from them.


def quantizer_weight(name, *shape):
    values = np.random.default_rng(len(name) + sum(shape)).standard_normal(shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def quantizer_model(nodes, initializers, *, outputs=("y",), columns=16, opset=17):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g",
        [info("x", TensorProto.FLOAT, ["N", 16])],
        [info(name, TensorProto.FLOAT, ["N", columns]) for name in outputs],
        initializers,
    )  # fmt: skip
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


class OneBatch(CalibrationDataReader):
    def __init__(self, batch):
        self._batches = iter([batch])

    def get_next(self):
        return next(self._batches, None)


QUANTIZER_ROWS = {"x": np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)}


def stock_dynamic(proto, folder):
    onnx.save(proto, folder / "float.onnx")
    quantize_dynamic(
        folder / "float.onnx", folder / "int8.onnx", per_channel=True, weight_type=QuantType.QInt8
    )
    return folder / "int8.onnx"


def stock_static(proto, folder):
    onnx.save(proto, folder / "float.onnx")
    quantize_static(
        folder / "float.onnx", folder / "int8.onnx", OneBatch(QUANTIZER_ROWS), per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return folder / "int8.onnx"


def stock_sqnr_db(folder):
    expected = open_predict(folder / "float.onnx")(QUANTIZER_ROWS)["y"]
    found = open_predict(folder / "int8.onnx")(QUANTIZER_ROWS)["y"]
    return 10 * np.log10(np.sum(expected**2) / np.sum((expected - found) ** 2))


@pytest.mark.parametrize("first", ["MatMul", "Gemm"])
def test_dynamic_quantizer_transposes_a_shared_weight_under_its_other_reader(tmp_path, first):
    kept = {"transB": 1} if first == "Gemm" else {}
    nodes = [
        helper.make_node(first, ["x", "w"], ["a"], "first", **kept),
        helper.make_node("Gemm", ["a", "w"], ["y"], "second", transB=1),
    ]
    stock_dynamic(quantizer_model(nodes, [quantizer_weight("w", 16, 16)]), tmp_path)
    assert stock_sqnr_db(tmp_path) < 5


def test_static_quantizer_gives_a_shared_weight_one_axis(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "first"),
        helper.make_node("Gemm", ["a", "w"], ["y"], "second", transB=1),
    ]
    stock_static(quantizer_model(nodes, [quantizer_weight("w", 16, 16)]), tmp_path)
    assert stock_sqnr_db(tmp_path) < 15


def test_static_quantizer_multiplies_beta_once_too_often(tmp_path):
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], "fc", beta=0.5)
    bias = numpy_helper.from_array(np.full(16, 50, np.float32), "b")
    stock_static(quantizer_model([node], [quantizer_weight("w", 16, 16), bias]), tmp_path)
    assert stock_sqnr_db(tmp_path) < 10


def test_dynamic_quantizer_drops_a_weight_that_is_an_output(tmp_path):
    """So onnxq.quantization.finishing puts it back (onnxruntime 1.31.1)."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "head")
    proto = quantizer_model([node], [quantizer_weight("w", 16, 16)])
    proto.graph.output.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [16, 16]))
    graph = onnx.load(stock_dynamic(proto, tmp_path)).graph
    assert [output.name for output in graph.output] == ["y", "w"]
    assert "w" not in {tensor.name for tensor in graph.initializer}


def test_dynamic_quantizer_looks_into_no_function(tmp_path):
    """So local functions are inlined (onnxruntime 1.31.1)."""
    matmul = helper.make_node("MatMul", ["p", "v"], ["q"], "inner")
    opsets = [helper.make_opsetid("", 17)]
    body = helper.make_function("mine", "F", ["p", "v"], ["q"], [matmul], opsets)
    proto = quantizer_model(
        [helper.make_node("F", ["x", "w"], ["y"], "call", domain="mine")],
        [quantizer_weight("w", 16, 16)],
    )
    proto.opset_import.append(helper.make_opsetid("mine", 1))
    proto.functions.append(body)
    stock_dynamic(proto, tmp_path)
    assert read_model(tmp_path / "int8.onnx").quantized_nodes == 0


def test_dynamic_quantizer_sorts_without_looking_into_bodies(tmp_path):
    """So cleaning sorts again (onnxruntime 1.31.1)."""
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    body = helper.make_graph([helper.make_node("Neg", ["a"], ["o"], "neg")], "b", [], [output])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "head"),
        helper.make_node("If", ["flag"], ["y"], "if", then_branch=body, else_branch=body),
    ]
    flag = numpy_helper.from_array(np.array(True), "flag")
    stock_dynamic(quantizer_model(nodes, [quantizer_weight("w", 16, 16), flag]), tmp_path)
    kinds = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert kinds.index("If") < kinds.index("MatMulInteger")


def test_dynamic_quantizer_leaves_a_gemm_with_beta_float(tmp_path):
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], "fc", beta=0.5)
    weights = [quantizer_weight("w", 16, 16), quantizer_weight("b", 16)]
    stock_dynamic(quantizer_model([node], weights), tmp_path)
    assert read_model(tmp_path / "int8.onnx").quantized_nodes == 0


@pytest.mark.parametrize(
    ("shape", "error"), [((1, 16), ValueError), ((), IndexError), ((1,), IndexError)]
)
def test_static_quantizer_dies_of_the_shape_of_a_bias(tmp_path, shape, error):
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], "fc")
    weights = [quantizer_weight("w", 16, 16), quantizer_weight("b", *shape)]
    with pytest.raises(error, match=r"truth value|too many indices|out of bounds"):
        stock_static(quantizer_model([node], weights), tmp_path)


def test_dynamic_quantizer_dies_of_the_value_info_of_a_weight(tmp_path):
    node = helper.make_node("Gemm", ["x", "w"], ["y"], "fc", transB=1)
    proto = quantizer_model([node], [quantizer_weight("w", 5, 16)], columns=5)
    proto.graph.value_info.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [5, 16]))
    with pytest.raises(onnx.shape_inference.InferenceError, match="existing shape differ"):
        stock_dynamic(proto, tmp_path)


@pytest.mark.parametrize(
    ("quantize", "name"), [(stock_dynamic, "x_scale"), (stock_static, "x_QuantizeLinear_Output")]
)
def test_quantizers_write_names_that_are_taken(tmp_path, quantize, name):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], [name], "first"),
        helper.make_node("MatMul", [name, "v"], ["y"], "second"),
    ]
    weights = [quantizer_weight("w", 16, 16), quantizer_weight("v", 16, 16)]
    quantize(quantizer_model(nodes, weights), tmp_path)
    with pytest.raises(InferenceError, match=f"Duplicate definition of name .{name}"):
        open_predict(tmp_path / "int8.onnx")


def test_static_quantizer_dies_of_an_input_that_is_an_output(tmp_path):
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "mm")
    proto = quantizer_model([node], [quantizer_weight("w", 16, 16)], outputs=("y", "x"))
    with pytest.raises(AssertionError, match="Graph is not a DAG"):
        stock_static(proto, tmp_path)


def test_dynamic_quantizer_leaves_a_constant_node_float(tmp_path):
    nodes = [
        helper.make_node("Constant", [], ["w"], "c", value=quantizer_weight("w", 16, 16)),
        helper.make_node("MatMul", ["x", "w"], ["y"], "mm"),
    ]
    stock_dynamic(quantizer_model(nodes, []), tmp_path)
    assert read_model(tmp_path / "int8.onnx").quantized_nodes == 0


def test_dynamic_quantizer_writes_channels_that_have_no_kernel(tmp_path):
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "mm")
    proto = quantizer_model([node], [quantizer_weight("w", 16)])
    proto.graph.output[0].type.tensor_type.shape.dim.pop()
    for value in (proto.graph.input[0], proto.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    stock_dynamic(proto, tmp_path)
    with pytest.raises(InferenceError, match="Incompatible dimensions"):
        open_predict(tmp_path / "int8.onnx")


def test_dynamic_quantizer_forgets_what_a_body_reads_of_a_gather(tmp_path):
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    body = helper.make_graph([helper.make_node("Neg", ["a"], ["o"], "neg")], "b", [], [output])
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["a"], "gather"),
        helper.make_node("If", ["flag"], ["y"], "if", then_branch=body, else_branch=body),
    ]
    constants = [
        quantizer_weight("table", 300, 16),
        numpy_helper.from_array(np.arange(16), "ids"),
        numpy_helper.from_array(np.array(True), "flag"),
    ]
    with pytest.raises(RuntimeError, match="unknown initializers/tensors"):
        stock_dynamic(quantizer_model(nodes, constants), tmp_path)


def test_dynamic_quantizer_writes_an_invalid_qattention(tmp_path):
    node = helper.make_node("Attention", ["x4", "x4", "x4"], ["y"], "attention")
    reshape = helper.make_node("Reshape", ["x", "shape"], ["x4"], "reshape")
    shape = numpy_helper.from_array(np.array([1, 2, -1, 8]), "shape")
    proto = quantizer_model([reshape, node], [shape], opset=23)
    del proto.graph.output[0].type.tensor_type.shape.dim[:]
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    proto.ir_version = 11
    stock_dynamic(proto, tmp_path)
    with pytest.raises(InferenceError, match="QAttention"):
        open_predict(tmp_path / "int8.onnx")


def test_dynamic_quantizer_installs_a_root_log_handler(tmp_path):
    code = (
        "import logging, sys; from onnxruntime.quantization import quantize_dynamic;"
        "quantize_dynamic(sys.argv[1], sys.argv[2]); print(len(logging.getLogger().handlers))"
    )
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "mm")
    onnx.save(quantizer_model([node], [quantizer_weight("w", 16, 16)]), tmp_path / "float.onnx")
    command = [sys.executable, "-c", code, tmp_path / "float.onnx", tmp_path / "int8.onnx"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_quantizer_writes_beside_its_source(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source").chmod(0o700)
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "mm")
    source = tmp_path / "source" / "float.onnx"
    onnx.save(quantizer_model([node], [quantizer_weight("w", 16, 16)]), source)
    before = source.parent.stat().st_mtime_ns
    quantize_dynamic(source, tmp_path / "int8.onnx")
    assert source.parent.stat().st_mtime_ns > before


def test_basic_optimization_leaks_opset_imports(tmp_path):
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "mm")
    onnx.save(quantizer_model([node], [quantizer_weight("w", 16, 16)]), tmp_path / "float.onnx")
    options = session_options(optimize=False)
    options.optimized_model_filepath = str(tmp_path / "saved.onnx")
    open_session(tmp_path / "float.onnx", options)
    assert "com.microsoft" in {
        entry.domain for entry in onnx.load(tmp_path / "saved.onnx").opset_import
    }


# What tf2onnx gets wrong, and conversion/from_keras.py works around.


@pytest.fixture(scope="module")
def keras_door():
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("the extra keras is not installed")
    from onnxq.conversion import from_keras_backend  # noqa: PLC0415 - takes seconds

    return from_keras_backend


def traced_by_tf2onnx(door, model):
    (declared,) = model.inputs
    spec = door.tf.TensorSpec((None, *declared.shape[1:]), declared.dtype, "x")
    function = door.tf.function(lambda x: model(x, training=False))
    with door.quiet_tf2onnx():
        proto, _ = door.tf2onnx.convert.from_function(function, input_signature=[spec], opset=17)
    return proto


@pytest.mark.keras
def test_tf2onnx_cannot_convert_a_sequential_model_of_keras3(keras_door):
    layers = keras_door.keras.layers
    model = keras_door.keras.Sequential([layers.Input((3,)), layers.Dense(2)])
    with keras_door.quiet_tf2onnx(), pytest.raises(KeyError, match="keras_tensor"):
        keras_door.tf2onnx.convert.from_keras(model, opset=17)


@pytest.mark.keras
def test_tf2onnx_writes_erfc_as_it_is(keras_door):
    layers = keras_door.keras.layers
    model = keras_door.keras.Sequential([layers.Input((3,)), layers.Activation("gelu")])
    proto = traced_by_tf2onnx(keras_door, model)
    assert "Erfc" in {node.op_type for node in proto.graph.node}


@pytest.mark.keras
def test_tf2onnx_writes_captured_constants_as_inputs(keras_door):
    layers = keras_door.keras.layers
    normalization = layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 4.0])
    model = keras_door.keras.Sequential([layers.Input((2,)), normalization])
    assert len(traced_by_tf2onnx(keras_door, model).graph.input) > 1


@pytest.mark.keras
def test_tf2onnx_writes_a_gru_of_keras3_as_a_loop(keras_door):
    layers = keras_door.keras.layers
    model = keras_door.keras.Sequential([layers.Input((5, 3)), layers.GRU(4)])
    operators = {node.op_type for node in traced_by_tf2onnx(keras_door, model).graph.node}
    assert "Loop" in operators
    assert "GRU" not in operators


def tflite_of(door, model, folder):
    converter = door.tf.lite.TFLiteConverter.from_keras_model(model)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (folder / "model.tflite").write_bytes(converter.convert())
    return folder / "model.tflite"


@pytest.mark.keras
def test_tf2onnx_writes_the_gelu_of_tflite_as_it_is(keras_door, tmp_path):
    layers = keras_door.keras.layers
    x = layers.Input((3,))
    path = tflite_of(keras_door, keras_door.keras.Model(x, keras_door.keras.ops.gelu(x)), tmp_path)
    with keras_door.quiet_tf2onnx(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proto, _ = keras_door.tf2onnx.convert.from_tflite(str(path), opset=17)
    assert "TFL_GELU" in {node.op_type for node in proto.graph.node}


@pytest.mark.keras
def test_tflite_misreads_a_truncated_file(keras_door, tmp_path):
    """It says that operators are missing, or runs into their checks; with junk it crashes."""
    layers = keras_door.keras.layers
    x = layers.Input((3,))
    path = tflite_of(keras_door, keras_door.keras.Model(x, layers.Dense(2)(x)), tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(ValueError):
            keras_door.tf.lite.Interpreter(str(path))
            return  # it took the file
    pytest.fail("TFLite verifies files by now")


# What onnxruntime's calibrators lose, and onnxq's own statistics keep.


def calibration_net():
    """A stem and two residual blocks: every convolution shares its input or its output."""

    def step(source, index):
        inputs = [source, f"w{index}", f"b{index}"]
        return helper.make_node("Conv", inputs, [f"c{index}"], f"conv{index}", pads=[1] * 4)

    nodes = [
        step("x", 0), helper.make_node("Relu", ["c0"], ["r0"], "relu0"),
        step("r0", 1), helper.make_node("Add", ["r0", "c1"], ["s1"], "add1"),
        helper.make_node("Relu", ["s1"], ["r1"], "relu1"),
        step("r1", 2), helper.make_node("Add", ["r1", "c2"], ["y"], "add2"),
    ]  # fmt: skip
    weights = [
        tensor
        for index, channels in enumerate((3, 8, 8))
        for tensor in (
            quantizer_weight(f"w{index}", 8, channels, 3, 3), quantizer_weight(f"b{index}", 8),
        )
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8, 8, 8])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def calibration_rows(count=12):
    strength = np.geomspace(5, 0.1, count).reshape(-1, 1, 1, 1)
    rows = strength * np.random.default_rng(0).standard_normal((count, 3, 8, 8))
    return rows.astype(np.float32)


def stock_ranges(folder, reader, method=CalibrationMethod.MinMax, proto=None, **extra):
    onnx.save(proto or calibration_net(), folder / "float.onnx")
    cache = folder / f"{method.name}-{len(extra)}.json"
    quantize_static(
        folder / "float.onnx", folder / "int8.onnx", reader, activation_type=QuantType.QUInt8,
        calibrate_method=method, calibration_cache_path=cache, extra_options=extra,
    )  # fmt: skip
    return {
        name: tuple(float(np.squeeze(end)) for end in data.range_value)
        for name, data in load_tensors_data(cache).items()
    }


def test_entropy_calibration_is_minmax(tmp_path):
    reader = CalibrationReader({"x": calibration_rows()})
    entropy = stock_ranges(tmp_path, reader, CalibrationMethod.Entropy)
    reader.rewind()
    minmax = stock_ranges(tmp_path, reader)
    assert entropy.keys() == minmax.keys()
    for name, (low, high) in minmax.items():
        tolerance = 1e-5 * (high - low)
        assert entropy[name] == pytest.approx((low, high), abs=tolerance)


def test_calibration_bounded_in_memory_drops_rows(tmp_path):
    rows = calibration_rows(5)
    reader = CalibrationReader({"x": rows})
    found = stock_ranges(tmp_path, reader, CalibMaxIntermediateOutputs=2)
    assert found["x"][1] == rows[4].max() < rows.max() / 10


def test_calibration_bounded_in_memory_drops_all_rows(tmp_path):
    reader = CalibrationReader({"x": calibration_rows(4)})
    with pytest.raises(ValueError, match="No data is collected"):
        stock_ranges(tmp_path, reader, CalibMaxIntermediateOutputs=2)


def test_histogram_calibration_fails_on_batches_of_other_sizes(tmp_path):
    class Ragged(OneBatch):
        def __init__(self):
            super().__init__({})
            self._batches = iter([{"x": calibration_rows(count)} for count in (2, 3)])

    with pytest.raises(ValueError, match="inhomogeneous"):
        stock_ranges(tmp_path, Ragged(), CalibrationMethod.Percentile)


def test_a_calibration_cache_is_applied_to_another_model(tmp_path):
    onnx.save(calibration_net(), tmp_path / "float.onnx")
    cache = tmp_path / "cache.json"
    reader = CalibrationReader({"x": calibration_rows()})
    quantize_static(tmp_path / "float.onnx", tmp_path / "a.onnx", reader,
                    calibration_cache_path=cache)  # fmt: skip
    other = calibration_net()
    for tensor in other.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 50, tensor.name))
    onnx.save(other, tmp_path / "other.onnx")
    quantize_static(tmp_path / "other.onnx", tmp_path / "b.onnx", None,
                    calibration_cache_path=cache)  # fmt: skip
    scales = [
        {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / name).graph.initializer}
        for name in ("a.onnx", "b.onnx")
    ]
    assert scales[0]["r1_scale"] == scales[1]["r1_scale"]


# What onnxruntime's static quantizer decides badly, and onnxq decides for it.


def optimized_operators(folder):
    options = session_options()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    open_session(folder / "int8.onnx", options)
    return [node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node]


def test_default_static_quantization_leaves_convolutions_float(tmp_path):
    onnx.save(calibration_net(), tmp_path / "float.onnx")
    reader = CalibrationReader({"x": calibration_rows()})
    quantize_static(tmp_path / "float.onnx", tmp_path / "int8.onnx", reader)
    found = optimized_operators(tmp_path)
    assert "Conv" in found
    assert "DequantizeLinear" in found


def test_static_quantizer_clips_an_output_in_front_of_a_relu(tmp_path):
    proto = calibration_net()
    proto.graph.output.append(
        helper.make_tensor_value_info("s1", TensorProto.FLOAT, ["N", 8, 8, 8])
    )
    stock_ranges(tmp_path, CalibrationReader({"x": calibration_rows()}), proto=proto)
    rows = {"x": calibration_rows()}
    expected = open_predict(tmp_path / "float.onnx")(rows)["s1"]
    assert expected.min() < -1
    assert open_predict(tmp_path / "int8.onnx")(rows)["s1"].min() == 0


def test_static_quantizer_takes_an_empty_list_of_nodes_for_all(tmp_path):
    onnx.save(calibration_net(), tmp_path / "float.onnx")
    reader = CalibrationReader({"x": calibration_rows()})
    quantize_static(tmp_path / "float.onnx", tmp_path / "int8.onnx", reader, nodes_to_quantize=[])
    operators = {node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node}
    assert "QuantizeLinear" in operators


def test_static_quantizer_rounds_the_bias_of_zero_weights_away(tmp_path):
    """quantization/channel_scales.py gives such channels a scale for their bias."""
    weights = numpy_helper.from_array(np.zeros((16, 4), np.float32), "w")
    bias = numpy_helper.from_array(np.full(4, 1e-3, np.float32), "b")
    gemm = helper.make_node("Gemm", ["x", "w", "b"], ["y"], "gemm")
    found = stock_static(quantizer_model([gemm], [weights, bias], columns=4), tmp_path)
    assert not open_predict(found)(QUANTIZER_ROWS)["y"].any()


def test_static_quantizer_gives_a_body_what_stands_in_front_of_a_relu(tmp_path):
    """graph/integer_nodes.py absorbs no Relu whose result a body reads."""
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    body = helper.make_graph([helper.make_node("Identity", ["r"], ["o"], "i")], "b", [], [output])
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["a"], "gemm"),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("Gemm", ["r", "v"], ["y"], "last"),
        helper.make_node("If", ["flag"], ["z"], "if", then_branch=body, else_branch=body),
    ]
    constants = [
        quantizer_weight("w", 16, 16),
        quantizer_weight("v", 16, 16),
        numpy_helper.from_array(np.array(True), "flag"),
    ]
    found = stock_static(quantizer_model(nodes, constants, outputs=("y", "z")), tmp_path)
    assert open_predict(tmp_path / "float.onnx")(QUANTIZER_ROWS)["z"].min() == 0
    assert open_predict(found)(QUANTIZER_ROWS)["z"].min() < -1


# What torch 2.13's exporter gets wrong, and conversion/from_torch.py and parity keep from us.


def exported_by_torch(module, shape, traced_rows):
    torch = pytest.importorskip("torch")
    program = torch.onnx.export(
        module.eval(),
        (torch.ones(traced_rows, *shape),),
        dynamo=True,
        verbose=False,
        opset_version=18,
        dynamic_shapes=({0: "N"},),
    )
    proto = program.model_proto
    proto.ir_version = 8
    return proto


def run_exported(proto, array, folder):
    onnx.save(proto, folder / "exported.onnx")
    predict = open_predict(folder / "exported.onnx")
    (output,) = predict({proto.graph.input[0].name: array}).values()
    return output


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_torch_bakes_in_a_batch_of_one(tmp_path):
    nn = pytest.importorskip("torch.nn")
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    proto = exported_by_torch(encoder, (3, 8), traced_rows=1)
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    assert run_exported(proto, np.ones((1, 3, 8), np.float32), tmp_path).shape == (1, 3, 8)
    with pytest.raises(InferenceError):
        run_exported(proto, np.ones((3, 3, 8), np.float32), tmp_path)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_torch_drops_the_branch_for_a_batch_of_one(tmp_path):
    nn = pytest.importorskip("torch.nn")

    class SpecialAtOne(nn.Module):
        def forward(self, x):
            return x + 1 if len(x) == 1 else x * 2

    proto = exported_by_torch(SpecialAtOne(), (4,), traced_rows=2)
    ones = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(run_exported(proto, ones * 3, tmp_path), ones * 6)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_torch_writes_the_paths_of_this_machine():
    nn = pytest.importorskip("torch.nn")
    proto = exported_by_torch(nn.Sequential(nn.Linear(4, 2)), (4,), traced_rows=2)
    assert str(pytest.importorskip("torch").__path__[0]).encode() in proto.SerializeToString()


def test_static_quantizer_gives_an_average_the_scale_of_what_it_averages(tmp_path):
    proto = calibration_net()
    pool = helper.make_node("AveragePool", ["y"], ["p"], "pool", kernel_shape=[8, 8])
    proto.graph.node.append(pool)
    proto.graph.output[0].name = "p"
    found = stock_ranges(tmp_path, CalibrationReader({"x": calibration_rows()}), proto=proto)
    assert found["p"][1] - found["p"][0] < (found["y"][1] - found["y"][0]) / 4
    (node,) = (
        node
        for node in onnx.load(tmp_path / "int8.onnx").graph.node
        if node.op_type == "QuantizeLinear" and node.input[0].startswith("p")
    )
    assert node.input[1] == "y_scale"


# What onnx's own tools get wrong, and the route of .onnx files mends.


def function_with_a_default():
    node = helper.make_node("LeakyRelu", ["p"], ["q"])
    node.attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    imports = [helper.make_opsetid("", 17)]
    default = helper.make_attribute("slope", 0.5)
    body = helper.make_function("mine", "F", ["p"], ["q"], [node], imports, [], [default])
    info = helper.make_tensor_value_info
    call = helper.make_node("F", ["x"], ["y"], domain="mine")
    graph = helper.make_graph(
        [call], "g", [info("x", TensorProto.FLOAT, [2])], [info("y", TensorProto.FLOAT, [2])]
    )
    imports = [*imports, helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9, functions=[body])


def test_the_inliner_forgets_the_defaults_of_attributes():
    """onnxq.graph.rewrites.inline_functions writes them into the calls first (onnx 1.23.2)."""
    inlined = inliner.inline_local_functions(function_with_a_default())
    assert not inlined.graph.node[0].attribute


@pytest.mark.parametrize(("opset", "operator"), [(9, "Upsample"), (10, "Resize")])
def test_the_converter_forgets_where_pixels_stood(opset, operator):
    """onnxq.conversion.opset_lifting says it (onnx 1.23.2)."""
    info = helper.make_tensor_value_info
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "s")
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "s"], ["y"], mode="linear")],
        "g",
        [info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [info("y", TensorProto.FLOAT, [1, 1, 8, 8])],
        [scales],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=5)
    lifted = version_converter.convert_version(model, 13)
    resize = next(node for node in lifted.graph.node if node.op_type == "Resize")
    assert [attribute.name for attribute in resize.attribute] == ["mode"]


# What onnxruntime makes of integer weights.


def test_a_dequantized_weight_of_a_convolution_is_computed_at_every_inference(tmp_path):
    """onnxruntime 1.31.1 folds no DequantizeLinear; so weight-only models hold Cast and Mul."""
    values = np.arange(16 * 16 * 9, dtype=np.int32).reshape(16, 16, 3, 3) % 255 - 127
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], "dq", axis=0),
            helper.make_node("Conv", ["x", "w"], ["y"], "conv"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(values.astype(np.int8), "q"),
            numpy_helper.from_array(np.full(16, 0.01, np.float32), "s"),
            numpy_helper.from_array(np.zeros(16, np.int8), "z"),
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, tmp_path / "given.onnx")
    options = session_options()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    open_session(tmp_path / "given.onnx", options)
    found = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert found == ["DequantizeLinear", "Conv"]


@pytest.mark.parametrize("bits", [4, 8])
def test_blocks_of_zeros_return_noise_of_their_scale(tmp_path, bits):
    """So onnxq.graph.weight_blocks gives them a scale of 2^-100 (onnxruntime 1.31.1)."""
    middle = 0x88 if bits == 4 else 0x80
    product = helper.make_node(
        "MatMulNBits", ["x", "q", "s"], ["y"], "nbits", domain="com.microsoft",
        K=16, N=16, bits=bits, block_size=16, accuracy_level=4,
    )  # fmt: skip
    constants = [
        numpy_helper.from_array(np.full((16, 1, 2 * bits), middle, np.uint8), "q"),
        numpy_helper.from_array(np.ones(16, np.float32), "s"),
    ]
    proto = quantizer_model([product], constants)
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(proto, tmp_path / "zeros.onnx")
    assert np.abs(open_predict(tmp_path / "zeros.onnx")(QUANTIZER_ROWS)["y"]).max() > 0


# What torch 2.13's TorchScript exporter gets wrong, and conversion/from_torch_traced.py mends.


def export_script(module, example, path):
    torch = pytest.importorskip("torch")
    torch.onnx.export(
        torch.jit.script(module),
        (example,),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["x"],
        dynamic_axes={"x": {0: "N"}},
    )
    return onnx.load(path)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_torchscript_exporter_refuses_dictionaries(tmp_path):
    torch = pytest.importorskip("torch")

    class Named(torch.nn.Module):
        def forward(self, x):
            return {"a": x + 1}

    with pytest.raises(torch.onnx.OnnxExporterError, match="DictConstruct"):
        export_script(Named(), torch.ones(2, 3), tmp_path / "m.onnx")


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_torchscript_exporter_prints_the_graph_of_what_it_lacks(tmp_path, capfd):
    torch = pytest.importorskip("torch")

    class Unknown(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.svd(x)[1]

    with pytest.raises(torch.onnx.OnnxExporterError):
        export_script(Unknown(), torch.ones(2, 3, 3), tmp_path / "m.onnx")
    assert "graph(" in capfd.readouterr().out


@pytest.mark.torch
@pytest.mark.slow
def test_pt2e_programs_need_operators_that_torch_does_not_register(tmp_path):
    pytest.importorskip("torch")
    save = (
        "import torch, torch.ao.quantization.fx._decomposed\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        ops = torch.ops.quantized_decomposed\n"
        "        return ops.quantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8)\n"
        "torch.export.save(torch.export.export(Net(), (torch.ones(2, 3),)), 'm.pt2')\n"
    )
    load = "import torch; torch.export.load('m.pt2')"
    for code, fails in ((save, False), (load, True)):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False
        )
        assert bool(done.returncode) is fails


# What onnxruntime 1.31 copies for outputs, and calibration/blocked_layout.py spares.


def optimized_convolution(channels, folder):
    """Optimize x → Conv → c → Conv → y, with c as an output too."""
    info = helper.make_tensor_value_info
    weight = np.random.default_rng(0).standard_normal((channels, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node("Conv", ["c", "v"], ["y"]),
        ],
        "g",
        [info("x", TensorProto.FLOAT, ["N", 3, 9, 9])],
        [info("y", TensorProto.FLOAT, None), info("c", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(np.ones((4, channels, 1, 1), np.float32), "v"),
        ],
    )
    path, optimized = folder / "m.onnx", folder / "optimized.onnx"
    imports = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), path)
    options = session_options()
    options.optimized_model_filepath = str(optimized)
    open_session(path, options)
    return path, onnx.load(optimized)


@pytest.mark.parametrize(("channels", "is_whole"), [(16, True), (48, True), (20, False)])
def test_onnxruntime_copies_convolutions_to_another_layout_for_outputs(
    channels, is_whole, tmp_path
):
    """Where whole blocks are not the values in another order, blocked_layout is wrong."""
    path, proto = optimized_convolution(channels, tmp_path)
    copies = {n.output[0]: n for n in proto.graph.node if n.op_type == "ReorderOutput"}
    if not any(node.domain == "com.microsoft.nchwc" for node in proto.graph.node):
        pytest.skip("onnxruntime keeps NCHW on this processor")
    assert "c" in copies
    blocks = copies["c"].input[0]
    proto.graph.output.append(onnx.ValueInfoProto(name=blocks))
    onnx.save(proto, tmp_path / "watched.onnx")
    x = {"x": np.random.default_rng(1).standard_normal((2, 3, 9, 9)).astype(np.float32)}
    found = open_predict(tmp_path / "watched.onnx", optimize=False)(x)
    expected = open_predict(path)(x)["c"]
    assert found["c"].tobytes() == expected.tobytes()
    assert (found[blocks].shape == expected.shape) is is_whole
    if is_whole:
        assert found[blocks].tobytes() != expected.tobytes()
        for row, blocked in zip(expected, found[blocks], strict=True):
            assert np.sort(row, axis=None).tobytes() == np.sort(blocked, axis=None).tobytes()


def test_a_padding_of_zeros_in_front_of_a_max_pool_is_moved_into_it():
    """onnxruntime 1.31's ORT_ENABLE_BASIC: zeros become -inf; see settle_padded_pools."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Pad", ["x", "pads"], ["padded"]),
            helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
        ],
        "g",
        [info("x", TensorProto.FLOAT, [1, 1, 2, 2])],
        [info("y", TensorProto.FLOAT, [1, 1, 2, 2])],
        [numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    rows = np.full((1, 1, 2, 2), -1.0, np.float32)
    assert (session.run(None, {"x": rows})[0] == -1.0).all()  # 0 is right: each window has zeros


def test_a_dequantized_tensor_that_is_moved_into_a_body_kills_the_process(tmp_path):
    """Pushing DequantizeLinear through the Transpose, it takes the Loop to read it as an input.

    So the rows of a table that dynamic int8 looks up are scaled by Cast and Mul: a masked GRU of
    Keras is an Embedding, a Transpose and a Loop.
    """
    info = helper.make_tensor_value_info
    sizes = [3, 2]
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["goes"]),
            helper.make_node("Add", ["sum", "moved"], ["sums"]),
        ],
        "body",
        [
            info("step", TensorProto.INT64, []),
            info("go", TensorProto.BOOL, []),
            info("sum", TensorProto.FLOAT, sizes),
        ],
        [info("goes", TensorProto.BOOL, []), info("sums", TensorProto.FLOAT, sizes)],
    )
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "scale"], ["floats"]),
        helper.make_node("Transpose", ["floats"], ["moved"], perm=[1, 0]),
        helper.make_node("Loop", ["steps", "", "zeros"], ["y"], body=body),
    ]
    constants = [
        numpy_helper.from_array(np.float32(0.1), "scale"),
        numpy_helper.from_array(np.int64(3), "steps"),
        numpy_helper.from_array(np.zeros(sizes, np.float32), "zeros"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [info("x", TensorProto.UINT8, sizes[::-1])],
        [info("y", TensorProto.FLOAT, sizes)],
        constants,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto, full_check=True)
    path = tmp_path / "loop.onnx"
    onnx.save(proto, path)
    program = f"from onnxq.runtime import *; open_session({str(path)!r}, session_options())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == -signal.SIGABRT


def test_an_integer_matmul_with_a_float_bias_becomes_a_float_gemm(tmp_path):
    """onnxruntime 1.31 dequantizes all weights in each run; see join_matmul_bias."""
    constants = {
        "scale": np.float32(0.1),
        "zero": np.uint8(128),
        "integers": np.ones((16, 16), np.int8),
        "weight_scale": np.float32(0.01),
        "weight_zero": np.int8(0),
        "bias": np.ones(16, np.float32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["integers", "weight_scale", "weight_zero"], ["w"]),
        helper.make_node("MatMul", ["d", "w"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["y"]),
    ]
    tensors = [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()]
    options = session_options()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    model = quantizer_model(nodes, tensors).SerializeToString()
    onnxruntime.InferenceSession(model, options)
    kinds = {node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node}
    assert "Gemm" in kinds
    assert "MatMulIntegerToFloat" not in kinds


# What onnxruntime's own optimizations make of other tools' quantized models; repair mends it.


def pair_nodes(name, scale, point):
    return [
        helper.make_node("QuantizeLinear", [name, scale, point], [f"{name}_q"]),
        helper.make_node("DequantizeLinear", [f"{name}_q", scale, point], [f"{name}_d"]),
    ]


def paired_model(nodes, initializers, outputs, opset=17):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in initializers.items()],
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def operators_run(proto, folder):
    onnx.save(proto, folder / "given.onnx")
    options = session_options()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    open_session(folder / "given.onnx", options)
    return [node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node]


def test_onnxruntime_dies_of_scales_that_are_tensors_of_one_element(tmp_path):
    """flatten_grids: its fused QLinearAdd wants scalars, QuantizeLinear takes either."""
    nodes = [
        *pair_nodes("x", "s", "z"),
        helper.make_node("Add", ["x_d", "x_d"], ["y"]),
        *pair_nodes("y", "s", "z"),
    ]
    scale = {"s": np.array([0.1], np.float32), "z": np.array([3], np.uint8)}
    onnx.save(paired_model(nodes, scale, ["y_d"]), tmp_path / "model.onnx")
    with pytest.raises(InferenceError, match="must be a scalar"):
        open_predict(tmp_path / "model.onnx")
    open_predict(tmp_path / "model.onnx", optimize=False)


def test_onnxruntime_dequantizes_a_whole_table_to_look_up_a_row(tmp_path):
    """gather_integers: DequantizeLinear stays in front of Gather."""
    nodes = [
        helper.make_node("DequantizeLinear", ["table", "s", "z"], ["floats"]),
        helper.make_node("Gather", ["floats", "rows"], ["looked"]),
        helper.make_node("Add", ["x", "looked"], ["y"]),
    ]
    stored = {
        "table": np.ones((50, 8), np.int8),
        "s": np.float32(0.1),
        "z": np.int8(0),
        "rows": np.arange(8),
    }
    found = operators_run(paired_model(nodes, stored, ["y"]), tmp_path)
    assert found.index("DequantizeLinear") < found.index("Gather")


@pytest.mark.parametrize(("factor", "fuses"), [(1.0, True), (30.0, False)])
def test_onnxruntime_fuses_no_conv_whose_bias_has_another_scale(tmp_path, factor, fuses):
    """settle_biases: int32 biases take the scale of their sums."""
    nodes = [
        *pair_nodes("x", "s", "z"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
        helper.make_node("DequantizeLinear", ["b", "bs", "bz"], ["bd"]),
        helper.make_node("Conv", ["x_d", "wd", "bd"], ["y"]),
        *pair_nodes("y", "s", "z"),
    ]
    stored = {
        "s": np.float32(0.1), "z": np.uint8(3),
        "w": np.ones((4, 4, 3, 3), np.int8), "ws": np.float32(0.02), "wz": np.int8(0),
        "b": np.arange(4, dtype=np.int32), "bz": np.int32(0),
        "bs": np.float32(0.1) * np.float32(0.02) * np.float32(factor),
    }  # fmt: skip
    found = operators_run(paired_model(nodes, stored, ["y_d"]), tmp_path)
    assert ("QLinearConv" in found) == fuses
