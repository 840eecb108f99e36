"""Rows are read once, fitted, and appended to the files of the parts that they belong to."""

import hashlib
import json
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from onnxq.arrays import Array
from onnxq.datasets.choosing import ChosenRows
from onnxq.datasets.labels import Labels
from onnxq.datasets.npy_files import NpyWriter
from onnxq.datasets.opening import fed_blocks
from onnxq.datasets.row_arrays import is_ragged
from onnxq.datasets.splitting import Indices
from onnxq.datasets.values import StoredRows

_DIGEST_BYTES = 16


@dataclass(frozen=True)
class StoredPart:
    """A part of the rows, on disk.

    Attributes:
        rows: Its files.
        digests: Of each row over all inputs, to find rows that are in another part too.
    """

    rows: StoredRows
    digests: tuple[bytes, ...]


def store_rows(
    chosen: ChosenRows,
    parts: dict[str, Indices],
    labels: Labels,
    folder: Path,
    advance: Callable[[int], None],
) -> dict[str, StoredPart]:
    """Store rows in one pass over the data.

    Args:
        chosen: Rows that are used, and how they are fitted.
        parts: Positions in ``chosen``, ascending, by name of the part; none is empty.
        labels: Of the chosen rows.
        folder: Where files go.
        advance: Told how many more rows of an input are stored.

    Returns:
        Each part.

    Raises:
        DatasetError: If a row cannot be fed.
        OSError: If the disk is full.
    """
    opened = chosen.opened
    inputs: dict[str, dict[str, _Input]] = {name: {} for name in parts}
    digests = [b""] * len(chosen.indices)
    for number, fit in enumerate(opened.fits):
        with ExitStack() as stack:
            writers: dict[str, NpyWriter] = {}
            ragged = {n for n, at in parts.items() if is_ragged(chosen.shapes[number][at])}
            for name, positions in parts.items():
                path = folder / f"{name}-input-{number}.npy"
                one = _Input(path, fit.stored_dtype, chosen.shapes[number][positions])
                writers[name] = stack.enter_context(one.open())
                inputs[name][fit.wanted.name] = one
            start = 0
            for block in fed_blocks(opened, fit, chosen.indices):
                _distribute(block, start, parts, writers, ragged=ragged)
                for position, row in enumerate(block, start):
                    digests[position] = _digest(digests[position], row)
                start += len(block)
                advance(len(block))
    names = opened.origin.name_rows(chosen.indices)
    whole = tuple(fit.wanted.name for fit in opened.fits if fit.is_whole)
    return {
        name: StoredPart(
            replace(_describe(name, positions, inputs[name], labels, names, folder), whole=whole),
            tuple(digests[position] for position in positions),
        )
        for name, positions in parts.items()
    }


@dataclass(frozen=True, eq=False)
class _Input:
    """The file of one input of a part, and the shapes of its rows."""

    path: Path
    dtype: np.dtype[Any]
    shapes: Indices

    def open(self) -> NpyWriter:
        """Start the file: rows along axis 0, or all values on one axis where rows differ."""
        shape = (len(self.shapes), *self.shapes[0].tolist())
        if is_ragged(self.shapes):
            shape = (int(self.shapes.prod(axis=1, dtype=np.int64).sum()),)
        return NpyWriter(self.path, self.dtype, shape)

    def write_shapes(self) -> str:
        path = self.path.with_name(f"{self.path.stem}-shapes.npy")
        np.save(path, self.shapes, allow_pickle=False)
        return str(path)


def _distribute(
    block: Array,
    start: int,
    parts: dict[str, Indices],
    writers: dict[str, NpyWriter],
    *,
    ragged: Collection[str],
) -> None:
    for name, positions in parts.items():
        first, last = np.searchsorted(positions, [start, start + len(block)])
        if first < last:
            append = writers[name].append_values if name in ragged else writers[name].append
            append(block[positions[first:last] - start])


def _digest(before: bytes, row: Array) -> bytes:
    digest = hashlib.blake2b(before, digest_size=_DIGEST_BYTES)
    digest.update(str(row.shape).encode())  # the same values are another row in another shape
    digest.update(np.ascontiguousarray(row).data)
    return digest.digest()


def _describe(
    name: str,
    positions: Indices,
    inputs: dict[str, _Input],
    labels: Labels,
    names: list[str],
    folder: Path,
) -> StoredRows:
    names_path = folder / f"{name}-rows.json"
    names_path.write_text(json.dumps([names[position] for position in positions]))
    labels_path = ""
    if labels.are_given:
        labels_path = str(folder / f"{name}-labels.npy")
        np.save(labels_path, labels.values[positions], allow_pickle=False)
    return StoredRows(
        inputs={name: str(one.path) for name, one in inputs.items()},
        shapes={name: one.write_shapes() for name, one in inputs.items() if is_ragged(one.shapes)},
        count_rows=len(positions),
        labels=labels_path,
        row_names=str(names_path),
    )
