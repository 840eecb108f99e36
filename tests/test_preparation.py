"""Preparation: the prepared model computes the same, and onnxruntime's quantizers take it."""

from pathlib import Path

import numpy as np
import onnx
import onnxslim
import pytest
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from onnxq import preparation
from onnxq.errors import InferenceError, QuantizationError, SourceError
from onnxq.events import tell_nobody
from onnxq.graph import load_proto, read_model, used_domains
from onnxq.graph.rewrites import Rewrite, Rewritten
from onnxq.preparation import prepare
from onnxq.quantization.dynamic import quantize_dynamic_int8
from onnxq.quantization.finishing import load_for_quantizer, write_quantized
from onnxq.recipe_kinds import DynamicInt8
from onnxq.runtime import open_predict
from onnxq.stages import PrepareRequest

F = TensorProto.FLOAT


def weight(name, *shape):
    values = np.random.default_rng(len(name) + sum(shape)).standard_normal(shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def make_model(nodes, inputs, outputs, initializers=(), opset=17):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g",
        [info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        list(initializers),
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run_stage(proto, folder):
    (folder / "work").mkdir()
    onnx.save(proto, folder / "source.onnx")
    request = PrepareRequest(model=read_model(folder / "source.onnx"))
    return prepare(request, folder / "work", tell_nobody)


def check_equal(proto, prepared, rows):
    """Compare with the source in plain onnxruntime, at rows of another scale than the probes'."""
    folder = Path(prepared.path).parent
    onnx.save(proto, folder / "expected.onnx")
    expected = open_predict(folder / "expected.onnx")(rows)
    found = open_predict(prepared.path)(rows)
    assert list(found) == list(expected)
    for name, array in expected.items():
        limit = 1e-4 * max(1.0, float(np.abs(array).max(initial=0.0)))
        np.testing.assert_allclose(found[name], array, rtol=0, atol=limit)


def linear(name="x", output="y", extra_inputs=(), **attributes):
    node = helper.make_node("Gemm", [name, "w", *extra_inputs], [output], "fc", **attributes)
    return node, {name: (F, ["N", 16])}, {output: (F, ["N", 16])}


def gemm_with(bias, **attributes):
    node, inputs, outputs = linear(extra_inputs=["b"], **attributes)
    return make_model([node], inputs, outputs, [weight("w", 16, 16), bias])


def shared_gemm():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "mm"),
        helper.make_node("Gemm", ["a", "w"], ["y"], "g", transB=1),
    ]
    return make_model(nodes, {"x": (F, ["N", 16])}, {"y": (F, ["N", 16])}, [weight("w", 16, 16)])


def taken_name(name):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], [name], "mm"),
        helper.make_node("Relu", [name], ["r"], "relu"),
        helper.make_node("MatMul", ["r", "v"], ["y"], "mm2"),
    ]
    weights = [weight("w", 16, 16), weight("v", 16, 16)]
    return make_model(nodes, {"x": (F, ["N", 16])}, {"y": (F, ["N", 16])}, weights)


def passed_input():
    node, inputs, outputs = linear()
    return make_model([node], inputs, outputs | inputs, [weight("w", 16, 16)])


def value_info_of_weight():
    node, inputs, _ = linear(transB=1)
    proto = make_model([node], inputs, {"y": (F, ["N", 5])}, [weight("w", 5, 16)])
    proto.graph.value_info.append(helper.make_tensor_value_info("w", F, [5, 16]))
    return proto


