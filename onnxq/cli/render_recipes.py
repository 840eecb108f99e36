"""Recipes become text: all of them as a table, one of them as the file that says the same."""

import textwrap
from collections.abc import Sequence

from onnxq.cli.fitting import Cell, Column
from onnxq.cli.notes import Note
from onnxq.cli.quality_columns import ABSENT
from onnxq.cli.render_parts import draw, fit, lines_part, notes_grid, table
from onnxq.cli.screen import Screen
from onnxq.recipe_facts import RecipeFacts

_NAME = 16
_RANK_DOMAIN, _RANK_FULL = 2, 1
_ANY = "1.17"
_ROWS = "needs rows to calibrate on"
_NEXT = "Next  onnxq recipes show int8"


def render_recipes(recipes: Sequence[RecipeFacts], screen: Screen) -> str:
    """Draw recipes: what they are called and need, and below it what each is.

    Args:
        recipes: In the order shown.
        screen: Where it will be shown.

    Returns:
        The text, with a line feed at the end.
    """
    notes = [
        Note(mark="", subject=recipe.alias, text=f"{recipe.summary}. {_capital(recipe.speed)}.")
        for recipe in recipes
    ]
    return draw(
        screen,
        [
            table(screen, fit(screen, _columns(recipes))),
            notes_grid(screen, notes),
            lines_part(screen, [_NEXT]),
        ],
    )


def render_recipe(recipes: Sequence[RecipeFacts], toml: str, screen: Screen) -> str:
    """Write recipes as a recipe file, what there is to know of them as comments.

    Args:
        recipes: What there is to know; mostly of one.
        toml: The file that says the same.
        screen: Where it will be shown.

    Returns:
        TOML, with a line feed at the end.
    """
    comments = [
        line
        for recipe in recipes
        for fact in _facts(recipe)
        for line in textwrap.wrap(
            screen.spell_line(fact),
            screen.columns,
            initial_indent="# ",
            subsequent_indent="#   ",
            break_on_hyphens=False,
        )
    ]
    return "\n".join([*comments, "", screen.spell(toml.strip()), ""])


def _facts(recipe: RecipeFacts) -> tuple[str, ...]:
    return (
        f"{recipe.alias}: {recipe.summary}.",
        f"Speed: {recipe.speed}.",
        f"In full: {recipe.name}; {_ROWS if recipe.needs_rows else 'needs no rows'}.",
        f"Loads in onnxruntime {recipe.min_runtime or _ANY} and later{_operators(recipe.domain)}.",
    )


def _columns(recipes: Sequence[RecipeFacts]) -> tuple[Column, ...]:
    return (
        Column(
            title=("recipe",),
            cells=tuple(Cell(recipe.alias) for recipe in recipes),
            numbers=False,
            crop_to=_NAME,
        ),
        Column(
            title=("in full",),
            cells=tuple(Cell(recipe.name) for recipe in recipes),
            numbers=False,
            drop_rank=_RANK_FULL,
        ),
        Column(
            title=("rows",),
            cells=tuple(Cell("needed") if recipe.needs_rows else ABSENT for recipe in recipes),
            numbers=False,
        ),
        Column(
            title=("onnxruntime",),
            cells=tuple(Cell(f">= {recipe.min_runtime or _ANY}") for recipe in recipes),
        ),
        Column(
            title=("operators of",),
            cells=tuple(Cell(recipe.domain) for recipe in recipes),
            numbers=False,
            drop_rank=_RANK_DOMAIN,
        ),
    )


def _operators(domain: str) -> str:
    return "" if domain == "ai.onnx" else f"; has operators of {domain}"


def _capital(sentence: str) -> str:
    return f"{sentence[0].upper()}{sentence[1:]}"
