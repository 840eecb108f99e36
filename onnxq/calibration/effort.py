"""What a piece of work took, memory beyond what its process took before, and how long it will."""

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import psutil

from onnxq.profiling.turns import peak_bytes

_SAMPLE_S = 0.005

_M_MMAP_THRESHOLD = -3  # malloc.h of glibc
_LARGE_BLOCK_BYTES = 1 << 20

TIMED_PARTS = 8
"""Parts that are timed for a forecast."""


def resident_bytes() -> int:
    """Return the resident size of this process."""
    return int(psutil.Process().memory_info().rss)


def return_large_blocks() -> None:
    """Make the C library hand blocks of a mebibyte and more back as soon as they are freed (glibc).

    Else it raises that limit up to 32 MiB with what is freed, and keeps the weights of a model
    that was just loaded, in a heap with gaps: the peak is a fifth higher, and another each time.
    It holds for the rest of the process.
    """
    _call_glibc("mallopt", _M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)


def give_back_memory() -> None:
    """Hand memory that was freed back to the system, where the C library keeps it (glibc).

    onnxruntime frees as much while it loads a model as the model weighs, and more; kept, it would
    look as if it were used.
    """
    _call_glibc("malloc_trim", 0)


def _call_glibc(name: str, *arguments: int) -> None:
    """Call a function of the C library, if that has it."""
    if sys.platform == "linux":
        function = getattr(ctypes.CDLL(None), name, None)
        if function is not None:
            function(*arguments)


@dataclass(frozen=True)
class Effort:
    """What some work took.

    Attributes:
        peak_bytes: Most memory beyond the base.
        seconds: Wall time.
        cpu_seconds: CPU time of all threads.
    """

    peak_bytes: int
    seconds: float
    cpu_seconds: float


ReadEffort: TypeAlias = Callable[[], Effort]
"""Tells what was taken until now."""


@contextmanager
def watch_effort(base_bytes: int) -> Iterator[ReadEffort]:
    """Measure what a body takes.

    The resident size is looked at two hundred times a second; and where the body raises its
    high-water mark, that is it, which misses nothing.

    Args:
        base_bytes: Resident size beyond which memory is counted.

    Yields:
        A function that tells what was taken since, to be called in the body.
    """
    mark, wall, cpu = peak_bytes(), time.perf_counter(), time.process_time()
    with _sampled(resident_bytes) as most:

        def read() -> Effort:
            reached = peak_bytes()
            seen = max(most(), resident_bytes())
            return Effort(
                peak_bytes=max(0, (max(seen, reached) if reached > mark else seen) - base_bytes),
                seconds=time.perf_counter() - wall,
                cpu_seconds=time.process_time() - cpu,
            )

        yield read


@contextmanager
def _sampled(read: Callable[[], int]) -> Iterator[Callable[[], int]]:
    """Look at a figure from a thread of its own; yields a function that returns the most seen."""
    stop = threading.Event()
    most = read()

    def look() -> None:
        nonlocal most
        while not stop.wait(_SAMPLE_S):
            most = max(most, read())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield lambda: most
    finally:
        stop.set()
        watcher.join()


class Forecast:
    """Tells how long work will take once its first parts are done.

    Args:
        total: Parts in all.
        warm_up: Parts that are not timed: whatever is done once is done in them.

    Attributes:
        total: Parts in all.
        predicted_seconds: From the start to the end; 0 before anything can be told.
        part_seconds: Of one part; 0 before anything can be told.
        opening_seconds: What the first parts took beyond that; likewise.
    """

    def __init__(self, total: int, *, warm_up: int) -> None:
        self.total = total
        self.predicted_seconds = 0.0
        self.part_seconds = 0.0
        self.opening_seconds = 0.0
        self._start = time.perf_counter()
        self._warm_up = warm_up
        self._fresh = 0
        self._timed_from = 0.0

    def see(self) -> None:
        """Take down that one more part is done."""
        now = time.perf_counter()
        self._fresh += 1
        if self._fresh == self._warm_up:
            self._timed_from = now
        elif self._fresh == self._warm_up + TIMED_PARTS:
            self.part_seconds = (now - self._timed_from) / TIMED_PARTS
            first = self._timed_from - self._start
            self.opening_seconds = max(0.0, first - self._warm_up * self.part_seconds)
            self.predicted_seconds = (
                now - self._start + self.part_seconds * (self.total - self._fresh)
            )
