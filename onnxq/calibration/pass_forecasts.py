"""Several passes over rows: in which order they run, so that how long all take is known early.

A pass over the inputs alone takes next to nothing, and the last one runs the whole model: the
first tells nothing about the others. So each is begun, with as many runs as a forecast needs,
before the first goes on; what that costs is to load the model once more for each.
"""

import time
from collections.abc import Iterator, Sequence

from onnxq.calibration.effort import TIMED_PARTS, Forecast


def cut_stints(
    missing: Sequence[Sequence[int]], threads: int
) -> Iterator[tuple[int, Sequence[int]]]:
    """Cut passes over runs into stints.

    Args:
        missing: The runs of each pass.
        threads: Runs at the same time.

    Yields:
        A pass's index, and some of its runs, never none: of one pass all; of several first those
        that a forecast needs, of each, then the rest, of each.
    """
    first = threads + TIMED_PARTS if len(missing) > 1 else max(map(len, missing), default=0)
    for part in (slice(first), slice(first, None)):
        yield from ((index, runs[part]) for index, runs in enumerate(missing) if runs[part])


class PassForecasts:
    """A forecast for each pass, and for all together.

    Args:
        parts: Runs of each pass.
        threads: Runs at the same time.
    """

    def __init__(self, parts: Sequence[int], threads: int) -> None:
        self._parts = parts
        self._threads = threads
        self._begun: dict[int, Forecast] = {}
        self._start = time.perf_counter()

    def begin(self, index: int) -> Forecast:
        """Return the forecast of a pass; it starts with the first call."""
        if index not in self._begun:
            self._begun[index] = Forecast(self._parts[index], warm_up=self._threads)
        return self._begun[index]

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.perf_counter() - self._start

    @property
    def predicted_seconds(self) -> float:
        """Wall time of all passes; 0 where one of them has too few runs to tell."""
        again = self.opening_seconds if len(self._begun) > 1 else 0.0
        return sum(one.predicted_seconds for one in self._timed) + again

    @property
    def run_seconds(self) -> float:
        """Wall time of a run through all passes, all threads together; likewise."""
        return sum(one.part_seconds for one in self._timed)

    @property
    def opening_seconds(self) -> float:
        """Wall time of loading the model once for each pass; likewise."""
        return sum(one.opening_seconds for one in self._timed)

    @property
    def _timed(self) -> list[Forecast]:
        found = list(self._begun.values())
        return found if all(one.predicted_seconds for one in found) else []
