"""Why what the user typed is not a source, and the way out: errors, made but not raised.

Files are looked at as :mod:`onnxq.sniffing` looks at them, never loaded.
"""

import difflib
import re
import shlex
from pathlib import Path

from onnxq.errors import SourceError
from onnxq.sniffing import FileKind, count_tensors, find_pickled_class

RUNS_CODE = {
    FileKind.TORCH_EXPORT: "torch.export.load unpickles parts of it, which can run anything",
    FileKind.TORCHSCRIPT: "torch.jit.load runs what the file holds, which can read and write files",
}
"""Kinds that are loaded only with ``--trust``, and why."""

SUFFIXES = {
    ".onnx": FileKind.ONNX,
    ".keras": FileKind.KERAS_ZIP,
    ".h5": FileKind.KERAS_HDF5,
    ".hdf5": FileKind.KERAS_HDF5,
    ".tflite": FileKind.TFLITE,
    ".lite": FileKind.TFLITE,
    ".pt2": FileKind.TORCH_EXPORT,
    ".pt": FileKind.TORCH_CHECKPOINT,
    ".pth": FileKind.TORCH_CHECKPOINT,
    ".th": FileKind.TORCH_CHECKPOINT,
    ".safetensors": FileKind.SAFETENSORS,
}
"""What a suffix promises; a model may carry its weights' name only by mistake."""

_SUPPORTED = (
    "Supported: .onnx, .keras, .h5, .hdf5, .tflite, .pt2 and TorchScript files, SavedModel "
    "folders, and a factory: pkg.mod:fn or file.py:fn"
)
_AGAIN = "Download or export it again."
_WAYS_OUT = {
    FileKind.ORT_FORMAT: "Give the .onnx file that it was made from.",
    FileKind.GZIP: "Unpack it first:  gunzip FILE",
    FileKind.ZIP: "Unpack it first, and give the model inside.",
    FileKind.NUMPY: "Rows go with --data:  onnxq run MODEL --data FILE",
}
_DAMAGED = {
    FileKind.EMPTY: _AGAIN,
    FileKind.BROKEN_ZIP: "Download it again: the copy was cut short.",
    FileKind.LFS_POINTER: "Fetch the file itself:  git lfs pull",
    FileKind.HTML: "Download it again: a link to a page was saved, not the file behind it.",
}
_DOTTED = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.\w+)*)\.(?P<function>[A-Za-z_]\w*)")
_TEXTS = frozenset(
    {".md", ".rst", ".txt", ".toml", ".json", ".yaml", ".yml", ".npz", ".csv", ".zip"}
)
"""Suffixes of files that are no modules, so that what comes before is none either."""
_MOST_NAMES = 5


def check_whole(path: Path, kind: FileKind) -> None:
    """Raise if a file is the remains of another, or a page about it.

    Args:
        path: An existing file.
        kind: What it is.

    Raises:
        SourceError: OQ104.
    """
    if kind in _DAMAGED:
        message = f"{path.name} is not a model: found {_a(kind)}."
        raise SourceError(message, code="OQ104", hint=_DAMAGED[kind])


def missing(given: str) -> SourceError:
    """Make the error for a path that does not exist: OQ101, with a guess at what was meant."""
    path = Path(given)
    near = difflib.get_close_matches(path.name, list_names(path.parent), n=1, cutoff=0.7)
    dotted = _DOTTED.fullmatch(given)
    if near:
        hint = f"Did you mean {path.parent / near[0]}?"
    elif not path.parent.is_dir():
        hint = f"The folder {path.parent} does not exist."
    elif dotted and path.suffix not in {*SUFFIXES, *_TEXTS, ".py"}:
        hint = f"Did you mean the factory {dotted['module']}:{dotted['function']}?"
    else:
        hint = _SUPPORTED
    return SourceError(f"{given} does not exist.", code="OQ101", hint=hint)


def untrusted(path: Path, kind: FileKind) -> SourceError:
    """Make the error for a file that would run code when it is loaded: OQ109."""
    message = f"{path.name} is {_a(kind)}: {RUNS_CODE[kind]}."
    hint = (
        "If you trust whoever made it as you would trust a program of theirs, add --trust: its "
        "code then runs in a child process, as you:\n"
        f"  onnxq run {shlex.quote(str(path))} --trust\n"
        "Else export it to .onnx where it was made."
    )
    return SourceError(message, code="OQ109", hint=hint)


def no_loadable_weights(path: Path, kind: FileKind) -> SourceError:
    """Make the error for a file that ``--weights`` does not take: OQ104."""
    message = f"{path.name} holds no weights that can be loaded: found {_a(kind)}."
    hint = (
        "Save the weights alone, one of:\n"
        "  torch.save(module.state_dict(), 'weights.pt')\n"
        "  model.save_weights('model.weights.h5')"
    )
    return SourceError(message, code="OQ104", hint=hint)


