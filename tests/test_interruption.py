import json
import signal
import subprocess
import sys
import textwrap

import pytest

STAGES = [
    "convert", "load rows", "prepare", "predict", "judge", "calibrate", "quantize",
    "check artefact", "measure latency", "profile operators",
]  # fmt: skip
JUDGED_BEFORE = {"calibrate", "quantize", "check artefact", "measure latency", "profile operators"}

DRIVER = textwrap.dedent("""
    import os, signal, sys, threading
    import onnxq

    stage, number, model, data, out = sys.argv[1:]

    def stop():
        os.kill(os.getpid(), int(number))

    def tell(event):
        if type(event).__name__ == "StageStarted" and event.stage == stage:
            threading.Timer(0.15, stop).start()

    try:
        onnxq.run(model, data=data, out=out, seconds=4.0, tell=tell)
    except onnxq.Interrupted as stopped:
        sys.stdout.buffer.write(stopped.partial_report)
        sys.exit(stopped.exit_code)
""")


def interrupt(stage, number, task, tmp_path):
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-c", DRIVER, stage, str(int(number))]
    return subprocess.run(
        [*command, str(task.model), str(task.rows), str(tmp_path / "out")],
        capture_output=True,
        check=False,
        timeout=60,
        env={"PATH": "", "TMPDIR": str(tmp_path / "tmp")},
    )


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_sigint_leaves_nothing_behind(stage, tiny_task, tmp_path):
    done = interrupt(stage, signal.SIGINT, tiny_task, tmp_path)
    assert done.returncode == 130, done.stderr.decode()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["tmp"]
    if stage in JUDGED_BEFORE:
        report = json.loads(done.stdout)
        assert report["interrupted"] is True
        assert report["variants"][0]["alias"] == "fp32"
        assert report["verdict"]["kind"] != "ship"


def test_sigterm_ends_with_143(tiny_task, tmp_path):
    done = interrupt("prepare", signal.SIGTERM, tiny_task, tmp_path)
    assert done.returncode == 143, done.stderr.decode()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["tmp"]
