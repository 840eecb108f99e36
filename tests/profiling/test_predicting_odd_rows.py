"""Rows that differ in shape, and inputs without a batch axis: outputs come back in row order."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.datasets.timing_rows import store_timing_rows
from onnxq.datasets.values import EvaluationSet, StoredRows
from onnxq.errors import InferenceError
from onnxq.events import tell_nobody
from onnxq.graph import read_model
from onnxq.profiling import predicting
from onnxq.profiling.predicting import predict
from onnxq.stages import PredictRequest

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def write_model(folder, nodes, inputs, outputs):
    graph = helper.make_graph(
        [helper.make_node(kind, ins, outs, **attributes) for kind, ins, outs, attributes in nodes],
        "odd",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(np.int64([1]), "axes")],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "m.onnx")
    return read_model(folder / "m.onnx")


def summing(folder, batch="N"):
    """``sums [N]`` of each row, and the doubled rows themselves."""
    nodes = [
        ("ReduceSum", ["x", "axes"], ["sums"], {"keepdims": 0}),
        ("Add", ["x", "x"], ["doubled"], {}),
    ]
    return write_model(
        folder, nodes, [("x", FLOAT, [batch, "L"])], [("sums", [batch]), ("doubled", [batch, "L"])]
    )


def scaled(folder, batch="N"):
    return write_model(
        folder,
        [("Mul", ["x", "scale"], ["y"], {})],
        [("x", FLOAT, [batch, 3]), ("scale", FLOAT, [])],
        [("y", [batch, 3])],
    )


def sequences(lengths=(4, 2, 2, 2, 7, 1, 4, 4)):
    generator = np.random.default_rng(0)
    return [generator.standard_normal(length).astype(np.float32) for length in lengths]


def store(folder, whole=(), **rows):
    inputs, shapes = {}, {}
    for name, arrays in rows.items():
        inputs[name] = str(folder / f"{name}.npy")
        if len({np.shape(row) for row in arrays}) > 1:
            shapes[name] = str(folder / f"{name}-shapes.npy")
            np.save(shapes[name], np.array([row.shape for row in arrays], np.int64))
            np.save(inputs[name], np.concatenate([row.ravel() for row in arrays]))
        else:
            np.save(inputs[name], np.stack(arrays))
    count = len(next(iter(rows.values())))
    return StoredRows(
        inputs=inputs, count_rows=count, labels="", row_names="", shapes=shapes, whole=whole
    )


@pytest.fixture
def fed(monkeypatch):
    """The shapes that each run was fed."""
    shapes = []
    real = predicting.open_predict

    def watched(*args, **options):
        run = real(*args, **options)

        def call(inputs):
            shapes.append({name: array.shape for name, array in inputs.items()})
            return run(inputs)

        return call

    monkeypatch.setattr(predicting, "open_predict", watched)
    return shapes


def run(model, rows, folder, batch_rows=32):
    request = PredictRequest(
        model=model, rows=EvaluationSet(rows), batch_rows=batch_rows, threads=1
    )
    out = folder / "out"
    out.mkdir()
    result = predict(request, out, tell_nobody)
    return {name: np.load(path) for name, path in result.outputs.items()}, result, out


def test_neighbours_of_one_length_are_fed_together(tmp_path, fed):
    outputs, result, out = run(summing(tmp_path), store(tmp_path, x=sequences()), tmp_path)
    assert [one["x"] for one in fed] == [(1, 4), (3, 2), (1, 7), (1, 1), (2, 4)]
    np.testing.assert_allclose(outputs["sums"], [row.sum() for row in sequences()], rtol=1e-5)
    assert list(outputs) == ["sums"]
    (said,) = result.findings
    assert (said.code, said.subject) == ("OQ174", "doubled")
    assert "[3, 2] at row 1, expected [3, 4]: it is not judged" in said.message
    assert [path.name for path in out.iterdir()] == ["output-0.npy"]


@pytest.mark.parametrize("batch_rows", [1, 2])
def test_no_more_are_fed_together_than_were_asked_for(tmp_path, fed, batch_rows):
    rows = store(tmp_path, x=sequences())
    outputs, _, _ = run(summing(tmp_path), rows, tmp_path, batch_rows)
    assert max(one["x"][0] for one in fed) == batch_rows
    np.testing.assert_allclose(outputs["sums"], [row.sum() for row in sequences()], rtol=1e-5)


def test_a_fixed_batch_is_filled_up_with_rows_of_the_same_length(tmp_path, fed):
    rows = store(tmp_path, x=sequences())
    outputs, _, _ = run(summing(tmp_path, batch=2), rows, tmp_path)
    assert {one["x"][0] for one in fed} == {2}
    np.testing.assert_allclose(outputs["sums"], [row.sum() for row in sequences()], rtol=1e-5)


def test_where_every_output_differs_in_shape_the_way_out_is_said(tmp_path):
    model = write_model(
        tmp_path,
        [("Add", ["x", "x"], ["y"], {})],
        [("x", FLOAT, ["N", "L"])],
        [("y", ["N", "L"])],
    )
    with pytest.raises(InferenceError, match="y changes its shape") as caught:
        run(model, store(tmp_path, x=sequences()), tmp_path)
    assert caught.value.code == "OQ173"
    assert "--calib" in caught.value.hint
    assert "resize=" in caught.value.hint


@pytest.mark.parametrize("batch", ["N", 4])
def test_rows_share_a_run_where_they_share_a_scalar(tmp_path, fed, batch):
    x = np.arange(18, dtype=np.float32).reshape(6, 3)
    scale = np.array([1, 1, 1, 2, 2, 1], np.float32)
    rows = store(tmp_path, x=list(x), scale=list(scale), whole=("scale",))
    outputs, _, _ = run(scaled(tmp_path, batch), rows, tmp_path)
    assert [one["x"][0] for one in fed] == ([3, 2, 1] if batch == "N" else [4, 4, 4])
    assert {one["scale"] for one in fed} == {()}
    np.testing.assert_array_equal(outputs["y"], x * scale[:, None])


def test_without_any_batch_axis_a_run_is_a_row(tmp_path, fed):
    model = write_model(
        tmp_path,
        [
            ("ReduceMean", ["image"], ["y"], {"axes": [1, 2], "keepdims": 0}),
            ("ReduceMean", ["image"], ["mean"], {"keepdims": 0}),
        ],
        [("image", FLOAT, [3, "H", "W"])],
        [("y", [3]), ("mean", [])],
    )
    images = [np.full((3, h, w), h * w, np.float32) for h, w in ((2, 2), (2, 2), (4, 5))]
    outputs, result, _ = run(model, store(tmp_path, image=images, whole=("image",)), tmp_path)
    assert [one["image"] for one in fed] == [(3, 2, 2), (3, 2, 2), (3, 4, 5)]
    np.testing.assert_array_equal(outputs["y"], [[4] * 3, [4] * 3, [20] * 3])
    np.testing.assert_array_equal(outputs["mean"], [4, 4, 20])
    assert result.findings == ()


def timing(model, rows, folder, batch_rows=1):
    paths = store_timing_rows(
        model.signature, EvaluationSet(rows), (), batch_rows=batch_rows, seed=0, folder=folder
    )
    return {name: np.load(path) for name, path in paths.items()}


def test_a_row_of_median_size_is_timed(tmp_path):
    (tmp_path / "timing").mkdir()
    rows = store(tmp_path, x=sequences((9, 1, 3, 1, 8)))
    inputs = timing(summing(tmp_path), rows, tmp_path / "timing", batch_rows=4)
    np.testing.assert_array_equal(inputs["x"], np.stack([sequences((9, 1, 3, 1, 8))[2]] * 4))


def test_a_scalar_is_timed_as_it_is_fed(tmp_path):
    (tmp_path / "timing").mkdir()
    x, scale = np.ones((3, 3), np.float32), np.array([0.5, 1, 2], np.float32)
    rows = store(tmp_path, x=list(x), scale=list(scale), whole=("scale",))
    inputs = timing(scaled(tmp_path), rows, tmp_path / "timing", batch_rows=2)
    assert {name: array.shape for name, array in inputs.items()} == {"x": (2, 3), "scale": ()}
    assert inputs["scale"] == scale[0]
