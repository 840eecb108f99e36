import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxq.datasets.values import EvaluationSet, StoredRows
from onnxq.errors import DatasetError, InferenceError, OutputError
from onnxq.events import Progressed, tell_nobody
from onnxq.models import OnnxModel
from onnxq.profiling import predicting
from onnxq.profiling.predicting import predict
from onnxq.stages import PredictRequest
from onnxq.tensors import Signature, TensorSpec

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def write_model(folder, nodes, outputs, *, batch="N", initializers=()):
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
        "model",
        [helper.make_tensor_value_info("x", FLOAT, [batch, 3])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
        [numpy_helper.from_array(array, name) for name, array in initializers],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(model, folder / "m.onnx")
    signature = Signature(
        inputs=(TensorSpec("x", "float32", (batch, 3)),),
        outputs=tuple(TensorSpec(name, "float32", ("N",)) for name, _ in outputs),
    )
    return OnnxModel(
        path=str(folder / "m.onnx"),
        signature=signature,
        opset=17,
        ir_version=8,
        operators={},
        sha256="",
    )


def doubler(folder, *, batch="N"):
    nodes = [("Add", ["x", "x"], ["y"]), ("ReduceSum", ["x", "axes"], ["s"], {"keepdims": 0})]
    return write_model(
        folder, nodes, [("y", FLOAT), ("s", FLOAT)], batch=batch,
        initializers=[("axes", np.int64([1]))],
    )  # fmt: skip


def request_of(model, x, folder, *, batch_rows=4):
    np.save(folder / "x.npy", x)
    rows = StoredRows(
        inputs={"x": str(folder / "x.npy")}, count_rows=len(x), labels="", row_names=""
    )
    return PredictRequest(model=model, rows=EvaluationSet(rows), batch_rows=batch_rows, threads=1)


def run(request, folder, tell=tell_nobody):
    out = folder / "out"
    out.mkdir(exist_ok=True)
    result = predict(request, out, tell)
    return {name: np.load(path) for name, path in result.outputs.items()}, result


def rows_of(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)


@pytest.mark.parametrize("batch", ["N", 4, 1])
@pytest.mark.parametrize("count", [1, 3, 4, 10])
def test_outputs_are_those_of_each_row(tmp_path, batch, count):
    """A fixed batch is fed full; what it says of the rows that fill it up is cut off."""
    x = rows_of(count)
    outputs, result = run(request_of(doubler(tmp_path, batch=batch), x, tmp_path), tmp_path)
    assert list(outputs) == ["y", "s"]
    np.testing.assert_array_equal(outputs["y"], x + x)
    np.testing.assert_allclose(outputs["s"], x.sum(axis=1), rtol=1e-6)
    assert result.findings == ()


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 20), batch_rows=st.integers(1, 25), fixed=st.booleans())
def test_batches_do_not_show(tmp_path_factory, count, batch_rows, fixed):
    folder = tmp_path_factory.mktemp("batches")
    model = doubler(folder, batch=batch_rows if fixed else "N")
    x = rows_of(count, seed=count)
    outputs, _ = run(request_of(model, x, folder, batch_rows=batch_rows), folder)
    np.testing.assert_array_equal(outputs["y"], x + x)


def test_tells_rows_done(tmp_path):
    heard = []
    run(request_of(doubler(tmp_path), rows_of(10), tmp_path), tmp_path, heard.append)
    assert heard == [Progressed("predict", done, 10) for done in (4, 8, 10)]


def test_output_without_rows_is_left_out_and_said(tmp_path):
    nodes = [("Add", ["x", "x"], ["y"]), ("ReduceMean", ["x"], ["loss"], {"keepdims": 0})]
    model = write_model(tmp_path, nodes, [("y", FLOAT), ("loss", FLOAT)])
    outputs, result = run(request_of(model, rows_of(10), tmp_path), tmp_path)
    assert list(outputs) == ["y"]
    (finding,) = result.findings
    assert (finding.code, finding.subject, finding.severity) == ("OQ174", "loss", "warning")
    assert "found shape [] for a batch of 4" in finding.message


def test_model_without_any_rows_is_an_error(tmp_path):
    model = write_model(tmp_path, [("NonZero", ["x"], ["found"])], [("found", INT64)])
    with pytest.raises(InferenceError, match=r"no output of m\.onnx has a row of its own") as error:
        run(request_of(model, rows_of(10), tmp_path), tmp_path)
    assert (error.value.code, "NonMaxSuppression" in error.value.hint) == ("OQ173", True)


def test_output_that_changes_its_shape_is_an_error(tmp_path):
    """Columns of x that hold a positive value anywhere in the batch."""
    nodes = [
        ("ReduceMax", ["x"], ["m"], {"axes": [0], "keepdims": 0}),
        ("Greater", ["m", "zero"], ["keep"]),
        ("Compress", ["x", "keep"], ["y"], {"axis": 1}),
    ]
    zero = [("zero", np.float32(0))]
    model = write_model(tmp_path, nodes, [("y", FLOAT)], initializers=zero)
    x = np.float32([[1, 1, 1]] * 4 + [[1, -1, -1]] * 4)
    with pytest.raises(InferenceError, match=r"y changes its shape .* \[4, 1\] at row 4") as error:
        run(request_of(model, x, tmp_path), tmp_path)
    assert "[4, 3]" in error.value.message


def test_failed_run_names_its_rows(tmp_path):
    """Gather fails where a value is out of its table."""
    nodes = [
        ("Cast", ["x"], ["i"], {"to": INT64}),
        ("Gather", ["table", "i"], ["y"]),
    ]
    table = [("table", np.zeros(5, np.float32))]
    model = write_model(tmp_path, nodes, [("y", FLOAT)], initializers=table)
    x = np.zeros((10, 3), np.float32)
    x[6] = 99
    with pytest.raises(InferenceError, match=r"on rows 4 to 7: m\.onnx failed") as error:
        run(request_of(model, x, tmp_path), tmp_path)
    assert error.value.code == "OQ173"


def test_no_rows_is_an_error(tmp_path):
    with pytest.raises(DatasetError) as error:
        run(request_of(doubler(tmp_path), rows_of(0), tmp_path), tmp_path)
    assert error.value.code == "OQ124"


def test_full_disk_is_an_error(tmp_path, monkeypatch):
    class FullDisk(predicting.NpyWriter):
        def append(self, rows):  # noqa: ARG002 - stands in for the real one
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(predicting, "NpyWriter", FullDisk)
    with pytest.raises(OutputError, match="No space left") as error:
        run(request_of(doubler(tmp_path), rows_of(10), tmp_path), tmp_path)
    assert "TMPDIR" in error.value.hint
