"""Folders of ``.npy`` or ``.npz`` files: arrays by name, rows along axis 0, or a row a file."""

from dataclasses import dataclass, replace
from pathlib import Path

from onnxq.datasets.archives import read_archive
from onnxq.datasets.arrays import RawArray
from onnxq.datasets.folders import RowFolder, number_classes
from onnxq.datasets.matching import LABEL_NAMES
from onnxq.datasets.npy_arrays import NpyFile, read_npy
from onnxq.datasets.origins import Origin
from onnxq.datasets.piecewise import Member, Piece, Piecewise, join_pieces
from onnxq.datasets.readings import Reading, note_reading, tell_reading
from onnxq.datasets.row_files import RowFiles, folder_labels
from onnxq.datasets.values import DataRequest
from onnxq.errors import DatasetError
from onnxq.tensors import TensorSpec
from onnxq.wording import count_noun

ROWS = "rows"
"""What an array is called that nothing named."""


@dataclass(frozen=True)
class _Folder:
    """A folder that is being opened."""

    path: Path
    files: tuple[str, ...]
    request: DataRequest
    inputs: tuple[TensorSpec, ...]

    @property
    def title(self) -> str:
        return f"{self.path.name}/"


def open_npy_folder(
    path: Path, files: tuple[str, ...], request: DataRequest, inputs: tuple[TensorSpec, ...]
) -> Origin:
    """Open a folder of ``.npy`` files.

    Files that are named like an input, like labels, or as ``--map`` names them, are arrays by
    name. Files in subfolders are a row each, and so are files whose shape is that of a row; these
    may differ where the model leaves axes free. Files with rows along axis 0 follow one another.
    Anything else is an array by name.

    Args:
        path: The folder.
        files: The ``.npy`` files below it, sorted.
        request: What the user asked for.
        inputs: Of the model; empty if it is not known.

    Returns:
        The rows, not read yet; which reading was taken is among its findings.

    Raises:
        DatasetError: OQ127, if a file is damaged or the reading is unclear; OQ125, if classes
            cannot be told.
    """
    folder = _Folder(path, files, request, inputs)
    if any("/" in file for file in files) or request.classes:
        return _npy_rows(folder)
    stems = {Path(file).stem for file in files}
    if len(files) == 1 or any(_is_known(stem, folder) for stem in stems):
        return _npy_by_name(folder)
    first, last = read_npy(path / files[0]), read_npy(path / files[-1])
    if (first.array.dtype, first.array.row_shape) != (last.array.dtype, last.array.row_shape):
        are_rows = first.array.dtype == last.array.dtype and all(
            tell_reading({ROWS: one.array.shape}, (), _only_input(folder)) is Reading.ROW
            for one in (first, last)
        )
        return _npy_rows(folder) if are_rows else _npy_by_name(folder)
    match tell_reading({ROWS: first.array.shape}, (), _only_input(folder)):
        case Reading.ROW:
            return _npy_rows(folder)
        case Reading.BATCH:
            return _npy_shards(folder)
        case Reading.UNCLEAR:
            raise _unclear(folder, first.array)


def open_npz_folder(
    path: Path, files: tuple[str, ...], request: DataRequest, inputs: tuple[TensorSpec, ...]
) -> Origin:
    """Open a folder of ``.npz`` files with the same arrays: a batch of rows each, or one row each.

    Args:
        path: The folder.
        files: The ``.npz`` files in it, sorted.
        request: What the user asked for.
        inputs: Of the model; empty if it is not known.

    Returns:
        The rows, not read yet; which reading was taken is among its findings.

    Raises:
        DatasetError: OQ127, if a file is damaged, files differ, or the reading is unclear.
    """
    folder = _Folder(path, files, request, inputs)
    if any("/" in file for file in files):
        message = f"{path} holds .npz files in subfolders, such as {files[0]}."
        hint = "Put them into one folder, with the labels as an array y in each."
        raise DatasetError(message, code="OQ127", hint=hint)
    if request.classes:
        message = f"--classes {request.classes!r} is for folders of rows: {path} has arrays."
        hint = "Store the classes as integers:  np.savez('val.npz', x=x, y=labels)"
        raise DatasetError(message, code="OQ125", hint=hint)
    first = read_archive(path / files[0]).arrays
    labels = [array for name, array in first.items() if _is_label(name, folder)]
    shapes = {n: array.shape for n, array in first.items() if array.is_numeric}
    fed = {_input_of(n, folder): s for n, s in shapes.items() if not _is_label(n, folder)}
    reading = tell_reading(fed, tuple(array.shape for array in labels[:1]), inputs)
    if reading is Reading.UNCLEAR:
        counts = {array.count_rows for array in first.values()}
        if len(files) > 1 and (len(first) == 1 or len(counts) > 1):
            raise _unclear(folder, next(iter(first.values())))
        reading = Reading.BATCH
    return _npz_rows(folder, first) if reading is Reading.ROW else _npz_shards(folder)


def _npy_by_name(folder: _Folder) -> Piecewise:
    pieces: dict[str, tuple[Piece, ...]] = {}
    arrays: dict[str, RawArray] = {}
    for file in folder.files:
        found = read_npy(folder.path / file)
        arrays[found.array.name], pieces[found.array.name] = found.array, (found,)
    message = f"{folder.title} was read as arrays by name: {', '.join(arrays)}."
    return Piecewise(
        title=folder.title,
        arrays=arrays,
        pieces=pieces,
        findings=(note_reading(folder.title, message),) if len(arrays) > 1 else (),
    )


