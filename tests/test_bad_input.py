"""Bad input through the command line: one clear error, the right exit code, nothing written."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxq.__main__ import main


@dataclass(frozen=True)
class Case:
    """One mistake.

    Attributes:
        name: What is wrong.
        arguments: Of ``onnxq run``; files are relative to the test's folder.
        code: The error's code.
        words: What standard error must say, each of them.
        exit_code: 1 for bad files and data, 2 for bad options.
    """

    name: str
    arguments: str
    code: str
    words: tuple[str, ...]
    exit_code: int = 1


CASES = [
    # the model
    Case("missing file", "nosuch.onnx", "OQ101", ("nosuch.onnx does not exist",)),
    Case("near miss", "tinny.onnx", "OQ101", ("Did you mean tiny.onnx",)),
    Case("unknown suffix", "notes.txt", "OQ102", ("notes.txt", ".onnx, .keras")),
    Case("empty file", "empty.onnx", "OQ104", ("empty.onnx",)),
    Case("truncated onnx", "truncated.onnx", "OQ104", ("truncated.onnx", "not a whole ONNX file")),
    Case("not onnx at all", "text.onnx", "OQ104", ("text.onnx",)),
    Case("git-lfs pointer", "pointer.onnx", "OQ104", ("git lfs pull",)),
    Case("web page", "page.onnx", "OQ104", ("page", "Download it again")),
    Case("truncated keras", "truncated.keras", "OQ104", ("truncated.keras",)),
    Case("folder", "folder", "OQ102", ("folder/inner.onnx, folder/other.onnx",)),
    Case("weights with a file", "tiny.onnx --weights w.pt", "OQ100", ("its own weights",), 2),
    Case("bad input declaration", "tiny.onnx --input x:1xx3", "OQ112", ("x:1xx3",), 2),
    # the rows
    Case("missing data", "tiny.onnx --data nosuch.npz", "OQ127", ("nosuch.npz",)),
    Case("data without the input", "two.onnx --data rows.npz", "OQ121", ("model wants", "--map")),
    Case("unknown array in --map", "tiny.onnx --data rows.npz --map x=z", "OQ121", ("z",)),
    Case("bad --map", "tiny.onnx --data rows.npz --map x", "OQ100", ("--map",), 2),
    Case("wrong rank", "tiny.onnx --data flat.npz", "OQ121", ("[N, 3, 12, 12]", "[10, 7]")),
    Case("wrong size", "tiny.onnx --data size.npz", "OQ121", ("[N, 3, 12, 12]",)),
    Case("wrong dtype", "tiny.onnx --data complex.npz", "OQ122", ("complex",)),
    Case("objects", "tiny.onnx --data objects.npz", "OQ121", ("objects.npz", "object")),
    Case("row that is NaN", "tiny.onnx --data nan.npz", "OQ123", ("row 3", "x")),
    Case("no rows", "tiny.onnx --data none.npz", "OQ124", ("none.npz",)),
    Case("labels out of range", "tiny.onnx --data labels.npz", "OQ125",
         ("row 0", "expected 0 to 4")),
    Case("too few labels", "tiny.onnx --data few.npz", "OQ125", ("9", "10")),
    Case("truncated npz", "tiny.onnx --data truncated.npz", "OQ127", ("truncated.npz",)),
    Case("npz that is text", "tiny.onnx --data text.npz", "OQ127", ("text.npz",)),
    Case("bad preprocessing", "tiny.onnx --data rows.npz --preprocess scal=1", "OQ126",
         ("Did you mean",), 2),
    Case("fp32 guesses", "tiny.onnx --data chance.npz", "OQ131", ("guessing", "--preprocess")),
    # recipes and limits
    Case("unknown recipe", "tiny.onnx -r int9", "OQ161", ("Did you mean 'int8'",), 2),
    Case("static without data", "tiny.onnx -r int8", "OQ162", ("--data",), 2),
    Case("limit without labels", "tiny.onnx --max-drop 1pp", "OQ100", ("--data",), 2),
    Case("limit with unlabelled rows", "tiny.onnx --data bare.npz --max-drop 1pp", "OQ100",
         ("label",), 2),
    Case("bad limit", "tiny.onnx --data rows.npz --max-drop lots", "OQ100", ("lots",), 2),
    Case("limit of another metric", "tiny.onnx --data rows.npz --max-drop 0.3mse", "OQ100",
         ("mse", "top1"), 2),
    Case("calibration alone", "tiny.onnx --calib rows.npz", "OQ100", ("--data",), 2),
    Case("no threads", "tiny.onnx --threads 0", "OQ100", ("--threads",), 2),
    Case("negative seconds", "tiny.onnx --seconds -1", "OQ100", ("--seconds -1",), 2),
    Case("seconds that are no number", "tiny.onnx --seconds nan", "OQ100", ("--seconds nan",), 2),
    Case("batch of a fixed model", "fixed.onnx --batch 3", "OQ100", ("fixed at 2",), 2),
    Case("batch beyond memory", "tiny.onnx --batch 1000000000000", "OQ100", ("--batch",), 2),
    # the output
    Case("output not ours", "tiny.onnx -o folder", "OQ191", ("inner.onnx", "--overwrite")),
    Case("output is a file", "tiny.onnx -o notes.txt", "OQ192", ("notes.txt",)),
    Case("output below a file", "tiny.onnx -o notes.txt/out", "OQ192", ("notes.txt",)),
    Case("output holds the model", "folder/inner.onnx -o folder --overwrite", "OQ100",
         ("inner.onnx",), 2),
    # PyTorch
    Case("factory file missing", "nosuch.py:build", "OQ101", ("nosuch.py",)),
    Case("python file without function", "nets.py", "OQ102", ("nets.py:build",)),
]  # fmt: skip

TORCH_CASES = [
    Case("state dict as model", "state.pt", "OQ103", ("weights only", "--weights state.pt")),
    Case("pickled module as model", "module.pt", "OQ109", ("pickled module", "state_dict()")),
    Case("factory missing", "nets.py:biuld", "OQ105", ("Did you mean",)),
    Case("factory that needs arguments", "nets.py:needs", "OQ106", ("width",)),
    Case("factory that raises", "nets.py:raises", "OQ106", ("no such luck",)),
    Case("factory of something else", "nets.py:number", "OQ106", ("int",)),
    Case("module file that fails", "broken.py:build", "OQ106", ("broken.py", "no luck")),
    Case("module file that needs a package", "needy.py:build", "OQ108", ("nothing_of_this_name",)),
    Case("no input known", "nets.py:build", "OQ112", ("--input",)),
    Case("weights missing keys", "nets.py:build --weights missing.pt --input x:Nx4", "OQ107",
         ("bias",)),
    Case("weights of other shape", "nets.py:build --weights shape.pt --input x:Nx4", "OQ107",
         ("[3, 4]", "[2, 4]")),
    Case("weights under other names", "nets.py:build --weights names.pt --input x:Nx4", "OQ107",
         ("waight",)),
    Case("weights not there", "nets.py:build --weights nosuch.pt", "OQ101", ("nosuch.pt",)),
    Case("factory that crashes", "nets.py:crashes --input x:Nx4", "OQ181", ("SIGSEGV", "convert")),
]  # fmt: skip

NETS = """
import os, signal
import torch

