"""Rows are read once, fitted, and appended to the files of the parts that they belong to."""

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.labels import Labels
from onnxq.datasets.npy_files import NpyWriter
from onnxq.datasets.opening import OpenRows, fed_blocks
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
    opened: OpenRows,
    chosen: Indices,
    parts: dict[str, Indices],
    labels: Labels,
    folder: Path,
    advance: Callable[[int], None],
) -> dict[str, StoredPart]:
    """Store rows in one pass over the data.

    Args:
        opened: Where rows come from and how they are fitted.
        chosen: Indices of the rows that are used, ascending.
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
    paths: dict[str, dict[str, str]] = {name: {} for name in parts}
    digests = [b""] * len(chosen)
    for number, fit in enumerate(opened.fits):
        with ExitStack() as stack:
            writers: dict[str, NpyWriter] = {}
            for name, positions in parts.items():
                path = folder / f"{name}-input-{number}.npy"
                shape = (len(positions), *fit.row_shape)
                writers[name] = stack.enter_context(NpyWriter(path, fit.stored_dtype, shape))
                paths[name][fit.wanted.name] = str(path)
            start = 0
            for block in fed_blocks(opened, fit, chosen):
                _distribute(block, start, parts, writers)
                for position, row in enumerate(block, start):
                    digests[position] = _digest(digests[position], row)
                start += len(block)
                advance(len(block))
    names = opened.origin.name_rows(chosen)
    return {
        name: StoredPart(
            _describe(name, positions, paths[name], labels, names, folder),
            tuple(digests[position] for position in positions),
        )
        for name, positions in parts.items()
    }


def _distribute(
    block: Array, start: int, parts: dict[str, Indices], writers: dict[str, NpyWriter]
) -> None:
    for name, positions in parts.items():
        first, last = np.searchsorted(positions, [start, start + len(block)])
        if first < last:
            writers[name].append(block[positions[first:last] - start])


def _digest(before: bytes, row: Array) -> bytes:
    digest = hashlib.blake2b(before, digest_size=_DIGEST_BYTES)
    digest.update(np.ascontiguousarray(row).data)
    return digest.digest()


def _describe(
    name: str,
    positions: Indices,
    inputs: dict[str, str],
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
        inputs=inputs,
        count_rows=len(positions),
        labels=labels_path,
        row_names=str(names_path),
    )