def _npy_shards(folder: _Folder) -> Piecewise:
    found: tuple[NpyFile, ...] = tuple(read_npy(folder.path / file) for file in folder.files)
    array = join_pieces(ROWS, found, folder.title)
    return Piecewise(
        title=folder.title,
        arrays={ROWS: array},
        pieces={ROWS: found},
        findings=(note_reading(folder.title, _shards_said(folder, array.count_rows)),),
    )


def _npy_rows(folder: _Folder) -> RowFiles:
    rows = number_classes(folder.path, folder.files, folder.request.classes)
    first = read_npy(rows.path / rows.files[0]).array
    array = RawArray(ROWS, first.dtype, (len(rows.files), *first.shape))
    return _row_files(folder, rows, {ROWS: array})


def _npz_rows(folder: _Folder, first: dict[str, RawArray]) -> RowFiles:
    rows = RowFolder(folder.path, folder.files)
    count = len(rows.files)
    arrays = {n: replace(a, shape=(count, *a.shape)) for n, a in first.items()}
    return _row_files(folder, rows, arrays)


def _row_files(folder: _Folder, rows: RowFolder, arrays: dict[str, RawArray]) -> RowFiles:
    message = f"{folder.title} was read as one row a file, {count_noun(len(rows.files), 'row')}."
    return RowFiles(
        title=folder.title,
        arrays=arrays | folder_labels(rows),
        class_names=rows.class_names,
        findings=(note_reading(folder.title, message),),
        folder=rows,
    )


def _npz_shards(folder: _Folder) -> Piecewise:
    archives = [read_archive(folder.path / file) for file in folder.files]
    names = list(archives[0].arrays)
    for archive in archives:
        if archive.arrays.keys() != archives[0].arrays.keys():
            message = (
                f"{folder.title}{archive.path.name} holds {', '.join(archive.arrays)}, and "
                f"{folder.files[0]} {', '.join(names)}: expected the same arrays in every file."
            )
            raise DatasetError(message, code="OQ127", hint="Save all parts in the same form.")
    pieces: dict[str, tuple[Piece, ...]] = {
        name: tuple(Member(archive, archive.arrays[name]) for archive in archives) for name in names
    }
    arrays = {name: join_pieces(name, parts, folder.title) for name, parts in pieces.items()}
    _check_shards(folder, pieces)
    said = _shards_said(folder, next(iter(arrays.values())).count_rows)
    return Piecewise(
        title=folder.title,
        arrays=arrays,
        pieces=pieces,
        findings=(note_reading(folder.title, said),) if len(archives) > 1 else (),
    )


def _check_shards(folder: _Folder, pieces: dict[str, tuple[Piece, ...]]) -> None:
    """Refuse files in which arrays differ in rows: totals could agree by chance."""
    for file, *parts in zip(folder.files, *pieces.values(), strict=True):
        counts = {part.array.count_rows for part in parts}
        if len(counts) > 1:
            held = ", ".join(str(part.array) for part in parts)
            message = f"{folder.title}{file} holds {held}: expected as many rows in each."
            raise DatasetError(message, code="OQ127", hint="Axis 0 of every array is rows.")


def _shards_said(folder: _Folder, count: int) -> str:
    files = count_noun(len(folder.files), "file")
    return (
        f"{folder.title} was read as rows along axis 0 of {files}, one after the other in sorted "
        f"order, {count_noun(count, 'row')}."
    )


def _unclear(folder: _Folder, array: RawArray) -> DatasetError:
    wanted = f" for {folder.inputs[0]}" if len(folder.inputs) == 1 else ""
    message = (
        f"{folder.title} can be read in two ways{wanted}: {folder.files[0]} holds "
        f"{array.dtype_name} {list(array.shape)}, which is one row or several."
    )
    hint = (
        "Name files after the model's inputs (x.npy, y.npy) with rows along axis 0, or save one "
        "file:  np.savez('val.npz', x=x, y=labels)"
    )
    if len(folder.inputs) > 1:  # a file of all rows cannot hold rows that differ in shape
        row = ", ".join(f"{spec.name!r}: {spec.name}[i]" for spec in folder.inputs)
        hint = (
            "Save a folder of .npz files, one file a row, all inputs in each:  "
            f"np.savez(f'rows/{{i:05}}.npz', **{{{row}}})"
        )
    return DatasetError(message, code="OQ127", hint=hint)


def _is_known(name: str, folder: _Folder) -> bool:
    known = {spec.name for spec in folder.inputs} | set(folder.request.mapping.values())
    return name in known or name.lower() in LABEL_NAMES


def _is_label(name: str, folder: _Folder) -> bool:
    inputs = {spec.name for spec in folder.inputs}
    mapping = folder.request.mapping
    if "labels" in mapping and "labels" not in inputs:
        return name == mapping["labels"]
    return name.lower() in LABEL_NAMES and name not in inputs | set(mapping.values())


def _input_of(name: str, folder: _Folder) -> str:
    return next((i for i, array in folder.request.mapping.items() if array == name), name)


def _only_input(folder: _Folder) -> tuple[TensorSpec, ...]:
    return folder.inputs if len(folder.inputs) == 1 else ()
