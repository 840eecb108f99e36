"""What is known about the terminal, or about the file or pipe in its place."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TextIO, TypeAlias

from onnxq.cli.charset import ELLIPSIS, can_show, one_line, printable, to_ascii

ColorChoice: TypeAlias = Literal["auto", "always", "never"]

_PIPE_COLUMNS = 80
_CI_COLUMNS = 120
_LEAST_COLUMNS = 40
_MOST_COLUMNS = 120
_LONGEST_NUMBER = 6


@dataclass(frozen=True, kw_only=True)
class Screen:
    """How text must be laid out.

    Attributes:
        columns: Characters a line.
        color: Whether to send colours.
        ascii_only: Whether nothing but ASCII can be shown.
    """

    columns: int = _PIPE_COLUMNS
    color: bool = False
    ascii_only: bool = False

    @property
    def ellipsis(self) -> str:
        """One character that stands where text was cut."""
        return "~" if self.ascii_only else ELLIPSIS

    def spell(self, text: str) -> str:
        """Write text in characters that this screen can show and will not obey."""
        return to_ascii(printable(text)) if self.ascii_only else printable(text)

    def spell_line(self, text: str) -> str:
        """Write text that must stay on its line in the same way."""
        return self.spell(one_line(text))


def read_screen(stream: TextIO, choice: ColorChoice, environ: Mapping[str, str]) -> Screen:
    """Find out what a stream can show.

    Args:
        stream: Where the text goes.
        choice: What ``--color`` says; ``auto`` asks the environment, then the stream.
        environ: Environment variables: ``COLUMNS``, ``CI``, ``NO_COLOR``, ``FORCE_COLOR``,
            ``TERM``.

    Returns:
        The screen. A stream that is no terminal has 80 columns (120 where ``CI`` is set)
        unless ``COLUMNS`` says otherwise; lines are never longer than 120.
    """
    return Screen(
        columns=min(max(_columns(stream, environ), _LEAST_COLUMNS), _MOST_COLUMNS),
        color=_has_color(stream, choice, environ),
        ascii_only=not can_show(stream.encoding or "ascii"),
    )


def has_width(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether lines that are longer than the screen's would be broken by it.

    A terminal breaks them, and ``COLUMNS`` says that somebody counts; a log keeps lines whole.
    """
    return stream.isatty() or _is_width(environ.get("COLUMNS", ""))


def _is_width(asked: str) -> bool:
    return asked.isdecimal() and len(asked) <= _LONGEST_NUMBER and int(asked) > 0


def _columns(stream: TextIO, environ: Mapping[str, str]) -> int:
    asked = environ.get("COLUMNS", "")
    if _is_width(asked):
        return int(asked)
    if stream.isatty():
        try:
            return os.get_terminal_size(stream.fileno()).columns or _PIPE_COLUMNS
        except OSError:
            return shutil.get_terminal_size((_PIPE_COLUMNS, 24)).columns
    return _CI_COLUMNS if environ.get("CI") else _PIPE_COLUMNS


def _has_color(stream: TextIO, choice: ColorChoice, environ: Mapping[str, str]) -> bool:
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return True
    return stream.isatty() and environ.get("TERM") != "dumb"