def build():
    return torch.nn.Linear(4, 3)

def needs(width):
    return torch.nn.Linear(width, 3)

def raises():
    raise RuntimeError("no such luck")

def number():
    return 3

def crashes():
    os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.fixture(scope="module")
def folder(tiny_task, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("bad")
    _write_models(place, tiny_task)
    _write_rows(place, tiny_task)
    return place


def _write_models(place, task):
    whole = task.model.read_bytes()
    (place / "tiny.onnx").write_bytes(whole)
    (place / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
    (place / "truncated.keras").write_bytes(b"PK\x03\x04" + bytes(60))
    (place / "empty.onnx").touch()
    (place / "text.onnx").write_text("this is no model\n" * 50)
    (place / "pointer.onnx").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"
    )
    (place / "page.onnx").write_text("<!DOCTYPE html><html><body>404</body></html>")
    (place / "notes.txt").write_text("notes")
    (place / "folder").mkdir()
    (place / "folder" / "keep.txt").write_text("keep")
    (place / "folder" / "inner.onnx").write_bytes(whole)
    (place / "folder" / "other.onnx").write_bytes(whole)
    (place / "w.pt").write_bytes(b"")
    (place / "nets.py").write_text(NETS)
    (place / "broken.py").write_text("raise ValueError('no luck')\n")
    (place / "needy.py").write_text("import nothing_of_this_name\n")
    onnx.save(_two_inputs(), place / "two.onnx")
    relu = helper.make_node("Relu", ["x"], ["y"])
    onnx.save(_model([relu], [("x", [2, 3])], []), place / "fixed.onnx")


def _two_inputs():
    return _model([helper.make_node("Add", ["left", "right"], ["y"])],
                  [("left", ["N", 3]), ("right", ["N", 3])], [])  # fmt: skip


def _model(nodes, inputs, constants):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _write_rows(place, task):
    with np.load(task.rows) as stored:
        x, y = stored["x"][:10], stored["y"][:10]
    broken = x.copy()
    broken[3, 0, 0, 0] = np.nan
    generator = np.random.default_rng(0)
    rows = {
        "rows": {"x": x, "y": y},
        "bare": {"x": x},
        "flat": {"x": np.zeros((10, 7), np.float32)},
        "size": {"x": np.zeros((10, 3, 13, 12), np.float32)},
        "complex": {"x": x.astype(np.complex64)},
        "nan": {"x": broken},
        "none": {"x": x[:0]},
        "labels": {"x": x, "y": y + 7},
        "few": {"x": x, "y": y[:9]},
        "chance": {"x": np.repeat(x, 40, axis=0), "y": generator.integers(0, 5, 400)},
        "objects": {"x": np.array([{}] * 10)},
    }
    for name, arrays in rows.items():
        np.savez(place / f"{name}.npz", **arrays)
    whole = (place / "rows.npz").read_bytes()
    (place / "truncated.npz").write_bytes(whole[: len(whole) // 2])
    (place / "text.npz").write_text("this is no archive")


@pytest.fixture(scope="module")
def torch_folder(folder) -> Path:
    torch = pytest.importorskip("torch")
    torch.save({"weight": torch.zeros(3, 4), "bias": torch.zeros(3)}, folder / "state.pt")
    torch.save(torch.nn.Linear(4, 3), folder / "module.pt")
    torch.save({"weight": torch.zeros(3, 4)}, folder / "missing.pt")
    torch.save({"weight": torch.zeros(2, 4), "bias": torch.zeros(3)}, folder / "shape.pt")
    torch.save({"waight": torch.zeros(3, 4), "bias": torch.zeros(3)}, folder / "names.pt")
    return folder


def check(case, folder, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    status = main(["run", *case.arguments.split()])
    said = capfd.readouterr()
    assert f"error[{case.code}]" in said.err, said.err
    assert status == case.exit_code
    for word in case.words:
        assert word in said.err, said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(case, folder, monkeypatch, capfd):
    check(case, folder, monkeypatch, capfd)


@pytest.mark.torch
@pytest.mark.parametrize("case", TORCH_CASES, ids=lambda case: case.name)
def test_bad_pytorch_input(case, torch_folder, monkeypatch, capfd):
    check(case, torch_folder, monkeypatch, capfd)


def test_quantize_fails_where_no_recipe_could_be_built(tmp_path, capfd):
    relu = helper.make_node("Relu", ["x"], ["y"])
    onnx.save(_model([relu], [("x", ["N", 3])], []), tmp_path / "relu.onnx")
    words = ["quantize", str(tmp_path / "relu.onnx"), "-o", str(tmp_path / "out")]
    assert main([*words, "-r", "fp16", "-r", "int8-dynamic"]) == 1
    assert "nothing" in capfd.readouterr().out
    assert not (tmp_path / "out").exists()
