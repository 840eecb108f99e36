"""Options of calibrating that mean nothing, or contradict each other: exit 2, and what to do."""

import pytest

from onnxq import verbs
from onnxq.cli.main import main
from onnxq.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a model that nobody gets to open, and ranges that can be read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.onnx").write_bytes(b"not looked at")
    text = '{"schema": "onnxq/ranges/1", "model_sha256": "0", "sets": {}}'
    (tmp_path / "r.json").write_text(text, encoding="utf-8")
    return tmp_path


CALIBRATE = "calibrate m.onnx --calib c.npz"
RANGES = "quantize m.onnx --ranges r.json"
BAD = {
    f"{CALIBRATE} --calib-rows 0": ("--calib-rows", "found '0'", "--calib-rows auto"),
    f"{CALIBRATE} --calib-rows some": ("found 'some'", "--calib-rows 256"),
    "run m.onnx --calib-rows -1": ("--calib-rows", "found '-1'"),
    "quantize m.onnx --calib-rows 1.5": ("--calib-rows", "found '1.5'"),
    f"{CALIBRATE} --max-memory 2": ("--max-memory", "a unit, such as 2GB", "1GiB"),
    f"{CALIBRATE} --max-memory 2XB": ("--max-memory", "found '2XB'"),
    f"{CALIBRATE} --max-memory 20B": ("at least 1MB",),
    "run m.onnx --max-memory lots": ("--max-memory", "--max-memory 2GB"),
    f"{CALIBRATE} --histogram-sample 0": ("--histogram-sample", "'0' is not a whole number of 1"),
    f"{CALIBRATE} --histogram-sample x": ("--histogram-sample", "'x' is not a whole number"),
    f"{CALIBRATE} --shard 5/4": ("--shard", "found '5/4'", "--shard 2/4"),
    f"{CALIBRATE} --shard 2": ("--shard", "PART/PARTS"),
    f"{CALIBRATE} --shard 2/4 --calib-rows auto": ("--calib-rows auto", "Leave --shard out"),
    f"{CALIBRATE} -r int8-dynamic": ("'int8-dynamic' has no ranges", "-r int8"),
    f"{CALIBRATE} -o small.onnx": ("--out small.onnx", "-o onnxq-out"),
    f"{CALIBRATE} --ranges r.json": ("No such option '--ranges'", "onnxq calibrate --help"),
    "calibrate m.onnx": ("nothing to calibrate on", "--calib train.npz"),
    "calibrate": ("Missing argument 'MODEL'", "onnxq calibrate --help"),
    "merge m.onnx": ("Missing argument 'PARTS...'", "onnxq merge --help"),
    "merge m.onnx p.statistics -r fp16": ("'fp16' has no ranges", "-r int8"),
    "merge m.onnx p.statistics -o small.onnx": ("--out small.onnx", "-o onnxq-out"),
    "merge m.onnx p.statistics --shard 1/2": ("No such option '--shard'", "onnxq merge --help"),
    f"{RANGES} --calib c.npz": ("--ranges are calibrated already", "Leave --calib"),
    f"{RANGES} --calib-rows 64": ("--ranges are calibrated already", "Leave --calib"),
    f"{RANGES} --histogram-sample 8": ("--ranges are calibrated already", "--histogram-sample"),
    f"{RANGES} -r int8-dynamic": ("for static recipes", "-r int8"),
}


@pytest.mark.parametrize("line", BAD)
def test_what_means_nothing_is_refused_before_any_work(line, folder, capfd):
    before = sorted(folder.iterdir())
    assert main(line.split()) == 2
    out, err = capfd.readouterr()
    assert not out
    assert err.startswith("error[OQ100]: ")
    assert err.count("\n  ") >= 1, "a hint"
    for words in BAD[line]:
        assert words in err, err
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("line", [line for line in BAD if "Missing" not in BAD[line][0]])
def test_a_plan_refuses_it_likewise(line, capfd):
    assert main([*line.split(), "--plan"]) == 2
    assert "error[OQ100]" in capfd.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        {"calib_rows": "0"},
        {"histogram_sample": 0},
        {"histogram_sample": -8},
        {"max_memory": "2"},
        {"shard": "3/2"},
        {"shard": "1/2", "calib_rows": "auto"},
    ],
)
def test_python_is_told_the_same(options):
    with pytest.raises(UsageError) as caught:
        verbs.calibrate("m.onnx", calib="c.npz", **options)
    assert caught.value.code == "OQ100"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("nosuch.json", ("nosuch.json cannot be read", "onnxq calibrate wrote")),
        ("m.onnx", ("m.onnx holds no ranges", "onnxq calibrate")),
    ],
)
def test_a_file_of_no_ranges_is_refused_before_the_model_is_looked_at(file, words, capfd):
    assert main(["quantize", "m.onnx", "--ranges", file]) != 0
    err = capfd.readouterr().err
    assert err.startswith("error[OQ")
    for said in words:
        assert said in err, err
