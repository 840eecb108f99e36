"""From what the user typed as a model to a :class:`~onnxq.sources.Source`.

Pure Python, for the parent process: files are looked at (:mod:`onnxq.sniffing`), never loaded.
"""

import difflib
import re
from pathlib import Path

from onnxq.errors import SourceError, UsageError
from onnxq.sniffing import FileKind, count_tensors, find_pickled_class, sniff_file
from onnxq.sources import (
    Factory,
    KerasFile,
    OnnxFile,
    OwnWeights,
    Source,
    WeightsFile,
    parse_input,
)

__all__ = ["parse_input", "parse_source"]

_FACTORY = re.compile(r"(?P<module>[^:]+\.py|[A-Za-z_]\w*(?:\.\w+)*):(?P<function>[A-Za-z_]\w*)")
_DOTTED = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.\w+)*)\.(?P<function>[A-Za-z_]\w*)")
_SUFFIXES = {
    ".onnx": (FileKind.ONNX,),
    ".keras": (FileKind.KERAS_ZIP, FileKind.KERAS_HDF5),
    ".h5": (FileKind.KERAS_HDF5, FileKind.KERAS_ZIP),
    ".hdf5": (FileKind.KERAS_HDF5,),
    ".pt": (FileKind.TORCH_CHECKPOINT,),
    ".pth": (FileKind.TORCH_CHECKPOINT,),
    ".th": (FileKind.TORCH_CHECKPOINT,),
    ".safetensors": (FileKind.SAFETENSORS,),
}
"""What a suffix promises; a model may carry its weights' name only by mistake."""

_SUPPORTED = (
    "Supported: .onnx, .keras, .h5 and .hdf5 files, and a PyTorch factory: pkg.mod:fn or file.py:fn"
)
_WAYS_OUT = {
    FileKind.TORCH_EXPORT: "Name the factory instead: onnxq run pkg.mod:fn --weights weights.pt",
    FileKind.TORCHSCRIPT: "Name the factory instead: onnxq run pkg.mod:fn --weights weights.pt",
    FileKind.SAVED_MODEL: "Save the model as one file:  model.save('model.keras')",
    FileKind.TFLITE: "Give the model that it was converted from: .keras, .h5 or .onnx",
    FileKind.GZIP: "Unpack it first:  gunzip FILE",
    FileKind.ZIP: "Unpack it first, and give the model inside.",
    FileKind.NUMPY: "Rows go with --data:  onnxq run MODEL --data FILE",
}
_DAMAGED = {
    FileKind.EMPTY: "Download or export it again.",
    FileKind.BROKEN_ZIP: "Download it again: the copy was cut short.",
    FileKind.LFS_POINTER: "Fetch the file itself:  git lfs pull",
    FileKind.HTML: "Download it again: a link to a page was saved, not the file behind it.",
}
_WEIGHTS_ONLY = frozenset({FileKind.TORCH_CHECKPOINT, FileKind.SAFETENSORS, FileKind.HDF5})


def parse_source(model: str, *, weights: str = "") -> Source:
    """Turn what the user typed into a source.

    Args:
        model: The path of a model file, or a PyTorch factory (``pkg.mod:fn``, ``file.py:fn``).
        weights: The path of a state dict for the factory; empty where its own are kept.

    Returns:
        The source; its files exist and are what they should be, as far as first bytes tell.

    Raises:
        SourceError: If a file is missing (OQ101), of an unknown or unsupported kind (OQ102,
            OQ111), weights only (OQ103), a pickled module (OQ109), or not what its suffix says
            (OQ104).
        UsageError: If weights were given with something that is not a factory (OQ100).
    """
    factory = _FACTORY.fullmatch(model)
    if factory and not Path(model).exists():
        return _parse_factory(factory["module"], factory["function"], weights)
    if weights:
        message = f"--weights {weights} was given, but {model} is not a factory."
        hint = "--weights goes with a PyTorch factory:  onnxq run pkg.mod:fn --weights FILE"
        raise UsageError(message, code="OQ100", hint=hint)
    path = Path(model)
    if not path.exists():
        raise _missing(model)
    return _parse_file(path, _sniff(path))


def _parse_factory(module: str, function: str, weights: str) -> Factory:
    if module.endswith(".py") and not Path(module).is_file():
        raise _missing(module)
    if not weights:
        return Factory(module, function, OwnWeights())
    path = Path(weights)
    if not path.is_file():
        raise _missing(weights)
    kind = _sniff(path)
    _check_whole(path, kind)
    if kind is FileKind.SAFETENSORS:
        message = f"{path.name} is a safetensors file, which --weights does not read yet."
        hint = f"Save it as a state dict:  torch.save(load_file({path.name!r}), 'weights.pt')"
        raise SourceError(message, code="OQ111", hint=hint)
    if kind is not FileKind.TORCH_CHECKPOINT:
        message = f"{path.name} holds no PyTorch weights: found {_a(kind)}, expected a state dict."
        hint = "Save the weights alone:  torch.save(module.state_dict(), 'weights.pt')"
        raise SourceError(message, code="OQ104", hint=hint)
    return Factory(module, function, WeightsFile(weights))


