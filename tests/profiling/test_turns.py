import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.errors import InferenceError
from onnxq.profiling import turns
from onnxq.profiling.turns import (
    MOST_RUNS,
    WARM_UP_RUNS,
    cpu_clock,
    late_load_ns,
    open_turns,
    peak_bytes,
    time_runs,
)
from onnxq.stages import LatencyChildRequest, Turn

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def request_of_product(tmp_path_factory):
    """A model of one product of 64 MiB of weights, and one row for it."""
    folder = tmp_path_factory.mktemp("product")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4096])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4096])],
        [numpy_helper.from_array(np.ones((4096, 4096), np.float32), "w")],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(model, folder / "m.onnx")
    np.save(folder / "x.npy", np.ones((1, 4096), np.float32))
    return LatencyChildRequest(
        model=str(folder / "m.onnx"), inputs={"x": str(folder / "x.npy")}, threads=(1, 2)
    )


def turn(*, threads=1, budget_ms=0.0, least_runs=3):
    return Turn(threads=threads, budget_ns=int(budget_ms * 1e6), least_runs=least_runs)


class Runs:
    def __init__(self, seconds=0.0):
        self.count = 0
        self.seconds = seconds
        self.collecting = True

    def __call__(self):
        self.count += 1
        self.collecting = gc.isenabled()
        time.sleep(self.seconds)


def test_drops_the_first_run_and_keeps_three():
    runs = Runs()
    wall, cpu = time_runs(runs, turn(budget_ms=0), time.thread_time_ns)
    assert runs.count == 4
    assert len(wall) == len(cpu) == 3
    assert all(value >= 0 for value in (*wall, *cpu))


def test_fills_its_budget():
    start = time.perf_counter()
    wall, _ = time_runs(Runs(0.002), turn(budget_ms=30), time.thread_time_ns)
    assert 3 <= len(wall) <= 15
    assert 0.03 <= time.perf_counter() - start < 1


def test_caps_what_it_keeps():
    wall, cpu = time_runs(Runs(), turn(budget_ms=2000), time.thread_time_ns)
    assert len(wall) == len(cpu) == MOST_RUNS


def test_turn_without_runs_only_loads():
    runs = Runs()
    assert time_runs(runs, turn(least_runs=0), time.thread_time_ns) == ([], [])
    assert runs.count == 0


def test_rubbish_is_not_collected_in_a_turn():
    runs = Runs()
    time_runs(runs, turn(), time.thread_time_ns)
    assert not runs.collecting
    assert gc.isenabled()


def request_by(provider):
    return LatencyChildRequest(model="m.onnx", inputs={}, threads=(1, 2), provider=provider)


def test_cpu_time_is_the_callers_at_one_thread():
    """A sleeping caller uses no CPU time, whatever the rest of the process does."""
    wall, cpu = time_runs(Runs(0.01), turn(), cpu_clock(request_by("cpu"), turn()))
    assert max(cpu) < min(wall) / 2
    assert min(wall) >= 10_000_000


def compute_elsewhere():
    """Use 10 ms of CPU time in a thread of its own, as a provider with a pool does."""

    def spin():
        end = time.thread_time_ns() + 10_000_000
        while time.thread_time_ns() < end:
            pass

    worker = threading.Thread(target=spin)
    worker.start()
    worker.join()


def test_no_work_of_a_provider_is_overlooked_at_one_thread():
    _, cpu = time_runs(compute_elsewhere, turn(), cpu_clock(request_by("openvino"), turn()))
    assert min(cpu) >= 10_000_000


def test_all_threads_count_at_two_whoever_runs():
    two = turn(threads=2)
    for provider in ("cpu", "openvino"):
        _, cpu = time_runs(compute_elsewhere, two, cpu_clock(request_by(provider), two))
        assert min(cpu) >= 10_000_000


def test_what_loading_leaves_to_the_first_run_is_its_excess():
    assert late_load_ns([900, 120, 100, 110]) == 800
    assert late_load_ns([90, 100]) == 0
    assert late_load_ns([900]) == 0


@pytest.fixture
def slow_runs(request_of_product, monkeypatch):
    """Sessions whose runs outlast warming up, the first of each by another 200 ms."""
    ran = []

    class Session:
        def __init__(self):
            self.first = True

        def run(self, *_):
            ran.append(1)
            time.sleep(0.15 + 0.2 * self.first)
            self.first = False

    def open_session(*_, **__):
        return Session()

    monkeypatch.setattr(turns, "open_session", open_session)
    return ran, request_of_product


