"""Recipe files: recipes with their scopes, in TOML, under names of one's own.

::

    [recipe.careful]                # one table a recipe; names: a-z, 0-9, "-", "_", "."
    recipe = "int8"                 # an alias or a derived name: see onnxq recipes
    operator = ["Conv", "Gemm"]     # quantize these types only
    skip_operator = ["Softmax"]     # leave these types in float
    keep_float = ["head/*"]         # leave nodes in float, by GLOBs on their names
    io = "uint8"                    # float (the default), uint8 or int8
    strict = true                   # what was asked for and stays float is an error

    [[recipe.careful.rule]]         # rules, in order: the first that matches a node decides
    nodes = "blocks/0/*"            # a GLOB on node names; left out: every name
    operator = "Conv"               # one type; left out: every type
    do = "quantize"                 # or "keep_float"
    granularity = "pertensor"       # or "perchannel"; left out: as the recipe says
    ranges = "percentile99.9"       # minmax, mse, percentile<share>; left out: as the recipe says

Only ``recipe`` must be there. A node is decided by the first of ``keep_float``,
``skip_operator``, the rules and ``operator`` that speaks of it. Keys have the names of the flags;
``-`` and ``_`` are the same in them. ``-r mine.toml`` builds every recipe of a file,
``-r mine.toml:careful`` one of them.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, get_args

from onnxq.errors import RecipeError
from onnxq.range_methods import method_tag, parse_method
from onnxq.recipe_facts import check_fits
from onnxq.recipe_kinds import Float32, NamedRecipe, alias_of, parse_recipe
from onnxq.scopes import (
    AsRecipe,
    Granularity,
    IntegerInterface,
    KeepFloat,
    QuantizationScope,
    Quantize,
    Rule,
)
from onnxq.toml_tables import Place, guess

RECIPE_KEYS: Final = (
    "recipe", "operator", "skip_operator", "keep_float", "io", "strict", "rule",
)  # fmt: skip
"""Keys of a recipe's table; those that are flags too have the flag's name."""

RULE_KEYS: Final = ("nodes", "operator", "do", "granularity", "ranges")
"""Keys of a rule's table."""

_SUFFIX = ".toml"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII)
_HINT = 'A recipe is a table [recipe.NAME] with recipe = "int8" and what differs from it.'


def is_recipe_file(text: str) -> bool:
    """Whether what was given to ``-r`` names a recipe file.

    Args:
        text: ``mine.toml``, ``mine.toml:careful``, or a recipe's name.
    """
    path, _, _name = text.rpartition(":")
    return text.endswith(_SUFFIX) or path.endswith(_SUFFIX)


def resolve_recipes(text: str) -> tuple[NamedRecipe, ...]:
    """Turn what was given to ``-r`` into recipes.

    Args:
        text: An alias, a derived name, ``mine.toml`` (all of it) or ``mine.toml:careful``.

    Returns:
        One recipe or more; one that is not from a file is named by its alias.

    Raises:
        RecipeError: OQ161 if there is no such recipe, OQ101 if the file cannot be read, OQ100 if
            it is not of the grammar.
    """
    if not is_recipe_file(text):
        recipe = parse_recipe(text)
        return (NamedRecipe(name=alias_of(recipe), recipe=recipe),)
    if text.endswith(_SUFFIX):
        return read_recipe_file(Path(text))
    path, _, name = text.rpartition(":")
    recipes = {one.name: one for one in read_recipe_file(Path(path))}
    if name not in recipes:
        message = f"{path} has no recipe {name!r}."
        hint = f"{guess(name, recipes)}It has {', '.join(recipes)}."
        raise RecipeError(message, code="OQ161", hint=hint)
    return (recipes[name],)


def read_recipe_file(path: Path) -> tuple[NamedRecipe, ...]:
    """Read a recipe file.

    Args:
        path: A TOML file of the grammar above.

    Returns:
        Its recipes, in the file's order; one at least.

    Raises:
        RecipeError: OQ101 if the file cannot be read; else as :func:`parse_recipes` does.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"the recipe file {path} cannot be read: {error}."
        hint = "Give its path as seen from the folder you are in."
        raise RecipeError(message, code="OQ101", hint=hint) from error
    return parse_recipes(text, str(path))


def parse_recipes(text: str, origin: str) -> tuple[NamedRecipe, ...]:
    """Parse the text of a recipe file.

    Args:
        text: TOML of the grammar above.
        origin: What messages call the text: its path.

    Returns:
        Its recipes, in order.

    Raises:
        RecipeError: OQ100 if the text is not of the grammar or a recipe and its scope contradict
            each other; OQ161 if it names a recipe or a range method that there is not.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{origin} is not TOML: {error}."
        raise RecipeError(message, code="OQ100", hint=_HINT) from error
    place = Place(origin, "", document, _HINT)
    place.check_keys(("recipe",))
    tables = place.inner("recipe").named()
    if not tables:
        place.refuse("there is no recipe in it")
    return tuple(_read_recipe(table, name) for name, table in tables.items())


