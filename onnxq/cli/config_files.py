"""The file that options may come from: ``onnxq.toml``, or ``[tool.onnxq]`` in ``pyproject.toml``.

Only the working folder is looked at, not the folders above it: paths in the file mean there what
they mean on the command line, and nothing that lies elsewhere changes what a command does.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from onnxq.errors import UsageError

OWN_FILE = "onnxq.toml"
PROJECT_FILE = "pyproject.toml"
_SECTION = "[tool.onnxq]"


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """What a file says.

    Attributes:
        origin: The file as a person calls it.
        entries: Its keys and values, as TOML has them; empty where there is no file.
        is_named: Whether the user named the file; if not, it merely lay there.
    """

    origin: str = ""
    entries: dict[str, object]
    is_named: bool = False


NO_CONFIG = ConfigFile(entries={})


def choose_config(folder: Path, named: str, *, no_config: bool) -> ConfigFile:
    """Read the file that the user named, else the one that lies in a folder.

    Args:
        folder: The working folder.
        named: What ``--config`` says; empty where it was not given.
        no_config: What ``--no-config`` says.

    Returns:
        What the file says; :data:`NO_CONFIG` where there is none, or none is wanted.

    Raises:
        UsageError: If the two contradict each other, or the file cannot be read.
    """
    if named and no_config:
        message = "--config and --no-config contradict each other."
        raise UsageError(message, code="OQ100", hint="Give one of them.")
    if no_config:
        return NO_CONFIG
    return read_config(Path(named)) if named else find_config(folder)


def find_config(folder: Path) -> ConfigFile:
    """Read the file that lies in a folder.

    Args:
        folder: The working folder.

    Returns:
        ``onnxq.toml``; else the section of ``pyproject.toml``; else :data:`NO_CONFIG`.

    Raises:
        UsageError: If the file is not TOML, or cannot be read.
    """
    if (folder / OWN_FILE).is_file():
        return ConfigFile(origin=OWN_FILE, entries=_load(folder / OWN_FILE))
    if (folder / PROJECT_FILE).is_file():
        entries = _section(_load(folder / PROJECT_FILE))
        return ConfigFile(origin=f"{PROJECT_FILE} {_SECTION}", entries=entries)
    return NO_CONFIG


def read_config(path: Path) -> ConfigFile:
    """Read a file that the user named.

    Args:
        path: Of a ``pyproject.toml`` the section is taken, of another file all of it.

    Returns:
        What it says.

    Raises:
        UsageError: If it is not TOML, or cannot be read.
    """
    entries = _load(path)
    if path.name == PROJECT_FILE:
        return ConfigFile(origin=f"{path} {_SECTION}", entries=_section(entries), is_named=True)
    return ConfigFile(origin=str(path), entries=entries, is_named=True)


def _load(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        hint = "Name a file of options with --config, or none."
        raise UsageError(message, code="OQ100", hint=hint) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{path} is not TOML: {error}."
        raise UsageError(
            message, code="OQ100", hint='Lines are such as max-drop = "1pp".'
        ) from error


def _section(project: dict[str, object]) -> dict[str, object]:
    """Return what a ``pyproject.toml`` says about onnxq; nothing where it says nothing."""
    tools = project.get("tool")
    section = tools.get("onnxq", {}) if isinstance(tools, dict) else {}
    if not isinstance(section, dict):
        message = f"{PROJECT_FILE}: tool.onnxq is not a table."
        raise UsageError(message, code="OQ100", hint=f"Write {_SECTION} above the options.")
    return section
