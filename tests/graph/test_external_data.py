import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.errors import SourceError
from onnxq.events import tell_nobody
from onnxq.graph.external_data import list_side_files
from onnxq.side_files import locate_side_file, mentions_side_files
from onnxq.stages import SideFilesRequest

WEIGHT = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


def outside(name, location, offset=None, length=None, array=WEIGHT):
    """Make a tensor that lies in another file."""
    tensor = numpy_helper.from_array(array, name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": offset, "length": length}.items():
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    return tensor


def model(*weights, nodes=(), functions=()):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), *nodes],
        "g",
        [value("x", TensorProto.FLOAT, ["N", 4])],
        [value("y", TensorProto.FLOAT, ["N", 3])],
        weights,
    )
    imports = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, functions=functions)


def listed(proto, folder):
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    return list_side_files(SideFilesRequest(path=str(path)), folder, tell_nobody).locations


def test_a_model_without_any(tmp_path):
    assert listed(model(numpy_helper.from_array(WEIGHT, "w")), tmp_path) == ()
    assert not mentions_side_files(tmp_path / "m.onnx")


def test_any_name_and_folder_is_found_once(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "weights é.bin").write_bytes(WEIGHT.tobytes() * 2)
    (tmp_path / "sub" / "b").write_bytes(WEIGHT.tobytes())
    proto = model(
        outside("w", "weights é.bin"),
        outside("v", "weights é.bin", 48, 48),
        outside("u", "sub/b", length=48),
    )
    assert listed(proto, tmp_path) == ("sub/b", "weights é.bin")
    assert mentions_side_files(tmp_path / "m.onnx")


def test_every_place_that_a_tensor_may_stand_at_is_looked_at(tmp_path):
    for name in "abcd":
        (tmp_path / name).write_bytes(WEIGHT.tobytes())
    inner = helper.make_graph([], "then", [], [], [outside("in", "a")])
    constant = helper.make_node("Constant", [], ["c"], value=outside("c", "b"))
    body = helper.make_function("f", "F", [], ["c"], [constant], [helper.make_opsetid("", 17)])
    constant = helper.make_node("Constant", [], ["k"], value=outside("k", "c"))
    branch = helper.make_node("If", ["x"], [], then_branch=inner, else_branch=inner)
    proto = model(nodes=[constant, branch], functions=[body])
    proto.graph.sparse_initializer.add().values.CopyFrom(outside("s", "d"))
    assert listed(proto, tmp_path) == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("location", "code", "words"),
    [
        ("../secret", "OQ111", "inside its own folder"),
        ("sub/../../secret", "OQ111", "inside its own folder"),
        ("/etc/passwd", "OQ111", "inside its own folder"),
        ("", "OQ111", "inside its own folder"),
        ("link", "OQ111", "leads out of its folder"),
        ("linked/secret", "OQ111", "leads out of its folder"),
        ("gone.bin", "OQ101", "not there"),
        ("sub", "OQ101", "not there"),
        ("short.bin", "OQ104", "40 bytes long"),
    ],
)
def test_a_place_that_cannot_be_is_said(tmp_path, location, code, words):
    folder = tmp_path / "given"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(WEIGHT.tobytes())
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "short.bin").write_bytes(b"\0" * 40)
    with pytest.raises(SourceError, match=words) as caught:
        listed(model(outside("w", location)), folder)
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize(
    ("offset", "length"), [(-1, None), ("one", None), (0, 47), (0, 49), (0, "all")]
)
def test_an_extent_that_no_tensor_has_is_said(tmp_path, offset, length):
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes() * 4)
    with pytest.raises(SourceError, match="'w' lies at offset") as caught:
        listed(model(outside("w", "w.bin", offset, length)), tmp_path)
    assert caught.value.code == "OQ104"


def test_int4_takes_half_a_byte_each(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"\0" * 6)
    tensor = outside("w", "w.bin", length=6)
    tensor.data_type = TensorProto.INT4
    assert listed(model(tensor), tmp_path) == ("w.bin",)


def test_a_cut_file_is_said(tmp_path):
    (tmp_path / "m.onnx").write_bytes(model(outside("w", "w.bin")).SerializeToString()[:-5])
    with pytest.raises(SourceError, match="not a whole ONNX file"):
        list_side_files(SideFilesRequest(path=str(tmp_path / "m.onnx")), tmp_path, tell_nobody)


def test_a_cache_of_links_is_one_folder(tmp_path):
    """A model hub's cache: what a user sees is links into a folder of blobs."""
    blobs, shown = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    shown.mkdir(parents=True)
    (blobs / "1f").write_bytes(model(outside("w", "m.onnx_data")).SerializeToString())
    (blobs / "2e").write_bytes(WEIGHT.tobytes())
    for name, blob in {"m.onnx": "1f", "m.onnx_data": "2e"}.items():
        (shown / name).symlink_to(Path(os.pardir, os.pardir, "blobs", blob))
    request = SideFilesRequest(path=str(shown / "m.onnx"))
    assert list_side_files(request, tmp_path, tell_nobody).locations == ("m.onnx_data",)
    assert locate_side_file(shown / "m.onnx", "m.onnx_data").read_bytes() == WEIGHT.tobytes()


def test_what_onnx_writes_is_read(tmp_path):
    proto = model(numpy_helper.from_array(WEIGHT, "w"))
    onnx.save(
        proto, tmp_path / "m.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    request = SideFilesRequest(path=str(tmp_path / "m.onnx"))
    assert list_side_files(request, tmp_path, tell_nobody).locations == ("w",)
