import io
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.datasets.values import DataRequest
from onnxq.errors import SourceError
from onnxq.events import tell_nobody
from onnxq.isolation import Workplace, default_limits
from onnxq.pipeline.private_copies import (
    absolute_request,
    copy_source,
    given_files,
    trusted_folders,
)
from onnxq.sources import Factory, KerasFile, OnnxFile, OwnWeights, WeightsFile
from onnxq.stages import NoDataRequest

HDF5 = b"\x89HDF\r\n\x1a\n model_config\0"


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
    return buffer.getvalue()


ZIPPED = zipped()


@pytest.fixture
def place(tmp_path):
    """Give a workplace whose folder holds an empty folder for copies."""
    (tmp_path / "place" / "copies").mkdir(parents=True)
    return Workplace(tmp_path / "place", default_limits(), tell_nobody)


def copies(place):
    folder = place.folder / "copies"
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def write_model(path, location=""):
    weight = numpy_helper.from_array(np.ones((4, 3), np.float32), "w")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, ["N", 4])],
        [value("y", TensorProto.FLOAT, ["N", 3])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(exist_ok=True)
    if location:
        onnx.save(model, path, save_as_external_data=True, location=location, size_threshold=0)
    else:
        onnx.save(model, path)


@pytest.mark.parametrize(
    ("name", "head", "copy"),
    [
        ("net", ZIPPED, "net.keras"),
        ("net.model", ZIPPED, "net.model.keras"),
        ("net.bin", HDF5, "net.bin.h5"),
        ("net.KERAS", ZIPPED, "net.keras"),
        ("net.hdf5", HDF5, "net.hdf5"),
    ],
)
def test_keras_gets_the_suffix_that_it_goes_by(tmp_path, place, name, head, copy):
    """What a file is was told by its content, so any name will do."""
    (tmp_path / name).write_bytes(head)
    copied = copy_source(KerasFile(str(tmp_path / name)), place.folder / "copies", place)
    assert copied == KerasFile(str(place.folder / "copies" / copy))


def test_onnx_is_copied_with_the_side_files_that_it_names(tmp_path, place):
    given = tmp_path / "given [1]"
    write_model(given / "net é.onnx", "weights é.bin")
    (given / "net é.onnx.bak").write_text("not asked for")
    copy = copy_source(OnnxFile(str(given / "net é.onnx")), place.folder / "copies", place)
    assert copy == OnnxFile(str(place.folder / "copies" / "net__.onnx"))
    assert copies(place) == ["net__.onnx", "weights é.bin"]
    assert onnx.load(copy.path).graph.initializer[0].raw_data == np.ones(12, np.float32).tobytes()


def test_side_files_keep_their_folders_and_are_never_overwritten(tmp_path, place, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "given" / "data").mkdir(parents=True)
    write_model(Path("given/a b.onnx"), "a_b.onnx")
    (tmp_path / "given" / "a_b.onnx").rename(tmp_path / "given" / "data" / "w")
    proto = onnx.load("given/a b.onnx", load_external_data=False)
    proto.graph.initializer[0].external_data[0].value = "data/w"
    Path("given/a b.onnx").write_bytes(proto.SerializeToString())
    copy_source(OnnxFile("given/a b.onnx"), place.folder / "copies", place)
    assert copies(place) == ["a_b.onnx", "data/w"]


def test_a_side_file_may_have_the_name_that_the_copy_would_get(tmp_path, place):
    write_model(tmp_path / "given" / "a b.onnx", "a_b.onnx")
    copy = copy_source(OnnxFile(str(tmp_path / "given/a b.onnx")), place.folder / "copies", place)
    assert copies(place) == ["a_b.onnx", "model-a_b.onnx"]
    assert onnx.load(copy.path).graph.initializer[0].raw_data


def test_no_child_is_needed_for_a_whole_file(tmp_path, place):
    write_model(tmp_path / "given" / "m.onnx")
    copy_source(OnnxFile(str(tmp_path / "given" / "m.onnx")), place.folder / "copies", place)
    assert [path.name for path in place.folder.iterdir()] == ["copies"]


def test_missing_weights_are_said_before_anything_is_copied(tmp_path, place):
    write_model(tmp_path / "given" / "m.onnx", "w.bin")
    (tmp_path / "given" / "w.bin").unlink()
    with pytest.raises(SourceError, match=r"keeps weights in w\.bin, which is not there"):
        copy_source(OnnxFile(str(tmp_path / "given" / "m.onnx")), place.folder / "copies", place)
    assert copies(place) == []


def test_what_cannot_be_read_is_said(tmp_path, place):
    with pytest.raises(SourceError, match=r"gone\.keras cannot be copied") as caught:
        copy_source(KerasFile(str(tmp_path / "gone.keras")), place.folder / "copies", place)
    assert caught.value.code == "OQ101"


def test_keras_keeps_its_suffix(tmp_path, place):
    (tmp_path / "net.H5").write_text("")
    copy = copy_source(KerasFile(str(tmp_path / "net.H5")), place.folder / "copies", place)
    assert copy == KerasFile(str(place.folder / "copies" / "net.h5"))


def test_factory_stays_and_its_weights_are_copied(tmp_path, place):
    (tmp_path / "w.pth").write_text("weights")
    source = Factory("nets.py", "build", WeightsFile(str(tmp_path / "w.pth")))
    copy = copy_source(source, place.folder / "copies", place)
    assert copy == Factory(
        str(Path("nets.py").absolute()),
        "build",
        WeightsFile(str(place.folder / "copies" / "w.pth")),
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


def test_requests_for_rows_hold_in_a_child(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "classes.txt").touch()
    given = DataRequest(spec="rows.py:fn", classes="classes.txt")
    asked = absolute_request(given)
    assert isinstance(asked, DataRequest)
    assert (asked.spec, asked.working_folder) == (f"{tmp_path}/rows.py:fn", str(tmp_path))
    assert asked.classes == f"{tmp_path}/classes.txt"
    assert absolute_request(DataRequest(spec="pkg.mod:fn")).spec == "pkg.mod:fn"
    assert absolute_request(NoDataRequest()) == NoDataRequest()
