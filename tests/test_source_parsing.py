import zipfile
from dataclasses import dataclass

import pytest

from onnxq.errors import OnnxqError, SourceError, UsageError
from onnxq.source_parsing import parse_source
from onnxq.sources import (
    Factory,
    KerasFile,
    OnnxFile,
    OwnWeights,
    SavedModelFolder,
    TfliteFile,
    TorchExportFile,
    TorchScriptFile,
    WeightsFile,
)

ONNX = b"\x08\x08\x12\x07pytorch"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(ONNX)
    (tmp_path / "net.py").write_text("def build(): ...\n")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "text.onnx").write_text("hello")
    (tmp_path / "cut.keras").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "lfs.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "page.h5").write_text("<html>404</html>")
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "m.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    (tmp_path / "w.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (tmp_path / "weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 600)
    (tmp_path / "rows.npy").write_bytes(b"\x93NUMPY\x01\0")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    write_zip(tmp_path / "w.pt", "w/data.pkl", "w/data/0", "w/data/1")
    write_zip(tmp_path / "m.keras", "metadata.json", "config.json", "model.weights.h5")
    write_zip(tmp_path / "script.pt", "s/data.pkl", "s/constants.pkl", "s/code/a.py")
    write_zip(tmp_path / "p.pt2", "p/archive_format")
    (tmp_path / "model.onnx_data").write_bytes(b"weights")
    (tmp_path / "m.ort").write_bytes(b"\x1c\0\0\0ORTM")
    (tmp_path / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 40 + b"model_config\0")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "net.onnx").write_bytes(ONNX)
    (tmp_path / "one" / "weights.bin").write_bytes(b"weights")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "a.onnx").write_bytes(ONNX)
    (tmp_path / "two" / "b.onnx").write_bytes(ONNX)
    return tmp_path


def write_zip(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")


@pytest.mark.parametrize(
    ("model", "weights", "expected"),
    [
        ("model.onnx", "", OnnxFile("model.onnx")),
        ("./model.onnx", "", OnnxFile("model.onnx")),
        ("m.keras", "", KerasFile("m.keras")),
        ("pkg.mod:fn", "", Factory("pkg.mod", "fn", OwnWeights())),
        ("net:fn", "", Factory("net", "fn", OwnWeights())),
        ("net.py:build", "", Factory("net.py", "build", OwnWeights())),
        ("net.py:build", "w.pt", Factory("net.py", "build", WeightsFile("w.pt"))),
        ("net:fn", "w.safetensors", Factory("net", "fn", WeightsFile("w.safetensors"))),
        ("net:fn", "weights.h5", Factory("net", "fn", WeightsFile("weights.h5"))),
        ("net:fn", "m.h5", Factory("net", "fn", WeightsFile("m.h5"))),
        ("m.h5", "", KerasFile("m.h5")),
        ("m.tflite", "", TfliteFile("m.tflite")),
        ("saved", "", SavedModelFolder("saved")),
        ("saved/", "", SavedModelFolder("saved")),
        ("saved/saved_model.pb", "", SavedModelFolder("saved")),
        ("one", "", OnnxFile("one/net.onnx")),
    ],
)
def test_sources(model, weights, expected, folder):
    assert folder.is_dir()
    assert parse_source(model, weights=weights) == expected


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("model", "expected"),
    [("script.pt", TorchScriptFile("script.pt")), ("p.pt2", TorchExportFile("p.pt2"))],
)
def test_what_runs_code_is_taken_only_if_trusted(model, expected):
    assert parse_source(model, trust=True) == expected
    with pytest.raises(SourceError, match="can") as caught:
        parse_source(model)
    assert caught.value.code == "OQ109"
    assert f"onnxq run {model} --trust" in caught.value.hint


