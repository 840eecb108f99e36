"""Which characters a terminal gets: none that it cannot show, none that could steer it."""

import re
import unicodedata

TIMES = "\u00d7"
MINUS = "\u2212"
ELLIPSIS = "\u2026"

_ASCII = str.maketrans({
    "±": "+-",
    TIMES: "x",
    MINUS: "-",
    ELLIPSIS: "...",
    "Δ": "diff",
    "★": "*",
    "█": "#",
    "·": "|",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "µ": "u",
    "\u2013": "-",
    "\u2014": "-",
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
})  # fmt: skip
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Show control characters instead of obeying them.

    Names of nodes and files come from whoever made them; an escape sequence in one could repaint
    the terminal, a bidirectional override could make it read as another.

    Args:
        text: Any text; line feeds and tabs are kept.

    Returns:
        The text with each other control character as its escape, such as ``\x1b``.
    """
    return _STEERING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """Show control characters instead of obeying them, line feeds and tabs among them."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def to_ascii(text: str) -> str:
    """Write text in ASCII: what the report is drawn with by look, the rest as escapes."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def can_show(encoding: str) -> bool:
    """Return whether an encoding holds everything that a report is drawn with."""
    try:
        "".join(map(chr, _ASCII)).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def text_columns(text: str) -> int:
    """Return how many columns of a screen one line of text takes: East Asian wide ones take two."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def crop(text: str, columns: int, ellipsis: str) -> str:
    """Cut the middle out of a line of text so that it takes at most some columns.

    The end stays, because it is where long names differ.

    Args:
        text: One line.
        columns: At least 1.
        ellipsis: One column wide; stands where something was cut.

    Returns:
        The text, cut if it had to be.
    """
    if text_columns(text) <= columns:
        return text
    head, tail = text, ""
    while head and text_columns(head) > (columns - 1) // 2:
        head = head[:-1]
    for character in reversed(text):
        if text_columns(head + tail + character) > columns - 1:
            break
        tail = character + tail
    return head + ellipsis + tail
