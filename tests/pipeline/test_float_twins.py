import json

import pytest

from onnxq.pipeline.float_twins import find_float_twin


def report(**files):
    rows = [
        {"type": "ok", "alias": alias, "artefact": {"file": file}} for alias, file in files.items()
    ]
    return json.dumps({"schema": "onnxq/report/1", "variants": [*rows, {"type": "skipped"}]})


@pytest.fixture
def folder(tmp_path):
    for name in ("m.fp32.onnx", "m.int8.onnx", "other.onnx"):
        (tmp_path / name).touch()
    (tmp_path / "report.json").write_text(report(fp32="m.fp32.onnx", int8="m.int8.onnx"))
    return tmp_path


def test_the_report_names_the_twin(folder):
    assert find_float_twin(folder / "m.int8.onnx") == str(folder / "m.fp32.onnx")


@pytest.mark.parametrize("name", ["m.fp32.onnx", "other.onnx"])
def test_what_has_none(name, folder):
    assert find_float_twin(folder / name) == ""


def test_a_twin_that_is_gone(folder):
    (folder / "m.fp32.onnx").unlink()
    assert find_float_twin(folder / "m.int8.onnx") == ""


def test_a_twin_elsewhere_is_not_followed(folder):
    (folder / "report.json").write_text(report(fp32="../m.fp32.onnx", int8="m.int8.onnx"))
    (folder.parent / "m.fp32.onnx").touch()
    assert find_float_twin(folder / "m.int8.onnx") == ""


@pytest.mark.parametrize("text", ["", "[]", '{"variants": 3}', "\xff"])
def test_what_is_no_report_of_ours(text, folder):
    (folder / "report.json").write_text(text)
    assert find_float_twin(folder / "m.int8.onnx") == ""


def test_a_folder_without_a_report(tmp_path):
    assert find_float_twin(tmp_path / "m.onnx") == ""
