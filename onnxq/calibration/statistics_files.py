r"""Statistics in a file: what shards, checkpoints and the cache are made of.

::

    "onnxq statistics 1\n"       19 bytes: what it is, and in which form
    SHA-256 of the rest         32 bytes: damage is noticed before anything is believed
    MessagePack                 identity, names of runs, and a blob for each tensor, by name

The same statistics are the same bytes, in however many parts and in whatever order they were
collected. Nothing is executed on reading, and lengths are checked before memory is taken: a file
may come from another machine.
"""

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from onnxq.calibration.collected_statistics import CollectedStatistics, StatisticsIdentity
from onnxq.calibration.tensor_blobs import (
    DamagedBlobError,
    blob_name,
    decode_tensor,
    encode_tensor,
)
from onnxq.errors import DatasetError

MAGIC: Final = b"onnxq statistics 1\n"
MAX_FILE_BYTES: Final = 1 << 31
MAX_TENSORS: Final = 1 << 14
"""Each takes 512 KiB once it is read; a file of a few bytes must not ask for many."""

MAX_RUNS: Final = 1 << 27

_FAMILY: Final = b"onnxq statistics "
_DIGEST_BYTES: Final = 32


class _Content(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    identity: StatisticsIdentity
    row_names: tuple[str, ...]
    given_rows: int
    dropped_rows: int
    tensors: tuple[bytes, ...]


_DECODER: Final = msgspec.msgpack.Decoder(_Content)


def encode_statistics(collected: CollectedStatistics) -> bytes:
    """Encode statistics.

    Args:
        collected: Any.

    Returns:
        The same bytes for the same statistics, on every machine.
    """
    content = _Content(
        collected.identity,
        collected.row_names,
        collected.given_rows,
        collected.dropped_rows,
        tuple(encode_tensor(name, one) for name, one in sorted(collected.tensors.items())),
    )
    return _sealed(content)


def decode_statistics(data: bytes, *, origin: str) -> CollectedStatistics:
    """Decode statistics, and check that rows could have given them.

    Args:
        data: As :func:`encode_statistics` encodes them, or anything.
        origin: Where they come from, for messages.

    Returns:
        The statistics; 512 KiB and 17 bytes a run for each tensor.

    Raises:
        DatasetError: OQ146 if they are damaged, something else, or of a newer onnxq.
    """
    try:
        content = _opened(data)
        return CollectedStatistics(
            identity=content.identity,
            row_names=content.row_names,
            given_rows=content.given_rows,
            dropped_rows=content.dropped_rows,
            tensors=dict(decode_tensor(blob, content.identity.runs) for blob in content.tensors),
        )
    except ValueError as error:
        raise _damaged(origin, str(error)) from error


def write_statistics_file(path: Path, collected: CollectedStatistics) -> None:
    """Write statistics to a file.

    Args:
        path: The file; one that is there is replaced.
        collected: Any.

    Raises:
        OSError: If it cannot be written.
    """
    path.write_bytes(encode_statistics(collected))


def read_statistics_file(path: Path) -> CollectedStatistics:
    """Read statistics from a file.

    Args:
        path: A file that :func:`write_statistics_file` wrote, or any.

    Returns:
        The statistics.

    Raises:
        DatasetError: OQ127 if it cannot be read; OQ146 as :func:`decode_statistics`.
    """
    return decode_statistics(load_statistics_bytes(path), origin=str(path))


def load_statistics_bytes(path: Path) -> bytes:
    """Load a file that may be one of statistics.

    Raises:
        DatasetError: OQ127 if it cannot be read; OQ146 if it is too large to be one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(len(MAGIC))
            # Not read whole before it says what it is: it may be somebody's data set.
            if data == MAGIC:
                data += file.read(MAX_FILE_BYTES)
    except OSError as error:
        message = f"the statistics in {path} cannot be read: {error.strerror or error}."
        hint = "Give the path of a .statistics file that onnxq calibrate wrote."
        raise DatasetError(message, code="OQ127", hint=hint) from error
    if len(data) >= MAX_FILE_BYTES:
        raise _damaged(str(path), f"it has more than {MAX_FILE_BYTES} bytes")
    return data


def encode_blobs(identity: StatisticsIdentity, blobs: Mapping[str, bytes]) -> bytes:
    """Encode tensors that are encoded already, without names of runs.

    Args:
        identity: What they are of.
        blobs: :func:`~onnxq.calibration.tensor_blobs.encode_tensor` of each tensor, by name.

    Returns:
        Bytes that :func:`decode_blobs` decodes.
    """
    return _sealed(_Content(identity, (), 0, 0, tuple(blobs[name] for name in sorted(blobs))))


def decode_blobs(data: bytes, *, origin: str) -> tuple[StatisticsIdentity, dict[str, bytes]]:
    """Decode what :func:`encode_blobs` encodes, but not the tensors themselves.

    Args:
        data: Such bytes, or anything.
        origin: Where they come from, for messages.

    Returns:
        What they are of, and the tensors.

    Raises:
        DatasetError: OQ146 if they are damaged, something else, or of a newer onnxq.
    """
    try:
        content = _opened(data, names=0)
        return content.identity, {blob_name(blob): blob for blob in content.tensors}
    except ValueError as error:
        raise _damaged(origin, str(error)) from error


def _sealed(content: _Content) -> bytes:
    payload = msgspec.msgpack.encode(content)
    return b"".join((MAGIC, hashlib.sha256(payload).digest(), payload))


def _opened(data: bytes, *, names: int = -1) -> _Content:
    """Decode and check; ``names`` is how many names of runs there must be, -1: one of each."""
    if not data.startswith(MAGIC):
        is_ours = data.startswith(_FAMILY)
        message = "a newer onnxq wrote it" if is_ours else "it does not begin as statistics do"
        raise DamagedBlobError(message)
    start = len(MAGIC) + _DIGEST_BYTES
    payload = memoryview(data)[start:]
    if hashlib.sha256(payload).digest() != data[len(MAGIC) : start]:
        message = "its checksum is wrong"
        raise DamagedBlobError(message)
    try:
        content = _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedBlobError(str(error)) from error
    _check_content(content, content.identity.runs if names < 0 else names)
    return content


def _check_content(content: _Content, names: int) -> None:
    identity = content.identity
    if not 0 < identity.runs <= MAX_RUNS or identity.batch_rows < 1 or identity.stride < 1:
        message = "its runs are wrong"
    elif not 0 <= content.dropped_rows <= content.given_rows <= MAX_RUNS * identity.batch_rows:
        message = "its rows are wrong"
    elif len(content.row_names) != names:
        message = "names of runs are missing"
    elif len(content.tensors) > MAX_TENSORS:
        message = f"it has more than {MAX_TENSORS} tensors"
    elif not _is_ascending([blob_name(blob) for blob in content.tensors]):
        message = "its tensors are out of order"
    else:
        return
    raise DamagedBlobError(message)


def _is_ascending(names: list[str]) -> bool:
    return all(one < following for one, following in pairwise(names))


def _damaged(origin: str, what: str) -> DatasetError:
    message = f"{origin} holds no statistics that onnxq can read: {what}."
    hint = "Calibrate again: onnxq calibrate MODEL --calib DATA. Was it cut short while copying?"
    return DatasetError(message, code="OQ146", hint=hint)
