import os
import time

import pytest

from onnxq.errors import SourceError, StageError
from onnxq.events import Event, Progressed, tell_nobody
from onnxq.isolation import ChildLimits, Workplace, run_stage
from onnxq.isolation.messages import WorkerBugError
from onnxq.stages import PROBE, ProbeRequest

_MIB = 1024 * 1024
SECRETS = {"HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"}


def place(folder, *, wall_s=30.0, memory_mib=2048, tell=tell_nobody):
    return Workplace(folder, ChildLimits(wall_s, memory_mib * _MIB), tell)


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_answers_and_tells_progress(tmp_path):
    heard: list[Event] = []
    result = run_stage(PROBE, ProbeRequest(behaviour="answer"), place(tmp_path, tell=heard.append))
    assert heard == [Progressed("probe", 1, 1)]
    assert is_gone(result.pid)


def test_environment_is_cleaned(tmp_path, monkeypatch):
    for name in SECRETS:
        monkeypatch.setenv(name, "secret")
    result = run_stage(PROBE, ProbeRequest(behaviour="answer"), place(tmp_path))
    assert not {
        "HTTPS_PROXY",
        "AWS_SECRET_ACCESS_KEY",
        "PYTHONPATH",
        "TORCH_FORCE_NO_WEIGHTS",
    } & set(result.environment)
    assert "ORT_DISABLE_TELEMETRY" in result.environment


def test_known_error_crosses_with_code_and_hint(tmp_path):
    with pytest.raises(SourceError, match="refuses") as caught:
        run_stage(PROBE, ProbeRequest(behaviour="refuse"), place(tmp_path))
    assert (caught.value.code, caught.value.hint) == ("OQ101", "Ask for something else.")
    assert caught.value.stage == "probe"


def test_unforeseen_error_keeps_its_traceback(tmp_path):
    with pytest.raises(WorkerBugError, match=r"(?s)probing\.py.*LookupError"):
        run_stage(PROBE, ProbeRequest(behaviour="break"), place(tmp_path))


def test_crash_names_signal_and_stage(tmp_path):
    with pytest.raises(StageError, match="'probe' died of signal SIGSEGV") as caught:
        run_stage(PROBE, ProbeRequest(behaviour="die"), place(tmp_path))
    assert caught.value.code == "OQ181"


def test_silent_exit_shows_the_last_words(tmp_path):
    with pytest.raises(StageError, match=r"(?s)exit status 3.*last words"):
        run_stage(PROBE, ProbeRequest(behaviour="exit"), place(tmp_path))


def test_hang_is_ended_at_the_wall_limit(tmp_path):
    start = time.monotonic()
    with pytest.raises(StageError, match=r"no result within 0\.5 s") as caught:
        run_stage(PROBE, ProbeRequest(behaviour="hang"), place(tmp_path, wall_s=0.5))
    assert caught.value.code == "OQ182"
    assert time.monotonic() - start < 10


def test_limits_hold_for_a_child_that_tells_a_lot(tmp_path):
    with pytest.raises(StageError, match=r"no result within 0\.5 s"):
        run_stage(PROBE, ProbeRequest(behaviour="chatter"), place(tmp_path, wall_s=0.5))


def test_hunger_is_ended_at_the_memory_limit(tmp_path):
    with pytest.raises(StageError, match="the limit is 150 MiB") as caught:
        run_stage(PROBE, ProbeRequest(behaviour="eat"), place(tmp_path, memory_mib=150))
    assert caught.value.code == "OQ183"


def test_each_stage_has_a_folder_of_its_own(tmp_path):
    for _ in range(2):
        run_stage(PROBE, ProbeRequest(behaviour="answer"), place(tmp_path))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["00-probe", "01-probe"]
    assert (tmp_path / "01-probe" / "touched").exists()
