import json
import time

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.calibration.cache import open_cache
from onnxq.calibration.feeds import open_feeds
from onnxq.calibration.identifying import cache_part, identify_statistics
from onnxq.calibration.statistics import empty_statistics
from onnxq.calibrations import Shard
from onnxq.datasets.values import StoredRows
from onnxq.graph import read_model


def identified(
    folder, *, weight=0.5, rows=None, order="forwards", batch_rows=1, stride=1, name="photo"
):
    """Write a model and rows, and identify what statistics of them would be."""
    folder.mkdir(exist_ok=True)
    weights = np.full((3, 2), 0.25, np.float32)
    weights[1, 1] = weight
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(weights, "w")],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), folder / "net.onnx")
    values = np.arange(24, dtype=np.float32).reshape(8, 3)
    values = values if rows is None else rows(values)
    values = values[::-1] if order == "backwards" else values
    np.save(folder / "x.npy", np.ascontiguousarray(values))
    names = json.dumps([f"{name}{row}" for row in range(len(values))])
    (folder / "names.json").write_text(names)
    stored = StoredRows(
        inputs={"x": str(folder / "x.npy")},
        count_rows=len(values),
        labels="",
        row_names=str(folder / "names.json"),
    )
    return identify_statistics(
        read_model(folder / "net.onnx"),
        stored,
        open_feeds(stored, batch_rows),
        stride=stride,
        stop_early=False,
    )


def changed_row(values):
    values[5, 1] = np.nextafter(values[5, 1], np.float32(99))
    return values


def one_more_row(values):
    return np.concatenate([values, values[:1]])


def finds(folder, identity):
    with open_cache(str(folder / "cache"), identity) as cache:
        return bool(cache.load(["x"]))


@pytest.fixture
def kept(tmp_path):
    """A cache that knows the statistics of one model on some rows."""
    identity = identified(tmp_path / "first")
    with open_cache(str(tmp_path / "cache"), identity) as cache:
        cache.keep({"x": empty_statistics(identity.runs)})
    return tmp_path


@pytest.mark.parametrize(
    "change",
    [
        {"weight": 0.5000001},
        {"rows": changed_row},
        {"rows": one_more_row},
        {"rows": lambda values: values.astype(np.float64)},
        {"rows": lambda values: values.reshape(12, 2)},
        {"order": "backwards"},
        {"stride": 4},
        {"batch_rows": 2},
    ],
    ids=["weight", "row", "more rows", "dtype", "shape", "order", "stride", "batch"],
)
def test_what_decides_the_numbers_misses(kept, change):
    assert not finds(kept, identified(kept / "second", **change))


def test_what_does_not_hits(kept):
    """Neither where files lie nor what rows are called changes a number."""
    assert finds(kept, identified(kept / "elsewhere", name="image"))


def test_another_onnxruntime_misses(kept):
    other = msgspec.structs.replace(identified(kept / "second"), onnxruntime="1.0.0")
    assert not finds(kept, other)


def test_each_shard_has_a_place_of_its_own():
    assert cache_part(Shard()) == ""
    assert len({cache_part(Shard(number, 3)) for number in (1, 2, 3)}) == 3


def test_a_hit_is_fast(tmp_path):
    identity = msgspec.structs.replace(identified(tmp_path / "first"), runs=2000)
    generator = np.random.default_rng(0)
    one = empty_statistics(2000)
    one.row_seen[:] = True
    one.row_lows[:], one.row_highs[:] = 0.0, 3e38
    one.counts[generator.choice(0x7F00, 4000, replace=False)] = 10**9
    tensors = [f"tensor{number}" for number in range(64)]
    with open_cache(str(tmp_path / "cache"), identity) as cache:
        cache.keep(dict.fromkeys(tensors, one))
        begun = time.process_time()
        found = cache.load(tensors)
    assert len(found) == 64
    # 0.03 s where it was written; the bound is for a laden machine.
    assert time.process_time() - begun < 0.5