def _parse_file(path: Path, kind: FileKind) -> Source:
    if kind is FileKind.ONNX:
        return OnnxFile(str(path))
    if kind in {FileKind.KERAS_ZIP, FileKind.KERAS_HDF5}:
        return KerasFile(str(path))
    _check_whole(path, kind)
    if kind in _WEIGHTS_ONLY:
        raise _weights_only(path, kind)
    if kind is FileKind.PYTHON:
        message = f"{path} names no function: a PyTorch model is named as FILE:FUNCTION."
        raise SourceError(message, code="OQ102", hint=f"Such as  onnxq run {path}:build")
    promised = _SUFFIXES.get(path.suffix, ())
    if promised and kind is FileKind.UNKNOWN:
        message = f"{path.name} is not {_a(promised[0])}: its first bytes are of no kind."
        raise SourceError(message, code="OQ104", hint="Download or export it again.")
    if kind in {FileKind.UNKNOWN, FileKind.FOLDER}:
        message = f"The kind of {path.name} cannot be told: {_described(path, kind)}."
        raise SourceError(message, code="OQ102", hint=_SUPPORTED)
    message = f"{path.name} is {_a(kind)}, which onnxq cannot convert."
    raise SourceError(message, code="OQ111", hint=f"{_WAYS_OUT[kind]}\n{_SUPPORTED}")


def _described(path: Path, kind: FileKind) -> str:
    if kind is FileKind.FOLDER:
        return "it is a folder without saved_model.pb"
    return f"found the suffix {path.suffix!r}" if path.suffix else "it has no suffix"


def _a(kind: FileKind) -> str:
    """Put the article before a kind, as it is spoken: an ONNX model, an HTML page."""
    return f"{'an' if kind.value[0] in 'aeiouAEIOH' else 'a'} {kind.value}"


def _check_whole(path: Path, kind: FileKind) -> None:
    if kind in _DAMAGED:
        message = f"{path.name} is not a model: found {_a(kind)}."
        raise SourceError(message, code="OQ104", hint=_DAMAGED[kind])


def _weights_only(path: Path, kind: FileKind) -> SourceError:
    if kind is FileKind.HDF5:
        message = f"{path.name} holds no Keras model: weights only, or another program's data."
        hint = "Save the whole model, not its weights:  model.save('model.keras')"
        return SourceError(message, code="OQ103", hint=hint)
    pickled = find_pickled_class(path) if kind is FileKind.TORCH_CHECKPOINT else ""
    if pickled:
        message = f"{path.name} holds a whole pickled module ({pickled}): loading it runs its code."
        hint = (
            "Save its weights alone, and name the function that makes the module:\n"
            "  torch.save(module.state_dict(), 'weights.pt')\n"
            "  onnxq run pkg.mod:fn --weights weights.pt --input x:Nx3x224x224"
        )
        return SourceError(message, code="OQ109", hint=hint)
    count = count_tensors(path) if kind is FileKind.TORCH_CHECKPOINT else 0
    tensors = f" ({count} tensors)" if count else ""
    message = f"{path.name} holds weights only{tensors}, not a model."
    hint = (
        "The export needs the Python class as well. One of:\n"
        f"  onnxq run pkg.mod:fn --weights {path} --input x:Nx3x224x224\n"
        "  torch.onnx.export(module.eval(), (x,), 'model.onnx', dynamo=True)"
        "     then  onnxq run model.onnx"
    )
    return SourceError(message, code="OQ103", hint=hint)


def _sniff(path: Path) -> FileKind:
    try:
        return sniff_file(path)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        raise SourceError(message, code="OQ101", hint="Check its permissions.") from error


def _missing(given: str) -> SourceError:
    path = Path(given)
    siblings = _siblings(path.parent)
    near = difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.7)
    dotted = _DOTTED.fullmatch(given)
    if near:
        hint = f"Did you mean {path.parent / near[0]}?"
    elif not path.parent.is_dir():
        hint = f"The folder {path.parent} does not exist."
    elif dotted and path.suffix not in {*_SUFFIXES, ".py"}:
        hint = f"Did you mean the factory {dotted['module']}:{dotted['function']}?"
    else:
        hint = _SUPPORTED
    return SourceError(f"{given} does not exist.", code="OQ101", hint=hint)


def _siblings(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []
