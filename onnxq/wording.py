"""Words that every floor writes in the same way."""

import math
from collections.abc import Sequence

_MOST_CHARACTERS = 40
_SHOWN_ROWS = 3


def shorten(text: str) -> str:
    """Cut a text that messages show, 40 characters at most."""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def shorten_sentence(text: str, most: int, *, keep_end: bool = False) -> str:
    """Cut a text between two words, and say so with an ellipsis.

    Args:
        text: Such as what another library said of its failure.
        most: Characters that it may have, the ellipsis beside them.
        keep_end: Cut its beginning, not its end.

    Returns:
        The text; where one word alone is longer, that is cut.
    """
    if len(text) <= most:
        return text
    if keep_end:
        tail = text[-most:]
        whole = tail if text[-most - 1].isspace() else tail.partition(" ")[2]
        return f"… {(whole or tail).lstrip()}"
    head = text[:most]
    whole = head if text[most].isspace() else head.rpartition(" ")[0]
    return f"{(whole or head).rstrip()} …"


def share_words(share: float) -> str:
    """Write a share of rows in per cent, with two decimals, rounded down.

    100.00 is said of no less than all: whoever reads a table, a verdict and a note of one share
    reads one number.
    """
    return f"{math.floor(round(10_000 * share, 6)) / 100:.2f}"


def count_noun(count: int, noun: str) -> str:
    """Write ``1 row`` or ``2 rows``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed_rows(names: Sequence[str]) -> str:
    """Write ``row 43``, ``rows 3 and 99``, or ``rows 3, 99, 250 and 4 more``.

    Args:
        names: What people call the rows; one at least.
    """
    if len(names) == 1:
        return f"row {names[0]}"
    more = len(names) - _SHOWN_ROWS
    last = f"{more} more" if more > 0 else names[-1]
    return f"rows {', '.join(names[: min(_SHOWN_ROWS, len(names) - (more <= 0))])} and {last}"


def with_article(value: object) -> str:
    """Write ``an int`` or ``a Linear`` for a value of that type, and ``None`` for nothing."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"
