"""Recipes: how a float model becomes a candidate. Values only.

A recipe's name is derived from it and parses back: kind, activation dtype, weight dtype,
granularity, range method, as in ``static-uint8-int8-perchannel-mse``. Aliases are for people.
What a recipe is not let at is not part of it: see :mod:`onnxq.scopes`.
"""

import difflib
import hashlib
from typing import Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import Struct

from onnxq.errors import RecipeError
from onnxq.range_methods import (
    Auto,
    MeanSquaredError,
    MinMax,
    Percentile,
    RangeMethod,
    method_tag,
    parse_method,
)
from onnxq.refused_recipes import why_refused
from onnxq.scopes import (
    EVERYTHING,
    AsRecipe,
    Granularity,
    IntegerInterface,
    KeepFloat,
    QuantizationScope,
    Quantize,
    Rule,
)

__all__ = [
    "ALIASES",
    "DEFAULT_RECIPES",
    "EVERYTHING",
    "AsRecipe",
    "Auto",
    "DynamicInt8",
    "Float16",
    "Float32",
    "Granularity",
    "IntegerInterface",
    "KeepFloat",
    "MeanSquaredError",
    "MinMax",
    "NamedRecipe",
    "Percentile",
    "QuantizationScope",
    "Quantize",
    "QuantizingRecipe",
    "RangeMethod",
    "Recipe",
    "Rule",
    "StaticQdq",
    "WeightOnly",
    "alias_of",
    "method_tag",
    "needs_rows",
    "parse_method",
    "parse_recipe",
    "ranges_key",
    "recipe_name",
]

Activation: TypeAlias = Literal["uint8", "int16"]
WeightBits: TypeAlias = Literal[8, 4]


class Float32(Struct, frozen=True, tag="fp32"):
    """The prepared model, not quantized: the reference of every comparison."""


class Float16(Struct, frozen=True, tag="fp16"):
    """float16 weights and arithmetic; inputs and outputs stay float32. Half the file."""


class DynamicInt8(Struct, frozen=True, tag="dynamic"):
    """int8 weights; activations quantized to uint8 while the model runs.

    Attributes:
        per_channel: One scale per output channel of a weight, or one per weight.
    """

    per_channel: bool = True


class StaticQdq(Struct, frozen=True, tag="static"):
    """Activations with calibrated ranges, int8 weights, as QuantizeLinear pairs.

    Attributes:
        ranges: How a range is chosen from the calibrated histogram.
        per_channel: One scale per output channel of a weight, or one per weight.
        activation: ``uint8``, asymmetric; or ``int16``, symmetric (16x8): accurate, and slow.
        is_partial: Whether what measures slower as integers, on the CPU at hand, stays float.
    """

    ranges: RangeMethod
    per_channel: bool = True
    activation: Activation = "uint8"
    is_partial: bool = False


BLOCK_SIZES: Final = (16, 32, 64, 128, 256)
"""Rows of a matrix that may share a scale, as MatMulNBits has them."""


class WeightOnly(Struct, frozen=True, tag="weights"):
    """Integer weights, float arithmetic: a smaller file.

    Attributes:
        bits: Of the weights of matrices; other weights take 8.
        block_size: Weights along the summed axis that share a scale, at most: 16, 32, 64, 128 or
            256. Matrices of few rows take the largest size below it that fills well. With 8 bits
            128 loses little and runs faster; with 4 bits accuracy needs 32.
    """

    bits: WeightBits
    block_size: int = 32

    def __post_init__(self) -> None:
        """Refuse what no kernel takes.

        Raises:
            RecipeError: OQ161 if bits or block size are none of those that there are.
        """
        if self.bits not in get_args(WeightBits):
            name = f"int{self.bits}-weights"
            raise _refusal(name)
        if self.block_size not in BLOCK_SIZES:
            message = f"weights share scales in blocks of {_listed(BLOCK_SIZES)}; "
            message += f"found {self.block_size}."
            raise RecipeError(message, code="OQ161", hint="block_size=32 is the default.")


QuantizingRecipe: TypeAlias = Float16 | DynamicInt8 | StaticQdq | WeightOnly
"""Every recipe but :class:`Float32`: what the quantizing stage is asked for."""

Recipe: TypeAlias = Float32 | QuantizingRecipe

ALIASES: dict[str, Recipe] = {
    "fp32": Float32(),
    "int8": StaticQdq(ranges=MeanSquaredError()),
    "int8-minmax": StaticQdq(ranges=MinMax()),
    "int8-percentile": StaticQdq(ranges=Percentile()),
    "int8-auto": StaticQdq(ranges=Auto()),
    "int8-pertensor": StaticQdq(ranges=MeanSquaredError(), per_channel=False),
    "int8-partial": StaticQdq(ranges=MeanSquaredError(), is_partial=True),
    "int8-dynamic": DynamicInt8(),
    "int16": StaticQdq(ranges=MinMax(), activation="int16"),
    "int8-weights": WeightOnly(bits=8, block_size=128),
    "int4-weights": WeightOnly(bits=4),
    "fp16": Float16(),
}
"""The names that people type."""

