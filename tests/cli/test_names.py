"""One name everywhere: flag, keyword, key of a file, variable; one help, type and default."""

import inspect
import itertools
import typing

import click
import pytest

from onnxq import verbs
from onnxq.cli import keywords
from onnxq.cli.flags import FLAGS, PRESENTING, SETTABLE, SETTING, flag_of
from onnxq.cli.grouping import Verb, VerbWithParts
from onnxq.cli.main import onnxq as group

SUBJECTS: dict[str, tuple[str, ...]] = {
    "run": ("model",),
    "convert": ("model",),
    "quantize": ("model",),
    "repair": ("model",),
    "calibrate": ("model",),
    "merge": ("model", "parts"),
    "profile": ("models",),
    "inspect": ("model",),
    "doctor": ("file",),
}
WITH_SETTINGS = [name for name in SUBJECTS if name != "doctor"]
PLANNED = ["run", "convert", "quantize", "repair", "calibrate", "merge", "profile"]
NOT_TYPED = {"tell", "command"}


def keywords_of(name: str) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(getattr(verbs, name)).parameters
    return {n: p for n, p in parameters.items() if n not in NOT_TYPED}


def flags_of(name: str) -> dict[str, click.Parameter]:
    params = {str(param.name): param for param in group.commands[name].params}
    beside = {*PRESENTING, *SETTING, "plan"}
    return {n: param for n, param in params.items() if n not in beside}


def all_commands() -> list[Verb | VerbWithParts]:
    commands = list(group.commands.values())
    commands += [
        part for c in commands if isinstance(c, click.Group) for part in c.commands.values()
    ]
    return [command for command in commands if isinstance(command, Verb | VerbWithParts)]


@pytest.mark.parametrize("name", SUBJECTS)
def test_flags_and_keywords_have_the_same_names(name):
    assert set(flags_of(name)) == set(keywords_of(name))
    arguments = [p.name for p in group.commands[name].params if isinstance(p, click.Argument)]
    subjects = SUBJECTS[name]
    assert tuple(arguments) == subjects == tuple(keywords_of(name))[: len(subjects)]


def takes(wanted: object, given: object) -> bool:
    """Tell whether a keyword that wants one type may be given another."""
    inner = typing.get_args(wanted)
    if wanted == given:
        return True
    if typing.get_origin(wanted) is tuple is typing.get_origin(given):
        return takes(inner[0], typing.get_args(given)[0])
    return typing.get_origin(wanted) is not tuple and any(takes(one, given) for one in inner)


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_keywords_take_what_flags_give(name):
    hints = typing.get_type_hints(getattr(verbs, name))
    declared = typing.get_type_hints(getattr(keywords, f"{name.capitalize()}Options"))
    taken = {word: hints[word] for word in keywords_of(name) if word not in SUBJECTS[name]}
    assert declared.keys() == taken.keys()
    for keyword, kind in declared.items():  # from Python a path, or one text of several, will do
        assert takes(taken[keyword], kind), keyword


@pytest.mark.parametrize("name", SUBJECTS)
def test_flags_and_keywords_have_the_same_defaults(name):
    words = ["m.onnx" for subject in SUBJECTS[name] if subject != "file"]
    parsed = group.commands[name].make_context(name, words).params
    for keyword, parameter in keywords_of(name).items():
        if parameter.default is not inspect.Parameter.empty:
            assert parsed[keyword] == parameter.default, keyword
            assert type(parsed[keyword]) is type(parameter.default), keyword


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_every_keyword_is_a_key_and_a_variable(name):
    assert set(SETTABLE) >= set(keywords_of(name)) - set(SUBJECTS[name])
    assert {"config", "no_config"} <= {param.name for param in group.commands[name].params}


def test_keys_and_variables_are_different_for_different_options():
    assert len({name.replace("-", "_") for name in SETTABLE}) == len(SETTABLE)
    used = {name for verb in WITH_SETTINGS for name in flags_of(verb)}
    assert set(SETTABLE) == used - set(itertools.chain(*SUBJECTS.values()))


def test_a_flag_is_the_same_flag_in_every_verb():
    """So it has one help, one type, one default; there is one object of each."""
    for command in all_commands():
        for param in command.params:
            if isinstance(param, click.Option):
                assert param is FLAGS[str(param.name)]


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_is_spelled_as_its_keyword(name):
    spelled = flag_of(name).removeprefix("--")
    assert spelled in {name.replace("_", "-"), f"no-{name}"}
    assert name.isidentifier()


def test_short_flags_are_few_and_unique():
    short = [opt for flag in FLAGS.values() for opt in flag.opts if not opt.startswith("--")]
    assert sorted(short) == ["-d", "-o", "-q", "-r", "-v"]


def test_every_flag_has_a_help_that_is_a_sentence():
    for flag in FLAGS.values():
        assert flag.help
        assert flag.help[0].isupper() or flag.help[0] == "."
        assert flag.help.endswith((".", "]", "..."))


@pytest.mark.parametrize("command", all_commands(), ids=lambda command: str(command.name))
def test_every_flag_stands_under_one_heading_of_the_help(command):
    listed = list(itertools.chain(*command.headings.values()))
    options = {param.name for param in command.params if isinstance(param, click.Option)}
    assert sorted(listed) == sorted({*options, "help"})


def test_the_verbs_that_can_be_planned_have_the_flag():
    having = [n for n, c in group.commands.items() if "plan" in {p.name for p in c.params}]
    assert having == PLANNED
