"""Where rows come from: an ``.npz`` file or a folder of images, read through the same functions."""

import difflib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.archives import BLOCK_BYTES, Archive, read_archive
from onnxq.datasets.archives import read_blocks as read_archive_blocks
from onnxq.datasets.arrays import RawArray
from onnxq.datasets.folders import ImageFolder, is_file, read_folder
from onnxq.datasets.geometry import final_size
from onnxq.datasets.splitting import Indices
from onnxq.datasets.values import AsGiven, DataRequest, PreprocessSpec
from onnxq.errors import DatasetError
from onnxq.findings import Finding

Origin: TypeAlias = Archive | ImageFolder

IMAGES = "images"
"""What the only array of a folder is called."""
_MAX_BLOCK_IMAGES = 64
_MAX_READERS = 4


def open_origin(request: DataRequest) -> Origin:
    """Open what the user named as data; headers and names alone are read.

    Args:
        request: What the user asked for.

    Returns:
        Where rows come from.

    Raises:
        DatasetError: OQ127 if it does not exist or is neither kind; what the two kinds raise.
    """
    path = Path(request.spec)
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for a text that is too long
        return read_folder(path, request.classes)
    if not is_file(request.spec):
        raise _missing(path)
    if path.suffix.lower() != ".npz":
        message = f"{path.name} is neither an .npz file nor a folder of images."
        hint = "Save rows as:  np.savez('val.npz', x=x, y=labels)"
        raise DatasetError(message, code="OQ127", hint=hint)
    if request.classes:
        message = f"--classes {request.classes!r} is for folders of images: {path.name} is none."
        hint = "Store the classes in the file as integers:  np.savez('val.npz', x=x, y=labels)"
        raise DatasetError(message, code="OQ125", hint=hint)
    return read_archive(path)


def origin_title(origin: Origin) -> str:
    """Return what messages call an origin."""
    return f"{origin.path.name}/" if isinstance(origin, ImageFolder) else origin.path.name


def origin_arrays(origin: Origin, spec: PreprocessSpec | AsGiven) -> dict[str, RawArray]:
    """Return what can be read, labels in archives included.

    Args:
        origin: Where rows come from.
        spec: Its geometry says how large images from files are.

    Raises:
        DatasetError: If the first image of a folder cannot be read.
        MissingDependencyError: OQ108, if images are read without Pillow.
    """
    if isinstance(origin, Archive):
        return origin.arrays
    from onnxq.datasets.images import read_image_size  # noqa: PLC0415 - needs an extra

    first = origin.path / origin.files[0]
    size = final_size(read_image_size(first), spec, str(first))
    shape = (len(origin.files), *size, 3)
    return {IMAGES: RawArray(IMAGES, np.dtype(np.uint8), shape, images=True)}


def check_images(
    origin: Origin, array: RawArray, indices: Indices, spec: PreprocessSpec | AsGiven
) -> list[Finding]:
    """Check the headers of the image files that will be read.

    Args:
        origin: Where rows come from; an archive has nothing to check.
        array: As :func:`origin_arrays` describes it.
        indices: Of the files.
        spec: Its geometry says how large images are.

    Returns:
        How many files carry a rotation tag, if any does.

    Raises:
        DatasetError: OQ121, if images differ in size; OQ126 and OQ127, if one cannot be used.
    """
    if isinstance(origin, Archive):
        return []
    from onnxq.datasets.images import is_rotated, read_image_size  # noqa: PLC0415 - as above

    rotated = 0
    for index in indices:
        path = origin.path / origin.files[index]
        size = final_size(read_image_size(path), spec, str(path))
        if size != array.row_shape[:2]:
            height, width = array.row_shape[:2]
            message = (
                f"{path} is {size} pixels and {origin.files[0]} is {height}x{width}: expected "
                "rows of one size."
            )
            hint = "Say how they are made equal:  --preprocess imagenet  or  …,resize=240x320"
            raise DatasetError(message, code="OQ121", hint=hint)
        rotated += is_rotated(path)
    if not rotated:
        return []
    message = (
        f"{rotated} of {len(indices)} image files carry a rotation tag, which was not applied, "
        "because training loaders do not apply it."
    )
    fix = "If the model was trained on upright images, turn the files upright."
    return [Finding(code="OQ132", subject=origin_title(origin), message=message, fix=fix)]


def read_blocks(
    origin: Origin, array: RawArray, indices: Indices, spec: PreprocessSpec | AsGiven
) -> Iterator[Array]:
    """Read rows in blocks.

    Args:
        origin: Where rows come from.
        array: Which of its arrays.
        indices: Of the rows, ascending.
        spec: Its geometry is applied to image files; to nothing else here.

    Yields:
        Rows in order, a few megabytes at a time.
    """
    if isinstance(origin, Archive):
        yield from read_archive_blocks(origin, array.name, indices)
        return
    from onnxq.datasets.images import read_image  # noqa: PLC0415 - needs an extra

    paths = [origin.path / origin.files[index] for index in indices]
    row_bytes = max(1, int(np.prod(array.row_shape)))
    block_rows = max(1, min(_MAX_BLOCK_IMAGES, BLOCK_BYTES // row_bytes))
    # Pillow decodes and resizes outside the interpreter's lock.
    with ThreadPoolExecutor(min(_MAX_READERS, os.cpu_count() or 1)) as pool:
        for start in range(0, len(paths), block_rows):
            block = paths[start : start + block_rows]
            yield np.stack(list(pool.map(partial(read_image, spec=spec), block)))


def row_names(origin: Origin, indices: Indices) -> list[str]:
    """Return what each row is called: the path of an image below its folder, or the index."""
    if isinstance(origin, ImageFolder):
        return [origin.files[index] for index in indices]
    return [str(index) for index in indices]


def _missing(path: Path) -> DatasetError:
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, n=1)
    guess = f" Did you mean {path.parent / near[0]}?" if near else ""
    message = f"the data {path} does not exist.{guess}"
    hint = "Name an .npz file or a folder of images:  --data val.npz"
    return DatasetError(message, code="OQ127", hint=hint)
