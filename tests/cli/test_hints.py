"""Hints speak of the options that the verb has."""

import pytest

from onnxq import verbs
from onnxq.cli.hints import fit_hint
from onnxq.cli.main import main
from onnxq.errors import DatasetError, Interrupted

ROWS = {"calib": ""}


@pytest.mark.parametrize(
    ("hint", "options", "said"),
    [
        ("Name the file:  --data val.npz", ROWS, "Name the file:  --calib val.npz"),
        ("Give rows with --data or --calib.", ROWS, "Give rows with --calib."),
        ("make the rows of --calib and --data alike", ROWS, "make the rows of --calib alike"),
        ("Save it:\n  --data hf:x", ROWS, "Save it:\n  --calib hf:x"),
        ("onnxq run m.onnx --data val.npz", ROWS, "onnxq run m.onnx --data val.npz"),
        ("--data val.npz", {"calib": "", "data": ""}, "--data val.npz"),
        ("--data val.npz", {"data": ""}, "--data val.npz"),
        ("--data val.npz", {}, "--data val.npz"),
    ],
)
def test_rows_are_called_as_the_verb_calls_them(hint, options, said):
    error = DatasetError("no.", code="OQ127", hint=hint)
    fit_hint(error, options)
    assert error.hint == said


@pytest.mark.parametrize(
    ("options", "goes_on"),
    [
        ({"cache": True}, True),
        ({"cache": True, "ranges": ""}, True),
        ({"cache": False}, False),
        ({"cache": True, "ranges": "r.json"}, False),
        ({}, False),
    ],
)
def test_an_interrupted_calibration_goes_on_where_there_is_a_cache(options, goes_on):
    error = Interrupted("interrupted.", code="OQ184", hint="Run the same command again.")
    fit_hint(error, options)
    assert error.hint.startswith("Run the same command again.")
    assert ("goes on from there" in error.hint) is goes_on


@pytest.mark.parametrize(("words", "goes_on"), [((), True), (("--no-cache",), False)])
def test_ctrl_c_says_so_too(words, goes_on, monkeypatch, capfd):
    def verb(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(verbs, "calibrate", verb)
    assert main(["calibrate", "m.onnx", "--calib", "c.npz", *words]) == 130
    assert ("last checkpoint" in capfd.readouterr().err) is goes_on
