"""Private copies of what the user gave, so that nothing is ever written beside it.

onnxruntime's quantizers write next to their source, and names that are not ASCII break some
packages: a copy has a plain name in the work folder.
"""

import glob
import re
import shutil
from pathlib import Path

import msgspec

from onnxq.datasets.values import DataRequest
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
from onnxq.stages import NoDataRequest

_LONGEST_STEM = 100


def copy_source(source: Source, folder: Path) -> Source:
    """Copy a source's files into the work folder.

    A factory's module stays where it is: it imports its neighbours.

    Args:
        source: What the user gave.
        folder: Where the copies go.

    Returns:
        The same source with the paths of the copies.
    """
    match source:
        case OnnxFile(path=path):
            return OnnxFile(_copy_onnx(Path(path), folder))
        case KerasFile(path=path):
            return KerasFile(_copy(Path(path), folder))
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
    from onnxq.datasets.folders import is_file  # noqa: PLC0415 - numpy, late

    return msgspec.structs.replace(
        data,
        spec=str(Path(data.spec).absolute()),
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


def _copy(path: Path, folder: Path) -> str:
    target = folder / _plain_name(path)
    shutil.copyfile(path, target)
    return str(target)


def _copy_onnx(path: Path, folder: Path) -> str:
    """Copy an ``.onnx`` file and the files beside it that start with its name (external data)."""
    for side_file in path.parent.glob(f"{glob.escape(path.name)}?*"):
        if side_file.is_file():
            shutil.copyfile(side_file, folder / side_file.name)
    return _copy(path, folder)


def _plain_name(path: Path) -> str:
    """Keep a name recognizable in messages, and plain enough for every package."""
    stem = re.sub(r"[^\w.-]", "_", path.stem, flags=re.ASCII).lstrip("-")
    return f"{stem[:_LONGEST_STEM]}{path.suffix.lower()}"
