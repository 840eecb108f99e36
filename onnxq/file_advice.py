"""What a file would need, told before anything is installed and without running any of its code."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec import Struct

from onnxq.errors import SourceError
from onnxq.packages import EXTRA_DISK_BYTES, install_command, missing_packages
from onnxq.sniffing import FileKind, find_pickled_class, sniff_file

Trust: TypeAlias = Literal["data", "named", "code", "none"]


class FileAdvice(Struct, frozen=True, kw_only=True, tag="file"):
    """What a file would need.

    Attributes:
        path: As given.
        file_kind: What the file is, for a person.
        supported: Whether this version converts files of its kind.
        condition: What has to be true of the file for that, which is not known before it is
            opened; empty where this version converts no such file.
        extra: The extra that it needs; empty for the base alone.
        missing: Packages of that extra that are not installed.
        disk_bytes: What the extra adds to the disk, about; 0 where nothing is missing.
        install: The command that installs what is missing; empty where nothing is.
        trust: ``data``: it is read as data alone. ``named``: its code runs, because naming it
            on the command line asks for that. ``code``: loading it would run code of whoever
            made it, and it is refused without ``--trust``. ``none``: it is not loaded at all.
        trust_reason: Why.
        advice: What to do next; a command where there is one.
    """

    path: str
    file_kind: str
    supported: bool
    condition: str = ""
    extra: str
    missing: tuple[str, ...]
    disk_bytes: int
    install: str
    trust: Trust
    trust_reason: str
    advice: str


@dataclass(frozen=True)
class _Rule:
    supported: bool
    extra: str
    trust: Trust
    reason: str
    advice: str
    condition: str = ""


_RUN = "onnxq run {path} --data val.npz"
_TRUSTED = "onnxq run {path} --trust --data val.npz   if you trust whoever made it"
_KERAS = "all its layers are Keras' own, and none is a Lambda"
_TORCH = "the function returns a module that torch.onnx can export"
_SAFE_MODE = "read in Keras' safe mode: a Lambda layer, which would run code, is refused"
_RULES: dict[FileKind, _Rule] = {
    FileKind.ONNX: _Rule(
        supported=True,
        extra="",
        trust="data",
        reason="an ONNX file is data; it is read in a child process",
        advice=_RUN,
        condition="its operators are onnxruntime's own (one that is quantized already is measured "
        "as it is): onnxq inspect {path} tells",
    ),
    FileKind.KERAS_ZIP: _Rule(
        supported=True,
        extra="keras",
        trust="data",
        reason=_SAFE_MODE,
        advice=_RUN,
        condition=_KERAS,
    ),
    FileKind.KERAS_HDF5: _Rule(
        supported=True,
        extra="keras",
        trust="data",
        reason=_SAFE_MODE,
        advice=_RUN,
        condition=_KERAS,
    ),
    FileKind.SAVED_MODEL: _Rule(
        supported=True,
        extra="keras",
        trust="data",
        reason="its operators are listed before it is loaded: those that touch files or run "
        "Python are refused without --trust",
        advice=_RUN,
        condition="it has a signature, serving_default or the one that --signature names",
    ),
    FileKind.TFLITE: _Rule(
        supported=True,
        extra="keras",
        trust="data",
        reason="a TFLite file is data; it is read in a child process",
        advice=_RUN,
        condition="its operators are TFLite's own (one that is quantized already is measured as "
        "it is)",
    ),
    FileKind.TORCH_EXPORT: _Rule(
        supported=True,
        extra="torch",
        trust="code",
        reason="torch.export.load unpickles parts of it, which can run anything",
        advice=_TRUSTED,
        condition="it was exported by the version of PyTorch that is installed, or an older one",
    ),
    FileKind.TORCHSCRIPT: _Rule(
        supported=True,
        extra="torch",
        trust="code",
        reason="TorchScript runs code of its own when it is loaded",
        advice=_TRUSTED,
        condition="torch.onnx can export it, for inputs that --input or the rows declare",
    ),
    FileKind.TORCH_CHECKPOINT: _Rule(
        supported=True,
        extra="torch",
        trust="data",
        reason="weights are read with weights_only=True; the function that makes the module is "
        "your own code",
        advice="onnxq run pkg.mod:fn --weights {path} --input x:Nx3x224x224 --data val.npz",
        condition=f"they are a state dict, and {_TORCH}",
    ),
    FileKind.SAFETENSORS: _Rule(
        supported=True,
        extra="torch",
        trust="data",
        reason="it holds weights alone, which are data; the function that makes the module is "
        "your own code",
        advice="onnxq run pkg.mod:fn --weights {path} --input x:Nx3x224x224 --data val.npz",
        condition=f"they are those of the module, and {_TORCH}",
    ),
    FileKind.HDF5: _Rule(
        supported=True,
        extra="keras",
        trust="data",
        reason="it holds weights alone, which are data; the function that makes the model is "
        "your own code",
        advice="onnxq run pkg.mod:fn --weights {path} --data val.npz",
        condition="it was written by model.save_weights, and the function returns that model",
    ),
    FileKind.PYTHON: _Rule(
        supported=True,
        extra="torch",
        trust="named",
        reason="the function that you name is run in a child process: naming it is the trust",
        advice="onnxq run {path}:FUNCTION --data val.npz",
        condition="the function returns a module that torch.onnx can export, or a Keras model "
        "(then the extra is keras)",
    ),
    FileKind.NUMPY: _Rule(
        supported=False,
        extra="",
        trust="none",
        reason="it holds rows, not a model",
        advice="onnxq run MODEL --data {path}",
    ),
    FileKind.ORT_FORMAT: _Rule(
        supported=False,
        extra="",
        trust="none",
        reason="it is made for one version of onnxruntime, and cannot be read as a graph",
        advice="onnxq run the .onnx file that it was made from",
    ),
}
_NO_MODEL = _Rule(
    supported=False,
    extra="",
    trust="none",
    reason="it holds no model that onnxq knows",
    advice="Give a model file (.onnx, .keras, .h5, .tflite, .pt2), a SavedModel folder, or a "
    "factory: file.py:fn",
)
_PICKLED = _Rule(
    supported=False,
    extra="torch",
    trust="code",
    reason="it holds a whole pickled module ({found}): unpickling it runs code",
    advice="torch.save(module.state_dict(), 'weights.pt')   then   "
    "onnxq run pkg.mod:fn --weights weights.pt",
)


def advise_file(given: str) -> FileAdvice:
    """Say what a file would need.

    Args:
        given: The path of a file or folder, or ``file.py:fn``.

    Returns:
        The advice. No framework is imported, and nothing of the file is run.

    Raises:
        SourceError: If there is no such file, or it cannot be read (OQ101).
    """
    path, kind = _look(given)
    found = find_pickled_class(path) if kind is FileKind.TORCH_CHECKPOINT else ""
    rule = _PICKLED if found else _RULES.get(kind, _NO_MODEL)
    missing, quoted = missing_packages(rule.extra), shlex.quote(str(path))
    return FileAdvice(
        path=given,
        file_kind=kind.value,
        supported=rule.supported,
        condition=rule.condition.format(path=quoted),
        extra=rule.extra,
        missing=missing,
        disk_bytes=EXTRA_DISK_BYTES[rule.extra] if missing else 0,
        install=install_command(rule.extra) if missing else "",
        trust=rule.trust,
        trust_reason=rule.reason.format(found=found),
        advice=rule.advice.format(path=quoted).replace(":FUNCTION", _function(given)),
    )


def _look(given: str) -> tuple[Path, FileKind]:
    path = Path(given)
    if not path.exists() and Path(given.rpartition(":")[0]).is_file():
        path = Path(given.rpartition(":")[0])
    try:
        kind = sniff_file(path)
        models = sorted(path.glob("*.onnx")) if kind is FileKind.FOLDER else []
        return (models[0], sniff_file(models[0])) if len(models) == 1 else (path, kind)
    except OSError as error:
        message = f"{given} cannot be read: {error.strerror}."
        hint = "Check its name and its permissions:  onnxq doctor FILE"
        raise SourceError(message, code="OQ101", hint=hint) from error


def _function(given: str) -> str:
    name = given.rpartition(":")[2]
    return f":{name}" if name.isidentifier() and name != given else ":FUNCTION"
