"""Words that every floor writes in the same way."""


def count_noun(count: int, noun: str) -> str:
    """Write ``1 row`` or ``2 rows``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
