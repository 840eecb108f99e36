import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq import runtime
from onnxq.errors import InferenceError
from onnxq.runtime import (
    RUNTIME_VERSION,
    count_left_nodes,
    list_providers,
    name_failures,
    open_predict,
    open_session,
    session_options,
)

TELEMETRY_PROBE = """
import os, sys
from onnxq.runtime import open_predict
import numpy as np
predict = open_predict(sys.argv[1])
predict({"x": np.zeros((1, 4), np.float32)})
print(len(os.listdir("/proc/self/task")))
links = []
for one in os.listdir("/proc/self/fd"):
    try:
        links.append(os.readlink(f"/proc/self/fd/{one}"))
    except OSError:
        pass
print(sum(link.startswith("socket:") for link in links))
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


@pytest.fixture
def doubler(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "two"], ["y"]), helper.make_node("Neg", ["y"], ["z"])],
        "doubler",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in ("y", "z")],
        [numpy_helper.from_array(np.float32([2]), "two")],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_predicts_by_name(doubler):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    outputs = open_predict(doubler)({"x": x})
    assert list(outputs) == ["y", "z"]
    np.testing.assert_array_equal(outputs["y"], 2 * x)
    np.testing.assert_array_equal(outputs["z"], -2 * x)


def test_predicts_alike_without_optimization_and_with_threads(doubler):
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    expected = open_predict(doubler)({"x": x})["z"]
    for predict in (open_predict(doubler, optimize=False), open_predict(doubler, threads=2)):
        np.testing.assert_array_equal(predict({"x": x})["z"], expected)


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": np.zeros((3, 5), np.float32)},
        {"x": np.zeros((3, 4), np.float64)},
        {"x": np.zeros(4, np.float32)},
        {"y": np.zeros((3, 4), np.float32)},
    ],
    ids=["shape", "dtype", "rank", "name"],
)
def test_failed_run_names_model_and_shapes(doubler, inputs):
    with pytest.raises(InferenceError) as caught:
        open_predict(doubler)(inputs)
    (shape,) = (str(list(array.shape)) for array in inputs.values())
    assert caught.value.code == "OQ173"
    assert caught.value.message.startswith("m.onnx failed on inputs of shapes")
    assert shape in caught.value.message


def test_missing_and_truncated_files_are_named(tmp_path, doubler):
    truncated = tmp_path / "cut.onnx"
    truncated.write_bytes(doubler.read_bytes()[:-20])
    for path in (tmp_path / "none.onnx", truncated):
        with pytest.raises(InferenceError, match=path.name) as caught:
            open_session(path, session_options())
        assert RUNTIME_VERSION in caught.value.message


def test_failures_of_our_own_are_not_renamed():
    with pytest.raises(KeyError), name_failures("m.onnx", {}):
        raise KeyError("ours")  # noqa: EM101 - a bug, as it would look


def test_sessions_stop_spinning_after_a_run_and_stay_on_the_cpu(doubler):
    options = session_options(threads=3)
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    assert open_session(doubler, options).get_providers() == ["CPUExecutionProvider"]


def test_default_provider_is_always_there():
    assert "cpu" in list_providers()


@pytest.mark.skipif("dnnl" in list_providers(), reason="this onnxruntime has it")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_provider_that_is_left_out_is_never_replaced_in_silence(doubler):
    with pytest.raises(
        InferenceError, match=r"m\.onnx on dnnl: it left the provider out"
    ) as caught:
        open_session(doubler, session_options(), provider="dnnl")
    assert caught.value.hint.endswith("--provider cpu.")


def test_failing_provider_is_not_replaced_and_its_last_line_is_told(doubler, monkeypatch):
    asked = {}

    def fail(*_, **options):
        asked.update(options)
        raise RuntimeError("void ep::Func(std::string&)\n" + 90 * "[node] " + "No softsign\n\n")

    monkeypatch.setattr(runtime.onnxruntime, "InferenceSession", fail)
    with pytest.raises(InferenceError) as caught:
        open_session(doubler, session_options(threads=2), provider="openvino")
    assert asked["enable_fallback"] is False
    assert asked["providers"] == ["OpenVINOExecutionProvider", "CPUExecutionProvider"]
    assert asked["provider_options"] == [
        {"device_type": "CPU", "num_of_threads": "2", "precision": "FP32"},
        {},
    ]
    assert caught.value.message.endswith("[node] No softsign")
    assert "std::string" not in caught.value.message
    assert len(caught.value.message) < 250


def test_counts_the_nodes_of_the_graph_and_not_those_it_is_fused_to(doubler):
    assert count_left_nodes(doubler, "cpu") == (2, 2)


def run_probe(home: Path, model: Path, value: str) -> list[str]:
    # HOME and no more: the caches of this machine would hide what is written.
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    if value:
        environment["ORT_DISABLE_TELEMETRY"] = value
    command = [sys.executable, "-c", TELEMETRY_PROBE, str(model)]
    done = subprocess.run(
        command, env=environment, cwd=home, capture_output=True, check=True, text=True, timeout=60
    )
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_telemetry_is_off(tmp_path, doubler):
    home = tmp_path / "home"
    home.mkdir()
    threads, sockets, value = run_probe(home, doubler, "")
    explicit_threads = run_probe(home, doubler, "1")[0]
    assert value == "1"
    assert sockets == "0"
    # onnxruntime 1.31 starts one more thread, and leaves a database, where its telemetry is on.
    assert threads == explicit_threads
    assert list(home.rglob("*")) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_value_that_the_user_set_wins(tmp_path, doubler):
    assert run_probe(tmp_path, doubler, "true")[2] == "true"
