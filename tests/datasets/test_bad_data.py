"""Bad rows in every form, through the command line: one clear error, and nothing written."""

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
    """

    name: str
    arguments: str
    code: str
    words: tuple[str, ...]


CASES = [
    Case("npy of another shape", "tiny.onnx --data flat.npy", "OQ121", ("[N, 3, 12, 12]",)),
    Case("npy that is cut", "tiny.onnx --data cut.npy", "OQ127", ("cut.npy claims",)),
    Case("npy of objects", "tiny.onnx --data objects.npy", "OQ127", ("Python objects",)),
    Case("npy of text", "tokens.onnx --data text.npy", "OQ122", ("tokenize", "text.npy")),
    Case("folder without rows", "tiny.onnx --data notes", "OQ124", ("found .txt",)),
    Case("folder of a table", "tiny.onnx --data tables", "OQ124", ("--data", "t.csv")),
    Case("folder of two kinds", "tiny.onnx --data kinds", "OQ127", ("1 .npy files and 1 .npz",)),
    Case("folder that is unclear", "tiny.onnx --data unclear", "OQ127", ("in two ways",)),
    Case("shards that differ", "tiny.onnx --data shards", "OQ127", ("same arrays in every file",)),
    Case("text column", "wide.onnx --data text.csv", "OQ122",
         ("column 'job' of text.csv", "row 0 (line 2) holds 'clerk'", "--map x=age,hours")),
    Case("missing value", "wide.onnx --data missing.csv", "OQ123", ("row 1 (line 3)",)),
    Case("no header", "wide.onnx --data headless.csv", "OQ127", ("no header",)),
    Case("ragged table", "wide.onnx --data ragged.csv", "OQ127", ("row 1 (line 3)", "3 cells")),
    Case("unknown column", "wide.onnx --data text.csv --map x=agee,hours", "OQ121",
         ("Did you mean 'age'?",)),
    Case("unknown labels", "wide.onnx --data text.csv --map labels=jobb", "OQ121",
         ("Did you mean 'job'?",)),
    Case("sentences", "tokens.onnx --data sentences.tsv", "OQ122", ("tokenize",)),
    Case("classes of a table", "wide.onnx --data good.csv --classes (a)", "OQ125", ("--classes",)),
    Case("function that is not there", "tiny.onnx --data rows.py:biuld", "OQ105",
         ("Did you mean build",)),
    Case("file that is not there", "tiny.onnx --data nosuch.py:rows", "OQ105", ("nosuch.py",)),
    Case("module that is not there", "tiny.onnx --data nosuch_module:rows", "OQ105",
         ("nosuch_module",)),
    Case("file without function", "tiny.onnx --data rows.py", "OQ127", ("rows.py:rows",)),
    Case("function that raises", "tiny.onnx --data rows.py:raises", "OQ106",
         ("KeyError: 'luck' (rows.py, line 7)",)),
    Case("function that gives nothing", "tiny.onnx --data rows.py:nothing", "OQ106",
         ("gave None", "def rows():")),
    Case("function that needs arguments", "tiny.onnx --data rows.py:needs", "OQ106", ("width",)),
    Case("function that exits", "tiny.onnx --data rows.py:leaves", "OQ106", ("SystemExit",)),
    Case("function that crashes", "tiny.onnx --data rows.py:crashes", "OQ181", ("SIGSEGV",)),
    Case("rows that differ", "tiny.onnx --data rows.py:ragged", "OQ121", ("item 1",)),
    Case("rows of text", "tokens.onnx --data rows.py:words", "OQ122", ("tokenize",)),
    Case("dataset that is not here", "tiny.onnx --data hf:org/nosuch:test", "OQ127",
         ("fetches nothing", "load_dataset('org/nosuch')")),
]  # fmt: skip

ARROW_CASES = [
    Case("parquet that is none", "tiny.onnx --data text.parquet", "OQ127", ("not a whole file",)),
    Case("column of text", "tokens.onnx --data words.parquet", "OQ122", ("tokenize", "words")),
]

ROWS = """
import os, signal
import numpy as np

