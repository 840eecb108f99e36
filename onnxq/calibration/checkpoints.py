"""When to keep what is known so far: often enough to lose little, seldom enough to cost little."""

import time
from collections.abc import Callable
from typing import Final

from onnxq.calibration.cache import Statistics

LEAST_SECONDS: Final = 2.0
"""Between two checkpoints: about what a kill costs."""

MOST_SHARE: Final = 0.02
"""Of the time that checkpoints may take."""


class Checkpoints:
    """Keeps statistics from time to time; cheap to be called after every run, from one thread.

    Args:
        keep: Keeps statistics, such as :meth:`onnxq.calibration.cache.StatisticsCache.keep`.
        clock: Seconds, from any origin, always forward.
    """

    def __init__(
        self,
        keep: Callable[[Statistics], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keep = keep
        self._clock = clock
        self._due = clock() + LEAST_SECONDS

    def __call__(self, snapshot: Callable[[], Statistics]) -> None:
        """Keep what is known, if it is time.

        Args:
            snapshot: Returns what is known; called only if it is time.
        """
        begun = self._clock()
        if begun < self._due:
            return
        self._keep(snapshot())
        ended = self._clock()
        self._due = ended + max(LEAST_SECONDS, (ended - begun) / MOST_SHARE)
