"""Progress on a terminal: a bar with the time left for the stage that runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from onnxq.cli.charset import crop
from onnxq.cli.plain_progress import done_line
from onnxq.cli.screen import Screen
from onnxq.events import Event, Progressed, StageDone, StageStarted, Tell

_BAR = 24
_BAR_AND_TIMES = len("* ") + _BAR + len(" 0:00:00 -:--:--") + 1
"""Columns beside the description: spinner, bar, time so far, time left."""


@contextmanager
def watch_progress(stream: TextIO, screen: Screen) -> Iterator[Tell]:
    """Show bars while the body runs; the lines of stages that ended stay.

    Args:
        stream: A terminal.
        screen: What it can show.

    Yields:
        A listener for the library's events.
    """
    with make_progress(stream, screen) as progress:
        yield _Bars(progress, screen).tell


def make_progress(stream: TextIO, screen: Screen) -> Progress:
    """Make the display: what runs, a bar, the time so far, the time left."""
    console = Console(
        file=stream,
        width=screen.columns,
        no_color=not screen.color,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )
    spinner = "line" if screen.ascii_only else "dots"
    return Progress(
        SpinnerColumn(spinner),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=_BAR),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


class _Bars:
    """One bar at a time: stages run one after another."""

    def __init__(self, progress: Progress, screen: Screen) -> None:
        self._progress = progress
        self._screen = screen
        self._running: list[TaskID] = []

    def tell(self, event: Event) -> None:
        """Show an event."""
        match event:
            case StageStarted(stage=stage, subject=subject):
                self._clear()
                room = max(self._screen.columns - _BAR_AND_TIMES, 1)
                text = self._screen.spell_line(f"{stage}  {subject}".rstrip())
                text = crop(text, room, self._screen.ellipsis)
                self._running = [self._progress.add_task(text, total=None)]
            case Progressed(done=done, total=total):
                for task in self._running:
                    self._progress.update(task, completed=done, total=total)
            case StageDone():
                self._clear()
                line = done_line(event, self._screen.columns, self._screen.ellipsis)
                self._progress.console.print(Text(self._screen.spell_line(line)))

    def _clear(self) -> None:
        for task in self._running:
            self._progress.remove_task(task)
        self._running = []
