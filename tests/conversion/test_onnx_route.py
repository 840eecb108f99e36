"""What becomes of a given ``.onnx`` file is proven against the file as given."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.conversion import onnx_route
from onnxq.conversion.converting import convert
from onnxq.conversion.from_onnx import convert_onnx
from onnxq.errors import ParityError, SourceError
from onnxq.events import tell_nobody
from onnxq.reports import Parity, ParityNotChecked
from onnxq.runtime import open_predict
from onnxq.sources import OnnxFile
from onnxq.stages import ConvertRequest, NoDataRequest

SHARED = Path(os.environ.get("ONNXQ_SHARED", Path(__file__).parents[3] / "shared"))
FLOATS = {
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float64": TensorProto.DOUBLE,
}
GENERATOR = np.random.default_rng(0)
node = helper.make_node
info = helper.make_tensor_value_info


def stored(name, *shape, kind=TensorProto.FLOAT):
    array = GENERATOR.standard_normal(shape).astype(helper.tensor_dtype_to_np_dtype(kind))
    return numpy_helper.from_array(array, name)


def conv_net(kind=TensorProto.FLOAT, opset=17):
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["b"]),
        node("GlobalAveragePool", ["b"], ["c"]),
        node("Flatten", ["c"], ["d"]),
        node("Gemm", ["d", "g"], ["y"]),
    ]
    weights = [stored("w", 4, 3, 3, 3, kind=kind), stored("g", 4, 5, kind=kind)]
    inputs, outputs = [info("x", kind, ["N", 3, 8, 8])], [info("y", kind, ["N", 5])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def matmul(kind=TensorProto.FLOAT):
    graph = helper.make_graph(
        [node("MatMul", ["x", "w"], ["y"])],
        "g",
        [info("x", kind, ["N", 4])],
        [info("y", kind, ["N", 3])],
        [stored("w", 4, 3, kind=kind)],
    )
    imports = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def converted(proto, folder):
    onnx.save(proto, folder / "given.onnx")
    return converted_file(folder / "given.onnx", folder)


def converted_file(path, folder):
    work = folder / "work"
    work.mkdir()
    request = ConvertRequest(
        source=OnnxFile(str(path)),
        declared=(),
        data=NoDataRequest(),
        check=True,
        seed=0,
        trusted_folders=(),
    )
    return convert(request, work, tell_nobody)


@pytest.mark.parametrize("dtype", FLOATS)
def test_other_floats_become_float32_and_are_proven(dtype, tmp_path):
    result = converted(conv_net(FLOATS[dtype]), tmp_path)
    assert isinstance(result.parity, Parity) is (dtype != "bfloat16")
    assert {spec.dtype for spec in result.model.signature.inputs} == {"float32"}
    assert {spec.dtype for spec in result.model.signature.outputs} == {"float32"}
    assert [spec.name for spec in result.model.signature.inputs] == ["x"]
    finding = result.findings[0]
    assert finding.code == "OQ158"
    assert dtype in finding.message
    assert finding.evidence["given_bytes"] == (tmp_path / "given.onnx").stat().st_size
    assert finding.evidence["float32_bytes"] == Path(result.model.path).stat().st_size


def test_what_nothing_here_can_run_is_said(tmp_path):
    result = converted(conv_net(TensorProto.BFLOAT16), tmp_path)
    assert isinstance(result.parity, ParityNotChecked)
    assert [finding.code for finding in result.findings] == ["OQ158", "OQ154"]
    assert result.findings[1].severity == "warning"


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_a_wrong_twin_is_found(dtype, tmp_path, monkeypatch):
    def spoil(path, destination):
        normalized = convert_onnx(path, destination)
        proto = onnx.load(destination)
        weight = numpy_helper.to_array(proto.graph.initializer[0]) * np.float32(1.3)
        proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
        onnx.save(proto, destination)
        return normalized

    monkeypatch.setattr(onnx_route, "convert_onnx", spoil)
    with pytest.raises(ParityError, match="differs by up to"):
        converted(matmul(FLOATS[dtype]), tmp_path)


def test_an_exact_change_is_compared(tmp_path):
    proto = conv_net()
    proto.graph.input.append(info("w", TensorProto.FLOAT, [4, 3, 3, 3]))
    result = converted(proto, tmp_path)
    assert isinstance(result.parity, Parity)
    # Weights that could be fed are not folded, so onnxruntime fuses a little less.
    assert max(probe.max_abs_difference for probe in result.parity.probes) < 1e-5


def test_external_data_is_compared(tmp_path):
    path = tmp_path / "given.onnx"
    onnx.save(conv_net(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    result = converted_file(path, tmp_path)
    assert isinstance(result.parity, Parity)
    assert result.model.side_files == ()


def test_an_exact_change_that_cannot_be_fed_is_believed(tmp_path):
    graph = helper.make_graph(
        [node("Gather", ["w", "x"], ["y"])],
        "g",
        [info("x", TensorProto.INT64, ["N"]), info("w", TensorProto.FLOAT, [4, 3])],
        [info("y", TensorProto.FLOAT, ["N", 3])],
        [stored("w", 4, 3)],
    )
    imports = [helper.make_opsetid("", 17)]
    result = converted(helper.make_model(graph, opset_imports=imports, ir_version=8), tmp_path)
    assert isinstance(result.parity, ParityNotChecked)
    assert "exact" in result.parity.reason


def test_a_change_that_is_not_exact_must_be_fed(tmp_path):
    graph = helper.make_graph(
        [node("Gather", ["w", "x"], ["y"])],
        "g",
        [info("x", TensorProto.INT64, ["N"])],
        [info("y", TensorProto.FLOAT, ["N", 3])],
        [stored("w", 4, 3)],
    )
    imports = [helper.make_opsetid("", 11)]
    with pytest.raises(SourceError) as caught:
        converted(helper.make_model(graph, opset_imports=imports, ir_version=6), tmp_path)
    assert caught.value.code == "OQ112"


def quantized(per_channel):
    scales = np.array([0.01, 0.02, 0.03], np.float32) if per_channel else np.float32(0.02)
    weights = [
        numpy_helper.from_array(GENERATOR.integers(-127, 128, (4, 3)).astype(np.int8), "w"),
        numpy_helper.from_array(np.asarray(scales), "ws"),
        numpy_helper.from_array(np.zeros_like(scales, np.int8), "wz"),
        numpy_helper.from_array(np.float32(0.05), "xs"),
        numpy_helper.from_array(np.uint8(128), "xz"),
    ]
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("DequantizeLinear", ["q", "xs", "xz"], ["d"]),
        node("DequantizeLinear", ["w", "ws", "wz"], ["f"], axis=1),
        node("MatMul", ["d", "f"], ["y"]),
    ]
    inputs, outputs = [info("x", TensorProto.FLOAT, ["N", 4])], [info("y", 1, ["N", 3])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    imports = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


@pytest.mark.parametrize("per_channel", [True, False])
def test_a_quantized_model_is_recognised_and_computes_the_same(per_channel, tmp_path):
    given = quantized(per_channel)
    given.graph.input.append(info("w", TensorProto.INT8, [4, 3]))  # a reason to compare
    result = converted(given, tmp_path)
    assert isinstance(result.parity, Parity)
    assert max(probe.max_abs_difference for probe in result.parity.probes) == 0.0
    assert "1 weight in int8" in result.quantized_already
    assert result.model.operators == {
        "DequantizeLinear": 2, "MatMul": 1, "QuantizeLinear": 1,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["version-RFB-320.onnx", "version-slim-320.onnx"])
def test_ultraface_at_opset_9_is_lifted(name, tmp_path):
    path = SHARED / "models" / "ultraface" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    result = converted_file(path, tmp_path)
    assert isinstance(result.parity, Parity)
    assert result.model.opset == 13
    assert result.findings[0].code == "OQ155"
    x = GENERATOR.standard_normal((1, 3, 240, 320)).astype(np.float32)
    (name,) = [spec.name for spec in result.model.signature.inputs]
    expected = open_predict(path)({name: x})
    for output, array in open_predict(result.model.path)({name: x}).items():
        np.testing.assert_allclose(array, expected[output], atol=1e-5)
