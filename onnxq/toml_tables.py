"""Typed values from TOML tables; what is wrong with one is said with its place in the file."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeAlias, TypeVar

from onnxq.errors import OnnxqError, RecipeError

Table: TypeAlias = Mapping[str, object]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Place:
    """A table in a TOML file. Keys may be written with ``-`` or ``_``.

    Attributes:
        origin: The file, as messages call it.
        path: The table's name; empty for the file's own.
        table: What stands there.
        hint: Where the grammar is told.
    """

    origin: str
    path: str
    table: Table
    hint: str

    def refuse(self, what: str, hint: str = "") -> NoReturn:
        """Raise with the place.

        Args:
            what: What is wrong, without a full stop.
            hint: What to do; the grammar's place where it is empty.

        Raises:
            RecipeError: OQ100, always.
        """
        message = f"{self._where()}: {what}."
        raise RecipeError(message, code="OQ100", hint=hint or self.hint)

    def check_keys(self, known: Iterable[str]) -> None:
        """Refuse keys that are not known, or are written twice in two ways."""
        known = tuple(known)
        seen: set[str] = set()
        for key in self.table:
            if plain(key) not in known:
                hint = f"{guess(plain(key), known)}Keys here: {', '.join(known)}."
                self.refuse(f"there is no key {key!r}", hint)
            if plain(key) in seen:
                self.refuse(f"{key!r} stands there twice")
            seen.add(plain(key))

    def inner(self, key: str) -> "Place":
        """Return the table of a key; an empty one where there is none."""
        value = self._value(key, {})
        if not isinstance(value, dict):
            self.refuse(f"{key} is {_shown(value)}, expected a table")
        return self._at(key, value)

    def named(self) -> dict[str, "Place"]:
        """Return all inner tables by their names, which are left as they are written."""
        for name, value in self.table.items():
            if not isinstance(value, dict):
                self.refuse(f"{name} is {_shown(value)}, expected a table")
        return {n: self._at(n, value) for n, value in self.table.items() if isinstance(value, dict)}

    def inner_list(self, key: str) -> list["Place"]:
        """Return the tables of a list, numbered from 1."""
        values = self._value(key, [])
        if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
            self.refuse(f"{key} is {_shown(values)}, expected tables: [[{self.path}.{key}]]")
        return [self._at(f"{key} {number}", one) for number, one in enumerate(values, start=1)]

    def text(self, key: str, default: str) -> str:
        """Return a text."""
        value = self._value(key, default)
        if not isinstance(value, str):
            self.refuse(f"{key} is {_shown(value)}, expected a text")
        return value

    def flag(self, key: str) -> bool:
        """Return a boolean; false where there is none."""
        value = self._value(key, default=False)
        if not isinstance(value, bool):
            self.refuse(f"{key} is {_shown(value)}, expected true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, none of them empty."""
        value = self._value(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            self.refuse(f'{key} is {_shown(value)}, expected a list of texts: ["…"]')
        return tuple(value)

    def choice(self, key: str, choices: tuple[_T, ...]) -> _T:
        """Return one of some words; the first where there is none."""
        words = {str(choice): choice for choice in choices}
        value = plain(self.text(key, str(choices[0])))
        if value not in words:
            hint = f"{guess(value, words)}Choices: {', '.join(words)}."
            self.refuse(f"{key} is {value!r}", hint)
        return words[value]

    def parsed(self, parse: Callable[[], _T]) -> _T:
        """Call a parser; what it refuses is told with the place."""
        try:
            return parse()
        except OnnxqError as error:
            message = f"{self._where()}: {error.message}"
            raise RecipeError(message, code=error.code, hint=error.hint) from error

    def _at(self, key: str, table: Table) -> "Place":
        path = f"{self.path}.{key}" if self.path else key
        return Place(self.origin, path, table, self.hint)

    def _where(self) -> str:
        return f"{self.origin}, [{self.path}]" if self.path else self.origin

    def _value(self, key: str, default: object) -> object:
        return next((value for name, value in self.table.items() if plain(name) == key), default)


def plain(key: str) -> str:
    """Return a key as it is written with ``_``."""
    return key.replace("-", "_")


def guess(typed: str, known: Iterable[str]) -> str:
    """Return "Did you mean …? " for a near miss; empty where nothing is near."""
    near = difflib.get_close_matches(typed, list(known), n=1)
    return f"Did you mean {near[0]!r}? " if near else ""


def _shown(value: object) -> str:
    return f"{value!r}" if isinstance(value, str | int | float) else f"a {type(value).__name__}"
