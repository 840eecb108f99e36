"""Folders in which every file is a row: images, ``.npy``, or an ``.npz`` of rows."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.archives import BLOCK_BYTES, read_archive, read_member
from onnxq.datasets.arrays import RawArray
from onnxq.datasets.folders import RowFolder
from onnxq.datasets.geometry import final_size
from onnxq.datasets.npy_arrays import open_npy, read_npy
from onnxq.datasets.origins import Origin
from onnxq.datasets.row_arrays import equal_stretches
from onnxq.datasets.splitting import Indices
from onnxq.datasets.values import AsGiven, PreprocessSpec
from onnxq.errors import DatasetError
from onnxq.findings import Finding

IMAGES = "images"
"""What the only array of a folder of images is called."""
LABELS = "labels"
"""What the labels are called where files have none of their own."""
_MAX_BLOCK_FILES = 64
_MAX_READERS = 4


@dataclass(frozen=True, kw_only=True)
class RowFiles(Origin):
    """Files that hold one row of each array.

    Attributes:
        folder: The files, and their classes.
    """

    folder: RowFolder

    def read_blocks(self, array: RawArray, indices: Indices) -> Iterator[Array]:
        """Read rows; see :class:`~onnxq.datasets.origins.Origin`."""
        if array.name == LABELS and self.folder.labels:
            yield np.array(self.folder.labels, np.int64)[indices]
            return
        shapes = self.shapes_of(array, indices)
        read = partial(self.read_row, array)
        # Pillow decodes and resizes outside the interpreter's lock.
        with ThreadPoolExecutor(min(_MAX_READERS, os.cpu_count() or 1)) as pool:
            for start, stop in equal_stretches(shapes):
                row_bytes = array.dtype.itemsize * int(np.prod(shapes[start]))
                step = max(1, min(_MAX_BLOCK_FILES, BLOCK_BYTES // max(1, row_bytes)))
                for first in range(start, stop, step):
                    block = map(self.path, indices[first : min(first + step, stop)])
                    yield np.stack(list(pool.map(read, block)))

    def shapes_of(self, array: RawArray, indices: Indices) -> Indices:
        """Return the shape of rows; see :class:`~onnxq.datasets.origins.Origin`."""
        if array.name == LABELS and self.folder.labels:
            return super().shapes_of(array, indices)
        shapes = [self.read_shape(array, path) for path in map(self.path, indices)]
        odd = next((at for at, one in enumerate(shapes) if len(one) != len(array.row_shape)), -1)
        if odd >= 0:
            raise self._of_another_form(array, self.path(indices[odd]), array.dtype, shapes[odd])
        return np.array(shapes, np.int64).reshape(len(shapes), -1)

    def read_shape(self, array: RawArray, path: Path) -> tuple[int, ...]:
        """Read the shape of a file's row from its header.

        Raises:
            DatasetError: OQ127, if the file cannot be read.
        """
        if path.suffix.lower() == ".npy":
            return read_npy(path).array.shape
        found = read_archive(path).arrays
        return found[array.name].shape if array.name in found else array.row_shape

    def read_row(self, array: RawArray, path: Path) -> Array:
        """Read the one row of a file.

        Raises:
            DatasetError: OQ127, if the file cannot be read, or its row is of another form.
        """
        if path.suffix.lower() == ".npy":
            row = np.asarray(open_npy(read_npy(path)))
        else:
            row = read_member(read_archive(path), array.name)
        if row.dtype != array.dtype:
            raise self._of_another_form(array, path, row.dtype, row.shape)
        return row

    def _of_another_form(
        self, array: RawArray, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> DatasetError:
        message = (
            f"{path} holds {dtype} {list(shape)} and {self.folder.files[0]} {array.dtype} "
            f"{list(array.row_shape)}: expected rows of one form."
        )
        hint = "Save all rows with one dtype and as many axes."
        return DatasetError(message, code="OQ121", hint=hint)

    def path(self, index: int) -> Path:
        """Return the path of a row's file."""
        return self.folder.path / self.folder.files[index]

    def name_rows(self, indices: Indices) -> list[str]:
        """Return the path of each row's file, below the folder."""
        return [self.folder.files[index] for index in indices]


@dataclass(frozen=True, kw_only=True)
class Images(RowFiles):
    """Image files.

    Attributes:
        spec: Its geometry is applied while they are read.
    """

    spec: PreprocessSpec | AsGiven

    def read_row(self, array: RawArray, path: Path) -> Array:  # noqa: ARG002 - there is one array
        """Read, resize and crop one image."""
        from onnxq.datasets.images import read_image  # noqa: PLC0415 - needs an extra

        return read_image(path, self.spec)

    def read_shape(self, array: RawArray, path: Path) -> tuple[int, ...]:
        """Tell from an image's header what it is after resizing and cropping.

        Raises:
            DatasetError: OQ126, if it is smaller than the crop; OQ127, if it is no image.
        """
        from onnxq.datasets.images import read_image_size  # noqa: PLC0415 - as above

        return (*final_size(read_image_size(path), self.spec, str(path)), array.row_shape[-1])

    def check_rows(self, indices: Indices) -> list[Finding]:
        """Look for rotation tags in the headers of the files that will be read.

        Args:
            indices: Of the files.

        Returns:
            How many files carry a rotation tag, if any does.

        Raises:
            DatasetError: OQ127, if one is no image.
        """
        from onnxq.datasets.images import is_rotated  # noqa: PLC0415 - as above

        rotated = sum(is_rotated(path) for path in map(self.path, indices))
        return [_rotated(rotated, len(indices), self.title)] if rotated else []


def open_images(folder: RowFolder, spec: PreprocessSpec | AsGiven) -> Images:
    """Open a folder of images; the header of the first one alone is read.

    Raises:
        DatasetError: If the first image cannot be read, or is smaller than the crop.
        MissingDependencyError: OQ108, without Pillow.
    """
    from onnxq.datasets.images import read_image_size  # noqa: PLC0415 - needs an extra

    first = folder.path / folder.files[0]
    size = final_size(read_image_size(first), spec, str(first))
    shape = (len(folder.files), *size, 3)
    arrays = {IMAGES: RawArray(IMAGES, np.dtype(np.uint8), shape, images=True)}
    return Images(
        title=f"{folder.path.name}/",
        arrays=arrays | folder_labels(folder),
        class_names=folder.class_names,
        folder=folder,
        spec=spec,
    )


def folder_labels(folder: RowFolder) -> dict[str, RawArray]:
    """Describe the labels that a folder's classes are; empty where it has none."""
    if not folder.labels:
        return {}
    return {LABELS: RawArray(LABELS, np.dtype(np.int64), (len(folder.labels),))}


def _rotated(rotated: int, count: int, title: str) -> Finding:
    message = (
        f"{rotated} of {count} image files carry a rotation tag, which was not applied, "
        "because training loaders do not apply it."
    )
    fix = "If the model was trained on upright images, turn the files upright."
    return Finding(code="OQ132", subject=title, message=message, fix=fix)