def constant_weight():
    nodes = [
        helper.make_node("Constant", [], ["w"], value=weight("w", 16, 16)),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    return make_model(nodes, {"x": (F, ["N", 16])}, {"y": (F, ["N", 16])})


def local_function():
    body = [helper.make_node("MatMul", ["a", "b"], ["c"]), helper.make_node("Relu", ["c"], ["d"])]
    imports = [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "Dense", ["a", "b"], ["d"], body, imports)
    node = helper.make_node("Dense", ["x", "w"], ["y"], "dense", domain="own")
    proto = make_model([node], {"x": (F, ["N", 16])}, {"y": (F, ["N", 16])}, [weight("w", 16, 16)])
    proto.opset_import.append(helper.make_opsetid("own", 1))
    proto.functions.append(function)
    return proto


def repeated_names():
    """The first MatMul has no name; the others share one, which onnxruntime refuses to load."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Tanh", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "v"], ["y"]),
    ]
    weights = [weight("w", 16, 16), weight("v", 16, 16)]
    return make_model(nodes, {"x": (F, ["N", 16])}, {"y": (F, ["N", 16])}, weights)


AWKWARD = {
    "shared weight": shared_gemm,
    "beta": lambda: gemm_with(weight("b", 16), beta=0.5),
    "alpha and beta": lambda: gemm_with(weight("b", 16), alpha=2.0, beta=0.5, transB=1),
    "bias (1, n)": lambda: gemm_with(weight("b", 1, 16)),
    "bias ()": lambda: gemm_with(weight("b")),
    "bias (1,)": lambda: gemm_with(weight("b", 1)),
    "bias (1, 1) and beta": lambda: gemm_with(weight("b", 1, 1), beta=3.0),
    "x_scale": lambda: taken_name("x_scale"),
    "x_QuantizeLinear_Output": lambda: taken_name("x_QuantizeLinear_Output"),
    "w_quantized": lambda: taken_name("w_quantized"),
    "input is output": passed_input,
    "value_info of a weight": value_info_of_weight,
    "Constant weight": constant_weight,
    "local function": local_function,
    "nodes without names": repeated_names,
}
"""Graphs that make onnxruntime 1.31.1's quantizers crash or lie, static or dynamic."""


class Rows(CalibrationDataReader):
    def __init__(self, rows):
        self._rows = iter(rows)

    def get_next(self):
        return next(self._rows, None)


@pytest.mark.parametrize("case", AWKWARD)
def test_awkward_graphs_are_quantized_right(tmp_path, case):
    proto = AWKWARD[case]()
    prepared = run_stage(proto, tmp_path).model
    generator = np.random.default_rng(5)
    rows = {"x": generator.standard_normal((4, 16)).astype(np.float32)}
    check_equal(proto, prepared, rows)
    assert prepared.signature == read_model(tmp_path / "source.onnx").signature
    original = load_proto(prepared.path)
    onnx.save(load_for_quantizer(prepared.path), tmp_path / "private.onnx")
    quantize_static(
        tmp_path / "private.onnx", tmp_path / "stock.onnx", Rows([rows]), per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm", "Relu"],
    )  # fmt: skip
    stock = load_proto(tmp_path / "stock.onnx")
    static = write_quantized(stock, original, tmp_path / "static.onnx", "static")
    dynamic = quantize_dynamic_int8(Path(prepared.path), tmp_path / "dynamic.onnx", DynamicInt8())
    expected = open_predict(prepared.path)(rows)["y"]
    for result in (static, dynamic):
        assert result.count.left_float == {}
        error = np.sum((open_predict(result.model.path)(rows)["y"] - expected) ** 2)
        assert 10 * np.log10(np.sum(expected**2) / error) > 25, result.model.path


def test_cnn_is_folded_and_pooled(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("BatchNormalization", ["a", "s", "b", "m", "v"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("ReduceMean", ["d"], ["e"], axes=[2, 3], keepdims=0),
        helper.make_node("Dropout", ["e"], ["f"]),
        helper.make_node("MatMul", ["f", "h"], ["g"]),
        helper.make_node("Add", ["g", "hb"], ["y"]),
    ]
    variance = numpy_helper.from_array(np.linspace(0.5, 2, 8, dtype=np.float32), "v")
    weights = [weight("w", 8, 3, 3, 3), weight("s", 8), weight("b", 8), weight("m", 8), variance]
    weights += [weight("h", 8, 4), weight("hb", 4)]
    proto = make_model(nodes, {"x": (F, ["N", 3, 9, 9])}, {"y": (F, ["N", 4])}, weights)
    result = run_stage(proto, tmp_path)
    rows = {"x": 3 * np.random.default_rng(2).standard_normal((5, 3, 9, 9)).astype(np.float32)}
    check_equal(proto, result.model, rows)
    assert "BatchNormalization" not in result.model.operators
    assert "Dropout" not in result.model.operators
    assert result.model.operators["GlobalAveragePool"] == 1
    assert [finding.code for finding in result.findings] == ["OQ116"]
    assert "ReduceMean became GlobalAveragePool" in result.findings[0].message
    assert result.size.file_bytes == Path(result.model.path).stat().st_size


@pytest.mark.parametrize("opset", [13, 15, 17, 20, 22])
def test_opset_stays_and_the_file_is_lean(tmp_path, opset):
    node, inputs, outputs = linear()
    proto = make_model([node], inputs, outputs, [weight("w", 16, 16)], opset)
    proto.metadata_props.add(key="path", value="/home/me")
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    prepared = load_proto(run_stage(proto, tmp_path).model.path)
    assert [(entry.domain, entry.version) for entry in prepared.opset_import] == [("", opset)]
    assert prepared.ir_version == helper.find_min_ir_version_for(list(prepared.opset_import))
    assert not prepared.metadata_props
    assert not prepared.graph.value_info
    assert all(node.name for node in prepared.graph.node)


def test_nothing_but_the_model_stays_in_the_folder(tmp_path):
    run_stage(shared_gemm(), tmp_path)
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["prepared.onnx"]


def test_same_bytes_twice(tmp_path):
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        digests.add(run_stage(taken_name("x_scale"), tmp_path / name).model.sha256)
    assert len(digests) == 1


def test_step_that_changes_results_is_left_out_and_said(tmp_path, monkeypatch):
    def wrong(proto):
        tensor = proto.graph.initializer[0]
        values = numpy_helper.to_array(tensor) * np.float32(1.01)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        return proto

    monkeypatch.setattr(onnxslim, "slim", wrong)
    proto = shared_gemm()
    result = run_stage(proto, tmp_path)
    check_equal(proto, result.model, {"x": np.ones((2, 16), np.float32)})
    (finding,) = [finding for finding in result.findings if finding.code == "OQ114"]
    assert "onnxslim was left out of the preparation, because output 'y' moved" in finding.message


@pytest.mark.parametrize("failure", [ValueError("no"), AssertionError(), KeyError("x")])
def test_step_that_fails_is_left_out_and_said(tmp_path, monkeypatch, failure):
    def fail(proto):  # noqa: ARG001 - onnxslim's signature
        raise failure

    monkeypatch.setattr(onnxslim, "slim", fail)
    result = run_stage(shared_gemm(), tmp_path)
    (finding,) = [finding for finding in result.findings if finding.code == "OQ114"]
    assert type(failure).__name__ in finding.message


def test_step_that_loses_an_output_is_left_out(tmp_path, monkeypatch):
    def lose(proto):
        del proto.graph.node[1:]
        return proto

    monkeypatch.setattr(onnxslim, "slim", lose)
    proto = shared_gemm()
    result = run_stage(proto, tmp_path)
    check_equal(proto, result.model, {"x": np.ones((2, 16), np.float32)})
    assert any(finding.code == "OQ114" for finding in result.findings)


def test_step_that_blows_the_model_up_is_left_out(tmp_path, monkeypatch):
    def blow(proto):
        proto.graph.initializer.append(weight("big", 1024, 1024))
        proto.graph.node.append(helper.make_node("Identity", ["big"], ["unread"]))
        return proto

    monkeypatch.setattr(onnxslim, "slim", blow)
    result = run_stage(shared_gemm(), tmp_path)
    assert any("it made" in finding.message for finding in result.findings)
    assert result.size.file_bytes < 10_000


def test_model_that_runs_on_no_probe_gets_exact_rewrites_only(tmp_path):
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["a"]),
        helper.make_node("Gemm", ["a", "w", "b"], ["y"], beta=0.5),
    ]
    inputs = {"x": (F, ["N"]), "shape": (TensorProto.INT64, [2])}
    weights = [weight("w", 16, 16), weight("b", 16)]
    proto = make_model(nodes, inputs, {"y": (F, [None, 16])}, weights)
    result = run_stage(proto, tmp_path)
    assert [finding.code for finding in result.findings] == ["OQ115"]
    assert result.findings[0].severity == "warning"
    rows = {"x": np.ones(32, np.float32), "shape": np.array([2, 16])}
    check_equal(proto, result.model, rows)


def test_integer_inputs_are_probed_with_small_values(tmp_path):
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["a"]),
        helper.make_node("ReduceMean", ["a"], ["b"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["b", "w"], ["y"]),
    ]
    inputs = {"ids": (TensorProto.INT64, ["N", "length"])}
    weights = [weight("table", 2, 8), weight("w", 8, 3)]
    result = run_stage(make_model(nodes, inputs, {"y": (F, ["N", 3])}, weights), tmp_path)
    assert result.findings == ()


