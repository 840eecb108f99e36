"""Recipes: how a float model becomes a candidate. Values only.

A recipe's name is derived from it and parses back: kind, activation dtype, weight dtype,
granularity, range method, as in ``static-uint8-int8-perchannel-mse``. Aliases are for people.
"""

import difflib
from typing import TypeAlias

from msgspec import Struct

from onnxq.errors import RecipeError


class MinMax(Struct, frozen=True, tag="minmax"):
    """The smallest range that holds every finite calibrated value."""


class MeanSquaredError(Struct, frozen=True, tag="mse"):
    """The range with the least expected squared quantization error."""


RangeMethod: TypeAlias = MinMax | MeanSquaredError


class Float32(Struct, frozen=True, tag="fp32"):
    """The prepared model, not quantized: the reference of every comparison."""


class DynamicInt8(Struct, frozen=True, tag="dynamic"):
    """int8 weights; activations quantized to uint8 while the model runs.

    Attributes:
        per_channel: One scale per output channel of a weight, or one per weight.
    """

    per_channel: bool = True


class StaticQdq(Struct, frozen=True, tag="static"):
    """uint8 activations with calibrated ranges, int8 weights, as QuantizeLinear pairs.

    Attributes:
        ranges: How a range is chosen from the calibrated histogram.
        per_channel: One scale per output channel of a weight, or one per weight.
    """

    ranges: RangeMethod
    per_channel: bool = True


Recipe: TypeAlias = Float32 | DynamicInt8 | StaticQdq

ALIASES: dict[str, Recipe] = {
    "fp32": Float32(),
    "int8": StaticQdq(ranges=MeanSquaredError()),
    "int8-minmax": StaticQdq(ranges=MinMax()),
    "int8-dynamic": DynamicInt8(),
}
"""The names that people type."""

DEFAULT_RECIPES: tuple[str, ...] = ("fp32", "int8", "int8-dynamic")
"""What a bare ``run`` builds."""

_METHODS: dict[str, RangeMethod] = {"minmax": MinMax(), "mse": MeanSquaredError()}
_GRANULARITIES = {"perchannel": True, "pertensor": False}


def _granularity(*, per_channel: bool) -> str:
    return "perchannel" if per_channel else "pertensor"


def recipe_name(recipe: Recipe) -> str:
    """Derive a recipe's full name.

    Args:
        recipe: Any recipe.

    Returns:
        A name that :func:`parse_recipe` turns back into an equal recipe.
    """
    match recipe:
        case Float32():
            return "fp32"
        case DynamicInt8(per_channel=per_channel):
            return f"dynamic-uint8-int8-{_granularity(per_channel=per_channel)}"
        case StaticQdq(ranges=ranges, per_channel=per_channel):
            granularity = _granularity(per_channel=per_channel)
            return f"static-uint8-int8-{granularity}-{method_tag(ranges)}"


def method_tag(method: RangeMethod) -> str:
    """Return a range method's short name: ``minmax`` or ``mse``."""
    return next(tag for tag, known in _METHODS.items() if known == method)


def parse_recipe(text: str) -> Recipe:
    """Parse an alias or a derived name.

    Args:
        text: For example ``int8`` or ``static-uint8-int8-perchannel-mse``.

    Returns:
        The recipe.

    Raises:
        RecipeError: If no recipe has this name; near misses are suggested.
    """
    if text in ALIASES:
        return ALIASES[text]
    match text.split("-"):
        case ["dynamic", "uint8", "int8", granularity] if granularity in _GRANULARITIES:
            return DynamicInt8(per_channel=_GRANULARITIES[granularity])
        case ["static", "uint8", "int8", granularity, method] if (
            granularity in _GRANULARITIES and method in _METHODS
        ):
            return StaticQdq(ranges=_METHODS[method], per_channel=_GRANULARITIES[granularity])
    names = [*ALIASES, *map(recipe_name, ALIASES.values())]
    near = difflib.get_close_matches(text, names, n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    message = f"there is no recipe {text!r}."
    raise RecipeError(message, code="OQ161", hint=f"{guess}Recipes: {', '.join(ALIASES)}.")


def alias_of(recipe: Recipe) -> str:
    """Return a recipe's alias, or its derived name where it has none."""
    return next((a for a, known in ALIASES.items() if known == recipe), recipe_name(recipe))
