"""What a shell offers: commands, flags, recipes, presets, files."""

import shutil
import subprocess

import pytest

from onnxq.cli.commands.completion import COMPLETE_VARIABLE, SHELLS
from onnxq.cli.main import main
from onnxq.recipe_kinds import ALIASES

BASH = shutil.which("bash")


def offered(line, monkeypatch, capfd):
    """Ask as bash asks: the words so far, the last of them unfinished."""
    words = line.split(" ")
    monkeypatch.setenv(COMPLETE_VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 0
    return [tuple(one.split(",", 1)) for one in capfd.readouterr().out.splitlines()]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed_alone(shell, capfd):
    assert main(["completion", shell]) == 0
    script = capfd.readouterr().out
    assert f"{COMPLETE_VARIABLE}={shell}_complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_another_shell_is_a_usage_error(capfd):
    assert main(["completion", "csh"]) == 2
    assert "'csh' is not one of" in capfd.readouterr().err


def test_commands_and_flags_are_offered(monkeypatch, capfd):
    assert ("plain", "quantize") in offered("onnxq q", monkeypatch, capfd)
    assert ("plain", "--max-drop") in offered("onnxq run m.onnx --max", monkeypatch, capfd)


def test_recipes_are_offered_and_files_where_none_begins_so(monkeypatch, capfd):
    found = offered("onnxq run m.onnx -r int8", monkeypatch, capfd)
    assert {word for _, word in found} == {alias for alias in ALIASES if alias.startswith("int8")}
    assert offered("onnxq run m.onnx -r mine", monkeypatch, capfd) == [("file", "mine")]
    assert ("plain", "int8") in offered("onnxq recipes show int", monkeypatch, capfd)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("onnxq run mod", ("file", "mod")),
        ("onnxq run m.onnx --data v", ("file", "v")),
        ("onnxq run m.onnx --preprocess ima", ("plain", "imagenet")),
        ("onnxq run m.onnx --io ui", ("plain", "uint8")),
        ("onnxq calibrate m.onnx --calib-rows a", ("plain", "auto")),
        ("onnxq quantize m.onnx --ranges onnxq-out/m", ("file", "onnxq-out/m")),
        ("onnxq merge m.onnx part1/m", ("file", "part1/m")),
        ("onnxq profile a.onnx --provider open", ("plain", "openvino")),
        ("onnxq profile a.onnx b", ("file", "b")),
        ("onnxq completion z", ("plain", "zsh")),
    ],
)
def test_values_are_offered(line, expected, monkeypatch, capfd):
    assert expected in offered(line, monkeypatch, capfd)


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_bash_completes_by_the_script(capfd):
    assert main(["completion", "bash"]) == 0
    script = capfd.readouterr().out
    code = f"{script}\ncomplete -p onnxq"
    done = subprocess.run(
        [BASH, "--norc", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "-F _onnxq_completion onnxq" in done.stdout