def test_a_long_run_warms_itself_up(slow_runs, tmp_path):
    ran, request = slow_runs
    times = open_turns(request, tmp_path)(turn(least_runs=0))
    assert len(ran) == 1
    assert times.load_ns < 100_000_000


def test_what_a_provider_compiles_late_counts_as_loading(slow_runs, tmp_path):
    ran, request = slow_runs
    request = msgspec.structs.replace(request, provider="openvino")
    times = open_turns(request, tmp_path)(turn(least_runs=0))
    assert len(ran) == 2
    assert 100_000_000 < times.load_ns < 1_000_000_000


def test_answers_turns_at_each_thread_count(request_of_product, tmp_path):
    answer = open_turns(request_of_product, tmp_path)
    assert answer(turn(least_runs=0)).wall_ns == ()
    for threads in (1, 2, 1):
        times = answer(turn(threads=threads, budget_ms=10))
        assert len(times.wall_ns) == len(times.cpu_ns) >= 3
        assert min(times.wall_ns) > 0
        assert times.load_ns > 0
        assert times.peak_bytes > 64 * MIB
    assert list(tmp_path.iterdir()) == []


def test_loads_once_and_warms_up(request_of_product, tmp_path, monkeypatch):
    opened, runs = [], []
    real = turns.open_session

    class Counting:
        def __init__(self, session):
            self.session = session

        def run(self, names, inputs):
            runs.append(1)
            return self.session.run(names, inputs)

    def open_session(path, options, provider):
        opened.append(options.intra_op_num_threads)
        return Counting(real(path, options, provider=provider))

    monkeypatch.setattr(turns, "open_session", open_session)
    answer = open_turns(request_of_product, tmp_path)
    assert opened == []
    answer(turn(least_runs=0))
    assert opened == [1]
    assert 1 <= len(runs) <= WARM_UP_RUNS
    warm = len(runs)
    answer(turn())
    answer(turn())
    assert len(runs) == warm + 8
    answer(turn(threads=2))
    assert opened == [1, 2]


def test_one_session_at_a_time_is_held(request_of_product):
    """Two thread counts do not need the memory of two models."""
    code = """
import sys, msgspec
from pathlib import Path
from onnxq.profiling.turns import open_turns
from onnxq.stages import LatencyChildRequest, Turn
request = msgspec.json.decode(sys.argv[1], type=LatencyChildRequest)
answer = open_turns(request, Path())
for threads in (1, 2, 1, 2):
    print(answer(Turn(threads=threads, budget_ns=0, least_runs=1)).peak_bytes)
"""
    argument = msgspec.json.encode(request_of_product).decode()
    command = [sys.executable, "-c", code, argument]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    first, *others = map(int, done.stdout.split())
    assert max(others) < first + 32 * MIB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a trap of Linux")
def test_peak_is_this_process_and_not_its_parent():
    ballast = np.ones(400 * MIB, np.uint8)
    code = "from onnxq.profiling.turns import peak_bytes; print(peak_bytes())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    assert ballast.nbytes < peak_bytes()
    assert 20 * MIB < int(done.stdout) < 300 * MIB


def test_model_that_cannot_be_loaded_or_run_is_named(request_of_product, tmp_path):
    missing = LatencyChildRequest(
        model=str(tmp_path / "none.onnx"), inputs=request_of_product.inputs, threads=(1,)
    )
    with pytest.raises(InferenceError, match=r"none\.onnx"):
        open_turns(missing, tmp_path)(turn())
    np.save(tmp_path / "bad.npy", np.ones((1, 7), np.float32))
    misfit = LatencyChildRequest(
        model=request_of_product.model, inputs={"x": str(tmp_path / "bad.npy")}, threads=(1,)
    )
    with pytest.raises(InferenceError, match=r"m\.onnx failed on inputs of shapes"):
        open_turns(misfit, tmp_path)(turn())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_waiting_pool_does_not_spin(request_of_product, tmp_path):
    answer = open_turns(request_of_product, tmp_path)
    answer(turn(threads=2, budget_ms=10))
    before = os.times()
    time.sleep(0.3)
    after = os.times()
    assert after.user - before.user + after.system - before.system < 0.1
