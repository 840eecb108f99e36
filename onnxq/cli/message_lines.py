"""Messages and hints on lines of a screen: prose is wrapped, what can be pasted stays whole."""

import re
import textwrap

from onnxq.cli.charset import text_columns

_COMMAND = re.compile(r"(?<=\S)  (?=(?:onnxq|pip|python|git|--?[a-z])\b)")
"""Two spaces stand between the words of a hint and the command that it names."""


def message_lines(line: str, columns: int, indent: str = "") -> tuple[str, ...]:
    """Lay out one line of a message.

    Args:
        line: Prose, perhaps with a command behind two spaces at its end. A line that begins with
            spaces is a command, or laid out already.
        columns: Characters of a line of the screen; names and commands may be longer.
        indent: In front of the first line; later ones are indented as far.

    Returns:
        Lines. No word is broken, and a command has a line of its own where it does not fit.
    """
    hanging = " " * len(indent)
    if line.startswith(" ") or len(indent) + len(line) <= columns:
        return (f"{indent}{line}".rstrip(),)
    prose, *commands = _COMMAND.split(line, maxsplit=1)
    wrapped = textwrap.wrap(
        prose,
        max(columns - len(indent), 1),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return (
        *(f"{hanging if place else indent}{part}" for place, part in enumerate(wrapped)),
        *(f"{hanging}  {command}" for command in commands),
    )


def break_at_commas(line: str, columns: int) -> tuple[str, ...]:
    """Break a line whose one word is longer than the screen behind commas of that word.

    Args:
        line: Such as ``preprocess order=rgb,size=256,...``: numbers in it are not broken.
        columns: Characters of a line of the screen.

    Returns:
        The line alone where no word is too long.
    """
    if max(map(text_columns, line.split()), default=0) <= columns:
        return (line,)
    lines = [""]
    for part in re.findall(r"[^,]*,?", line):
        if lines[-1] and text_columns(lines[-1] + part) > columns:
            lines.append("  ")
        lines[-1] += part
    return tuple(lines)
