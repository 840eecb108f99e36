import io
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from onnxq.sniffing import FileKind, count_tensors, find_pickled_class, sniff_file

SAFETENSORS_HEADER = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


def zipped(*names, contents=None):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, (contents or {}).get(name, b"x"))
    return buffer.getvalue()


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros(3))
    return buffer.getvalue()


def npy():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


KERAS = zipped("metadata.json", "config.json", "model.weights.h5")
CHECKPOINT = zipped("w/data.pkl", "w/version", "w/data/0", "w/data/1")
HDF5 = b"\x89HDF\r\n\x1a\n"

CASES = {
    "m.onnx": (b"\x08\x08\x12\x07pytorch", FileKind.ONNX),
    "graph_first.onnx": (b"\x3a\x02\x0a\x00", FileKind.ONNX),
    "text.onnx": (b"hello world", FileKind.UNKNOWN),
    "protobuf.bin": (b"\x08\x08\x12\x07pytorch", FileKind.UNKNOWN),
    "m.keras": (KERAS, FileKind.KERAS_ZIP),
    "cut.keras": (KERAS[: len(KERAS) // 2], FileKind.BROKEN_ZIP),
    "m.h5": (HDF5 + b"\0" * 40 + b"model_config\0", FileKind.KERAS_HDF5),
    "m.weights.h5": (HDF5 + b"\0" * 40 + b"layer_names\0", FileKind.HDF5),
    "m.ort": (b"\x1c\0\0\0ORTM", FileKind.ORT_FORMAT),
    "w.pt": (CHECKPOINT, FileKind.TORCH_CHECKPOINT),
    "renamed.onnx": (CHECKPOINT, FileKind.TORCH_CHECKPOINT),
    "old.pth": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02", FileKind.TORCH_CHECKPOINT),
    "script.pt": (
        zipped("s/data.pkl", "s/constants.pkl", "s/code/__torch__.py"),
        FileKind.TORCHSCRIPT,
    ),
    "p.pt2": (zipped("p/archive_format", "p/models/model.json"), FileKind.TORCH_EXPORT),
    "old.pt2": (zipped("serialized_exported_program.json", "version"), FileKind.TORCH_EXPORT),
    "w.safetensors": (
        len(SAFETENSORS_HEADER).to_bytes(8, "little") + SAFETENSORS_HEADER + b"\0" * 4,
        FileKind.SAFETENSORS,
    ),
    "cut.safetensors": ((10**7).to_bytes(8, "little") + b'{"w":', FileKind.UNKNOWN),
    "m.tflite": (b"\x1c\0\0\0TFL3" + b"\0" * 8, FileKind.TFLITE),
    "saved_model.pb": (b"\x08\x01\x12\x00", FileKind.SAVED_MODEL),
    "rows.npz": (npz(), FileKind.NUMPY),
    "rows.npy": (npy(), FileKind.NUMPY),
    "net.py": (b"def build(): ...\n", FileKind.PYTHON),
    "x.zip": (zipped("readme.txt"), FileKind.ZIP),
    "m.onnx.gz": (b"\x1f\x8b\x08\x00", FileKind.GZIP),
    "lfs.onnx": (b"version https://git-lfs.github.com/spec/v1\n", FileKind.LFS_POINTER),
    "page.h5": (b"\n<!DOCTYPE html>\n<html>", FileKind.HTML),
    "empty.onnx": (b"", FileKind.EMPTY),
    "noise": (bytes(range(200, 256)), FileKind.UNKNOWN),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_kinds(name, tmp_path):
    contents, expected = CASES[name]
    file = tmp_path / name
    file.write_bytes(contents)
    assert sniff_file(file) is expected


def test_folders(tmp_path):
    assert sniff_file(tmp_path) is FileKind.FOLDER
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    assert sniff_file(tmp_path) is FileKind.SAVED_MODEL


def test_a_missing_file_is_the_callers_to_explain(tmp_path):
    with pytest.raises(FileNotFoundError):
        sniff_file(tmp_path / "none.onnx")


def test_tensors_are_counted_without_unpickling(tmp_path):
    file = tmp_path / "w.pt"
    file.write_bytes(CHECKPOINT)
    assert count_tensors(file) == 2
    file.write_bytes(b"\x80\x02")
    assert count_tensors(file) == 0


class Marker:
    """Its pickle would run code when it is loaded."""

    def __reduce__(self):
        return (pytest.fail, ("the pickle ran",))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (OrderedDict(a=1), ""),
        ({"a": [1, 2.0, "b"]}, ""),
        (np.float32(1), ""),
        (Marker(), "_pytest.outcomes."),
        (FileKind.ONNX, "onnxq.sniffing.FileKind"),
    ],
    ids=["ordered dict", "plain", "numpy", "code", "class"],
)
def test_a_pickled_class_is_found_without_running_it(value, expected, tmp_path):
    file = tmp_path / "w.pt"
    pickled = pickle.dumps(value, protocol=2)
    file.write_bytes(zipped("w/data.pkl", contents={"w/data.pkl": pickled}))
    found = find_pickled_class(file)
    assert found.startswith(expected) if expected else not found


def test_a_broken_pickle_names_no_class(tmp_path):
    file = tmp_path / "w.pt"
    file.write_bytes(zipped("w/data.pkl", contents={"w/data.pkl": b"\xff\xfe"}))
    assert not find_pickled_class(file)