def check_names(recipes: Iterable[NamedRecipe]) -> None:
    """Refuse two different recipes of one name: one of them would be left out unsaid.

    Args:
        recipes: All that were asked for, out of any files.

    Raises:
        RecipeError: OQ100 if a name stands for two things.
    """
    known: dict[str, NamedRecipe] = {}
    for one in recipes:
        if known.setdefault(one.name, one) != one:
            message = f"two different recipes are named {one.name!r}."
            hint = f'Rename one in its file, as in [recipe."my-{one.name}"], or leave one -r out.'
            raise RecipeError(message, code="OQ100", hint=hint)


def render_recipes(recipes: Iterable[NamedRecipe]) -> str:
    """Render recipes as the text of a recipe file, which parses back into equal ones.

    Args:
        recipes: With unique names.

    Returns:
        TOML, with what differs from the defaults alone.
    """
    return "\n".join(
        "".join(f"{line}\n" for line in (*_recipe_lines(one), *_rule_lines(one))) for one in recipes
    )


def _read_recipe(place: Place, name: str) -> NamedRecipe:
    place.check_keys(RECIPE_KEYS)
    if not _NAME.fullmatch(name):
        place.refuse(f'{name!r} is no name of a recipe: found others than a-z, 0-9, "-", "_", "."')
    text = place.text("recipe", "")
    if not text:
        place.refuse('there is no recipe = "…"')
    recipe = place.parsed(lambda: parse_recipe(text))
    if name == "fp32" and not isinstance(recipe, Float32):
        place.refuse("fp32 is the name of the float model that the others are compared with")
    scope = QuantizationScope(
        operators=place.texts("operator"),
        skip_operators=place.texts("skip_operator"),
        keep_float=place.texts("keep_float"),
        io=place.choice("io", get_args(IntegerInterface)),
        strict=place.flag("strict"),
        rules=tuple(_read_rule(rule) for rule in place.inner_list("rule")),
    )
    place.parsed(lambda: check_fits(recipe, scope))
    return NamedRecipe(name=name, recipe=recipe, scope=scope)


def _read_rule(place: Place) -> Rule:
    place.check_keys(RULE_KEYS)
    nodes, operator = place.text("nodes", ""), place.text("operator", "")
    if place.choice("do", ("quantize", "keep_float")) == "keep_float":
        odd = [key for key in ("granularity", "ranges") if place.text(key, "")]
        if odd:
            place.refuse(f"{odd[0]} speaks of what is quantized, and do is keep_float")
        return Rule(action=KeepFloat(), nodes=nodes, operator=operator)
    ranges = place.text("ranges", "")
    action = Quantize(
        granularity=place.choice("granularity", get_args(Granularity)),
        ranges=place.parsed(lambda: parse_method(ranges)) if ranges else AsRecipe(),
    )
    return Rule(action=action, nodes=nodes, operator=operator)


def _recipe_lines(one: NamedRecipe) -> Iterator[str]:
    scope = one.scope
    yield f"[recipe.{_quoted(one.name)}]"
    yield f"recipe = {_quoted(alias_of(one.recipe))}"
    for key, values in (
        ("operator", scope.operators),
        ("skip_operator", scope.skip_operators),
        ("keep_float", scope.keep_float),
    ):
        if values:
            yield f"{key} = [{', '.join(map(_quoted, values))}]"
    if scope.io != "float":
        yield f"io = {_quoted(scope.io)}"
    if scope.strict:
        yield "strict = true"


def _rule_lines(one: NamedRecipe) -> Iterator[str]:
    for rule in one.scope.rules:
        yield ""
        yield f"[[recipe.{_quoted(one.name)}.rule]]"
        if rule.nodes:
            yield f"nodes = {_quoted(rule.nodes)}"
        if rule.operator:
            yield f"operator = {_quoted(rule.operator)}"
        if isinstance(rule.action, KeepFloat):
            yield 'do = "keep_float"'
            continue
        yield 'do = "quantize"'
        if rule.action.granularity != "recipe":
            yield f"granularity = {_quoted(rule.action.granularity)}"
        if not isinstance(rule.action.ranges, AsRecipe):
            yield f"ranges = {_quoted(method_tag(rule.action.ranges))}"


def _quoted(text: str) -> str:
    """Quote a text as TOML does: JSON's escapes are among TOML's, but DEL must be escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
