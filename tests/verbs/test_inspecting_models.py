"""``inspect`` from the outside: copies, the float model beside, and rows."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from onnxq.audits import NotAudited, RuntimeAudit
from onnxq.cli.main import main
from onnxq.errors import ModelLoadError, UsageError
from onnxq.stages import NotCompared, WeightError
from onnxq.verbs import profile, run
from onnxq.verbs.describing import inspect


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = helper.make_tensor_value_info
    weight = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "n")],
        "g",
        [value("x", TensorProto.FLOAT, ["N", 4])],
        [value("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, "m.fp32.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    quantize_dynamic("m.fp32.onnx", "m.int8.onnx", weight_type=QuantType.QInt8)
    return tmp_path


def weight_error(found):
    return next(tensor.error for tensor in found.quantized if tensor.role == "weight")


@pytest.mark.usefixtures("folder")
def test_a_reference_is_named_and_its_side_files_come_along():
    found = inspect("m.int8.onnx", reference="m.fp32.onnx")
    assert found.reference == "m.fp32.onnx"
    assert isinstance(weight_error(found), WeightError)


def test_the_twin_beside_is_taken(folder):
    assert isinstance(weight_error(inspect("m.int8.onnx")), NotCompared)
    rows = [{"alias": alias, "artefact": {"file": f"m.{alias}.onnx"}} for alias in ("fp32", "int8")]
    (folder / "report.json").write_text(json.dumps({"variants": rows}))
    found = inspect("m.int8.onnx")
    assert found.reference == "m.fp32.onnx"
    assert isinstance(weight_error(found), WeightError)


@pytest.mark.usefixtures("folder")
def test_rows_are_tried_without_running_the_model():
    np.savez("val.npz", x=np.zeros((3, 5), np.float32))
    (answer,) = inspect("m.fp32.onnx", data="val.npz").data_fit
    assert not answer.fits
    assert "[N, 4]" in answer.text
    assert inspect("m.fp32.onnx").data_fit == ()


def test_other_kinds_are_to_be_converted(folder):
    (folder / "m.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    for given in ({"model": "m.tflite"}, {"model": "m.int8.onnx", "reference": "m.tflite"}):
        with pytest.raises(UsageError, match=r"inspect reads \.onnx files") as caught:
            inspect(**given)
        assert caught.value.hint == "Convert it first:  onnxq convert m.tflite -o m.onnx"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("file", "kernel", "share"),
    [("m.int8.onnx", "DynamicQuantizeMatMul", 1.0), ("m.fp32.onnx", "MatMul", 0.0)],
)
def test_what_onnxruntime_runs(file, kernel, share):
    """The float model has its weights in a side file."""
    found = inspect(file, runtime=True)
    assert isinstance(found.audit, RuntimeAudit)
    assert (found.audit.kernels, found.audit.macs) == (1, 4 * 3)
    assert found.audit.integer_ratio == share
    (only,) = found.kernels
    assert (only.operator, only.macs) == (kernel, 12)


def test_it_is_run_on_the_rows_if_they_fit(folder):
    np.savez(folder / "rows.npz", x=np.zeros((5, 4), np.float32))
    np.savez(folder / "wrong.npz", x=np.zeros((5, 7), np.float32))
    fed = inspect("m.int8.onnx", runtime=True, data="rows.npz")
    assert isinstance(fed.audit, RuntimeAudit), fed.data_fit
    found = inspect("m.int8.onnx", runtime=True, data="wrong.npz")
    assert found.audit == NotAudited(reason="the rows do not fit, so it was not run")
    assert not all(answer.fits for answer in found.data_fit)


@pytest.mark.usefixtures("folder")
def test_it_is_not_run_unasked():
    found = inspect("m.int8.onnx")
    assert (found.audit, found.kernels) == (NotAudited(), ())


@pytest.mark.usefixtures("folder")
def test_a_model_that_does_not_load_is_described_and_its_repair_named(capfd):
    """Scales of one element in a vector are valid; what onnxruntime fuses refuses them."""
    value = helper.make_tensor_value_info
    scale, zero = np.array([0.1], np.float32), np.array([3], np.uint8)
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["r"], "r"),
            helper.make_node("Add", ["r", "r"], ["a"], "a"),
            helper.make_node("QuantizeLinear", ["a", "s", "z"], ["p"], "p"),
            helper.make_node("DequantizeLinear", ["p", "s", "z"], ["y"], "d"),
        ],
        "g",
        [value("x", TensorProto.FLOAT, ["N", 4])],
        [value("y", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(scale, "s"), numpy_helper.from_array(zero, "z")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, "their model.onnx")
    found = inspect("their model.onnx", runtime=True)
    assert found.quantized
    assert isinstance(found.audit, NotAudited)
    assert "cannot load their_model.onnx" in found.audit.reason  # the private copy
    assert "00-source" not in found.audit.reason
    assert found.audit.fix == "It may be mended:  onnxq repair 'their model.onnx'"
    assert main(["inspect", "their model.onnx", "--runtime"]) == 1
    out = capfd.readouterr().out
    assert "What onnxruntime runs: not known" in out
    assert "onnxq repair 'their model.onnx'" in out
    for verb in (profile, run):
        with pytest.raises(ModelLoadError) as caught:
            verb("their model.onnx")
        assert "onnxq repair 'their model.onnx'" in caught.value.hint


@pytest.mark.usefixtures("folder")
def test_inputs_that_must_be_declared_leave_the_description():
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["y"], "n")],
        "g",
        [value(name, TensorProto.INT64, ["N", 4]) for name in "ab"],
        [value("y", TensorProto.INT64, ["N", 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, "tokens.onnx")
    audit = inspect("tokens.onnx", runtime=True).audit
    assert isinstance(audit, NotAudited)
    assert "--input a:Nx4:int64:0..999 \\\n  --input b:Nx4:int64:0..999" in audit.fix
