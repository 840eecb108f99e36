"""The same calibration a second time, a part of it, or what is left of one that was killed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.calibration.calibrating import calibrate
from onnxq.calibrations import Shard
from onnxq.datasets.values import CalibrationSet, StoredRows
from onnxq.events import tell_nobody
from onnxq.graph import read_model
from onnxq.recipe_kinds import ALIASES, EVERYTHING, MeanSquaredError, MinMax
from onnxq.stages import CalibrateRequest, CalibrateResult, RangesAsked, StatisticsParts

ROWS = 60


def net(weight=0.0, batch="N"):
    """A CNN from x [N, 2, 6, 6] to three scores."""

    def weights(seed, *shape):
        values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * 0.4
        values.flat[0] += weight
        return values

    initializers = {"w1": weights(1, 4, 2, 3, 3), "w2": weights(2, 4, 4, 3, 3)}
    initializers["w3"] = weights(3, 4, 3)
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
        [numpy_helper.from_array(values, name) for name, values in initializers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def values_of(count=ROWS):
    return np.random.default_rng(0).standard_normal((count, 2, 6, 6)).astype(np.float32)


def request_in(folder, *, proto=None, values=None, cache="", **fields):
    folder.mkdir(exist_ok=True)
    values = values_of() if values is None else values
    onnx.save(proto or net(), folder / "model.onnx")
    np.save(folder / "x.npy", values)
    (folder / "names.json").write_text(json.dumps([f"photo{i}.jpg" for i in range(len(values))]))
    stored = StoredRows(
        inputs={"x": str(folder / "x.npy")},
        count_rows=len(values),
        labels="",
        row_names=str(folder / "names.json"),
    )
    defaults = {"methods": (MinMax(), MeanSquaredError()), "threads": 2}
    return CalibrateRequest(
        model=read_model(folder / "model.onnx"),
        rows=CalibrationSet(stored),
        cache_folder=str(cache),
        **(defaults | fields),
    )


def calibrated(folder, **options):
    return calibrate(request_in(folder, **options), folder, tell_nobody)


def files_of(result):
    ranges = {key: Path(path).read_bytes() for key, path in result.ranges.items()}
    return ranges, Path(result.statistics).read_bytes()


def test_the_second_time_it_is_read_and_the_same(tmp_path):
    first = calibrated(tmp_path / "a", cache=tmp_path / "cache")
    expected = files_of(first)
    second = calibrated(tmp_path / "b", cache=tmp_path / "cache")
    assert (first.effort.origin, second.effort.origin) == ("computed", "cached")
    assert (second.effort.rows, second.effort.passes) == (ROWS, 0)
    assert files_of(second) == expected
    assert files_of(calibrated(tmp_path / "c")) == expected


def test_a_hit_runs_no_model_and_is_fast(tmp_path):
    calibrated(tmp_path / "a", cache=tmp_path / "cache")
    told = []
    begun = time.perf_counter()
    calibrate(request_in(tmp_path / "b", cache=tmp_path / "cache"), tmp_path / "b", told.append)
    assert time.perf_counter() - begun < 1
    assert told == []


@pytest.mark.parametrize(
    "change",
    [
        {"proto": net(weight=1e-6)},
        {"values": np.concatenate([values_of()[:-1], values_of(1) * 0.5])},
        {"values": values_of()[::-1]},
        {"stride": 2},
        {"proto": net(batch=4)},
    ],
    ids=["weight", "row", "order", "stride", "batch"],
)
def test_what_decides_the_numbers_is_run_again(tmp_path, change):
    calibrated(tmp_path / "a", cache=tmp_path / "cache")
    second = calibrated(tmp_path / "b", cache=tmp_path / "cache", **change)
    assert second.effort.origin == "computed"
    assert files_of(second) == files_of(calibrated(tmp_path / "c", **change))


@pytest.mark.parametrize(
    "change",
    [
        {"methods": (MinMax(),)},
        {"threads": 1},
        {"memory_bytes": 10**9},
        {"asked": (RangesAsked(recipe=ALIASES["int16"]),)},
        {
            "methods": (),
            "asked": (
                RangesAsked(
                    recipe=ALIASES["int8"],
                    scope=msgspec.structs.replace(EVERYTHING, keep_float=("head",)),
                ),
            ),
        },
    ],
    ids=["method", "threads", "memory", "dtype", "scope"],
)
def test_what_only_chooses_ranges_reads_what_is_known(tmp_path, change):
    calibrated(tmp_path / "a", cache=tmp_path / "cache")
    second = calibrated(tmp_path / "b", cache=tmp_path / "cache", **change)
    assert second.effort.origin == "cached"
    assert files_of(second) == files_of(calibrated(tmp_path / "c", **change))


def test_tensors_that_are_not_known_yet_are_added(tmp_path):
    scope = msgspec.structs.replace(EVERYTHING, operators=("Gemm",))
    few = (RangesAsked(recipe=ALIASES["int8"], scope=scope),)
    first = calibrated(tmp_path / "a", cache=tmp_path / "cache", methods=(), asked=few)
    second = calibrated(tmp_path / "b", cache=tmp_path / "cache")
    assert first.effort.tensors < second.effort.tensors
    assert files_of(second) == files_of(calibrated(tmp_path / "c"))
    third = calibrated(tmp_path / "d", cache=tmp_path / "cache", methods=(), asked=few)
    assert third.effort.origin == "cached"
    assert files_of(third) == files_of(first)


def overflowing_net():
    """Rows with large values overflow ``b``: what was seen of ``x`` on them is worthless, too."""
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


def without(node):
    scope = msgspec.structs.replace(EVERYTHING, keep_float=(node,))
    return (RangesAsked(recipe=ALIASES["int8"], scope=scope),)


def test_tensors_that_were_collected_apart_are_settled_together(tmp_path):
    """All that is asked for is known, and yet a run must be taken out of it."""
    values = values_of(8)
    values[5] = 300.0
    given = {"proto": overflowing_net(), "values": values}
    expected = files_of(calibrated(tmp_path / "whole", **given))
    cache = tmp_path / "cache"
    alone = calibrated(tmp_path / "a", cache=cache, methods=(), asked=without("conv2"), **given)
    assert alone.effort.origin == "computed"
    calibrated(tmp_path / "b", cache=cache, methods=(), asked=without("conv1"), **given)
    assert files_of(calibrated(tmp_path / "c", cache=cache, **given)) == expected
    again = calibrated(tmp_path / "d", cache=cache, methods=(), asked=without("conv2"), **given)
    assert files_of(again) == files_of(alone)


@pytest.mark.parametrize("cached", [True, False])
def test_shards_make_the_files_of_the_whole(tmp_path, cached):
    whole = files_of(calibrated(tmp_path / "whole"))
    cache = tmp_path / "cache" if cached else ""
    parts = [
        calibrated(tmp_path / f"part{number}", cache=cache, shard=Shard(number, 3))
        for number in (3, 1, 2)
    ]
    assert all(part.ranges == {} for part in parts)
    request = request_in(tmp_path / "merged")
    merged = calibrate(
        msgspec.structs.replace(
            request, rows=StatisticsParts(tuple(part.statistics for part in parts))
        ),
        tmp_path / "merged",
        tell_nobody,
    )
    assert merged.effort.origin == "merged"
    assert files_of(merged) == whole


def test_a_cache_that_cannot_be_written_is_a_note(tmp_path):
    (tmp_path / "file").write_text("no folder")
    result = calibrated(tmp_path / "a", cache=tmp_path / "file" / "cache")
    assert "OQ148" in [finding.code for finding in result.findings]
    assert result.effort.origin == "computed"
    assert files_of(result) == files_of(calibrated(tmp_path / "b"))


KILLED = """
import sys, time
from pathlib import Path
import msgspec
from onnxq.calibration import checkpoints
from onnxq.calibration.calibrating import calibrate
from onnxq.stages import CalibrateRequest
checkpoints.LEAST_SECONDS = 0.01
checkpoints.MOST_SHARE = 1.0
def tell(event):
    time.sleep(0.01)
    sys.stdout.write("run\\n")
    sys.stdout.flush()
