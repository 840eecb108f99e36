"""OpenVINO as onnxruntime-openvino has it: what it computes, at what it is measured, and how.

Run by scripts/test_providers, in an environment of its own.
"""

import os
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.doctoring import examine
from onnxq.documents import NotProfiled, Profiled, Unavailable
from onnxq.errors import InferenceError
from onnxq.events import tell_nobody
from onnxq.measurements import Compared
from onnxq.profiling.turns import late_load_ns
from onnxq.runtime import (
    RUNTIME_VERSION,
    count_left_nodes,
    list_providers,
    open_predict,
    open_session,
    session_options,
)
from onnxq.verbs import profile

pytestmark = [
    pytest.mark.providers,
    pytest.mark.skipif(
        "openvino" not in list_providers(),
        reason="needs onnxruntime-openvino: run scripts/test_providers",
    ),
]
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def floats(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def weight(name, *shape):
    values = np.random.default_rng(len(name)).standard_normal(shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def save(path, nodes, x, y, weights=(), opset=17):
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


@pytest.fixture
def convolutions(tmp_path):
    """Enough work in a run for a second thread to take a part of it."""
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["b"], pads=[1] * 4),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Conv", ["c", "d"], ["y"], pads=[1] * 4),
    ]
    weights = [weight("a", 64, 16, 3, 3), weight("d", 64, 64, 3, 3)]
    x, y = floats("x", "N", 16, 48, 48), floats("y", "N", 64, 48, 48)
    return save(tmp_path / "convolutions.onnx", nodes, x, y, weights)


@pytest.fixture
def determinant(tmp_path):
    """Det is one of the operators that OpenVINO leaves to the default provider."""
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Det", ["a"], ["y"])]
    return save(tmp_path / "det.onnx", nodes, floats("x", "N", 4, 4), floats("y", "N"))


@pytest.fixture
def softsign(tmp_path):
    """OpenVINO says that it takes this RNN, and cannot compile it."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node(
            "RNN", ["t", "w", "r"], ["", "h"], hidden_size=3, activations=["Softsign"]
        ),
        helper.make_node("Squeeze", ["h", "first"], ["y"]),
    ]
    first = numpy_helper.from_array(np.int64([0]), "first")
    weights = [weight("w", 1, 3, 4), weight("r", 1, 3, 3), first]
    return save(
        tmp_path / "softsign.onnx", nodes, floats("x", "N", 5, 4), floats("y", "N", 3), weights
    )


def rows_of(path, *shape):
    np.savez(path, x=np.random.default_rng(1).standard_normal(shape).astype(np.float32))
    return str(path)


def profiled(*models, data="", threads=(1,)):
    return profile(
        tuple(map(str, models)),
        data=data,
        provider=("cpu", "openvino"),
        threads=threads,
        seconds=0.5,
    )


# Who computes what.


def test_profiles_side_by_side(tiny_task):
    document = profile(
        str(tiny_task.model),
        data=str(tiny_task.rows),
        provider=("cpu", "openvino", "dnnl"),
        threads=(1, 2),
        seconds=1.0,
    )
    here, there, missing = document.rows
    assert isinstance(missing, Unavailable)
    assert isinstance(here, Profiled)
    assert isinstance(there, Profiled)
    assert there.fallback_share == 0
    assert [(one.operator, one.count) for one in there.operators] == [("OpenVINO-EP-subgraph", 1)]
    assert [ratio.clock for ratio in there.speed] == ["cpu", "wall"]
    (agreement,) = there.quality.agreement.outputs
    assert agreement.sqnr_db > 80
    assert there.quality.accuracy.drop.value == 0
    assert document.environment.packages["onnxruntime"] == RUNTIME_VERSION


def test_share_of_nodes_that_it_left(determinant, tmp_path):
    assert count_left_nodes(determinant, "openvino") == (1, 2)
    assert count_left_nodes(determinant, "cpu") == (2, 2)
    _, there = profiled(determinant, data=rows_of(tmp_path / "x.npz", 20, 4, 4)).rows
    assert there.fallback_share == 0.5
    assert {one.operator for one in there.operators} == {"OpenVINO-EP-subgraph", "Det"}
    assert there.quality.agreement.outputs[0].sqnr_db > 80


def test_model_that_it_takes_nothing_of(tmp_path):
    nodes = [
        helper.make_node("Cast", ["x"], ["a"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["a", "a"], ["b"]),
        helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT),
    ]
    path = save(tmp_path / "doubles.onnx", nodes, floats("x", "N", 8), floats("y", "N", 8))
    assert count_left_nodes(path, "openvino") == (3, 3)


def test_computes_in_float32(tmp_path):
    """bfloat16, which it may pick on CPUs that have it, would be off by a hundredth."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    x, y = floats("x", "N", 256), floats("y", "N", 256)
    path = save(tmp_path / "product.onnx", [node], x, y, [weight("w", 256, 256)])
    rows = np.random.default_rng(2).standard_normal((8, 256)).astype(np.float32)
    w = numpy_helper.to_array(weight("w", 256, 256)).astype(np.float64)
    found = open_predict(path, provider="openvino")({"x": rows})["y"]
    np.testing.assert_allclose(found, rows @ w, rtol=0, atol=1e-3)


