"""Every command of the README exists, and those that cost nothing are run."""

import ast
import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest

import onnxq
from onnxq.cli.main import main
from onnxq.cli.main import onnxq as group
from onnxq.datasets.preprocess import PRESETS
from onnxq.recipe_kinds import ALIASES
from onnxq.reports import report_to_json

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_SCREEN_LINES = 40
CHEAP = {"onnxq doctor"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


COMMANDS = [
    line.removeprefix("$ ")
    for block in blocks("console")
    for line in block.splitlines()
    if line.startswith("$ ")
]


def words_of(command: str) -> list[str]:
    return shlex.split(command.partition(" > ")[0])


def test_commands_were_found():
    assert len(COMMANDS) > 10
    kinds = {words_of(command)[0].partition("/")[0] for command in COMMANDS}
    assert kinds == {"onnxq", "pip", "scripts", ".venv"}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("onnxq ")])
def test_every_onnxq_command_parses(command):
    name, *rest = words_of(command)[1:]
    verb = group.commands[name]
    settings = {**verb.context_settings}
    context = verb.make_context(f"onnxq {name}", rest, parent=click.Context(group), **settings)
    assert context.params


@pytest.mark.parametrize("command", [c for c in COMMANDS if c in CHEAP])
def test_cheap_commands_run(command, capfd):
    assert main(words_of(command)[1:]) == 0
    assert capfd.readouterr().out


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(".venv/bin/python ")])
def test_every_python_script_exists(command):
    assert (ROOT / words_of(command)[1]).is_file()


def test_a_recipe_of_each_run_exists():
    for command in COMMANDS:
        words = words_of(command)
        named = [words[at + 1] for at, word in enumerate(words) if word in {"-r", "--recipe"}]
        assert set(named) <= set(ALIASES), command


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("scripts/")])
def test_every_script_exists_and_can_be_run(command):
    path = ROOT / words_of(command)[0]
    assert path.is_file()
    assert os.access(path, os.X_OK)
    assert path.read_text(encoding="utf-8").startswith("#!")


def test_every_extra_exists():
    extras = set(importlib.metadata.metadata("onnxq").get_all("Provides-Extra"))
    named = set(re.findall(r"\.\[([\w-]+)\]", README))
    assert named == extras


def test_every_recipe_and_every_preset_is_told():
    for name in (*ALIASES, *PRESETS):
        assert f"`{name}`" in README


def test_every_flag_that_is_told_exists():
    flags = {
        flag
        for verb in group.commands.values()
        for param in verb.params
        for flag in (*param.opts, *param.secondary_opts)
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= flags


def test_python_examples_are_python_and_use_public_names():
    (example,) = blocks("python")
    tree = ast.parse(example)
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "onnxq"
    }
    assert used <= set(onnxq.__all__)
    keywords = {
        k.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords
    }
    assert keywords <= {param.name for param in group.commands["run"].params}
    assert set(re.findall(r"`onnxq\.(?!toml)(\w+)`", README)) <= set(onnxq.__all__)


def test_the_first_screen_is_short():
    lines = README.splitlines()
    end = next(at for at, line in enumerate(lines) if line.startswith("## "))
    assert end <= FIRST_SCREEN_LINES
    assert sum(line.startswith("- ") for line in lines[:end]) <= 9
    assert any(line.startswith("![") for line in lines[:end])


def test_links_and_files_that_are_named_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).is_file(), target
    for path in re.findall(r"`((?:tests|scripts|models)/[\w./]+)`", README):
        assert (ROOT / path).exists(), path


def test_python_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11"
    assert "Python 3.11 or newer" in README


# The picture.


def check_svg(text: str) -> str:
    """Check that a picture is SVG that loads nothing; return its words."""
    root = ET.fromstring(text)  # noqa: S314 - our own picture
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"@import|@font-face|<image|<script|href=", text)
    assert not re.search(r"url\((?!#)", text)
    return " ".join("".join(root.itertext()).split())


def test_the_picture_loads_nothing_and_shows_a_report():
    words = check_svg((ROOT / "scripts/picture/report.svg").read_text(encoding="utf-8"))
    assert "onnxq run" in words.replace("\xa0", " ")
    assert not re.search(r"(^|\s)/\w+/", words), "it shows a path of the machine that drew it"


def test_the_picture_is_made_by_its_script(tmp_path):
    sys.path.insert(0, str(ROOT / "tests" / "cli"))
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from make_readme_picture import draw_picture  # noqa: PLC0415 - found by the line above
        from sample_reports import shipping  # noqa: PLC0415 - found by the line above
    finally:
        del sys.path[:2]
    (tmp_path / "report.json").write_bytes(report_to_json(shipping()))
    picture = draw_picture(tmp_path / "report.json")
    assert picture == draw_picture(tmp_path / "report.json")
    words = check_svg(picture).replace("\xa0", " ")
    assert "Ship int8 on this CPU" in words
    assert len(picture) < 100_000


def test_rich_still_links_a_font(tmp_path):
    """Why the picture has a template of its own; rich 15.0."""
    code = (
        "from rich.console import Console; import io;"
        "c = Console(record=True, file=io.StringIO()); c.print('x'); print(c.export_svg())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "@font-face" in done.stdout
    assert "https://" in done.stdout
