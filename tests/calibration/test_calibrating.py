import json
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.calibration.calibrating import calibrate
from onnxq.datasets.values import CalibrationSet, StoredRows
from onnxq.errors import DatasetError, InferenceError, QuantizationError
from onnxq.events import Progressed, tell_nobody
from onnxq.graph import read_model
from onnxq.ranges import TensorRanges
from onnxq.recipe_kinds import (
    ALIASES,
    MeanSquaredError,
    MinMax,
    QuantizationScope,
    StaticQdq,
    ranges_key,
)
from onnxq.stages import CalibrateRequest, RangesAsked

BOTH = (MinMax(), MeanSquaredError())


def small_net(batch="N"):
    """A residual CNN from x [N, 2, 6, 6] to three scores."""
    generator = np.random.default_rng(3)

    def weight(name, *shape):
        values = generator.standard_normal(shape) * 0.4
        return numpy_helper.from_array(values.astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu1"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["b", "c"], ["d"], "add"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], "pool"),
        helper.make_node("Flatten", ["e"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w3"], ["y"], "head"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        [weight("w1", 4, 2, 3, 3), weight("w2", 4, 4, 3, 3), weight("w3", 4, 3)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def rows_of(count=24):
    return np.random.default_rng(0).standard_normal((count, 2, 6, 6)).astype(np.float32)


def request_for(proto, rows, folder, *, threads=2, methods=BOTH):
    folder.mkdir(exist_ok=True)
    onnx.save(proto, folder / "model.onnx")
    np.save(folder / "x.npy", rows)
    (folder / "names.json").write_text(json.dumps([f"photo{i}.jpg" for i in range(len(rows))]))
    stored = StoredRows(
        inputs={"x": str(folder / "x.npy")},
        count_rows=len(rows),
        labels="",
        row_names=str(folder / "names.json"),
    )
    return CalibrateRequest(
        model=read_model(folder / "model.onnx"),
        rows=CalibrationSet(stored),
        methods=methods,
        threads=threads,
    )


def calibrated(proto, rows, folder, **options):
    request = request_for(proto, rows, folder, **options)
    result = calibrate(request, folder, tell_nobody)
    ranges = {tag: Path(path).read_bytes() for tag, path in result.ranges.items()}
    return result, ranges


def read(encoded):
    return msgspec.json.decode(encoded, type=TensorRanges)


def all_activations(proto, rows):
    """Compute every activation with another implementation: the oracle."""
    visible = onnx.ModelProto()
    visible.CopyFrom(proto)
    names = [node.output[0] for node in proto.graph.node if node.output[0] != "y"]
    visible.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    found = ReferenceEvaluator(visible).run(["y", *names], {"x": rows})
    return {"x": rows, **dict(zip(["y", *names], found, strict=True))}


def test_minmax_equals_the_oracle_on_full_buffers(tmp_path):
    rows = rows_of()
    _, ranges = calibrated(small_net(), rows, tmp_path / "a")
    found = read(ranges["minmax"]).ranges
    oracle = all_activations(small_net(), rows)
    for name in ("x", "b", "c", "d", "e"):
        low, high = min(0.0, oracle[name].min()), max(0.0, oracle[name].max())
        assert found[name].low == pytest.approx(low, rel=1e-5)
        assert found[name].high == pytest.approx(high, rel=1e-5)


def test_shared_ranges_are_equal_and_shared_ones_are_not_collected(tmp_path):
    result, ranges = calibrated(small_net(), rows_of(), tmp_path / "a")
    assert result.effort.tensors == 5
    assert result.effort.rows == 24
    for encoded in ranges.values():
        found = read(encoded).ranges
        assert set(found) == set("xabcdef")
        assert found["a"] == found["b"]
        assert found["e"] == found["f"]
    assert read(ranges["mse"]).ranges != read(ranges["minmax"]).ranges


def test_ranges_say_which_model_they_are_of(tmp_path):
    request = request_for(small_net(), rows_of(4), tmp_path / "a")
    result = calibrate(request, tmp_path / "a", tell_nobody)
    written = read(Path(result.ranges["mse"]).read_bytes())
    assert written.model_sha256 == request.model.sha256
    assert written.method == "mse"


def test_threads_and_the_order_of_rows_change_no_bit(tmp_path):
    rows = rows_of()
    _, expected = calibrated(small_net(), rows, tmp_path / "a", threads=1)
    for threads in (2, 3):
        assert calibrated(small_net(), rows, tmp_path / "a", threads=threads)[1] == expected
    turned = np.random.default_rng(1).permutation(rows)
    assert calibrated(small_net(), turned, tmp_path / "b", threads=2)[1] == expected


def test_a_fixed_batch_is_fed_whole(tmp_path):
    rows = rows_of(22)
    result, ranges = calibrated(small_net(batch=4), rows, tmp_path / "a")
    assert result.effort.rows == 20
    (finding,) = result.findings
    assert (finding.code, finding.evidence["dropped_rows"]) == ("OQ153", 2)
    _, free = calibrated(small_net(), rows[:20], tmp_path / "b")
    for tag in ("minmax", "mse"):
        for name, one in read(ranges[tag]).ranges.items():
            assert one.high == pytest.approx(read(free[tag]).ranges[name].high, rel=1e-4)


def test_fewer_rows_than_a_fixed_batch_still_calibrate(tmp_path):
    result, ranges = calibrated(small_net(batch=32), rows_of(5), tmp_path / "a")
    assert (result.effort.rows, [one.code for one in result.findings]) == (
        5,
        ["OQ153", "OQ140"],
    )
    assert read(ranges["minmax"]).ranges["x"].high == rows_of(5).max()


def overflowing_net():
    """Rows with large values overflow the activation that the second conv reads."""
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "conv1"),
        helper.make_node("Exp", ["a"], ["b"], "exp"),
        helper.make_node("Conv", ["b", "w2"], ["y"], "conv2"),
    ]
    ones = np.ones((2, 2, 1, 1), np.float32)
    graph = helper.make_graph(
        nodes,
        "overflowing",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, 6, 6])],
        [numpy_helper.from_array(ones, "w1"), numpy_helper.from_array(ones, "w2")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_row_with_infinite_activations_is_left_out_and_named(tmp_path):
    rows = rows_of(12)
    _, expected = calibrated(overflowing_net(), np.delete(rows, 5, axis=0), tmp_path / "a")
    rows[5] = 300.0
    result, ranges = calibrated(overflowing_net(), rows, tmp_path / "b")
    (finding,) = result.findings
    assert (finding.code, finding.subject) == ("OQ143", "b")
    assert finding.evidence["row"] == "photo5.jpg"
    assert (result.effort.rows, result.effort.left_out_rows) == (12, 1)
    assert read(ranges["mse"]).ranges == read(expected["mse"]).ranges


def test_no_finite_row_at_all_is_an_error(tmp_path):
    rows = np.full((3, 2, 6, 6), 300.0, np.float32)
    with pytest.raises(QuantizationError, match="no calibration row") as caught:
        calibrated(overflowing_net(), rows, tmp_path / "a")
    assert caught.value.code == "OQ143"


def test_constant_activations_are_told(tmp_path):
    result, ranges = calibrated(small_net(), np.zeros((4, 2, 6, 6), np.float32), tmp_path / "a")
    assert {finding.code for finding in result.findings} == {"OQ140", "OQ145"}
    assert read(ranges["mse"]).ranges["b"].high == 0.0


def test_nothing_to_quantize_gives_no_ranges(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["x"], ["y"], "softmax")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, 6, 6])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    result, ranges = calibrated(proto, rows_of(3), tmp_path / "a")
    assert result.effort.tensors == 0
    assert read(ranges["mse"]).ranges == {}


