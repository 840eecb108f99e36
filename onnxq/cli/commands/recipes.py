"""``onnxq recipes``: what can be built, and how to write down one's own."""

from typing import TYPE_CHECKING

import click

from onnxq.cli.flags import PRESENTING
from onnxq.cli.invocation import Invocation, verb, verb_with_parts
from onnxq.cli.parameter_types import Spec, recipe_aliases
from onnxq.cli.presenting import present

if TYPE_CHECKING:
    from onnxq.cli.screen import Screen
    from onnxq.recipe_facts import RecipeFacts

_HEADINGS = {"Output": (*PRESENTING, "help")}
EXAMPLE_FILE = """\
[recipe.careful]
recipe = "int8"              # what it begins with
operator = ["Conv", "Gemm"]  # quantize no others
skip_operator = ["Softmax"]
keep_float = ["head/*"]      # by node name
io = "uint8"                 # or int8, float
strict = true

[[recipe.careful.rule]]      # the first that matches decides
nodes = "blocks/0/*"
operator = "Conv"
do = "quantize"              # or keep_float
granularity = "pertensor"    # or perchannel
ranges = "percentile99.9"    # or minmax, mse, auto
"""
"""Everything that a recipe file may say."""

_INDENTED = "\n".join(f"  {line}" if line else "\n\b" for line in EXAMPLE_FILE.splitlines())
_ABOUT = f"""\
A recipe of your own is a table of a .toml file, built by -r mine.toml, or by
-r mine.toml:careful where it is one of several. All but its first line may be left out:

\b
{_INDENTED}
"""


@verb_with_parts(
    headings=_HEADINGS,
    examples=(
        "onnxq recipes",
        "onnxq recipes show int8",
        "onnxq recipes show int8 > mine.toml",
    ),
    about=_ABOUT,
)
def recipes(asked: Invocation) -> int:
    """Show the recipes: what each is, and what it needs."""
    if click.get_current_context().invoked_subcommand:
        return 0
    return _show(asked, "")


@verb(
    arguments=(click.Argument(["name"], type=Spec(recipe_aliases)),),
    headings=_HEADINGS,
    examples=("onnxq recipes show int8 > mine.toml",),
    about="What is printed is a recipe file: change it, and give it to -r.",
)
def show(asked: Invocation, name: str) -> int:
    """Show all of one recipe, as a file that says the same."""
    return _show(asked, name)


recipes.add_command(show)


def _show(asked: Invocation, name: str) -> int:
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.documents import tagged_list_json  # noqa: PLC0415 - --help must not load it

    found = verbs.recipes(name)
    present(
        asked.shown,
        lambda: tagged_list_json("recipes", found),
        lambda screen: _text(found, name, screen),
    )
    return 0


def _text(found: "tuple[RecipeFacts, ...]", name: str, screen: "Screen") -> str:
    from onnxq import recipe_files  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.render_recipes import render_recipe, render_recipes  # noqa: PLC0415 - rich

    if not name:
        return render_recipes(found, screen)
    toml = recipe_files.render_recipes(recipe_files.resolve_recipes(name))
    return render_recipe(found, toml, screen)