folder = Path(sys.argv[1])
request = msgspec.json.decode((folder / "request.json").read_bytes(), type=CalibrateRequest)
result = calibrate(request, folder, tell)
(folder / "result.json").write_bytes(msgspec.json.encode(result))
"""


def run_child(folder, kill_after):
    """Calibrate in a process; end it by SIGKILL after so many runs, or let it end."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        for count, _ in enumerate(process.stdout, start=1):
            if count == kill_after:
                process.send_signal(signal.SIGKILL)
        return process.wait(timeout=60)


@pytest.mark.slow
def test_killed_three_times_it_ends_as_if_never_killed(tmp_path):
    expected = files_of(calibrated(tmp_path / "whole"))
    request = request_in(tmp_path / "a", cache=tmp_path / "cache")
    (tmp_path / "a" / "request.json").write_bytes(msgspec.json.encode(request))
    for kill_after in (10, 15, 12):
        assert run_child(tmp_path / "a", kill_after) == -signal.SIGKILL
    assert run_child(tmp_path / "a", 10**6) == 0
    result = msgspec.json.decode(
        (tmp_path / "a" / "result.json").read_bytes(), type=CalibrateResult
    )
    assert result.effort.origin == "resumed"
    assert files_of(result) == expected
    assert not list((tmp_path / "cache").rglob("*.part"))
