"""Rows that differ in shape, and inputs without a batch axis: fed, calibrated, quantized, run."""

import json
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

from onnxq.calibration.calibrating import calibrate
from onnxq.calibration.feeds import Feeds, describe_batches, open_feeds
from onnxq.calibration.reader import CalibrationReader
from onnxq.datasets.values import CalibrationSet, StoredRows
from onnxq.errors import DatasetError
from onnxq.events import tell_nobody
from onnxq.graph import read_model
from onnxq.ranges import TensorRanges
from onnxq.recipe_kinds import MinMax
from onnxq.stages import CalibrateRequest

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def weight(name, *shape, seed=3):
    values = np.random.default_rng(seed).standard_normal(shape) * 0.4
    return numpy_helper.from_array(values.astype(np.float32), name)


def model_of(nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(
        [
            helper.make_node(kind, ins, outs, name=outs[0], **(rest[0] if rest else {}))
            for kind, ins, outs, *rest in nodes
        ],
        "odd",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def fully_convolutional(batch="N"):
    """From ``x [batch, 3, H, W]`` to three scores, whatever H and W are."""
    return model_of(
        [
            ("Conv", ["x", "w1"], ["a"], {"pads": [1, 1, 1, 1]}),
            ("Relu", ["a"], ["b"]),
            ("Conv", ["b", "w2"], ["c"], {"pads": [1, 1, 1, 1]}),
            ("GlobalAveragePool", ["c"], ["d"]),
            ("Flatten", ["d"], ["e"]),
            ("Gemm", ["e", "w3"], ["y"]),
        ],
        [("x", FLOAT, [batch, 3, "H", "W"])],
        [("y", [batch, 5])],
        [weight("w1", 4, 3, 3, 3), weight("w2", 4, 4, 3, 3), weight("w3", 4, 5)],
    )


def tokens():
    """Means of masked embeddings, through two layers: from ``ids`` and ``mask [N, L]``."""
    return model_of(
        [
            ("Gather", ["table", "ids"], ["embedded"]),
            ("MatMul", ["embedded", "w1"], ["hidden"]),
            ("Relu", ["hidden"], ["active"]),
            ("Cast", ["mask"], ["weights"], {"to": FLOAT}),
            ("Unsqueeze", ["weights", "last"], ["wide"]),
            ("Mul", ["active", "wide"], ["masked"]),
            ("ReduceMean", ["masked"], ["mean"], {"axes": [1], "keepdims": 0}),
            ("MatMul", ["mean", "w2"], ["y"]),
        ],
        [("ids", INT64, ["N", "L"]), ("mask", BOOL, ["N", "L"])],
        [("y", ["N", 3])],
        [
            weight("table", 20, 8),
            weight("w1", 8, 8),
            weight("w2", 8, 3),
            numpy_helper.from_array(np.int64([2]), "last"),
        ],
    )


def thresholded(batch="N"):
    """A layer whose result is scaled by a scalar, and shifted by two sizes, on a flag."""
    return model_of(
        [
            ("MatMul", ["x", "w1"], ["a"]),
            ("Mul", ["a", "threshold"], ["b"]),
            ("Cast", ["sizes"], ["reals"], {"to": FLOAT}),
            ("ReduceSum", ["reals"], ["sum"], {"keepdims": 0}),
            ("Add", ["b", "sum"], ["shifted"]),
            ("Where", ["training", "b", "shifted"], ["c"]),
            ("MatMul", ["c", "w2"], ["y"]),
        ],
        [
            ("x", FLOAT, [batch, 6]),
            ("threshold", FLOAT, []),
            ("sizes", INT64, [2]),
            ("training", BOOL, []),
        ],
        [("y", [batch, 3])],
        [weight("w1", 6, 6), weight("w2", 6, 3)],
    )


def images(seed=0):
    generator = np.random.default_rng(seed)
    sizes = [(8, 8), (6, 10), (6, 10), (12, 5), (8, 8), (9, 9), (8, 8), (3, 3)]
    return [generator.standard_normal((3, *size)).astype(np.float32) for size in sizes]


def sequences():
    generator = np.random.default_rng(1)
    ids = [generator.integers(0, 20, length) for length in (4, 9, 1, 4, 4, 7)]
    return {"ids": ids, "mask": [row > 6 for row in ids]}


def scalars(count=6):
    generator = np.random.default_rng(2)
    return {
        "x": list(generator.standard_normal((count, 6)).astype(np.float32)),
        "threshold": list(np.linspace(0.5, 2, count, dtype=np.float32)),
        "sizes": list(generator.integers(0, 3, (count, 2))),
        "training": list(np.arange(count) % 2 == 0),
    }


SCALARS = ("threshold", "sizes", "training")
CASES = {
    "images": (fully_convolutional, lambda: {"x": images()}, ()),
    "tokens": (tokens, sequences, ()),
    "scalars": (thresholded, scalars, SCALARS),
}


def store(folder, rows, whole=()):
    """Store rows as the loader does: flat, with shapes, where they differ."""
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
    names = folder / "names.json"
    names.write_text(json.dumps([f"row{row}" for row in range(count)]))
    return StoredRows(
        inputs=inputs,
        count_rows=count,
        labels="",
        row_names=str(names),
        shapes=shapes,
        whole=whole,
    )


def each_row(rows, whole):
    """The inputs of each row, with a batch of one where there is a batch."""
    count = len(next(iter(rows.values())))
    for row in range(count):
        yield {
            name: np.asarray(arrays[row]) if name in whole else np.asarray(arrays[row])[None]
            for name, arrays in rows.items()
        }


def true_ranges(proto, rows, whole, tensors):
    """Extremes over all rows, computed by ONNX' reference."""
    copy = onnx.ModelProto.FromString(proto.SerializeToString())
    del copy.graph.output[:]
    given = {one.name for one in copy.graph.input}
    inner = [name for name in tensors if name not in given]
    copy.graph.output.extend(helper.make_tensor_value_info(name, FLOAT, None) for name in inner)
    reference = ReferenceEvaluator(copy)
    found = {name: [] for name in tensors}
    for inputs in each_row(rows, whole):
        values = inputs | dict(zip(inner, reference.run(inner, inputs), strict=True))
        for name in tensors:
            found[name].append(values[name])
    return {
        name: (min(one.min() for one in values), max(one.max() for one in values))
        for name, values in found.items()
    }


def calibrated(proto, rows, folder, whole=()):
    folder.mkdir(exist_ok=True)
    onnx.save(proto, folder / "model.onnx")
    request = CalibrateRequest(
        model=read_model(folder / "model.onnx"),
        rows=CalibrationSet(store(folder, rows, whole)),
        methods=(MinMax(),),
        threads=2,
    )
    out = folder / "out"
    out.mkdir()
    result = calibrate(request, out, tell_nobody)
    content = Path(result.ranges["minmax"]).read_bytes()
    return msgspec.json.decode(content, type=TensorRanges).ranges, result


@pytest.mark.parametrize("case", CASES)
def test_ranges_are_those_of_all_rows(tmp_path, case):
    build, make, whole = CASES[case]
    proto, rows = build(), make()
    ranges, result = calibrated(proto, rows, tmp_path / "a", whole)
    assert len(ranges) >= 2
    assert {one.code for one in result.findings} <= {"OQ140"}  # there are few
    absorbed = {"a"}  # into the Relu behind it
    expected = true_ranges(proto, rows, whole, [*ranges.keys() - absorbed])
    for name, (low, high) in expected.items():
        assert (ranges[name].low, ranges[name].high) == pytest.approx(
            (min(low, 0), max(high, 0)), rel=1e-5, abs=1e-6
        ), name


def test_the_order_of_ragged_rows_does_not_matter(tmp_path):
    proto = fully_convolutional()
    first, _ = calibrated(proto, {"x": images()}, tmp_path / "a")
    other, _ = calibrated(proto, {"x": images()[::-1]}, tmp_path / "b")
    assert first == other


def test_a_fixed_batch_takes_ragged_rows_of_one_shape_together(tmp_path):
    feeds = Feeds({"x": images()}, batch_rows=2)
    assert [feeds.rows_of(run) for run in range(len(feeds))] == [
        [0, 4],
        [1, 2],
        [3, 3],
        [5, 5],
        [7, 7],
    ]
    assert (feeds.dropped_rows, feeds.repeated_rows) == (1, 3)
    (said,) = describe_batches(feeds)
    assert said.message == (
        "The model takes 2 rows at a time, of one shape and with the same values where inputs have "
        "no batch axis: 1 of 8 calibration rows were left over and not used, and 3 places in "
        "batches were filled with rows that stood in them already."
    )
    ranges, result = calibrated(fully_convolutional(batch=2), {"x": images()}, tmp_path / "a")
    assert [one.code for one in result.findings] == ["OQ153", "OQ140"]
    used = [row for at, row in enumerate(images()) if at != 6]
    assert ranges["x"].high == max(row.max() for row in used)


def test_a_fixed_batch_shares_what_has_no_batch_axis():
    rows = {"x": np.arange(6.0), "flag": np.array([0, 1, 0, 1, 1, 1])}
    feeds = Feeds(rows, batch_rows=2, whole=("flag",))
    assert [feeds.rows_of(run) for run in range(len(feeds))] == [[0, 2], [1, 3], [4, 5]]
    assert [(feed["x"].tolist(), feed["flag"].shape, int(feed["flag"])) for feed in feeds] == [
        ([0.0, 2.0], (), 0),
        ([1.0, 3.0], (), 1),
        ([4.0, 5.0], (), 1),
    ]


@pytest.mark.parametrize("batch_rows", [1, 2, 3])
def test_stored_rows_feed_what_held_rows_feed(tmp_path, batch_rows):
    for case in CASES.values():
        _, make, whole = case
        held = Feeds(make(), batch_rows, whole)
        stored = open_feeds(store(tmp_path, make(), whole), batch_rows)
        assert len(held) == len(stored)
        for one, other in zip(held, stored, strict=True):
            assert one.keys() == other.keys()
            for name in one:
                assert (one[name].shape, one[name].dtype) == (other[name].shape, other[name].dtype)
                np.testing.assert_array_equal(one[name], other[name])


def test_the_largest_run_is_known():
    assert Feeds({"x": images()}).largest_run == 5
    assert Feeds({"x": images()}, batch_rows=2).largest_run == 3


def test_empty_rows_feed_empty_arrays():
    rows = {"boxes": [np.ones((count, 4), np.float32) for count in (2, 0, 3)]}
    assert [feed["boxes"].shape for feed in Feeds(rows)] == [(1, 2, 4), (1, 0, 4), (1, 3, 4)]
    whole = Feeds(rows, whole=("boxes",))
    assert [feed["boxes"].shape for feed in whole] == [(2, 4), (0, 4), (3, 4)]


@pytest.mark.parametrize(
    "rows", [[np.zeros(3), np.zeros((3, 1))], [np.zeros(3), np.zeros(3, np.float32)]]
)
def test_rows_of_one_input_have_one_dtype_and_as_many_axes(rows):
    with pytest.raises(DatasetError, match="one dtype and one number of axes") as caught:
        Feeds({"x": rows})
    assert caught.value.code == "OQ121"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("stored", [False, True])
def test_onnxruntime_calibrates_on_them_too(tmp_path, case, stored):
    """Its MinMax takes what differs in shape; the ranges it finds are ours."""
    build, make, whole = CASES[case]
    onnx.save(build(), tmp_path / "m.onnx")
    rows = store(tmp_path, make(), whole) if stored else make()
    reader = CalibrationReader(rows) if stored else CalibrationReader(rows, whole=whole)
    quantize_static(
        tmp_path / "m.onnx",
        tmp_path / "q.onnx",
        reader,
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    session = onnxruntime.InferenceSession(tmp_path / "q.onnx", providers=["CPUExecutionProvider"])
    original = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for inputs in each_row(make(), whole):
        (found,), (expected,) = session.run(None, inputs), original.run(None, inputs)
        np.testing.assert_allclose(found, expected, atol=0.1 * max(1, np.abs(expected).max()))
