import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.errors import QuantizationError
from onnxq.events import tell_nobody
from onnxq.graph import read_model
from onnxq.quantization.quantizing import quantize
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipe_kinds import DynamicInt8, MeanSquaredError, StaticQdq
from onnxq.stages import QuantizeRequest


def save_mlp(path, seed=0):
    generator = np.random.default_rng(seed)
    weights = {
        "w1": generator.standard_normal((64, 64)) / 8,
        "w2": generator.standard_normal((64, 64)) / 8,
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w1"], ["a"], "gemm1"),
            helper.make_node("Relu", ["a"], ["b"], "relu"),
            helper.make_node("Gemm", ["b", "w2"], ["y"], "gemm2"),
        ],
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 64])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return read_model(path)


def save_ranges(path, model):
    ranges = {
        "x": TensorRange(-4.0, 4.0),
        "a": TensorRange(0.0, 4.0),
        "b": TensorRange(0.0, 4.0),
    }
    written = TensorRanges("mse", ranges, model_sha256=model.sha256)
    path.write_bytes(msgspec.json.encode(written))
    return str(path)


@pytest.fixture
def model(tmp_path):
    (tmp_path / "given").mkdir()
    return save_mlp(tmp_path / "given" / "mlp.onnx")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("recipe", [StaticQdq(ranges=MeanSquaredError()), DynamicInt8()])
def test_each_recipe_writes_a_smaller_model_that_runs(model, folder, tmp_path, recipe):
    ranges = save_ranges(tmp_path / "ranges.json", model) if isinstance(recipe, StaticQdq) else ""
    request = QuantizeRequest(model=model, recipe=recipe, ranges=ranges)
    result = quantize(request, folder, tell_nobody)
    assert (result.quantized_nodes, result.quantizable_nodes) == (2, 2)
    assert result.left_float == {}
    assert result.model.signature == model.signature
    assert result.size.file_bytes < 0.5 * (64 * 64 * 2 * 4)
    assert result.size.initializer_bytes["int8"] >= 64 * 64 * 2
    rows = np.random.default_rng(1).standard_normal((16, 64)).astype(np.float32)
    reference, found = (
        onnxruntime.InferenceSession(path).run(None, {"x": rows})[0]
        for path in (model.path, result.model.path)
    )
    noise = ((reference - found) ** 2).sum() / (reference**2).sum()
    assert 10 * np.log10(1 / noise) >= 25


def test_nothing_is_written_beside_the_source_and_one_file_stays(model, folder, tmp_path):
    ranges = save_ranges(tmp_path / "ranges.json", model)
    request = QuantizeRequest(
        model=model, recipe=StaticQdq(ranges=MeanSquaredError()), ranges=ranges
    )
    quantize(request, folder, tell_nobody)
    assert [path.name for path in (tmp_path / "given").iterdir()] == ["mlp.onnx"]
    assert [path.name for path in folder.iterdir()] == ["quantized.onnx"]


def test_ranges_that_were_calibrated_on_another_model_are_refused(model, folder, tmp_path):
    """Names and shapes fit: onnxruntime's cache would be applied without a word."""
    other = save_mlp(tmp_path / "other.onnx", seed=1)
    request = QuantizeRequest(
        model=model,
        recipe=StaticQdq(ranges=MeanSquaredError()),
        ranges=save_ranges(tmp_path / "ranges.json", other),
    )
    with pytest.raises(QuantizationError, match="of another model") as caught:
        quantize(request, folder, tell_nobody)
    assert caught.value.code == "OQ171"


def test_nothing_quantized_is_an_error(folder, tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Tanh", ["x"], ["y"], "tanh")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 64])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, tmp_path / "tanh.onnx")
    model = read_model(tmp_path / "tanh.onnx")
    path = tmp_path / "ranges.json"
    path.write_bytes(msgspec.json.encode(TensorRanges("mse", {}, model_sha256=model.sha256)))
    request = QuantizeRequest(
        model=model, recipe=StaticQdq(ranges=MeanSquaredError()), ranges=str(path)
    )
    with pytest.raises(QuantizationError) as caught:
        quantize(request, folder, tell_nobody)
    assert caught.value.code == "OQ163"
    assert not (folder / "quantized.onnx").exists()
