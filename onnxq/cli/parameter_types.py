"""What an option's text may be, and what a shell offers for it."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

_FILE = "file"


class WholeNumber(click.ParamType[int]):
    """A whole number with a least value, which the help does not repeat as ``[x>=1]``.

    Attributes:
        least: The smallest number taken.
    """

    name = "whole number"

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse a number; fail as a usage error where it is none, or too small."""
        try:
            number = int(value)
        except ValueError:
            number = self.least - 1
        if number < self.least:
            self.fail(f"{value!r} is not a whole number of {self.least} or more.", param, ctx)
        return number


class Spec(click.ParamType[str]):
    """Text that mostly names a file: what it means is told by who reads it, not here.

    Attributes:
        names: Returns words that may stand in the file's place.
        takes_count: Whether it may be a whole number, which a file of options writes as one.
    """

    name = "text"

    def __init__(
        self, names: Callable[[], Iterable[str]] = tuple, *, takes_count: bool = False
    ) -> None:
        self.names = names
        self.takes_count = takes_count

    def convert(
        self,
        value: str,
        param: click.Parameter | None,  # noqa: ARG002 - click's signature
        ctx: click.Context | None,  # noqa: ARG002 - click's signature
    ) -> str:
        """Take the text as it is."""
        return value

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002 - click's signature
        incomplete: str,
    ) -> list[CompletionItem]:
        """Offer the words that begin so; files where none does."""
        known = [name for name in self.names() if name.startswith(incomplete)]
        return [CompletionItem(name) for name in known] or [CompletionItem(incomplete, type=_FILE)]


def recipe_aliases() -> Iterable[str]:
    """Return the recipes that have a name for people."""
    from onnxq.recipe_kinds import ALIASES  # noqa: PLC0415 - --help must not load it

    return ALIASES


def provider_names() -> Iterable[str]:
    """Return the providers of ``--provider``."""
    from onnxq.providers import PROVIDERS  # noqa: PLC0415 - --help must not load it

    return PROVIDERS


def preset_names() -> Iterable[str]:
    """Return the presets of ``--preprocess``."""
    from onnxq.datasets.preprocess import PRESETS  # noqa: PLC0415 - --help must not load it

    return PRESETS