def test_integer_arithmetic_differs_by_a_step_at_most(tmp_path):
    """Rounding on the way to uint8 may go either way; that is one step, now and then."""
    scale, zero = np.float32(0.05), np.uint8(128)
    random = np.random.default_rng(3)
    quantized = random.integers(-127, 128, (8, 4, 3, 3)).astype(np.int8)
    constants = {
        "s": scale, "z": zero, "q": quantized,
        "ws": random.uniform(0.001, 0.004, 8).astype(np.float32), "wz": np.zeros(8, np.int8),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["q", "ws", "wz"], ["w"], axis=0),
        helper.make_node("Conv", ["xd", "w"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "s", "z"], ["y"]),
    ]
    x, y = floats("x", "N", 4, 16, 16), floats("y", "N", 8, 14, 14)
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    path = save(tmp_path / "qdq.onnx", nodes, x, y, weights)
    rows = {"x": random.standard_normal((4, 4, 16, 16)).astype(np.float32)}
    here, there = (open_predict(path, provider=name)(rows)["y"] for name in ("cpu", "openvino"))
    steps = np.abs(here - there) / scale
    assert steps.max() < 1.001
    assert (steps > 0.5).mean() < 0.01
    assert count_left_nodes(path, "openvino")[0] == 0


def test_outputs_that_disagree_are_shown_and_told(tmp_path):
    """onnxruntime-openvino 1.24.1 pads this elsewhere than the ONNX specification says."""
    node = helper.make_node(
        "ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], output_shape=[11, 11]
    )
    x, y = floats("x", "N", 2, 6, 6), floats("y", "N", 3, 11, 11)
    path = save(tmp_path / "transposed.onnx", [node], x, y, [weight("w", 2, 3, 3, 3)])
    document = profiled(path, data=rows_of(tmp_path / "x.npz", 20, 2, 6, 6))
    _, there = document.rows
    assert isinstance(there.quality, Compared)
    assert there.quality.agreement.outputs[0].sqnr_db < 10
    (finding,) = (one for one in document.findings if one.code == "OQ402")
    assert finding.subject == f"{path} on openvino"
    assert f"agrees little with {path} on cpu" in finding.message
    assert finding.fix == "It is the same model, computed differently: serve it on cpu."


def test_model_that_it_cannot_compile_costs_one_row(softsign, tmp_path):
    here, there = profiled(softsign, data=rows_of(tmp_path / "x.npz", 20, 5, 4)).rows
    assert isinstance(here, Profiled)
    assert isinstance(there, NotProfiled)
    assert there.code == "OQ173"
    assert there.reason.endswith("Unknown activation function: softsign")
    assert there.hint == "See whether the default provider can: --provider cpu."


def test_model_that_it_cannot_compile_is_not_run_by_another_in_silence(softsign, capfd):
    with pytest.raises(InferenceError, match=r"softsign\.onnx on openvino"):
        open_session(softsign, session_options(), provider="openvino")
    assert "Falling back" not in capfd.readouterr().out


# What is measured.


def cpu_times(path, threads):
    """Return the CPU time of this thread and of the others in some runs, ns."""
    options = session_options(threads=threads)
    session = open_session(path, options, provider="openvino")
    rows = {"x": np.ones((1, 16, 48, 48), np.float32)}
    for _ in range(5):
        session.run(None, rows)
    own, all_ = time.thread_time_ns(), time.process_time_ns()
    for _ in range(40):
        session.run(None, rows)
    own, all_ = time.thread_time_ns() - own, time.process_time_ns() - all_
    return own, all_ - own


def test_computes_in_the_calling_thread_at_one_thread(convolutions):
    own, others = cpu_times(convolutions, 1)
    assert others < own / 20


@pytest.mark.skipif(os.cpu_count() == 1, reason="takes no more threads than there are cores")
def test_computes_in_two_at_two(convolutions):
    # A busy machine starves the other thread now and then, and the caller does its share.
    tries = (cpu_times(convolutions, 2) for _ in range(10))
    assert any(others > own / 10 for own, others in tries)


@on_linux
def test_waiting_pool_does_not_spin(convolutions):
    session = open_session(convolutions, session_options(threads=2), provider="openvino")
    session.run(None, {"x": np.ones((1, 16, 48, 48), np.float32)})
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


def test_first_run_compiles_where_the_batch_is_free(tiny_task):
    session = open_session(tiny_task.model, session_options(), provider="openvino")
    runs_ns = []
    for _ in range(5):
        start = time.perf_counter_ns()
        session.run(None, {"x": np.ones((1, 3, 12, 12), np.float32)})
        runs_ns.append(time.perf_counter_ns() - start)
    assert late_load_ns(runs_ns) > min(runs_ns)


# What else the environment is.

FOOTPRINT = """
import os, sys
from onnxq.runtime import open_predict
import numpy as np
open_predict(sys.argv[1], provider="openvino")({"x": np.ones((1, 16, 48, 48), np.float32)})
links = []
for one in os.listdir("/proc/self/fd"):
    try:
        links.append(os.readlink(f"/proc/self/fd/{one}"))
    except OSError:
        pass
print(sum(link.startswith("socket:") for link in links))
"""


@on_linux
def test_caches_and_sends_nothing(convolutions, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", FOOTPRINT, str(convolutions)],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)},
        cwd=home,
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["0"]
    assert list(home.rglob("*")) == []


def test_doctor_names_the_distribution():
    (found,) = (one for one in examine("", tell_nobody).packages if one.name == "onnxruntime")
    assert found.version == RUNTIME_VERSION
    assert found.distributions == ("onnxruntime-openvino",)


@pytest.mark.skipif(not RUNTIME_VERSION.startswith("1.24."), reason="of its opset limit")
def test_opset_beyond_the_runtime_is_an_error_that_names_it(tmp_path):
    """onnxruntime-openvino 1.24.1 loads opsets up to 25, one less than onnxruntime 1.31.1."""
    node = helper.make_node("Relu", ["x"], ["y"])
    x, y = floats("x", "N", 8), floats("y", "N", 8)
    path = save(tmp_path / "new.onnx", [node], x, y, opset=26)
    with pytest.raises(InferenceError, match=r"onnxruntime 1\.24.* cannot load new\.onnx"):
        open_session(path, session_options(), provider="openvino")