def build(): return np.zeros((9, 3, 12, 12), np.float32)

def raises(): return {}["luck"]

def nothing(): return None

def needs(width): return width

def leaves(): raise SystemExit(1)

def crashes(): os.kill(os.getpid(), signal.SIGSEGV)

def ragged():
    yield np.zeros((3, 12, 12), np.float32)
    yield np.zeros((3, 12, 11), np.float32)

def relative(): return np.load("rows.npy")

def words():
    yield "how are you", 1
"""

TEXTS = {
    "notes/a.txt": "notes",
    "tables/t.csv": "a,b\n1,2\n",
    "text.csv": "age,job,hours\n31,clerk,40\n28,nurse,20\n",
    "missing.csv": "age,hours\n31,40\n28,\n",
    "headless.csv": "31,40\n28,20\n",
    "ragged.csv": "age,hours\n31,40\n28,20,3\n",
    "good.csv": "age,hours\n31,40\n28,20\n",
    "sentences.tsv": "text\tlabel\nhow are you\t1\nfine\t0\n",
    "rows.py": ROWS,
    "text.parquet": "this is no table",
}


@pytest.fixture(scope="module")
def folder(tiny_task, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("bad-data")
    for name, text in TEXTS.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text)
    (place / "tiny.onnx").write_bytes(tiny_task.model.read_bytes())
    onnx.save(_model("wide", TensorProto.FLOAT, ["N", 2]), place / "wide.onnx")
    onnx.save(_model("tokens", TensorProto.INT64, ["N", 8]), place / "tokens.onnx")
    _write_arrays(place)
    return place


def _model(name, dtype, shape):
    x = helper.make_tensor_value_info("x", dtype, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    cast = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    graph = helper.make_graph([cast], name, [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _write_arrays(place):
    x = np.zeros((10, 3, 12, 12), np.float32)
    np.save(place / "flat.npy", np.zeros((10, 7), np.float32))
    np.save(place / "text.npy", np.array(["how are you", "fine"]))
    np.save(place / "objects.npy", np.array([{}] * 10))
    np.save(place / "cut.npy", x)
    (place / "cut.npy").write_bytes((place / "cut.npy").read_bytes()[:-9])
    for name in ("kinds", "unclear", "shards"):
        (place / name).mkdir()
    np.save(place / "kinds" / "a.npy", x)
    np.savez(place / "kinds" / "b.npz", x=x)
    for name in "ab":
        np.save(place / "unclear" / f"{name}.npy", np.zeros(7))
        np.savez(place / "shards" / f"{name}.npz", **{name: x})


def check(case, folder, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    status = main(["run", *case.arguments.split()])
    said = capfd.readouterr()
    assert f"error[{case.code}]" in said.err, said.err
    assert status == 1
    for word in case.words:
        assert word in said.err, said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_data(case, folder, monkeypatch, capfd):
    check(case, folder, monkeypatch, capfd)


@pytest.mark.parametrize("case", ARROW_CASES, ids=lambda case: case.name)
def test_bad_tables(case, folder, monkeypatch, capfd):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"words": ["how are you"]}), folder / "words.parquet")
    check(case, folder, monkeypatch, capfd)


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["rows.py:relative", "rows:build", "rows.npy", "parts"])
def test_good_data_in_new_forms_goes_through(spec, folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.py").write_text(ROWS)
    generator = np.random.default_rng(1)
    np.save("rows.npy", generator.standard_normal((9, 3, 12, 12)).astype(np.float32))
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "x.npy").write_bytes((tmp_path / "rows.npy").read_bytes())
    arguments = ("-r", "fp32", "--seconds", "0.5", "-q", "--json")
    status = main(["run", str(folder / "tiny.onnx"), "--data", spec, *arguments])
    said = capfd.readouterr()
    assert status == 0, said.err
    assert not list(tmp_path.rglob("__pycache__"))
