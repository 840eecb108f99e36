"""Options that were not typed: from a file, then from ``ONNXQ_*`` variables; flags beat both.

A key is the keyword's name, with ``-`` or ``_``; a variable is ``ONNXQ_`` and the name in
capitals. Keys at the top of a file are for every verb that has the option, those of a table such
as ``[quantize]`` for that verb alone. All of a file is checked, whichever verb reads it.

A file that merely lies in the working folder may have come with the model. So it can neither
allow anything (``trust``, ``overwrite``) nor name code to run; a file that the user names can.
"""

import difflib
from collections.abc import Collection, Mapping
from typing import NoReturn

from onnxq.cli.config_files import ConfigFile
from onnxq.cli.flags import FLAGS, SETTABLE, flag_of
from onnxq.cli.setting_values import Setting, setting_from_toml, setting_from_variable
from onnxq.errors import UsageError

PREFIX = "ONNXQ_"
_PERMISSIONS = frozenset({"trust", "overwrite"})
_NEAR = 0.75
_OF_THE_TESTS = "ONNXQ_SHARED"
"""Where the tests and the models of this project find data; nearly ``ONNXQ_SHARD``."""


def file_settings(
    file: ConfigFile, verb: str, options: Mapping[str, Collection[str]]
) -> tuple[Setting, ...]:
    """Return what a file says to a verb.

    Args:
        file: What it says to all of them.
        verb: The verb's name.
        options: The settable options of every verb that has any, by the verb's name.

    Returns:
        One setting an option; the verb's own table beats the top of the file.

    Raises:
        UsageError: If an entry, of this verb or of another, is unknown, double, of the wrong
            type, or not for a file that nobody named.
    """
    tables = {key: entry for key, entry in file.entries.items() if isinstance(entry, dict)}
    top = {key: entry for key, entry in file.entries.items() if key not in tables}
    everywhere = {name for names in options.values() for name in names}
    said = _entries(file, "", top, everywhere)
    own: dict[str, Setting] = {}
    for key, table in tables.items():
        if key not in options:
            _refuse_table(file, key, options)
        settings = _entries(file, f"[{key}] ", table, options[key])
        own = settings if key == verb else own
    return tuple(setting for setting in (said | own).values() if setting.name in options[verb])


def environment_settings(
    environ: Mapping[str, str], options: Collection[str]
) -> tuple[Setting, ...]:
    """Return what the environment says to a verb.

    Args:
        environ: Environment variables; an empty one says nothing.
        options: The verb's settable options.

    Returns:
        One setting for each variable that is called as an option of the verb.

    Raises:
        UsageError: If an option does not take the variable's value.
    """
    variables = {name: f"{PREFIX}{name.upper()}" for name in options}
    return tuple(
        setting_from_variable(name, environ[variable], variable)
        for name, variable in variables.items()
        if environ.get(variable)
    )


def misspelled_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for each variable that is not read though an option is nearly its name.

    Others that begin with ``ONNXQ_`` are somebody else's business.
    """
    sentences = []
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        name = variable.removeprefix(PREFIX).lower()
        near = difflib.get_close_matches(name, SETTABLE, n=1, cutoff=_NEAR)
        if name in SETTABLE or variable == _OF_THE_TESTS:
            continue
        if name in FLAGS:
            sentences.append(f"{variable} is not read: {flag_of(name)} is only ever typed.")
        elif near:
            sentences.append(f"{variable} is not read. Did you mean {PREFIX}{near[0].upper()}?")
    return tuple(sentences)


def _entries(
    file: ConfigFile, table: str, entries: Mapping[str, object], options: Collection[str]
) -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    for key, entry in entries.items():
        name = key.replace("-", "_")
        if name not in options:
            _refuse_entry(file, table, key, options)
        if name in settings:
            _refuse(f"{file.origin}: {table}{key} stands there twice.", "Keep one of the two.")
        settings[name] = setting_from_toml(name, entry, f"{table}{key}", file.origin)
        _check_allowed(file, settings[name])
    return settings


def _check_allowed(file: ConfigFile, setting: Setting) -> None:
    if file.is_named:
        return
    flag = flag_of(setting.name)
    by_name = f"or name the file, --config {file.origin.split()[0]}, if it is yours."
    if setting.name in _PERMISSIONS:
        complaint = f"{file.origin}: {flag} is not for a file that nobody named."
        _refuse(complaint, f"Type {flag}, {by_name}")
    if setting.names_code:
        complaint = f"{file.origin}: {flag} {setting.value} is code that would be run."
        _refuse(complaint, f"Type it, {by_name}")


def _refuse_entry(file: ConfigFile, table: str, key: str, options: Collection[str]) -> NoReturn:
    """Refuse a key that no option, or none of this verb, is called by."""
    name = key.replace("-", "_")
    near = difflib.get_close_matches(name, options, n=1)
    if name in SETTABLE:
        hint = f"{table.strip()} has no {flag_of(name)}."
    elif name in FLAGS:
        hint = f"{flag_of(name)} is only ever typed."
    elif near:
        hint = f"Did you mean {near[0].replace('_', '-')}?"
    else:
        hint = "Keys are the options of onnxq run --help, without the hyphens before them."
    _refuse(f"{file.origin}: {table}{key} is no option.", hint)


def _refuse_table(file: ConfigFile, key: str, verbs: Collection[str]) -> NoReturn:
    near = difflib.get_close_matches(key, verbs, n=1)
    hint = f"Did you mean [{near[0]}]?" if near else f"There are [{'], ['.join(verbs)}]."
    _refuse(f"{file.origin}: [{key}] is no verb with options.", hint)


def _refuse(complaint: str, hint: str) -> NoReturn:
    raise UsageError(complaint, code="OQ100", hint=hint)
