"""The cache of calibrations: what was collected is found again by what it was collected from.

An entry's key is the digest of all that decides its numbers. So nothing in it ever goes out of
date, and a checkpoint is simply an entry whose tensors have not seen all runs yet::

    with open_cache(folder, identity) as cache:
        start = cache.load(tensors)                      # nothing, some runs, or all of them
        checkpoints = Checkpoints(cache.keep)
        collected = collect_statistics(..., start=start, keep=checkpoints)
        cache.keep(collected.statistics)

A cache that cannot be read or written costs time and is told; it fails no calibration.
"""

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import numpy as np

from onnxq.calibration.cache_entries import (
    Entry,
    load_entry,
    prune_entries,
    remove_entry,
    remove_stale_parts,
    write_entry,
)
from onnxq.calibration.collected_statistics import StatisticsIdentity
from onnxq.calibration.statistics import Flags, TensorStatistics
from onnxq.calibration.statistics_files import MAGIC, decode_blobs, encode_blobs
from onnxq.calibration.tensor_blobs import DamagedBlobError, decode_tensor, encode_tensor
from onnxq.errors import DatasetError
from onnxq.findings import Finding

Statistics: TypeAlias = Mapping[str, TensorStatistics]
"""By tensor name."""

_CPUINFO: Final = Path("/proc/cpuinfo")
_FLAGS: Final = ("flags", "Features")


class StatisticsCache:
    """What is known of one calibration; made by :func:`open_cache`.

    Args:
        entry: Where it is kept.
        identity: What it is of.
    """

    def __init__(self, entry: Entry, identity: StatisticsIdentity) -> None:
        self._entry = entry
        self._identity = identity
        self._blobs: dict[str, bytes] = {}
        self._findings: dict[str, Finding] = {}
        self._has_written = False

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What went wrong so far: OQ148, each kind once."""
        return tuple(self._findings.values())

    @property
    def has_written(self) -> bool:
        """Whether the cache has grown."""
        return self._has_written

    def load(self, tensors: Sequence[str]) -> dict[str, TensorStatistics]:
        """Load what is known.

        Args:
            tensors: Names of those that matter. The entry may know others, which it keeps.

        Returns:
            Statistics of those that are known, of some runs or all. It is what a calibration of
            just these tensors would have found: one that lacks a run because another tensor,
            which does not matter here, is not finite on it, is not returned.
        """
        try:
            self._blobs = self._read()
            wanted = frozenset(tensors)
            known = {
                name: decode_tensor(blob, self._identity.runs)[1]
                for name, blob in self._blobs.items()
                if name in wanted
            }
            return _drop_reduced(known, self._others_unsound(known))
        except DatasetError as error:
            self._forget(error.message)
        except DamagedBlobError as error:
            self._forget(f"{self._entry.path} is damaged: {error}.")
        except OSError as error:
            message = f"The cache cannot be read: {error.strerror or error}."
            self._note("read", message, "Name another folder: --cache-dir DIR, or --no-cache.")
        return {}

    def keep(self, statistics: Statistics) -> None:
        """Keep what is known by now, a checkpoint or all; it replaces what was kept before.

        Args:
            statistics: By tensor; each is encoded and let go before the next one is asked for,
                and none is once the cache could not be written.
        """
        if "write" in self._findings:
            return
        blobs = self._blobs | {name: encode_tensor(name, one) for name, one in statistics.items()}
        if blobs == self._blobs:  # a hit
            return
        self._blobs = blobs
        try:
            write_entry(self._entry, encode_blobs(self._identity, self._blobs))
            self._has_written = True
        except OSError as error:
            message = (
                f"Statistics are not kept: {self._entry.folder} cannot be written "
                f"({error.strerror or error})."
            )
            self._note("write", message, "Name another folder: --cache-dir DIR, or --no-cache.")

    def _read(self) -> dict[str, bytes]:
        data = load_entry(self._entry)
        if not data:
            return {}
        identity, blobs = decode_blobs(data, origin=str(self._entry.path))
        if identity != self._identity:
            message = "it is of another calibration"
            raise DamagedBlobError(message)
        return blobs

    def _others_unsound(self, known: Mapping[str, TensorStatistics]) -> Flags:
        """Return the runs on which tensors that do not matter here are not finite."""
        unsound = np.zeros(self._identity.runs, np.bool_)
        for name, blob in self._blobs.items():
            if name not in known:
                unsound |= decode_tensor(blob, self._identity.runs)[1].row_non_finite > 0
        return unsound

    def _forget(self, what: str) -> None:
        self._blobs = {}
        remove_entry(self._entry)
        self._note("damage", f"An entry of the cache was removed: {what}", "")

    def _note(self, kind: str, message: str, fix: str) -> None:
        self._findings.setdefault(
            kind, Finding(code="OQ148", subject="calibration cache", message=message, fix=fix)
        )


class NoCache:
    """Knows nothing and keeps nothing."""

    findings: tuple[Finding, ...] = ()

    def load(self, tensors: Sequence[str]) -> dict[str, TensorStatistics]:  # noqa: ARG002 - as above
        """Know nothing."""
        return {}

    def keep(self, statistics: Statistics) -> None:
        """Keep nothing."""


Cache: TypeAlias = StatisticsCache | NoCache


@contextmanager
def open_cache(folder: str, identity: StatisticsIdentity, *, part: str = "") -> Iterator[Cache]:
    """Open the cache at what a calibration is of.

    Args:
        folder: The cache; it is made where there is something to keep. Empty: none is kept.
        identity: What the statistics are of.
        part: Tells apart statistics that must not be mixed although the identity is the same:
            those of the shards of a calibration, ``2/4``, whose files must not overlap.

    Yields:
        The cache. Afterwards the entries that were not used for longest are removed, if there
        are too many; never this one.
    """
    if not folder:
        yield NoCache()
        return
    entry = Entry(Path(folder), _key(identity, part))
    remove_stale_parts(entry)
    cache = StatisticsCache(entry, identity)
    yield cache
    if cache.has_written:
        prune_entries(entry)


def _drop_reduced(
    known: dict[str, TensorStatistics], others_unsound: Flags
) -> dict[str, TensorStatistics]:
    """Leave out the tensors that lack runs which none of them asks to be left out."""
    own = np.zeros(len(others_unsound), np.bool_)
    for one in known.values():
        own |= one.row_non_finite > 0
    strangers = others_unsound & ~own
    return {
        name: one
        for name, one in known.items()
        if not (strangers & one.row_seen & ~one.row_folded).any()
    }


def _key(identity: StatisticsIdentity, part: str) -> str:
    """Digest what decides the numbers; the instruction set does, for it chooses the kernels.

    It is no part of the identity: shards of one calibration may come from different machines.
    """
    parts = (MAGIC.decode(), part, platform.machine(), _instruction_sets())
    return hashlib.sha256(msgspec.json.encode((*parts, identity))).hexdigest()


def _instruction_sets() -> str:
    """Return what this CPU can do, in the words of the system; empty where it does not tell."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(_FLAGS)), "")
