"""Lines from a pipe, with a time limit on each wait."""

import os
import select
from typing import Final

_CHUNK_BYTES = 65536

MORE: Final = b"..."
"""Returned (this very object) where the wait ended before a whole line had come."""


class Lines:
    """The reading end of a pipe, line by line.

    A buffered file would not do: ``select`` does not see what lies in its buffer.

    Args:
        descriptor: The reading end; it is not closed here.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()

    def next_line(self, wait_s: float) -> bytes:
        """Return the next line.

        Args:
            wait_s: Seconds to wait for more bytes.

        Returns:
            A line without its end; :data:`MORE` if none is whole yet; empty if the writing end
            is closed.
        """
        while (end := self._buffer.find(b"\n")) < 0:
            if not select.select([self._descriptor], [], [], wait_s)[0]:
                return MORE
            chunk = os.read(self._descriptor, _CHUNK_BYTES)
            if not chunk:
                return b""
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line
