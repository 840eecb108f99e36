"""Progress where nobody watches: a plain line for each stage that ended, more in long ones."""

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from onnxq.cli.cells import duration
from onnxq.cli.charset import ELLIPSIS, crop, one_line
from onnxq.cli.fitting import GAP
from onnxq.cli.presenting import write_text
from onnxq.cli.screen import Screen, has_width
from onnxq.events import Event, Progressed, StageDone, StageStarted, Tell

_EVERY_SECONDS = 10.0


def plain_listener(
    stream: TextIO, screen: Screen, *, clock: Callable[[], float] = time.monotonic
) -> Tell:
    """Make a listener that writes a line when a stage ended, and every 10 s while one runs.

    Args:
        stream: Where to; a log, mostly.
        screen: What it can show.
        clock: Tells seconds.

    Returns:
        The listener.
    """
    return _Lines(stream, screen, clock).tell


class _Lines:
    """Writes lines; knows when the last one was due."""

    def __init__(self, stream: TextIO, screen: Screen, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._screen = screen
        self._clock = clock
        self._is_narrow = has_width(stream, os.environ)
        self._started = self._told = clock()

    def tell(self, event: Event) -> None:
        """Write what an event says, if it is time to."""
        now = self._clock()
        match event:
            case StageStarted():
                self._started = self._told = now
            case Progressed() if now - self._told >= _EVERY_SECONDS:
                self._told = now
                self._write(progress_line(event, now - self._started))
            case StageDone():
                columns = self._screen.columns if self._is_narrow else sys.maxsize
                self._write(done_line(event, columns, self._screen.ellipsis))

    def _write(self, line: str) -> None:
        write_text(f"{self._screen.spell_line(line)}\n", self._stream)


def progress_line(event: Progressed, seconds: float) -> str:
    """Write how far a stage is after a time: ``calibrate  35%  20.0 s so far``."""
    share = f"{100 * event.done // event.total}%" if event.total > 0 else ""
    return "  ".join(filter(None, (event.stage, share, f"{duration(seconds)} so far")))


def done_line(event: StageDone, columns: int = sys.maxsize, ellipsis: str = ELLIPSIS) -> str:
    """Write what a stage did and how long it took: ``convert  x.keras, opset 17  3.2 s``.

    Args:
        event: What was done.
        columns: Characters of the line; the middle of a long subject is left out.
        ellipsis: One column wide; stands where something was left out.
    """
    took = duration(event.seconds)
    room = max(columns - len(event.stage) - len(took) - 2 * GAP, 1)
    subject = crop(one_line(event.subject), room, ellipsis)
    return (" " * GAP).join(filter(None, (event.stage, subject, took)))
