"""A calibration that is killed goes on where it was, and ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.calibration.cache import open_cache
from onnxq.calibration.checkpoints import Checkpoints
from onnxq.calibration.collected_statistics import CollectedStatistics, StatisticsIdentity
from onnxq.calibration.collecting import Collecting, NamedRuns, collect_statistics
from onnxq.calibration.exposure import expose
from onnxq.calibration.feeds import Feeds
from onnxq.calibration.statistics_files import encode_statistics

ROWS = 240
UNSOUND = (7, 130)
PASSES = (("a", "b"), ("c",))
RUN_SECONDS = 0.002
EVERY = 50
"""Runs between two checkpoints: as many looks at a clock must cost 2 %, one of them."""

AT_ONCE = 8
"""More runs than two threads can have begun."""


def net():
    """A small CNN; rows with large values overflow ``b``, and so spoil what was seen of ``a``."""
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"]),
        helper.make_node("Exp", ["a"], ["b"]),
        helper.make_node("Tanh", ["b"], ["c"]),
        helper.make_node("Conv", ["c", "w2"], ["y"]),
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


def rows():
    values = np.random.default_rng(0).standard_normal((ROWS, 2, 6, 6)).astype(np.float32)
    values[list(UNSOUND)] = 300.0
    return NamedRuns(Feeds({"x": values}), tuple(f"photo{row}.jpg" for row in range(ROWS)))


def identity():
    return StatisticsIdentity(
        model_sha256="a" * 64, rows_sha256="b" * 64, batch_rows=1, runs=ROWS, onnxruntime="1.31.1"
    )


def slowly(open_model, tensors):
    predict = open_model(tensors)

    def slow(inputs):
        time.sleep(RUN_SECONDS)
        return predict(inputs)

    return slow


class CountingClock:
    """Goes on by as much for each look, so that checkpoints come after so many runs."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 2.0 / EVERY
        return self.now


def calibrate(folder, tell):
    """Collect with checkpoints, as the stage does.

    Returns the file of statistics.
    """
    tensors = [name for names in PASSES for name in names]
    with (
        open_cache(str(folder / "cache"), identity()) as cache,
        expose(net(), folder, tensors) as open_exposed,
    ):
        collected = collect_statistics(
            partial(slowly, open_exposed),
            rows(),
            Collecting(passes=PASSES, threads=2),
            chosen=range(ROWS),
            start=cache.load(tensors),
            keep=Checkpoints(cache.keep, clock=CountingClock()),
            tell=tell,
        )
        cache.keep(collected.statistics)
        assert cache.findings == ()
    return encode_statistics(
        CollectedStatistics(
            identity=identity(),
            row_names=rows().names,
            given_rows=ROWS,
            dropped_rows=0,
            tensors=collected.statistics,
        )
    )


def say(word):
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(folder, slow_sync):
    """Be the process that is killed."""

    def sync(descriptor):
        say("writing")
        time.sleep(30)
        os.fdatasync(descriptor)

    if slow_sync:
        os.fsync = sync
    calibrate(Path(folder), lambda event: say(event.done))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return calibrate(tmp_path_factory.mktemp("whole"), lambda _: None)


def interrupted(folder, when, with_signal, *, slow_sync=False):
    """Start a calibration and end it by a signal.

    Returns how many runs it knew of when it began to work.
    """
    command = [sys.executable, __file__, str(folder), "slow" if slow_sync else ""]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        lines = iter(process.stdout.readline, "")
        first = next(lines).strip()
        line = first
        while not when(line.strip()):
            line = next(lines)
        process.send_signal(with_signal)
        process.wait(timeout=30)
    assert process.returncode != 0
    return int(first) if first.isdigit() else 0


def resumed(folder):
    """Finish a calibration.

    Returns the file of statistics, and how many runs it had to do.
    """
    done = []
    statistics = calibrate(folder, lambda event: done.append(event.done))
    return statistics, len(done)


def beyond(count):
    return lambda line: line.isdigit() and int(line) >= count


def parts_in(folder):
    return list(folder.rglob("*.part"))


def entries_in(folder):
    return [path for path in (folder / "cache").rglob("*") if path.is_file()]


def test_killed_three_times_it_ends_as_if_never_killed(tmp_path, uninterrupted):
    total = len(PASSES) * ROWS
    kills = (total // 4, total // 2, 3 * total // 4)
    began = [interrupted(tmp_path, beyond(kill), signal.SIGKILL) for kill in kills]
    assert began[0] == 1
    assert began[1] > total // 4 - EVERY - AT_ONCE
    assert began[2] > total // 2 - EVERY - AT_ONCE
    statistics, runs = resumed(tmp_path)
    assert statistics == uninterrupted
    assert runs < total // 4 + EVERY + AT_ONCE
    assert len(entries_in(tmp_path)) == 1


def test_killed_in_the_middle_of_a_checkpoint_it_goes_on_from_the_one_before(
    tmp_path, uninterrupted
):
    interrupted(tmp_path, beyond(120), signal.SIGKILL)
    interrupted(tmp_path, lambda line: line == "writing", signal.SIGKILL, slow_sync=True)
    assert len(parts_in(tmp_path)) == 1
    statistics, runs = resumed(tmp_path)
    assert statistics == uninterrupted
    assert runs < len(PASSES) * ROWS - 100 + EVERY + AT_ONCE
    assert parts_in(tmp_path) == []
    assert len(entries_in(tmp_path)) == 1


def test_interrupted_by_hand_it_leaves_nothing_half_and_goes_on(tmp_path, uninterrupted):
    interrupted(tmp_path, beyond(100), signal.SIGINT)
    assert parts_in(tmp_path) == []
    statistics, runs = resumed(tmp_path)
    assert statistics == uninterrupted
    assert runs < len(PASSES) * ROWS - 100 + EVERY + AT_ONCE


def test_what_is_known_is_not_run_again(tmp_path, uninterrupted):
    assert resumed(tmp_path) == (uninterrupted, len(PASSES) * ROWS)
    assert resumed(tmp_path) == (uninterrupted, 0)


def test_rows_that_are_not_sound_are_in_the_test(uninterrupted, tmp_path):
    del uninterrupted
    with open_cache(str(tmp_path / "cache"), identity()) as cache:
        calibrate(tmp_path, lambda _: None)
        found = cache.load(["a", "b"])
    assert np.flatnonzero(found["b"].row_non_finite).tolist() == list(UNSOUND)
    assert np.flatnonzero(~found["a"].row_folded).tolist() == list(UNSOUND)


def test_the_model_is_checked():
    onnx.checker.check_model(net())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] == "slow")
