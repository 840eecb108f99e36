"""Private copies of what the user gave, so that nothing is ever written beside it.

onnxruntime's quantizers write next to their source, and names that are not ASCII break some
packages: a copy has a plain name in the work folder.
"""

import os
import re
import shutil
from pathlib import Path

import msgspec

from onnxq.datasets.values import DataRequest
from onnxq.errors import SourceError
from onnxq.isolation import Workplace, run_stage
from onnxq.side_files import locate_side_file, mentions_side_files
from onnxq.sniffing import FileKind, sniff_file
from onnxq.sources import (
    Factory,
    KerasFile,
    LiveExport,
    OnnxFile,
    OwnWeights,
    SavedModelFolder,
    Source,
    WeightsFile,
)
from onnxq.stages import SIDE_FILES, NoDataRequest, SideFilesRequest

_LONGEST_STEM = 100
_KERAS_SUFFIXES = frozenset({".keras", ".h5", ".hdf5"})


def copy_source(source: Source, folder: Path, place: Workplace) -> Source:
    """Copy a source's files into the work folder.

    A factory's module stays where it is: it imports its neighbours.

    Args:
        source: What the user gave.
        folder: Where the copies go; empty.
        place: Where a child finds out which files an ``.onnx`` file keeps its weights in.

    Returns:
        The same source with the paths of the copies.

    Raises:
        SourceError: If a file cannot be copied (OQ101), or external data is missing (OQ101),
            too short (OQ104) or outside the model's folder (OQ111).
    """
    try:
        return _copy_source(source, folder, place)
    except OSError as error:
        message = f"{error.filename} cannot be copied: {error.strerror}."
        hint = "Check its permissions, and the space left in the folder for temporary files."
        raise SourceError(message, code="OQ101", hint=hint) from error


def _copy_source(source: Source, folder: Path, place: Workplace) -> Source:
    match source:
        case OnnxFile(path=path):
            return OnnxFile(_copy_onnx(Path(path), folder, place))
        case KerasFile(path=path):
            return KerasFile(_copy(Path(path), folder, _keras_suffix(Path(path))))
        case Factory(module=module, function=function, weights=weights):
            kept = (
                OwnWeights()
                if isinstance(weights, OwnWeights)
                else WeightsFile(_copy(Path(weights.path), folder))
            )
            path = str(Path(module).absolute()) if module.endswith(".py") else module
            return Factory(path, function, kept)
        case SavedModelFolder(path=path):
            target = folder / _plain_name(Path(path))
            shutil.copytree(path, target)
            return msgspec.structs.replace(source, path=str(target))
        case _:
            return msgspec.structs.replace(source, path=_copy(Path(source.path), folder))


def absolute_request(data: DataRequest | NoDataRequest) -> DataRequest | NoDataRequest:
    """Return a request for rows whose paths hold in a child, which works in its own folder."""
    if isinstance(data, NoDataRequest):
        return data
    from onnxq.datasets.folders import is_file  # noqa: PLC0415 - late
    from onnxq.datasets.specs import absolute_spec  # noqa: PLC0415 - late

    return msgspec.structs.replace(
        data,
        spec=absolute_spec(data.spec, Path.cwd()),
        working_folder=str(Path.cwd()),
        classes=str(Path(data.classes).absolute()) if is_file(data.classes) else data.classes,
    )


def trusted_folders(source: Source) -> tuple[str, ...]:
    """Return the folders that the user's own code may be imported from."""
    if not isinstance(source, Factory):
        return ()
    folders = [Path.cwd()]
    if source.module.endswith(".py"):
        folders.insert(0, Path(source.module).resolve().parent)
    return tuple(map(str, folders))


def given_files(source: Source) -> tuple[Path, ...]:
    """Return the files that the user gave, as the user gave them."""
    match source:
        case OnnxFile(path=path) | KerasFile(path=path):
            return (Path(path),)
        case Factory(module=module, weights=weights):
            files = [Path(module)] if module.endswith(".py") else []
            return (*files, *([Path(weights.path)] if isinstance(weights, WeightsFile) else []))
        case LiveExport():
            return ()
        case _:
            return (Path(source.path),)


def named_files(text: str) -> tuple[Path, ...]:
    """Return the files and folders that a text names.

    Args:
        text: As typed for rows, classes, a recipe or a metric: ``val.npz``, ``rows.py:fn``,
            ``mine.toml:careful``, ``hf:./folder:train``.

    Returns:
        What exists of the text and its beginnings; none for ``pkg.mod:fn`` or ``int8``.
    """
    words = text.removeprefix("hf:").split(":")
    beginnings = [":".join(words[:count]) for count in range(1, len(words) + 1)]
    paths = (os.path.expanduser(one) for one in dict.fromkeys((*beginnings, text)) if one)  # noqa: PTH111 - as below
    return tuple(Path(one) for one in paths if os.path.exists(one))  # noqa: PTH110 - too long for Path


def _keras_suffix(path: Path) -> str:
    """Return what a name lacks for Keras, which goes by suffixes where onnxq looks inside."""
    if path.suffix.lower() in _KERAS_SUFFIXES:
        return ""
    return ".keras" if sniff_file(path) is FileKind.KERAS_ZIP else ".h5"


def _copy(path: Path, folder: Path, more: str = "") -> str:
    target = folder / f"{_plain_name(path)}{more}"
    shutil.copyfile(path, target)
    return str(target)


def _copy_onnx(path: Path, folder: Path, place: Workplace) -> str:
    """Copy an ``.onnx`` file, and its external data under the same names."""
    locations: tuple[str, ...] = ()
    if mentions_side_files(path):
        request = SideFilesRequest(path=str(path.absolute()))
        locations = run_stage(SIDE_FILES, request, place).locations
    for location in locations:
        # Looked at again: what a child says of a foreign model is not believed.
        file, target = locate_side_file(path, location), folder / location
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    name = _plain_name(path)
    target = folder / (f"model-{name}" if name in locations else name)
    shutil.copyfile(path, target)
    return str(target)


def _plain_name(path: Path) -> str:
    """Keep a name recognizable in messages, and plain enough for every package."""
    stem = re.sub(r"[^\w.-]", "_", path.stem, flags=re.ASCII).lstrip("-")
    return f"{stem[:_LONGEST_STEM]}{path.suffix.lower()}"
