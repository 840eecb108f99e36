"""Who listens while stages run: a bar on a terminal, lines in a log, or nobody."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from onnxq.cli.plain_progress import plain_listener
from onnxq.cli.presenting import Presentation
from onnxq.events import Tell, tell_nobody


@contextmanager
def listening(presentation: Presentation) -> Iterator[Tell]:
    """Listen for as long as the body runs; everything goes to stderr.

    Args:
        presentation: Says whether progress is shown.

    Yields:
        The listener.
    """
    screen = presentation.screen(sys.stderr)
    if not presentation.shows_progress:
        yield tell_nobody
    elif sys.stderr.isatty():
        from onnxq.cli.progress import watch_progress  # noqa: PLC0415 - rich, for terminals alone

        with watch_progress(sys.stderr, screen) as tell:
            yield tell
    else:
        yield plain_listener(sys.stderr, screen)