DEFAULT_RECIPES: tuple[str, ...] = ("fp32", "int8", "int8-dynamic")
"""What a bare ``run`` builds."""


class NamedRecipe(Struct, frozen=True, kw_only=True):
    """A recipe with its scope, under the name that a person gave it.

    Attributes:
        name: Unique in its file: lower-case letters, digits, ``-``, ``_`` and ``.``.
        recipe: How.
        scope: On what.
    """

    name: str
    recipe: Recipe
    scope: QuantizationScope = EVERYTHING


_GRANULARITIES = {"perchannel": True, "pertensor": False}
_PARTIAL = "partial"


def needs_rows(recipe: Recipe) -> bool:
    """Whether a recipe needs rows to calibrate on.

    Args:
        recipe: Any recipe.
    """
    return isinstance(recipe, StaticQdq)


def ranges_key(recipe: StaticQdq, scope: QuantizationScope = EVERYTHING) -> str:
    """Return the key of the ranges that a static recipe needs, fit for a file name.

    Args:
        recipe: What they are for.
        scope: On what: other nodes, other tensors that need ranges.

    Returns:
        For example ``mse``, ``minmax-int16``, or ``mse-1f0a3c5e`` for a scope that is not the
        default. Recipes with equal keys share ranges.
    """
    parts = [method_tag(recipe.ranges)]
    if recipe.activation != "uint8":
        parts.append(recipe.activation)
    calibrated = msgspec.structs.replace(scope, strict=False)
    if calibrated != EVERYTHING:
        parts.append(hashlib.sha256(msgspec.json.encode(calibrated)).hexdigest()[:8])
    return "-".join(parts)


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
        case Float16():
            return "fp16"
        case DynamicInt8(per_channel=per_channel):
            return f"dynamic-uint8-int8-{_granularity(per_channel=per_channel)}"
        case StaticQdq(ranges=ranges, per_channel=per_channel, activation=activation):
            granularity = _granularity(per_channel=per_channel)
            whole = f"static-{activation}-int8-{granularity}-{method_tag(ranges)}"
            return f"{whole}-{_PARTIAL}" if recipe.is_partial else whole
        case WeightOnly(bits=bits, block_size=block_size):
            return f"weights-int{bits}-block{block_size}"


def parse_recipe(text: str) -> Recipe:
    """Parse an alias or a derived name.

    Args:
        text: For example ``int8`` or ``static-uint8-int8-perchannel-mse``.

    Returns:
        The recipe.

    Raises:
        RecipeError: OQ161 if no recipe has this name, near misses suggested; or if there is none
            on purpose, with the reason.
    """
    if text in ALIASES:
        return ALIASES[text]
    match text.split("-"):
        case ["dynamic", "uint8", "int8", granularity] if granularity in _GRANULARITIES:
            return DynamicInt8(per_channel=_GRANULARITIES[granularity])
        case ["static", "uint8" | "int16" as activation, "int8", granularity, method, *rest] if (
            granularity in _GRANULARITIES and rest in ([], [_PARTIAL])
        ):
            per_channel = _GRANULARITIES[granularity]
            return StaticQdq(parse_method(method), per_channel, activation, is_partial=bool(rest))
        case ["weights", "int8" | "int4" as weight, block] if _is_block(block):
            size = int(block.removeprefix("block"))
            return WeightOnly(8 if weight == "int8" else 4, size)
    raise _refusal(text)


def alias_of(recipe: Recipe) -> str:
    """Return a recipe's alias, or its derived name where it has none."""
    return next((a for a, known in ALIASES.items() if known == recipe), recipe_name(recipe))


def _granularity(*, per_channel: bool) -> str:
    return "perchannel" if per_channel else "pertensor"


def _is_block(text: str) -> bool:
    return text.startswith("block") and text.removeprefix("block").isdecimal()


def _refusal(text: str) -> RecipeError:
    """Say why there is no such recipe, or what was meant."""
    reason, instead = why_refused(text)
    if reason:
        message = f"there is no recipe {text!r} on purpose: {reason}."
        return RecipeError(message, code="OQ161", hint=f"Use {instead} instead.")
    names = (*ALIASES, *map(recipe_name, ALIASES.values()))
    near = difflib.get_close_matches(text, names, n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    message = f"there is no recipe {text!r}."
    return RecipeError(message, code="OQ161", hint=f"{guess}Recipes: {', '.join(ALIASES)}.")


def _listed(values: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, values[:-1]))} or {values[-1]}"
