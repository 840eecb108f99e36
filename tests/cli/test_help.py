"""The help: its examples can be run, its recipe file can be read, it fits a screen."""

import shlex

import click
import pytest

from onnxq import recipe_files
from onnxq.cli.commands.recipes import EXAMPLE_FILE
from onnxq.cli.main import onnxq as group
from onnxq.cli.settings import PREFIX

PATHS = [(name,) for name in group.commands] + [("recipes", "show")]


def command_at(path):
    command = group
    for name in path:
        command = command.commands[name]
    return command


def help_of(path):
    command = command_at(path)
    settings = {**command.context_settings, "terminal_width": 80}
    return command.get_help(click.Context(command, info_name="onnxq", **settings))


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_example_parses(path):
    command = command_at(path)
    assert command.examples
    for example in command.examples:
        words = shlex.split(example.partition(" > ")[0])
        assert words[:1] == ["onnxq"]
        resolved, context = group, click.Context(group)
        rest = words[1:]
        while isinstance(resolved, click.Group) and rest:
            name, resolved, rest = resolved.resolve_command(context, rest)
        made = resolved.make_context(name, rest, parent=context, **resolved.context_settings)
        assert path[0] in words
        assert made.params is not None


@pytest.mark.parametrize("path", [(), *PATHS], ids=" ".join)
def test_help_fits_80_columns(path):
    assert max(map(len, help_of(path).splitlines())) <= 80


def test_the_recipe_file_in_the_help_can_be_read():
    (named,) = recipe_files.parse_recipes(EXAMPLE_FILE, "the help")
    assert named.name == "careful"
    assert named.scope.rules
    shown = help_of(("recipes",))
    for line in EXAMPLE_FILE.splitlines():
        assert line in shown


def test_the_help_says_where_options_may_stand():
    shown = " ".join(help_of(()).split())
    assert "onnxq.toml" in shown
    assert f"{PREFIX}MAX_DROP=1pp" in shown
    for command in group.commands.values():
        assert not (command.short_help or "").endswith("...")
