import json
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    load_tensors_data,
    quantize_static,
)

from onnxq.calibration.calibrating import calibrate
from onnxq.calibration.reader import CalibrationReader
from onnxq.datasets.values import CalibrationSet, StoredRows
from onnxq.errors import UsageError
from onnxq.events import tell_nobody
from onnxq.graph import read_model
from onnxq.ranges import TensorRanges
from onnxq.recipe_kinds import MinMax
from onnxq.stages import CalibrateRequest


def small_cnn(batch="N"):
    generator = np.random.default_rng(3)

    def weight(name, *shape):
        values = generator.standard_normal(shape) * 0.4
        return numpy_helper.from_array(values.astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu1"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["b", "c"], ["d"], "add"),
        helper.make_node("MaxPool", ["d"], ["e"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["e"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w3"], ["y"], "head"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        [weight("w1", 4, 2, 3, 3), weight("w2", 4, 4, 3, 3), weight("w3", 36, 3)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def rows():
    return np.random.default_rng(0).standard_normal((21, 2, 6, 6)).astype(np.float32)


def test_is_a_reader_of_onnxruntime(rows):
    reader = CalibrationReader({"x": rows})
    assert isinstance(reader, CalibrationDataReader)
    assert len(reader) == 21


def test_can_be_read_again(rows):
    reader = CalibrationReader({"x": rows}, batch_rows=4)
    first = [feed["x"] for feed in reader]
    assert reader.get_next() is None
    again = [feed["x"] for feed in reader]
    reader.rewind()
    by_hand = list(iter(reader.get_next, None))
    assert len(first) == len(again) == len(by_hand) == 5
    assert reader.dropped_rows == 1
    np.testing.assert_array_equal(np.concatenate(first), rows[:20])
    np.testing.assert_array_equal(np.concatenate(again), rows[:20])


def test_a_range_of_runs(rows):
    reader = CalibrationReader({"x": rows})
    reader.set_range(start_index=19, end_index=99)
    np.testing.assert_array_equal(np.concatenate([f["x"] for f in reader]), rows[19:])
    assert len(reader) == 21


def stock_ranges(model, reader, folder, **extra):
    cache = folder / "cache.json"
    quantize_static(
        model, folder / "stock.onnx", reader, quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax, calibration_cache_path=cache,
        extra_options=extra,
    )  # fmt: skip
    found = {name: data.range_value for name, data in load_tensors_data(cache).items()}
    return {name: (float(np.min(low)), float(np.max(high))) for name, (low, high) in found.items()}


def our_ranges(model, rows, folder):
    np.save(folder / "x.npy", rows)
    (folder / "names.json").write_text(json.dumps([str(row) for row in range(len(rows))]))
    stored = StoredRows(
        inputs={"x": str(folder / "x.npy")},
        count_rows=len(rows),
        labels="",
        row_names=str(folder / "names.json"),
    )
    request = CalibrateRequest(
        model=read_model(model), rows=CalibrationSet(stored), methods=(MinMax(),), threads=2
    )
    result = calibrate(request, folder, tell_nobody)
    written = Path(result.ranges["minmax"]).read_bytes()
    return msgspec.json.decode(written, type=TensorRanges).ranges


@pytest.mark.parametrize("batch", ["N", 4])
def test_stock_minmax_ranges_equal_ours(rows, tmp_path, batch):
    model = tmp_path / "m.onnx"
    onnx.save(small_cnn(batch), model)
    reader = CalibrationReader({"x": rows}, batch_rows=4 if batch == 4 else 1)
    stock = stock_ranges(model, reader, tmp_path)
    ours = our_ranges(model, rows, tmp_path)
    for name in ("x", "b", "c", "d"):
        low, high = min(0.0, stock[name][0]), max(0.0, stock[name][1])
        tolerance = 1e-6 * (high - low)
        assert ours[name].low == pytest.approx(low, abs=tolerance)
        assert ours[name].high == pytest.approx(high, abs=tolerance)


def test_works_with_strides_of_the_stock_calibrator(rows, tmp_path):
    onnx.save(small_cnn(), tmp_path / "m.onnx")
    (tmp_path / "whole").mkdir()
    whole = stock_ranges(tmp_path / "m.onnx", CalibrationReader({"x": rows}), tmp_path / "whole")
    strided = stock_ranges(
        tmp_path / "m.onnx", CalibrationReader({"x": rows}), tmp_path, CalibStridedMinMax=7
    )
    assert strided == whole


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (np.zeros((4, 3), np.float32), "found a ndarray", 'CalibrationReader({"x": rows})'),
        ([np.zeros(3, np.float32)], "found a list", 'CalibrationReader({"x": rows})'),
        ({"x": np.float32(1)}, "rows of 'x': found a float32", "np.asarray"),
        ({"x": np.zeros(())}, "rows of 'x': found a ndarray", "axis 0"),
        ({"x": "rows.npy"}, "rows of 'x': found a str", "np.asarray"),
    ],
)
def test_rows_whose_input_is_not_told_are_refused(given, message, hint):
    with pytest.raises(UsageError) as caught:
        CalibrationReader(given)
    assert caught.value.code == "OQ100"
    assert message in caught.value.message
    assert hint in caught.value.hint
