"""Every form that data may have, opened: the one place that knows them all."""

import difflib
import os
from pathlib import Path

from onnxq.datasets.archives import read_archive
from onnxq.datasets.array_folders import open_npy_folder, open_npz_folder
from onnxq.datasets.folders import (
    IMAGE_SUFFIXES,
    is_file,
    list_files,
    number_classes,
    select_files,
)
from onnxq.datasets.npy_arrays import read_npy
from onnxq.datasets.origins import Opening, Origin
from onnxq.datasets.piecewise import Member, Piece, Piecewise
from onnxq.datasets.row_files import open_images
from onnxq.datasets.specs import CodeSpec, HubSpec, PathSpec, parse_spec
from onnxq.datasets.tables import ArrowFiles
from onnxq.datasets.values import DataRequest
from onnxq.errors import DatasetError, MissingDependencyError

_NPY, _NPZ = frozenset({".npy"}), frozenset({".npz"})
_CSV, _PARQUET = frozenset({".csv", ".tsv"}), frozenset({".parquet", ".pq"})
_FORMS = ".npz, .npy, .csv, .tsv, .parquet, a folder of images, .npy or .npz, or FILE.py:fn"
_FOLDER_KINDS = {
    "images": IMAGE_SUFFIXES,
    ".npy files": _NPY,
    ".npz files": _NPZ,
    ".parquet files": _PARQUET,
}
_ARROW_SIZE = "about 170 MB"
_SAVE_HINT = "Save rows as:  np.savez('val.npz', x=x, y=labels)"


def open_origin(request: DataRequest, opening: Opening) -> Origin:
    """Open what the user named as data.

    Args:
        request: What the user asked for.
        opening: What the model wants, and where code may come from.

    Returns:
        Where rows come from. Of files, headers alone were read, except that text is parsed;
        a function was called, and its rows lie in unnamed temporary files.

    Raises:
        DatasetError: OQ127 if it does not exist or is of no known form; what each form raises.
        MissingDependencyError: OQ108, if a form needs an extra.
    """
    match parse_spec(request.spec):
        case CodeSpec() as spec:
            from onnxq.datasets.code_rows import open_code  # noqa: PLC0415 - rarely needed

            return _unclassed(open_code(spec, request, opening), request)
        case HubSpec() as hub:
            from onnxq.datasets.hub_folders import find_hub_files  # noqa: PLC0415 - rarely needed

            return _open_arrow(find_hub_files(hub), request)
        case PathSpec(path=path):
            if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for a text that is too long
                return _open_folder(path, request, opening)
            if not is_file(request.spec):
                raise _missing(path)
            return _unclassed(_open_file(path, request), request)


def _open_file(path: Path, request: DataRequest) -> Origin:
    suffix = path.suffix.lower()
    if suffix in _NPZ:
        archive = read_archive(path)
        pieces: dict[str, tuple[Piece, ...]] = {
            name: (Member(archive, array),) for name, array in archive.arrays.items()
        }
        return Piecewise(title=path.name, arrays=archive.arrays, pieces=pieces)
    if suffix in _NPY:
        file = read_npy(path)
        return Piecewise(
            title=path.name,
            arrays={file.array.name: file.array},
            pieces={file.array.name: (file,)},
        )
    if suffix in _CSV:
        from onnxq.datasets.csv_files import open_csv  # noqa: PLC0415 - rarely needed

        return open_csv(path)
    if suffix in _PARQUET:
        return _open_arrow(ArrowFiles(path.name, (path,), is_parquet=True), request)
    message = f"{path.name} is of no form that holds rows: expected {_FORMS}."
    hint = f"Name a function in it:  --data {path}:rows" if suffix == ".py" else _SAVE_HINT
    raise DatasetError(message, code="OQ127", hint=hint)


def _open_folder(path: Path, request: DataRequest, opening: Opening) -> Origin:
    files = list_files(path)
    kinds = {
        kind: found
        for kind, suffixes in _FOLDER_KINDS.items()
        if (found := select_files(files, suffixes))
    }
    if len(kinds) > 1:
        held = " and ".join(f"{len(found)} {kind}" for kind, found in kinds.items())
        message = f"{path} holds {held}: which of them are the rows is not clear."
        hint = "Put the rows into a folder of their own."
        raise DatasetError(message, code="OQ127", hint=hint)
    match next(iter(kinds), ""):
        case "images":
            folder = number_classes(path, kinds["images"], request.classes)
            return open_images(folder, request.preprocess)
        case ".npy files":
            return open_npy_folder(path, kinds[".npy files"], request, opening.inputs)
        case ".npz files":
            return open_npz_folder(path, kinds[".npz files"], request, opening.inputs)
        case ".parquet files":
            parts = tuple(path / file for file in kinds[".parquet files"])
            return _open_arrow(ArrowFiles(f"{path.name}/", parts, is_parquet=True), request)
        case _:
            raise _no_rows(path, files)


def _no_rows(path: Path, files: tuple[str, ...]) -> DatasetError:
    others = sorted({Path(file).suffix.lower() or Path(file).name for file in files})
    found = f"found {', '.join(others[:6])}" if others else "it is empty"
    images = ", ".join(sorted(IMAGE_SUFFIXES))
    message = f"{path} holds no rows: {found}, expected .npy, .npz, .parquet or images ({images})."
    hint = "Name a folder of images, or an .npz file:  --data val.npz"
    tables = select_files(files, _CSV)
    if tables:
        hint = f"Name the file itself:  --data {path / tables[0]}"
    elif all((path / name).is_file() for name in ("state.json", "dataset_info.json")):
        hint = f"It looks like a dataset that save_to_disk wrote:  --data hf:{path}"
    return DatasetError(message, code="OQ124", hint=hint)


def _open_arrow(files: ArrowFiles, request: DataRequest) -> Origin:
    try:
        from onnxq.datasets.arrow_files import open_arrow  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        message = f"reading {files.title} needs pyarrow, which is not installed."
        hint = f"pip install 'onnxq[data]'      ({_ARROW_SIZE})"
        raise MissingDependencyError(message, code="OQ108", hint=hint) from error
    return _unclassed(open_arrow(files, request.preprocess), request)


def _unclassed(origin: Origin, request: DataRequest) -> Origin:
    """Refuse a pattern on paths where rows have none; a list may still number text labels."""
    if request.classes and not is_file(request.classes):
        message = f"--classes {request.classes!r} is for folders of rows: {origin.title} is none."
        hint = "Store the classes in the data as integers:  np.savez('val.npz', x=x, y=labels)"
        raise DatasetError(message, code="OQ125", hint=hint)
    return origin


def _missing(path: Path) -> DatasetError:
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, n=1)
    guess = f" Did you mean {path.parent / near[0]}?" if near else ""
    message = f"the data {path} does not exist.{guess}"
    hint = "Name an .npz file or a folder of images:  --data val.npz"
    return DatasetError(message, code="OQ127", hint=hint)
