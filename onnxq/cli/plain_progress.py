"""Progress where nobody watches: one plain line for each stage that ended."""

from typing import TextIO

from onnxq.cli.cells import duration
from onnxq.cli.presenting import write_text
from onnxq.cli.screen import Screen
from onnxq.events import Event, StageDone, Tell


def plain_listener(stream: TextIO, screen: Screen) -> Tell:
    """Make a listener that writes a line when a stage ended.

    Args:
        stream: Where to; a log, mostly.
        screen: What it can show.

    Returns:
        The listener.
    """

    def tell(event: Event) -> None:
        if isinstance(event, StageDone):
            write_text(f"{screen.spell_line(done_line(event))}\n", stream)

    return tell


def done_line(event: StageDone) -> str:
    """Write what a stage did and how long it took: ``convert  x.keras, opset 17  3.2 s``."""
    return "  ".join(filter(None, (event.stage, event.subject, duration(event.seconds))))
