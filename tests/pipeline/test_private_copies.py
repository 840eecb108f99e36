from pathlib import Path

from onnxq.pipeline.private_copies import copy_source, given_files, trusted_folders
from onnxq.sources import Factory, KerasFile, OnnxFile, OwnWeights, WeightsFile


def test_onnx_is_copied_with_its_side_files(tmp_path):
    given, work = tmp_path / "given [1]", tmp_path / "work"
    given.mkdir()
    work.mkdir()
    for name in ("net é.onnx", "net é.onnx.data", "other.onnx.data"):
        (given / name).write_text(name)
    copy = copy_source(OnnxFile(str(given / "net é.onnx")), work)
    assert copy == OnnxFile(str(work / "net__.onnx"))
    assert sorted(path.name for path in work.iterdir()) == ["net é.onnx.data", "net__.onnx"]
    assert (work / "net__.onnx").read_text() == "net é.onnx"


def test_keras_keeps_its_suffix(tmp_path):
    (tmp_path / "net.H5").write_text("")
    (tmp_path / "work").mkdir()
    copy = copy_source(KerasFile(str(tmp_path / "net.H5")), tmp_path / "work")
    assert copy == KerasFile(str(tmp_path / "work" / "net.h5"))


def test_factory_stays_and_its_weights_are_copied(tmp_path):
    (tmp_path / "w.pth").write_text("weights")
    (tmp_path / "work").mkdir()
    source = Factory("nets.py", "build", WeightsFile(str(tmp_path / "w.pth")))
    copy = copy_source(source, tmp_path / "work")
    assert copy == Factory(
        str(Path("nets.py").absolute()),
        "build",
        WeightsFile(str(tmp_path / "work" / "w.pth")),
    )


def test_only_factories_are_trusted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert trusted_folders(OnnxFile("a/b.onnx")) == ()
    factory = Factory("nets/net.py", "build", OwnWeights())
    assert trusted_folders(factory) == (str(tmp_path / "nets"), str(tmp_path))
    assert trusted_folders(Factory("pkg.mod", "build", OwnWeights())) == (str(tmp_path),)


def test_given_files_are_those_that_were_named():
    source = Factory("nets.py", "build", WeightsFile("w.pth"))
    assert given_files(source) == (Path("nets.py"), Path("w.pth"))
    assert given_files(Factory("pkg.mod", "build", OwnWeights())) == ()
