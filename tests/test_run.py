"""The whole path on a tiny ONNX model, through the Python face."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxq
from onnxq.measurements import Compared, Judged, Unjudged
from onnxq.reports import Measured, NoData, NotApplicable, Skipped, read_report
from onnxq.runtime import open_predict

QUICK = {"seconds": 1.0, "threads": (1,)}


@pytest.fixture(scope="module")
def judged(tiny_task, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    report = onnxq.run(
        str(tiny_task.model),
        data=str(tiny_task.rows),
        recipe=("int8", "int8-minmax", "int8-dynamic"),
        out=str(out),
        **QUICK,
    )
    return report, out


def row(report, alias):
    return next(variant for variant in report.variants if variant.alias == alias)


def test_every_recipe_has_a_row_and_a_file(judged):
    report, out = judged
    assert [variant.alias for variant in report.variants] == [
        "fp32", "int8", "int8-minmax", "int8-dynamic",
    ]  # fmt: skip
    files = {path.name for path in out.iterdir()}
    measured = {v.artefact.file for v in report.variants if isinstance(v, Measured)}
    assert files == measured | {"report.json", "recipes.toml", "serve.py"}
    assert {"tiny.fp32.onnx", "tiny.int8.onnx"} <= measured


def test_report_on_disk_is_the_report(judged):
    report, out = judged
    assert read_report(out / "report.json") == report


def test_rows_were_split(judged):
    report, _ = judged
    assert (report.data.calibration_rows, report.data.evaluation_rows) == (80, 320)


def test_float_model_is_right_on_rows_that_it_labelled(judged):
    report, _ = judged
    quality = row(report, "fp32").quality
    assert isinstance(quality, Judged)
    assert quality.accuracy.value.value == 1.0
    assert quality.accuracy.drop.value == 0.0


def test_int8_is_quantized_and_near(judged):
    report, _ = judged
    int8 = row(report, "int8")
    assert (int8.artefact.quantized_nodes, int8.artefact.left_float) == (
        int8.artefact.quantizable_nodes,
        {},
    )
    assert int8.quality.agreement.outputs[0].sqnr_db > 20
    assert int8.quality.agreement.same_top1.value > 0.9


def test_sizes_are_those_of_the_files(judged):
    report, out = judged
    for variant in report.variants:
        if isinstance(variant, Measured):
            size = (out / variant.artefact.file).stat().st_size
            assert variant.artefact.size.file_bytes == size


def test_artefacts_predict(judged):
    _, out = judged
    rows = {"x": np.zeros((2, 3, 12, 12), np.float32)}
    expected = open_predict(out / "tiny.fp32.onnx")(rows)["scores"]
    found = open_predict(out / "tiny.int8.onnx")(rows)["scores"]
    assert found.shape == expected.shape == (2, 5)


def test_every_candidate_was_timed_against_fp32(judged):
    report, _ = judged
    for variant in report.variants:
        if isinstance(variant, Measured) and variant.alias != "fp32":
            (speed,) = variant.speed
            assert (speed.threads, speed.clock) == (1, "cpu")
            assert 0.05 < speed.ratio.value < 50
    assert row(report, "fp32").speed == ()


def test_operators_are_those_that_run(judged):
    report, _ = judged
    assert "QLinearConv" in {time.operator for time in row(report, "int8").operators}


def test_without_labels_it_compares(tiny_task, tmp_path):
    with np.load(tiny_task.rows) as stored:
        np.savez(tmp_path / "rows.npz", x=stored["x"])
    report = onnxq.run(
        str(tiny_task.model), data=str(tmp_path / "rows.npz"), out=str(tmp_path / "out"), **QUICK
    )
    assert isinstance(row(report, "int8").quality, Compared)
    assert report.verdict.kind in {"no_labels", "keep_fp32"}


def test_without_data_static_is_skipped_and_nothing_is_judged(tiny_task, tmp_path):
    report = onnxq.run(str(tiny_task.model), out=str(tmp_path / "out"), **QUICK)
    assert isinstance(report.data, NoData)
    assert isinstance(row(report, "int8"), Skipped)
    assert "--data" in row(report, "int8").reason
    assert isinstance(row(report, "fp32").quality, Unjudged)
    assert report.verdict.kind != "ship"


def test_dynamic_alone_on_convolutions_is_not_applicable_or_honest(judged):
    report, _ = judged
    dynamic = row(report, "int8-dynamic")
    if isinstance(dynamic, NotApplicable):
        assert "Conv" in dynamic.reason
    else:
        assert dynamic.artefact.quantized_nodes < dynamic.artefact.quantizable_nodes


def test_fp32_alone_uses_all_rows(tiny_task, tmp_path):
    report = onnxq.run(
        str(tiny_task.model),
        data=str(tiny_task.rows),
        recipe=("fp32",),
        out=str(tmp_path / "out"),
        **QUICK,
    )
    assert report.data.evaluation_rows == 400
    assert report.verdict.kind == "keep_fp32"


def test_second_run_replaces_its_own_folder(tiny_task, tmp_path):
    for _ in range(2):
        onnxq.run(str(tiny_task.model), recipe=("fp32",), out=str(tmp_path / "out"), **QUICK)
    assert (tmp_path / "out" / "tiny.fp32.onnx").exists()


def test_same_seed_gives_the_same_models(tiny_task, tmp_path, judged):
    report, _ = judged
    again = onnxq.run(
        str(tiny_task.model),
        data=str(tiny_task.rows),
        recipe=("int8",),
        out=str(tmp_path / "out"),
        **QUICK,
    )
    assert row(again, "int8").artefact.sha256 == row(report, "int8").artefact.sha256


def test_source_is_never_modified(tiny_task, tmp_path):
    before = tiny_task.model.read_bytes(), sorted(tiny_task.model.parent.iterdir())
    onnxq.run(str(tiny_task.model), recipe=("int8-dynamic",), out=str(tmp_path / "out"), **QUICK)
    assert (tiny_task.model.read_bytes(), sorted(tiny_task.model.parent.iterdir())) == before


def test_fixed_batch_is_the_batch_that_is_timed(tmp_path):
    weight = numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "fixed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 3])],
        [weight],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(
        helper.make_model(graph, opset_imports=[opset], ir_version=8), tmp_path / "fixed.onnx"
    )
    report = onnxq.run(
        str(tmp_path / "fixed.onnx"), recipe=("fp32",), out=str(tmp_path / "out"), **QUICK
    )
    assert row(report, "fp32").latencies[0].batch_rows == 4
