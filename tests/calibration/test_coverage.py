import json

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.calibration.collected_statistics import CollectedStatistics, StatisticsIdentity
from onnxq.calibration.coverage import check_coverage
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics
from onnxq.calibration.statistics_files import write_statistics_file
from onnxq.datasets.values import EvaluationSet, StoredRows
from onnxq.events import tell_nobody
from onnxq.graph import read_model
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.stages import CoverageRequest


def relu_net(batch="N"):
    """``y = Relu(x @ w)``, x [N, 8]; w is twice the identity."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("MatMul", ["b", "w"], ["y"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 8])],
        [numpy_helper.from_array(2 * np.eye(8, dtype=np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def normal(count, seed=0, scale=1.0):
    rows = np.random.default_rng(seed).standard_normal((count, 8)) * scale
    return rows.astype(np.float32)


def write_statistics(path, rows, model):
    """Write what calibration would have seen."""
    tensors = {}
    for name, values in {"x": rows, "b": np.maximum(2 * rows, 0)}.items():
        collector = StatisticsCollector(empty_statistics(len(rows)))
        for row, one in enumerate(values):
            collector.fold(row, one)
        tensors[name] = collector.statistics()
    identity = StatisticsIdentity(
        model_sha256=model.sha256, rows_sha256="", batch_rows=1, runs=len(rows), onnxruntime=""
    )
    names = tuple(map(str, range(len(rows))))
    write_statistics_file(
        path,
        CollectedStatistics(
            identity=identity,
            row_names=names,
            given_rows=len(rows),
            dropped_rows=0,
            tensors=tensors,
        ),
    )


def checked(folder, calibration, evaluation, *, batch="N", with_rows=True):
    onnx.save(relu_net(batch), folder / "m.onnx")
    model = read_model(folder / "m.onnx")
    ends = {"x": np.abs(calibration).max(), "b": 2 * calibration.max()}
    ranges = {
        "x": TensorRange(-float(ends["x"]), float(ends["x"])),
        "a": TensorRange(0, float(ends["b"])),
        "b": TensorRange(0, float(ends["b"])),
        "y": TensorRange(0, 2 * float(ends["b"])),
    }
    (folder / "r.json").write_bytes(
        msgspec.json.encode(TensorRanges(method="minmax", ranges=ranges))
    )
    write_statistics(folder / "s", calibration, model)
    np.save(folder / "x.npy", evaluation)
    names = [f"photo{i}.jpg" for i in range(len(evaluation))]
    (folder / "names.json").write_text(json.dumps(names))
    rows = StoredRows(
        inputs={"x": str(folder / "x.npy")},
        count_rows=len(evaluation),
        labels="",
        row_names=str(folder / "names.json"),
    )
    request = CoverageRequest(
        model=model,
        ranges=str(folder / "r.json"),
        evaluation=EvaluationSet(rows),
        threads=2,
        statistics=str(folder / "s") if with_rows else "",
    )
    work = folder / "work"
    work.mkdir()
    result = check_coverage(request, work, tell_nobody)
    assert not list(work.iterdir())
    return result


@pytest.mark.parametrize("with_rows", [True, False], ids=["rows", "ranges"])
def test_rows_alike_are_covered(tmp_path, with_rows):
    result = checked(tmp_path, normal(200), normal(100, 1), with_rows=with_rows)
    assert (result.rows, result.findings) == (64, ())


@pytest.mark.parametrize("with_rows", [True, False], ids=["rows", "ranges"])
def test_a_forgotten_division_is_one_finding_about_the_input(tmp_path, with_rows):
    result = checked(tmp_path, normal(200), normal(100, 1, 255), with_rows=with_rows)
    (finding,) = result.findings
    assert (finding.code, finding.subject, finding.severity) == ("OQ142", "x", "warning")
    assert finding.evidence["direction"] == "beyond"
    assert finding.evidence["tensors"] == finding.evidence["tensors_looked_at"]
    assert finding.evidence["rows_looked_at"] == 64
    assert finding.evidence["row"] in finding.message
    assert "another scale" in finding.fix


@pytest.mark.parametrize("with_rows", [True, False], ids=["rows", "ranges"])
def test_the_reverse_is_noticed_too(tmp_path, with_rows):
    result = checked(tmp_path, normal(200), normal(100, 1, 1 / 255), with_rows=with_rows)
    (finding,) = result.findings
    assert (finding.subject, finding.evidence["direction"]) == ("x", "within")
    assert "not used" in finding.message
    assert "another scale" in finding.fix


def test_one_far_row_is_named(tmp_path):
    rows = normal(60, 1)
    rows[41, 3] = -80.0
    (finding,) = checked(tmp_path, normal(200), rows).findings
    assert (finding.evidence["row"], finding.evidence["rows"]) == ("photo41.jpg", 1)
    assert finding.fix.startswith("Look at row photo41.jpg")
    assert "x reaches -80 in evaluation row photo41.jpg" in finding.message


def test_values_a_little_larger_are_told_without_guessing_why(tmp_path):
    (finding,) = checked(tmp_path, normal(250), normal(64, 1, 2.0)).findings
    assert finding.fix.startswith("Calibrate on rows like those")
    assert finding.evidence["excess_db"] > 3


def test_a_fixed_batch_is_filled(tmp_path):
    result = checked(tmp_path, normal(200), normal(100, 1), batch=2)
    assert (result.rows, result.findings) == (64, ())


def test_few_rows_are_all_run(tmp_path):
    assert checked(tmp_path, normal(20), normal(3, 1)).rows == 3
