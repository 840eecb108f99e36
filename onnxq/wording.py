"""Words that every floor writes in the same way."""

_MOST_CHARACTERS = 40


def shorten(text: str) -> str:
    """Cut a text that messages show, 40 characters at most."""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def count_noun(count: int, noun: str) -> str:
    """Write ``1 row`` or ``2 rows``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def with_article(value: object) -> str:
    """Write ``an int`` or ``a Linear`` for a value of that type, and ``None`` for nothing."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"
