"""Where models go that may be written as one file."""

import pytest

from onnxq.errors import UsageError
from onnxq.verbs import convert, quantize, repair
from onnxq.verbs.asking import ask_model_destination


@pytest.mark.parametrize(
    ("out", "is_file"),
    [
        ("m.onnx", True),
        ("out", False),
        ("out.v2", False),
        ("runs/2026.11", False),
        (".hidden", False),
        ("out/", False),
    ],
)
def test_models_and_folders(out, is_file):
    assert ask_model_destination(out, overwrite=False).is_file == is_file


@pytest.mark.parametrize("out", ["out.txt", "a/out.ort", "out.ONNX", "out.onxx", "m.tflite"])
def test_another_kind_of_file_is_refused(out):
    with pytest.raises(UsageError) as caught:
        ask_model_destination(out, overwrite=False)
    assert caught.value.code == "OQ100"
    assert f"-o {out.rpartition('.')[0]}.onnx\n" in caught.value.hint


def test_a_folder_that_is_there_may_be_called_like_a_file(tmp_path):
    folder = tmp_path / "models.bin"
    folder.mkdir()
    assert not ask_model_destination(str(folder), overwrite=False).is_file


@pytest.mark.parametrize("verb", [convert, quantize, repair])
def test_the_verbs_ask_before_any_work(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08")
    with pytest.raises(UsageError, match=r"--out out\.txt"):
        verb("m.onnx", out="out.txt")
    assert not (tmp_path / "out.txt").exists()
