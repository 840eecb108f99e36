"""One test per upstream fault that onnxq works around; each fails once upstream mends it.

When one fails: read what works around it, see whether the floor of the dependency can be lifted,
and take both away together.
"""

import importlib.util
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

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
