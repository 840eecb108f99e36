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
            made it, and it is refused. ``none``: it is not loaded at all.
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


_EXPORT = "Export it where it was made:  torch.onnx.export(module.eval(), (x,), 'model.onnx')"
_KERAS = "all its layers are Keras' own, and none is a Lambda"
_TORCH = "the function returns a module that torch.onnx can export"
_RULES: dict[FileKind, _Rule] = {
    FileKind.ONNX: _Rule(
        supported=True,
        extra="",
        trust="data",
        reason="an ONNX file is data; it is read in a child process",
        advice="onnxq run {path} --data val.npz",
        condition="its operators are onnxruntime's own and it is not quantized: "
        "onnxq inspect {path} tells",
    ),
    FileKind.KERAS_ZIP: _Rule(
        supported=True,
        extra="keras",
        trust="data",
        reason="read in Keras' safe mode: a Lambda layer, which would run code, is refused",
        advice="onnxq run {path} --data val.npz",
        condition=_KERAS,
    ),
    FileKind.KERAS_HDF5: _Rule(
        supported=True,
        extra="keras",
        trust="data",
        reason="read in Keras' safe mode: a Lambda layer, which would run code, is refused",
        advice="onnxq run {path} --data val.npz",
        condition=_KERAS,
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
    FileKind.PYTHON: _Rule(
        supported=True,
        extra="torch",
        trust="named",
        reason="the function that you name is run in a child process: naming it is the trust",
        advice="onnxq run {path}:FUNCTION --data val.npz",
        condition=_TORCH,
    ),
    FileKind.SAFETENSORS: _Rule(
        supported=False,
        extra="torch",
        trust="data",
        reason="it holds weights alone, which are data",
        advice="torch.save(safetensors.torch.load_file({path!r}), 'weights.pt')   then "
        "onnxq run pkg.mod:fn --weights weights.pt",
    ),
    FileKind.TORCH_EXPORT: _Rule(
        supported=False,
        extra="torch",
        trust="code",
        reason="torch.export.load unpickles what the file holds, which can run anything",
        advice=_EXPORT,
    ),
    FileKind.TORCHSCRIPT: _Rule(
        supported=False,
        extra="torch",
        trust="code",
        reason="TorchScript runs code of its own when it is loaded",
        advice=_EXPORT,
    ),
    FileKind.SAVED_MODEL: _Rule(
        supported=False,
        extra="keras",
        trust="code",
        reason="its operators can read and write files when it is called",
        advice="model.save('model.keras')   then   onnxq run model.keras",
    ),
    FileKind.TFLITE: _Rule(
        supported=False,
        extra="keras",
        trust="data",
        reason="a TFLite file is data",
        advice="onnxq run the Keras model that it was made from",
    ),
    FileKind.HDF5: _Rule(
        supported=False,
        extra="keras",
        trust="none",
        reason="it holds weights alone, or another program's data",
        advice="model.save('model.keras')   then   onnxq run model.keras",
    ),
    FileKind.NUMPY: _Rule(
        supported=False,
        extra="",
        trust="none",
        reason="it holds rows, not a model",
        advice="onnxq run MODEL --data {path}",
    ),
}
_NO_MODEL = _Rule(
    supported=False,
    extra="",
    trust="none",
    reason="it holds no model that onnxq knows",
    advice="Give a .keras, .h5 or .onnx file, or a PyTorch factory: file.py:fn",
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
        return path, sniff_file(path)
    except OSError as error:
        message = f"{given} cannot be read: {error.strerror}."
        hint = "Check its name and its permissions:  onnxq doctor FILE"
        raise SourceError(message, code="OQ101", hint=hint) from error


def _function(given: str) -> str:
    name = given.rpartition(":")[2]
    return f":{name}" if name.isidentifier() and name != given else ":FUNCTION"
