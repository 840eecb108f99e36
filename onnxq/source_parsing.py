"""From what the user typed as a model to a :class:`~onnxq.sources.Source`.

Pure Python, for the parent process: files are looked at (:mod:`onnxq.sniffing`), never loaded.
"""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

from onnxq.errors import SourceError, UsageError
from onnxq.sniffing import FileKind, sniff_file
from onnxq.source_refusals import (
    RUNS_CODE,
    check_whole,
    list_names,
    missing,
    no_loadable_weights,
    no_model,
    untrusted,
)
from onnxq.sources import (
    Factory,
    KerasFile,
    OnnxFile,
    OwnWeights,
    SavedModelFolder,
    Source,
    TfliteFile,
    TorchExportFile,
    TorchScriptFile,
    WeightsFile,
    parse_inputs,
)

__all__ = ["is_factory", "parse_inputs", "parse_source"]

_FACTORY = re.compile(r"(?P<module>[^:]+\.py|[A-Za-z_]\w*(?:\.\w+)*):(?P<function>[A-Za-z_]\w*)")
_OPENED: dict[FileKind, Callable[[str], Source]] = {
    FileKind.ONNX: OnnxFile,
    FileKind.KERAS_ZIP: KerasFile,
    FileKind.KERAS_HDF5: KerasFile,
    FileKind.SAVED_MODEL: SavedModelFolder,
    FileKind.TFLITE: TfliteFile,
    FileKind.TORCH_EXPORT: TorchExportFile,
    FileKind.TORCHSCRIPT: TorchScriptFile,
}
_LOADABLE_WEIGHTS = frozenset({
    FileKind.TORCH_CHECKPOINT, FileKind.SAFETENSORS, FileKind.HDF5, FileKind.KERAS_HDF5,
})  # fmt: skip
"""What ``--weights`` takes: Keras' ``load_weights`` reads the ``.h5`` of a whole model as well."""


def parse_source(
    model: str, *, weights: str = "", trust: bool = False, signature: str = ""
) -> Source:
    """Turn what the user typed into a source.

    Args:
        model: The path of a model file, of a SavedModel or of a folder that holds one ``.onnx``
            file; or a factory (``pkg.mod:fn``, ``file.py:fn``).
        weights: The path of weights for what the factory returns: a state dict, a safetensors
            file, or the ``.h5`` of a Keras model; empty where its own are kept.
        trust: Whether code from the model file may run.
        signature: Which signature of a SavedModel; empty for ``serving_default``.

    Returns:
        The source; its files exist and are what they should be, as far as first bytes tell.

    Raises:
        SourceError: If a file is missing (OQ101), of an unknown or unsupported kind (OQ102,
            OQ111), weights only (OQ103), not what its suffix says (OQ104), or would run code
            when it is loaded and is not trusted (OQ109).
        UsageError: If weights were given with something that is not a factory, or a signature
            with something that is not a SavedModel (OQ100).
    """
    factory = _FACTORY.fullmatch(model)
    if factory and is_factory(model):
        source: Source = _parse_factory(factory["module"], factory["function"], weights)
    else:
        path, kind = _look_at(model)
        _check_no_weights(model, kind, weights)
        source = _parse_path(path, kind, trust=trust)
    return _with_signature(source, signature, model)


def is_factory(model: str) -> bool:
    """Whether what the user typed as a model is a factory, ``pkg.mod:fn`` or ``file.py:fn``.

    Args:
        model: As typed; a file of that very name wins.
    """
    return bool(_FACTORY.fullmatch(model)) and not Path(model).exists()


def _look_at(given: str) -> tuple[Path, FileKind]:
    path = Path(given)
    if not path.exists():
        raise missing(given)
    try:
        return path, sniff_file(path)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        raise SourceError(message, code="OQ101", hint="Check its permissions.") from error


def _parse_factory(module: str, function: str, weights: str) -> Factory:
    if module.endswith(".py") and not Path(module).is_file():
        raise missing(module)
    if not weights:
        return Factory(module, function, OwnWeights())
    path, kind = _look_at(weights)
    check_whole(path, kind)
    if kind not in _LOADABLE_WEIGHTS:
        raise no_loadable_weights(path, kind)
    return Factory(module, function, WeightsFile(weights))


def _parse_path(path: Path, kind: FileKind, *, trust: bool) -> Source:
    if kind is FileKind.FOLDER:
        path, kind = _only_onnx_of(path)
    if kind is FileKind.SAVED_MODEL and path.is_file():
        path = path.parent  # saved_model.pb itself was named; its variables lie beside it
    if kind in RUNS_CODE and not trust:
        raise untrusted(path, kind)
    if kind in _OPENED:
        return _OPENED[kind](str(path))
    check_whole(path, kind)
    raise no_model(path, kind)


def _only_onnx_of(folder: Path) -> tuple[Path, FileKind]:
    """Take the only ``.onnx`` file of a folder, if there is just one; else the folder itself."""
    names = [name for name in list_names(folder) if name.endswith(".onnx")]
    if len(names) == 1 and (folder / names[0]).is_file():
        return _look_at(str(folder / names[0]))
    return folder, FileKind.FOLDER


def _check_no_weights(model: str, kind: FileKind, weights: str) -> None:
    if not weights:
        return
    factory = f"onnxq run pkg.mod:fn --weights {shlex.quote(weights)}"
    if kind in _OPENED:
        message = f"--weights {weights} was given, but {model} is a model with its own weights."
        hint = f"Leave --weights out, or name the function that makes the model:  {factory}"
    else:
        message = f"--weights {weights} was given, but {model} is not a factory."
        hint = f"--weights goes with a factory:  {factory}"
    raise UsageError(message, code="OQ100", hint=hint)


def _with_signature(source: Source, signature: str, model: str) -> Source:
    if not signature:
        return source
    if isinstance(source, SavedModelFolder):
        return SavedModelFolder(source.path, signature)
    message = f"--signature {signature} was given, but {model} is not a SavedModel."
    raise UsageError(message, code="OQ100", hint="Leave it out: only SavedModels have signatures.")
