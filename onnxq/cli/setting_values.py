"""An option that was not typed: its value, checked as typed ones are, and where it stands."""

import re
import tomllib
from dataclasses import dataclass
from typing import TypeAlias

import click

from onnxq.cli.flags import SETTABLE, flag_of
from onnxq.cli.parameter_types import Spec
from onnxq.errors import UsageError

Value: TypeAlias = str | float | bool | tuple[str | int, ...]

_CACHE_PLACE = "cache_dir"
_EXAMPLES = {"whole number": "1", "number": "1.5"}
_CODE = re.compile(r"(?!hf:)(?:[^:]+\.py|[A-Za-z_]\w*(?:\.\w+)*):[A-Za-z_]\w*")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """An option that was not typed.

    Attributes:
        name: Its keyword.
        value: As the verb takes it.
        origin: Where it stands: a file, or a variable's name.
    """

    name: str
    value: Value
    origin: str

    @property
    def words(self) -> tuple[str, ...]:
        """What would have been typed for it; nothing where it says what holds anyway."""
        if isinstance(self.value, bool):
            holds_anyway = SETTABLE[self.name].default is True
            return () if self.value is holds_anyway else (flag_of(self.name),)
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        return tuple(word for value in values for word in (flag_of(self.name), str(value)))

    @property
    def matters(self) -> bool:
        """Whether what comes of a command depends on it; where a cache lies changes nothing."""
        return self.name != _CACHE_PLACE

    @property
    def names_place(self) -> bool:
        """Whether it says no more than where files go: few errors are about that."""
        return self.name in {_CACHE_PLACE, "out"}

    def stands_in(self, text: str) -> bool:
        """Return whether a text speaks of the option, or repeats its value."""
        return flag_of(self.name) in text or str(self.value) in text

    @property
    def names_code(self) -> bool:
        """Whether it names a function in a Python module, which would be imported."""
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        return any(isinstance(value, str) and _CODE.fullmatch(value) for value in values)


def setting_from_toml(name: str, value: object, key: str, origin: str) -> Setting:
    """Check a value that stands in a file.

    Args:
        name: The option's keyword.
        value: As TOML has it.
        key: What it is called there.
        origin: The file.

    Returns:
        The setting.

    Raises:
        UsageError: If the value is of another type than the option's, or not among its values.
    """
    option = SETTABLE[name]
    kind = _kind(option)
    if _takes_count(option) and _is(value, "whole number"):
        value = str(value)
    if option.is_flag:
        fits, wanted = isinstance(value, bool), f"{key} = true or {key} = false"
    elif option.multiple:
        fits = isinstance(value, list) and all(_is(item, kind) for item in value)
        wanted = f"an array, as in {key} = [{_example(option, kind)}]"
    else:
        kinds = f"a whole number or {kind}" if _takes_count(option) else f"a {kind}"
        fits, wanted = _is(value, kind), f"{kinds}, as in {key} = {_example(option, kind)}"
    if not fits:
        message = f"{origin}: {key} cannot be {value!r}: expected {wanted}."
        raise UsageError(message, code="OQ100", hint=_help_of(option))
    return Setting(name=name, value=_converted(option, value, f"{origin}: {key}"), origin=origin)


def setting_from_variable(name: str, text: str, variable: str) -> Setting:
    """Check a value that stands in an environment variable.

    Args:
        name: The option's keyword.
        text: The variable's value. That of a repeatable option is split at commas, or is a TOML
            array; that of a flag is ``1``, ``true``, ``yes``, ``on``, or the opposite.
        variable: The variable's name.

    Returns:
        The setting.

    Raises:
        UsageError: If the option does not take the value.
    """
    option = SETTABLE[name]
    if option.multiple and text.startswith("[") and text.endswith("]"):
        return setting_from_toml(name, _array(text, variable), variable, variable)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    value = _converted(option, parts if option.multiple else text, variable)
    return Setting(name=name, value=value, origin=variable)


def _array(text: str, variable: str) -> object:
    try:
        return tomllib.loads(f"array = {text}")["array"]
    except tomllib.TOMLDecodeError as error:
        message = f"{variable} is not an array as TOML writes it: {text!r} ({error})."
        hint = f'Write {variable}=a,b or {variable}=\'["a", "b"]\'.'
        raise UsageError(message, code="OQ100", hint=hint) from error


def _kind(option: click.Option) -> str:
    name = option.type.name
    return {"whole number": "whole number", "float": "number"}.get(name, "text")


def _takes_count(option: click.Option) -> bool:
    return isinstance(option.type, Spec) and option.type.takes_count


def _example(option: click.Option, kind: str) -> str:
    """Return a value as TOML writes it: of a text what the help has in its place."""
    if _takes_count(option):
        return "500"
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    text = next(iter(choices), option.metavar)
    return _EXAMPLES.get(kind, f'"{text}"')


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, {"text": str, "whole number": int, "number": int | float}[kind])


def _converted(option: click.Option, value: object, where: str) -> Value:
    context = click.Context(click.Command(None))
    try:
        converted: Value = option.type_cast_value(context, value)
    except click.BadParameter as error:
        message = f"{where}: {error.message}"
        raise UsageError(message, code="OQ100", hint=_help_of(option)) from error
    return converted


def _help_of(option: click.Option) -> str:
    return f"{max(option.opts, key=len)}: {option.help}"