def quantized_source():
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s"], ["y"]),
    ]
    scale = numpy_helper.from_array(np.float32(0.1), "s")
    return make_model(nodes, {"x": (F, ["N"])}, {"y": (F, ["N"])}, [scale])


def half_model():
    w = numpy_helper.from_array(np.ones((4, 4), np.float16), "w")
    kind = (TensorProto.FLOAT16, ["N", 4])
    return make_model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": kind}, {"y": kind}, [w]
    )


def nan_model():
    values = np.ones((16, 16), np.float32)
    values[3, 3] = np.nan
    node, inputs, outputs = linear()
    return make_model([node], inputs, outputs, [numpy_helper.from_array(values, "w")])


def both_names():
    node = helper.make_node("MatMul", ["x", "w"], ["x_scale"])
    return make_model([node], {"x": (F, ["N", 4])}, {"x_scale": (F, ["N", 4])}, [weight("w", 4, 4)])


def old_opset():
    node, inputs, outputs = linear()
    return make_model([node], inputs, outputs, [weight("w", 16, 16)], opset=11)


def unknown_operator():
    node = helper.make_node("NoSuchOperator", ["x"], ["y"])
    return make_model([node], {"x": (F, ["N"])}, {"y": (F, ["N"])})


@pytest.mark.parametrize(
    ("build", "error", "code"),
    [
        (quantized_source, SourceError, "OQ110"),
        (half_model, SourceError, "OQ111"),
        (old_opset, SourceError, "OQ111"),
        (both_names, QuantizationError, "OQ111"),
        (nan_model, QuantizationError, "OQ113"),
        (unknown_operator, InferenceError, "OQ173"),
    ],
)
def test_refusals(tmp_path, build, error, code):
    with pytest.raises(error) as caught:
        run_stage(build(), tmp_path)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_rewrite_that_is_wrong_takes_no_other_with_it(tmp_path, monkeypatch):
    """Rewrites are proven together; where that fails, each by itself."""

    def spoil(proto):
        spoilt = onnx.ModelProto.FromString(proto.SerializeToString())
        for tensor in spoilt.graph.initializer:
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(values * np.float32(1.1), tensor.name))
        return Rewritten(spoilt, ("everything",))

    def named(name, apply):
        return Rewrite(name, "real-exact", f"{name} was done", apply, why="")

    def mark(proto):
        marked = onnx.ModelProto.FromString(proto.SerializeToString())
        marked.graph.node[0].name = "marked"
        return Rewritten(marked, ("marked",))

    group = (named("before", mark), named("spoil", spoil), named("after", mark))
    monkeypatch.setattr(preparation, "REWRITES", group)
    proto = shared_gemm()
    result = run_stage(proto, tmp_path)
    check_equal(proto, result.model, {"x": np.ones((2, 16), np.float32)})
    told = {finding.subject: finding.code for finding in result.findings}
    assert told == {"before": "OQ116", "spoil": "OQ114", "after": "OQ116"}


@pytest.mark.parametrize("name", ["version-RFB-320.onnx", "version-slim-320.onnx"])
def test_real_detector_is_prepared(tmp_path, shared, name):
    source = shared / "models" / "ultraface" / name
    if not source.is_file():
        pytest.skip(f"needs {name} of ONNXQ_SHARED")
    proto = onnx.load(source)
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in weights]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    proto.ir_version = 8
    lifted = version_converter.convert_version(proto, 17)
    lifted.ir_version = 8
    result = run_stage(lifted, tmp_path)
    rows = {"input": np.random.default_rng(0).uniform(-1, 1, (1, 3, 240, 320)).astype(np.float32)}
    check_equal(lifted, result.model, rows)
    assert "BatchNormalization" not in result.model.operators
    assert sum(result.model.operators.values()) < len(lifted.graph.node) / 2
    assert used_domains(load_proto(result.model.path)) == ("ai.onnx",)
    assert (result.model.opset, result.model.ir_version) == (17, 8)