@pytest.mark.usefixtures("folder")
def test_a_signature_goes_with_a_saved_model():
    assert parse_source("saved", signature="score") == SavedModelFolder("saved", "score")
    for model in ("model.onnx", "net.py:build"):
        with pytest.raises(UsageError, match="not a SavedModel"):
            parse_source(model, signature="score")


@dataclass(frozen=True)
class Case:
    model: str
    code: str
    words: tuple[str, ...]
    weights: str = ""
    error: type[OnnxqError] = SourceError


CASES = [
    Case("mode.onnx", "OQ101", ("mode.onnx does not exist", "Did you mean model.onnx?")),
    Case("sub/model.onnx", "OQ101", ("folder sub does not exist",)),
    Case("torchvision.models.resnet18", "OQ101", ("the factory torchvision.models:resnet18",)),
    Case("nat.py:build", "OQ101", ("Did you mean net.py?",)),
    Case("net.py:build", "OQ101", ("v.pt does not exist", "Did you mean w.pt?"), "v.pt"),
    Case("notes.txt", "OQ102", ("'.txt'", ".onnx, .keras")),
    Case(".", "OQ102", ("folder without saved_model.pb", "Name one of its files", "lfs.onnx")),
    Case("two", "OQ102", ("two/a.onnx, two/b.onnx",)),
    Case("model.onnx_data", "OQ102", ("external data of model.onnx",)),
    Case("net.py", "OQ102", ("names no function", "net.py:build")),
    Case("w.pt", "OQ103", ("weights only (2 tensors)", "--weights w.pt", "torch.onnx.export")),
    Case("w.safetensors", "OQ103", ("weights only", "--weights w.safetensors")),
    Case("weights.h5", "OQ103", ("weights only", "model.save('model.keras')")),
    Case("text.onnx", "OQ104", ("not an ONNX model",)),
    Case("cut.keras", "OQ104", ("truncated zip",)),
    Case("lfs.onnx", "OQ104", ("git lfs pull",)),
    Case("page.h5", "OQ104", ("an HTML page", "Download it again")),
    Case("empty.onnx", "OQ104", ("an empty file",)),
    Case("m.ort", "OQ111", ("an ORT-format model", ".onnx file")),
    Case("rows.npy", "OQ111", ("--data",)),
    Case("net.py:build", "OQ104", ("TorchScript", "state_dict()", "save_weights"), "script.pt"),
    Case("net.py:build", "OQ104", ("empty file",), "empty.onnx"),
    Case("model.onnx", "OQ100", ("its own weights", "pkg.mod:fn"), "w.pt", UsageError),
    Case("m.keras", "OQ100", ("its own weights",), "weights.h5", UsageError),
    Case("w.pt", "OQ100", ("not a factory",), "w.pt", UsageError),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.model} {case.weights}")
def test_what_is_not_a_source_says_the_way_out(case, folder):
    assert folder.is_dir()
    with pytest.raises(OnnxqError) as caught:
        parse_source(case.model, weights=case.weights)
    assert caught.value.code == case.code
    assert type(caught.value) is case.error
    for word in case.words:
        assert word in f"{caught.value.message}\n{caught.value.hint}"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("model", ["mlp_nonexist.py:build", "mlp_nonexist.py"])
def test_a_missing_python_file_is_not_taken_for_a_dotted_name(model):
    with pytest.raises(SourceError, match=r"mlp_nonexist\.py does not exist") as caught:
        parse_source(model)
    assert "Did you mean" not in caught.value.hint
    assert "file.py:fn" in caught.value.hint


@pytest.mark.torch
def test_a_pickled_module_is_told_from_weights(tmp_path):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(2, 3))
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    torch.save(module, tmp_path / "module.pt")
    torch.save(module.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    codes = {}
    for name in ("weights.pt", "module.pt", "old.pt"):
        with pytest.raises(SourceError) as caught:
            parse_source(str(tmp_path / name))
        codes[name] = caught.value.code
    assert codes == {"weights.pt": "OQ103", "module.pt": "OQ109", "old.pt": "OQ103"}
