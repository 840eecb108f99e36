"""A provider that fails costs its own rows. In the children of these tests openvino is a fake."""

import sys

import pytest

from onnxq.documents import NotProfiled, Profiled, Unavailable
from onnxq.errors import InferenceError
from onnxq.measurements import Judged
from onnxq.verbs import profile

pytestmark = pytest.mark.slow

WRAPPER = """\
#!{python}
import os, runpy, signal, sys
sys.argv = sys.argv[sys.argv.index("onnxq._worker"):]
from onnxq import runtime

stage, crash = {stage!r}, {crash!r}
real = runtime.open_session

def open_session(path, options, *, provider="cpu"):
    if provider == "openvino" and stage in sys.argv:
        if crash:
            os.kill(os.getpid(), signal.SIGSEGV)
        raise runtime._load_failure(os.path.basename(path), provider, "no kernel for it")
    return real(path, options)

runtime.open_session = open_session
runtime.list_providers = lambda: ("cpu", "openvino")
runtime.count_left_nodes = lambda path, provider: (1, 4)
runpy.run_module("onnxq._worker", run_name="__main__")
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Return a function that makes openvino fail in one stage."""

    def make(stage="", *, crash=False):
        wrapper = tmp_path / "python"
        wrapper.write_text(WRAPPER.format(python=sys.executable, stage=stage, crash=crash))
        wrapper.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(wrapper))

    return make


def profiled(task, *providers, rows=False):
    data = str(task.rows) if rows else ""
    return profile(str(task.model), data=data, provider=providers, threads=(1,), seconds=0.2)


def test_rows_are_models_by_providers_and_a_missing_one_is_a_line(fake, tiny_task):
    fake()
    rows = profiled(tiny_task, "cpu", "openvino", "dnnl", rows=True).rows
    assert [(type(row), row.provider) for row in rows] == [
        (Profiled, "cpu"),
        (Profiled, "openvino"),
        (Unavailable, "dnnl"),
    ]
    here, there, _ = rows
    assert (here.fallback_share, there.fallback_share) == (0, 0.25)
    assert here.speed == ()
    (speed,) = there.speed
    assert speed.clock == "cpu"
    assert isinstance(there.quality, Judged)
    assert there.quality.agreement.outputs[0].sqnr_db == 200


@pytest.mark.parametrize("stage", ["predict", "measure latency", "profile operators"])
def test_crash_of_a_provider_costs_its_row(fake, tiny_task, stage):
    fake(stage, crash=True)
    here, there = profiled(tiny_task, "cpu", "openvino", rows=stage == "predict").rows
    assert isinstance(here, Profiled)
    assert isinstance(there, NotProfiled)
    assert there.code in {"OQ181", "OQ173"}
    assert there.reason


@pytest.mark.parametrize("stage", ["predict", "measure latency"])
def test_the_first_that_can_be_run_is_what_others_are_compared_with(fake, tiny_task, stage):
    fake(stage)
    there, here = profiled(tiny_task, "openvino", "cpu", rows=stage == "predict").rows
    assert isinstance(there, NotProfiled)
    assert "tiny.onnx on openvino: no kernel for it" in there.reason
    assert isinstance(here, Profiled)
    assert here.speed == ()


def test_failure_of_the_only_provider_is_the_error(fake, tiny_task):
    fake("measure latency")
    with pytest.raises(InferenceError, match="no kernel for it"):
        profiled(tiny_task, "openvino")
