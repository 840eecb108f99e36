"""Files that are found again by their key: whole or not at all, and never too many of them.

::

    folder/calibration/<key>/statistics                  replaced in one step
    folder/calibration/<key>/statistics.<pid>.<x>.part   being written; left behind by a kill only

Processes may share the folder: the last whole file wins, and who finds its own gone merely
calibrates again.
"""

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from onnxq.calibration.statistics_files import MAX_FILE_BYTES

MAX_ENTRIES: Final = 256
MAX_BYTES: Final = 10**9

_FOLDER: Final = "calibration"
_FILE: Final = "statistics"
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_PART: Final = re.compile(rf"{_FILE}\.(\d{{1,9}})\..*\.part", re.ASCII)
_STALE_SECONDS: Final = 3600.0
"""A process of this id may be another one by now; nobody writes a file for so long."""


@dataclass(frozen=True)
class Entry:
    """A place in the cache.

    Attributes:
        folder: The cache.
        key: 64 hexadecimal digits that say what the file is of.
    """

    folder: Path
    key: str

    @property
    def path(self) -> Path:
        """The file, which need not exist."""
        return self.folder / _FOLDER / self.key / _FILE


def load_entry(entry: Entry) -> bytes:
    """Load an entry's file, and remember that it was used.

    Args:
        entry: Which.

    Returns:
        Its bytes; none where there is no such file.

    Raises:
        OSError: If it cannot be read, or is too large to be read whole.
    """
    try:
        size = entry.path.stat().st_size
        if size > MAX_FILE_BYTES:
            message = f"{entry.path} has {size} bytes"
            raise OSError(message)
        data = entry.path.read_bytes()
    except FileNotFoundError:
        return b""
    with contextlib.suppress(OSError):  # somebody else's file, or gone
        os.utime(entry.path)
    return data


def write_entry(entry: Entry, data: bytes) -> None:
    """Replace an entry's file in one step; a reader sees the old one or the new one.

    Args:
        entry: Which.
        data: All of it.

    Raises:
        OSError: If it cannot be written; the old one is there still.
    """
    try:
        _write(entry.path, data)
    except FileNotFoundError:  # another process has just cleared the folder away
        _write(entry.path, data)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{path.name}.{os.getpid()}."
    descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(data)
            file.flush()
            # Else the name could outlive a loss of power, and what it names could not.
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def remove_entry(entry: Entry) -> None:
    """Remove an entry, if it can be removed."""
    _remove(entry.path.parent)


def remove_stale_parts(entry: Entry) -> None:
    """Remove what writers left behind that were killed."""
    with contextlib.suppress(OSError):  # no such entry, or not ours to clean
        for path in entry.path.parent.iterdir():
            if _is_stale(path):
                path.unlink()


def _is_stale(path: Path) -> bool:
    match = _PART.fullmatch(path.name)
    if match is None:
        return False
    is_old = time.time() - path.stat().st_mtime > _STALE_SECONDS
    return is_old or not psutil.pid_exists(int(match[1]))


def prune_entries(
    kept: Entry, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES
) -> None:
    """Remove the entries that were not used for longest, until the rest is within its bounds.

    Args:
        kept: An entry that stays, whatever its size.
        max_entries: Most entries.
        max_bytes: Most bytes of all files.
    """
    used = sorted(_used(kept.folder), key=lambda one: one.seconds, reverse=True)
    used.sort(key=lambda one: one.folder.name != kept.key)
    total_bytes = 0
    for number, one in enumerate(used):
        total_bytes += one.size_bytes
        if one.folder.name != kept.key and (number >= max_entries or total_bytes > max_bytes):
            _remove(one.folder)


@dataclass(frozen=True)
class _Used:
    folder: Path
    size_bytes: int
    seconds: float


def _used(folder: Path) -> Iterator[_Used]:
    with contextlib.suppress(OSError):  # no cache yet
        for one in (folder / _FOLDER).iterdir():
            if not _KEY.fullmatch(one.name):
                continue
            with contextlib.suppress(OSError):  # gone by now
                parts = [path.stat() for path in one.iterdir()]
                newest = max((part.st_mtime for part in parts), default=one.stat().st_mtime)
                yield _Used(one, sum(part.st_size for part in parts), newest)


def _remove(folder: Path) -> None:
    """Remove an entry's folder, but nothing in it that we did not write."""
    with contextlib.suppress(OSError):  # not ours to remove, or being written by another process
        for path in folder.iterdir():
            if path.name == _FILE or _is_stale(path):
                path.unlink(missing_ok=True)
        folder.rmdir()
