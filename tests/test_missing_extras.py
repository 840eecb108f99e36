"""Without an extra installed: the error names it. A wrapper hides the package from the children."""

import sys
import textwrap

import pytest

from onnxq.__main__ import main

WRAPPER = """\
#!{python}
import runpy, sys
for name in {hidden!r}:
    sys.modules[name] = None
sys.argv = sys.argv[sys.argv.index("onnxq._worker"):]
runpy.run_module("onnxq._worker", run_name="__main__")
"""


@pytest.fixture
def hide(tmp_path, monkeypatch):
    def hide_packages(*names):
        wrapper = tmp_path / "python"
        wrapper.write_text(WRAPPER.format(python=sys.executable, hidden=names))
        wrapper.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(wrapper))

    return hide_packages


def run(capfd, *arguments):
    status = main(["run", *map(str, arguments)])
    said = capfd.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return status, said.err


def test_torch(hide, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(
        textwrap.dedent("""
            import torch

            def build():
                return torch.nn.Linear(4, 3)
        """)
    )
    hide("torch")
    status, said = run(capfd, "nets.py:build", "--input", "x:Nx4")
    assert status == 1
    assert "error[OQ108]" in said
    assert "pip install 'onnxq[torch]'" in said


@pytest.mark.parametrize("packages", [("tensorflow", "torch"), ("keras",), ("tf2onnx",)])
def test_keras(hide, packages, tmp_path, capfd, monkeypatch, pytestconfig):
    monkeypatch.chdir(tmp_path)
    hide(*packages)
    model = pytestconfig.rootpath / "models" / "mnist_cnn_keras" / "mnist_cnn.keras"
    status, said = run(capfd, model)
    assert status == 1
    assert "error[OQ108]" in said
    assert "pip install 'onnxq[keras]'" in said


def test_images(hide, tiny_task, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    hide("PIL")
    status, said = run(capfd, tiny_task.model, "--data", "photos")
    assert status == 1
    assert "error[OQ108]" in said
    assert "pip install 'onnxq[images]'" in said


def test_onnx_needs_no_extra(hide, tiny_task, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hide("torch", "tensorflow", "keras", "tf2onnx", "PIL", "onnxscript")
    arguments = (tiny_task.model, "--data", tiny_task.rows, "-r", "int8", "--seconds", 1)
    assert main(["run", *map(str, arguments), "--json", "-q"]) == 0
    assert capfd.readouterr().out.startswith("{")
