"""Standard streams that were closed before onnxq started, as by ``onnxq ... >&-``."""

import io
import os
import sys

_STANDARD = (0, 1, 2)


def replace_closed_streams() -> None:
    """Let what would go to a closed stream go nowhere, as where its reader went away.

    Python has ``None`` for such a stream, and the next file that is opened gets its number:
    whatever a child process prints would be written into that file.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            _open_null(number)
    sys.stdout = sys.stdout or _text_stream(1)
    sys.stderr = sys.stderr or _text_stream(2)


def _open_null(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    os.set_inheritable(number, True)


def _text_stream(number: int) -> io.TextIOWrapper:
    raw = io.FileIO(number, "wb", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace")