def no_model(path: Path, kind: FileKind) -> SourceError:
    """Make the error for a file or folder that is not a model.

    Args:
        path: What exists there.
        kind: What it is; none that is a source.

    Returns:
        OQ102 where the kind cannot be told, OQ103 for weights alone, OQ104 for a file that is
        not what its suffix says, OQ109 for a pickled module, OQ111 for another kind.
    """
    match kind:
        case FileKind.HDF5 | FileKind.SAFETENSORS | FileKind.TORCH_CHECKPOINT:
            return _weights_only(path, kind)
        case FileKind.PYTHON:
            message = f"{path} names no function: a factory is named as FILE:FUNCTION."
            return SourceError(message, code="OQ102", hint=f"Such as  onnxq run {path}:build")
        case FileKind.FOLDER:
            return _unclear_folder(path)
        case FileKind.UNKNOWN:
            return _unknown(path)
        case _:
            message = f"{path.name} is {_a(kind)}, which onnxq cannot convert."
            hint = f"{_WAYS_OUT[kind]}\n{_SUPPORTED}"
            return SourceError(message, code="OQ111", hint=hint)


def list_names(folder: Path) -> list[str]:
    """Return the sorted names in a folder; none where it cannot be read."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def _a(kind: FileKind) -> str:
    """Put the article before a kind, as it is spoken: an ONNX model, an HTML page."""
    return f"{'an' if kind.value[0] in 'aeiouAEIOH' else 'a'} {kind.value}"


def _unclear_folder(path: Path) -> SourceError:
    message = f"The kind of {path} cannot be told: it is a folder without saved_model.pb."
    names = list_names(path)
    models = [name for name in names if name.endswith(".onnx")]
    models = models or [name for name in names if Path(name).suffix in SUFFIXES]
    listed = ", ".join(str(path / name) for name in models[:_MOST_NAMES])
    more = " …" if len(models) > _MOST_NAMES else ""
    hint = f"Name one of its files: {listed}{more}" if models else _SUPPORTED
    return SourceError(message, code="OQ102", hint=hint)


def _unknown(path: Path) -> SourceError:
    promised = SUFFIXES.get(path.suffix.lower())
    if promised:
        message = f"{path.name} is not {_a(promised)}: its first bytes are of no kind."
        return SourceError(message, code="OQ104", hint=_AGAIN)
    found = f"found the suffix {path.suffix!r}" if path.suffix else "it has no suffix"
    message = f"The kind of {path.name} cannot be told: {found}."
    stem, dot, _ = path.name.partition(".onnx")
    owner = path.with_name(f"{stem}{dot}")
    if dot and owner.is_file():  # such as model.onnx_data or model.onnx.data
        hint = f"It looks like the external data of {owner}. Did you mean that?"
        return SourceError(message, code="OQ102", hint=hint)
    return SourceError(message, code="OQ102", hint=_SUPPORTED)


def _weights_only(path: Path, kind: FileKind) -> SourceError:
    given = shlex.quote(str(path))
    if kind is FileKind.HDF5:
        message = f"{path.name} holds no Keras model: weights only, or another program's data."
        hint = (
            "Save the whole model:  model.save('model.keras')\n"
            f"or name the function that makes it:  onnxq run pkg.mod:fn --weights {given}"
        )
        return SourceError(message, code="OQ103", hint=hint)
    is_checkpoint = kind is FileKind.TORCH_CHECKPOINT
    pickled = find_pickled_class(path) if is_checkpoint else ""
    if pickled:
        return _pickled(path, pickled)
    count = count_tensors(path) if is_checkpoint else 0
    tensors = f" ({count} tensors)" if count else ""
    message = f"{path.name} holds weights only{tensors}, not a model."
    hint = (
        "The export needs the Python class as well. One of:\n"
        f"  onnxq run pkg.mod:fn --weights {given} --input x:Nx3x224x224\n"
        "  torch.onnx.export(module.eval(), (x,), 'model.onnx', dynamo=True)"
        "     then  onnxq run model.onnx"
    )
    return SourceError(message, code="OQ103", hint=hint)


def _pickled(path: Path, name: str) -> SourceError:
    message = f"{path.name} holds a whole pickled module ({name}): loading it runs its code."
    hint = (
        "Save its weights alone, and name the function that makes the module:\n"
        "  torch.save(module.state_dict(), 'weights.pt')\n"
        "  onnxq run pkg.mod:fn --weights weights.pt --input x:Nx3x224x224"
    )
    return SourceError(message, code="OQ109", hint=hint)