def test_progress_is_told_once_a_run(tmp_path):
    told = []
    calibrate(request_for(small_net(), rows_of(6), tmp_path / "a"), tmp_path / "a", told.append)
    assert told == [Progressed(stage="calibrate", done=done, total=6) for done in range(1, 7)]


def test_only_ranges_and_statistics_stay_in_the_folder(tmp_path):
    request = request_for(small_net(), rows_of(4), tmp_path / "a")
    (tmp_path / "out").mkdir()
    calibrate(request, tmp_path / "out", tell_nobody)
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["ranges-minmax.json", "ranges-mse.json", "statistics"]


def test_a_failing_row_is_named(tmp_path):
    rows = np.zeros((4, 2, 6), np.float32)
    with pytest.raises(
        InferenceError, match=r"stopped at row photo\d\.jpg: the model failed"
    ) as caught:
        calibrated(small_net(), rows, tmp_path / "a")
    assert caught.value.code == "OQ173"


def test_missing_rows_are_an_error(tmp_path):
    request = request_for(small_net(), rows_of(3), tmp_path / "a")
    (tmp_path / "a" / "x.npy").unlink()
    with pytest.raises(DatasetError, match=r"x\.npy"):
        calibrate(request, tmp_path / "a", tell_nobody)


def test_recipes_get_ranges_of_their_own_method_grid_and_scope(tmp_path):
    scope = QuantizationScope(keep_float=("conv2",))
    asked = (
        RangesAsked(recipe=ALIASES["int8"]),
        RangesAsked(recipe=StaticQdq(MeanSquaredError(), per_channel=False)),
        RangesAsked(recipe=ALIASES["int8-percentile"]),
        RangesAsked(recipe=ALIASES["int16"]),
        RangesAsked(recipe=ALIASES["int8"], scope=scope),
        RangesAsked(recipe=ALIASES["int8"], scope=QuantizationScope(io="uint8")),
    )
    base = request_for(small_net(), rows_of(), tmp_path / "in", methods=())
    request = msgspec.structs.replace(base, asked=asked)
    result = calibrate(request, tmp_path, tell_nobody)
    assert result.ranges.keys() == {ranges_key(one.recipe, one.scope) for one in asked}
    assert len(result.ranges) == 5
    ranges = {key: read_ranges(path) for key, path in result.ranges.items()}
    assert all(one.method == key for key, one in ranges.items())
    assert all(one.low == -one.high for one in ranges["minmax-int16"].ranges.values())
    assert "c" in ranges["mse"].ranges
    assert "c" not in ranges[ranges_key(ALIASES["int8"], scope)].ranges
    assert "y" not in ranges["mse"].ranges
    assert "y" in ranges[ranges_key(ALIASES["int8"], QuantizationScope(io="uint8"))].ranges


def read_ranges(path):
    return msgspec.json.decode(Path(path).read_bytes(), type=TensorRanges)
