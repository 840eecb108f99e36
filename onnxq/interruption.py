"""SIGINT and SIGTERM become an error like any other, so that every ``finally`` runs."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from onnxq.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_EXIT_BASE = 128


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise ``Interrupted`` in the body when the process is asked to stop.

    Outside the main thread Python delivers no signals: nothing is changed there.

    Raises:
        Interrupted: With exit code 130 after SIGINT, 143 after SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
    for one in _SIGNALS:  # the second one must not break into the cleaning up
        signal.signal(one, signal.SIG_IGN)
    name = signal.Signals(number).name
    message = f"interrupted by {name}; no output folder was written."
    hint = "Run the same command again."
    raise Interrupted(message, code="OQ184", hint=hint, exit_code=_EXIT_BASE + number)
