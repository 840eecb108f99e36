"""Which settings hold for a command that was typed, and how they are told to its user."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from onnxq.cli.config_files import choose_config
from onnxq.cli.flags import SETTABLE
from onnxq.cli.following import inserted
from onnxq.cli.report_words import command_text
from onnxq.cli.setting_values import Setting
from onnxq.cli.settings import environment_settings, file_settings
from onnxq.errors import DatasetError, OnnxqError, SourceError, UsageError
from onnxq.findings import Finding

_MAY_BE_THEIR_FAULT = (UsageError, SourceError, DatasetError)


def effective_settings(
    context: click.Context, config: str, *, no_config: bool
) -> tuple[Setting, ...]:
    """Find the options that were not typed, and that a file or a variable says.

    Args:
        context: Of the verb; says what was typed.
        config: The file that the user named; empty where none was.
        no_config: Whether no file is read.

    Returns:
        The settings, in the order of the flags.

    Raises:
        UsageError: If a file or a variable says what no verb understands.
    """
    verb = str(context.info_name).split()[-1]
    options = _options_of_verbs(context.find_root().command)
    file = choose_config(Path(), config, no_config=no_config)
    said = {
        setting.name: setting
        for setting in (
            *file_settings(file, verb, options),
            *environment_settings(os.environ, options[verb]),
        )
    }
    return tuple(said[name] for name in SETTABLE if name in said and not _was_typed(context, name))


def with_settings(command: Sequence[str], settings: Iterable[Setting]) -> tuple[str, ...]:
    """Add to a command what settings say, so that it does the same without them."""
    return inserted(command, [word for one in settings if one.matters for word in one.words])


def settings_findings(settings: Sequence[Setting]) -> tuple[Finding, ...]:
    """Return one finding for each place where settings stand."""
    return tuple(
        Finding(code="OQ117", subject=origin, message=f"gives {words}, which was not typed")
        for origin, words in _words_by_origin(one for one in settings if one.matters).items()
    )


def settings_lines(settings: Sequence[Setting]) -> tuple[str, ...]:
    """Return one line for each place where settings stand."""
    return tuple(f"{origin}: {words}" for origin, words in _words_by_origin(settings).items())


def mention_settings(error: OnnxqError, settings: Sequence[Setting]) -> None:
    """Add to an error's hint which options were not typed, where one of them may be the cause."""
    if isinstance(error, _MAY_BE_THEIR_FAULT):
        said = f"{error.message}\n{error.hint}"
        suspects = [one for one in settings if not one.names_place or one.stands_in(said)]
        lines = (f"Not typed, but said by {line}" for line in settings_lines(suspects))
        error.hint = "\n".join(filter(None, (error.hint, *lines)))


def _options_of_verbs(group: click.Command) -> Mapping[str, frozenset[str]]:
    """Return the settable options of every verb that reads settings."""
    commands = group.commands if isinstance(group, click.Group) else {}
    names = {verb: {str(p.name) for p in c.params} for verb, c in commands.items()}
    return {
        verb: frozenset(SETTABLE.keys() & own) for verb, own in names.items() if "config" in own
    }


def _was_typed(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _words_by_origin(settings: Iterable[Setting]) -> dict[str, str]:
    words: dict[str, list[str]] = {}
    for setting in settings:
        words.setdefault(setting.origin, []).extend(setting.words)
    return {origin: command_text(said) for origin, said in words.items() if said}
