"""What a file is, from its suffix and its first bytes, without loading any framework.

The parent process may call this on a foreign file: nothing is parsed but the directory of a zip
archive (the standard library's :mod:`zipfile`, nothing is extracted), and no pickle, HDF5 tree
or protobuf is read.
"""

import mmap
import pickletools
import zipfile
from enum import Enum
from pathlib import Path

_HEAD_BYTES = 512
_MAX_SAFETENSORS_HEADER_BYTES = 100_000_000
"""The limit of the format itself: https://github.com/huggingface/safetensors, "Format"."""

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LEGACY_TORCH_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""``torch.save`` before 1.6 began with this number, pickled by protocol 2."""

_MAX_PICKLE_BYTES = 16_000_000
_PLAIN_CLASSES = ("torch._", "collections.", "numpy.", "_codecs.", "builtins.", "torch.storage.",
                  "torch.FloatStorage", "torch.HalfStorage", "torch.BFloat16Storage", "torch.Size",
                  "torch.DoubleStorage", "torch.LongStorage", "torch.IntStorage",
                  "torch.ShortStorage", "torch.CharStorage", "torch.ByteStorage",
                  "torch.BoolStorage", "torch.nn.parameter.Parameter")  # fmt: skip
"""What ``torch.save`` names in the pickle of tensors, dictionaries and numbers."""

_ONNX_TAGS = frozenset(b"\x08\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2\xca\xd2")
"""First bytes that fields of ``ModelProto`` (onnx.proto) can have."""


class FileKind(Enum):
    """What a file or folder is; the value is how a person calls it."""

    ONNX = "ONNX model"
    KERAS_ZIP = "Keras 3 model"
    KERAS_HDF5 = "Keras HDF5 model"
    HDF5 = "HDF5 file without a Keras model"
    TORCH_CHECKPOINT = "PyTorch checkpoint"
    TORCHSCRIPT = "TorchScript model"
    TORCH_EXPORT = "torch.export program"
    SAFETENSORS = "safetensors file"
    SAVED_MODEL = "TensorFlow SavedModel"
    TFLITE = "TFLite model"
    ORT_FORMAT = "ORT-format model"
    PYTHON = "Python file"
    NUMPY = "NumPy file"
    ZIP = "zip archive"
    BROKEN_ZIP = "truncated zip archive"
    GZIP = "gzip archive"
    LFS_POINTER = "Git-LFS pointer"
    HTML = "HTML page"
    EMPTY = "empty file"
    FOLDER = "folder"
    UNKNOWN = "unknown file"


def sniff_file(path: Path | str) -> FileKind:
    """Tell what a file or folder is.

    What the first bytes say wins over the suffix. A whole module and a state dict, both saved
    by ``torch.save``, are both :attr:`FileKind.TORCH_CHECKPOINT`.

    Args:
        path: An existing file or folder.

    Returns:
        Its kind; :attr:`FileKind.UNKNOWN` where nothing fits.

    Raises:
        OSError: If the file cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        names = ("saved_model.pb", "saved_model.pbtxt")
        saved_model = any((path / name).is_file() for name in names)
        return FileKind.SAVED_MODEL if saved_model else FileKind.FOLDER
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return FileKind.EMPTY
    if head.startswith(b"PK\x03\x04"):
        return _sniff_zip(path)
    if head.startswith(_HDF5_SIGNATURE):
        return _sniff_hdf5(path)
    return _sniff_head(head, path)


def count_tensors(path: Path | str) -> int:
    """Count the stored tensors of a PyTorch checkpoint, without unpickling it.

    Args:
        path: A file of kind :attr:`FileKind.TORCH_CHECKPOINT`.

    Returns:
        How many; 0 where the file does not say (formats before PyTorch 1.6).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return 0
    return sum(name.split("/")[1:2] == ["data"] and name[-1].isdigit() for name in names)


def find_pickled_class(path: Path | str) -> str:
    """Find a class in a PyTorch checkpoint that plain weights do not need.

    The opcodes of its pickle are listed, not run.

    Args:
        path: A file of kind :attr:`FileKind.TORCH_CHECKPOINT`.

    Returns:
        Such as ``mypkg.nets.Net``; empty where there is none, or where the file does not say
        (formats before PyTorch 1.6, pickles above 16 MB).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(name) as member:
                pickled = member.read(_MAX_PICKLE_BYTES)
        found = [arg for op, arg, _ in pickletools.genops(pickled) if op.name == "GLOBAL"]
    except (zipfile.BadZipFile, OSError, StopIteration, ValueError):
        return ""
    classes = [arg.replace(" ", ".") for arg in found if isinstance(arg, str)]
    return next((c for c in classes if not c.startswith(_PLAIN_CLASSES)), "")


def _sniff_zip(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return FileKind.BROKEN_ZIP
    inner = {name.partition("/")[2] for name in names}
    has_code = any(name.startswith("code/") for name in inner)
    signs = {
        FileKind.KERAS_ZIP: {"config.json", "metadata.json"} <= set(names),
        FileKind.TORCH_EXPORT: "archive_format" in inner
        or "serialized_exported_program.json" in names,
        FileKind.TORCHSCRIPT: "constants.pkl" in inner and has_code,
        FileKind.TORCH_CHECKPOINT: "data.pkl" in inner,
        FileKind.NUMPY: bool(names) and all(name.endswith(".npy") for name in names),
    }
    return next((kind for kind, holds in signs.items() if holds), FileKind.ZIP)


def _sniff_hdf5(path: Path) -> FileKind:
    """Look for the name of the attribute that holds a Keras model's configuration."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return FileKind.KERAS_HDF5 if data.find(b"model_config\0") >= 0 else FileKind.HDF5


def _sniff_head(head: bytes, path: Path) -> FileKind:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    signs = {
        FileKind.LFS_POINTER: head.startswith(b"version https://git-lfs"),
        FileKind.HTML: text.startswith((b"<!doctype html", b"<html", b"<head")),
        FileKind.GZIP: head.startswith(b"\x1f\x8b"),
        FileKind.TFLITE: head[4:8] == b"TFL3",
        FileKind.ORT_FORMAT: head[4:8] == b"ORTM",
        FileKind.NUMPY: head.startswith(b"\x93NUMPY"),
        FileKind.TORCH_CHECKPOINT: head.startswith(_LEGACY_TORCH_MAGIC),
        FileKind.SAFETENSORS: _is_safetensors(head, path.stat().st_size),
        FileKind.SAVED_MODEL: path.name == "saved_model.pb",
        FileKind.PYTHON: path.suffix == ".py",
        FileKind.ONNX: path.suffix == ".onnx" and head[0] in _ONNX_TAGS,
    }
    return next((kind for kind, holds in signs.items() if holds), FileKind.UNKNOWN)


def _is_safetensors(head: bytes, size_bytes: int) -> bool:
    """Eight bytes of length, then as many of JSON."""
    length = int.from_bytes(head[:8], "little")
    fits = 0 < length <= min(_MAX_SAFETENSORS_HEADER_BYTES, size_bytes - 8)
    return fits and head[8:9] == b"{"
