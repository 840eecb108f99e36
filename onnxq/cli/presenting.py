"""The one place where results and errors reach the terminal.

Reports go to stdout; errors, progress and warnings to stderr. With ``--json`` stdout holds one
document and nothing else, in bytes that no terminal library touched.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from onnxq.cli.message_lines import message_lines
from onnxq.cli.screen import ColorChoice, Screen, has_width, read_screen
from onnxq.errors import Interrupted, OnnxqError, OutputError

_SHORT, _MUTE = 1, 2
_RED_BOLD, _PLAIN = "\x1b[1;31m", "\x1b[0m"


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """How a command shows what it found.

    Attributes:
        json: One JSON document instead of text.
        quiet: 1 shows no progress, 2 no report either.
        verbose: 1 adds the code that serves the model.
        color: What ``--color`` says.
    """

    json: bool = False
    quiet: int = 0
    verbose: int = 0
    color: ColorChoice = "auto"

    @property
    def shows_progress(self) -> bool:
        """Whether stages are told of while they run."""
        return self.quiet < _SHORT

    @property
    def shows_report(self) -> bool:
        """Whether text goes to stdout."""
        return self.quiet < _MUTE and not self.json

    def screen(self, stream: TextIO) -> Screen:
        """Find out what a stream can show."""
        return read_screen(stream, self.color, os.environ)


def present(
    presentation: Presentation, json_of: Callable[[], bytes], text_of: Callable[[Screen], str]
) -> None:
    """Show what a command found, on stdout.

    Args:
        presentation: How to show it.
        json_of: Writes it as one document.
        text_of: Draws it for a screen.
    """
    if presentation.json:
        write_bytes(json_of(), sys.stdout)
    elif presentation.shows_report:
        write_text(text_of(presentation.screen(sys.stdout)), sys.stdout)


def write_text(text: str, stream: TextIO) -> None:
    """Write text; characters that the stream cannot encode become escapes.

    A reader that went away (``| head``) is no failure: what was to be done is done.
    """
    write_bytes(text.encode(stream.encoding or "ascii", "backslashreplace"), stream)


def write_bytes(data: bytes, stream: TextIO) -> None:
    """Write bytes past the stream's own encoding.

    Raises:
        OutputError: OQ192 if the stream cannot be written, as where the disk is full.
    """
    try:
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()
    except BrokenPipeError:
        _give_up(stream)
    except OSError as error:
        _give_up(stream)
        message = f"the output stream cannot be written: {error.strerror or error}."
        hint = "Free space, or send it elsewhere."
        raise OutputError(message, code="OQ192", hint=hint) from error


def _give_up(stream: TextIO) -> None:
    # Python flushes once more when it exits, and would complain then.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def present_error(error: OnnxqError, presentation: Presentation) -> int:
    """Show an error that onnxq foresaw: no traceback, what to do next below it.

    Args:
        error: What happened. What an interrupted run had found out goes to stdout.
        presentation: How to show it.

    Returns:
        The exit code.
    """
    partial = error.partial_report if isinstance(error, Interrupted) else b""
    if partial:
        _present_partial(partial, presentation)
    elif presentation.json:
        write_bytes(error_document(error), sys.stdout)
    screen = presentation.screen(sys.stderr)
    wraps = has_width(sys.stderr, os.environ)
    write_text(error_text(error, screen, wraps=wraps), sys.stderr)
    return error.exit_code


def error_text(error: OnnxqError, screen: Screen, *, wraps: bool = True) -> str:
    """Write an error as ``error[OQ103]: message``, its hint indented below.

    Args:
        error: What happened.
        screen: Where it will be shown.
        wraps: Whether prose keeps to the screen's width; a log is searched line by line.

    Returns:
        Lines. Neither names nor commands are broken, whatever the width.
    """
    columns = screen.columns if wraps else sys.maxsize
    before, after = (_RED_BOLD, _PLAIN) if screen.color else ("", "")
    label = f"error[{error.code}]:"
    first, *more = screen.spell(error.message).split("\n")
    head, *lines = message_lines(f"{label} {first}", columns)
    lines = [f"{before}{label}{after}{head.removeprefix(label)}", *lines]
    for line in more:
        lines += message_lines(line, columns)
    for line in screen.spell(error.hint).splitlines():
        lines += message_lines(line, columns, "  ")
    return "".join(f"{line}\n" for line in lines)


def error_document(error: OnnxqError) -> bytes:
    """Write an error as the one document of ``--json``."""
    import msgspec  # noqa: PLC0415 - --help must not load it

    fields = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "stage": error.stage,
    }
    return msgspec.json.format(msgspec.json.encode({"error": fields}), indent=2) + b"\n"


def _present_partial(partial: bytes, presentation: Presentation) -> None:
    from onnxq.cli.render import render_report  # noqa: PLC0415 - --help must not load it
    from onnxq.reports import report_from_json  # noqa: PLC0415 - --help must not load it

    if presentation.json:
        write_bytes(partial, sys.stdout)
    elif presentation.shows_report:
        report = report_from_json(partial, origin="the interrupted run")
        write_text(render_report(report, presentation.screen(sys.stdout)), sys.stdout)
