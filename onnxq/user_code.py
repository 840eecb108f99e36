"""The user's own code, by name: ``pkg.mod:name`` or ``file.py:name`` is imported and called here.

Naming it is the trust: it runs in a child, with the user's folders on the import path.
"""

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import os
import pwd
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from onnxq.errors import MissingDependencyError, OnnxqError
from onnxq.wording import with_article

_PACKAGE_FOLDER = f"{Path(__file__).parent}{os.sep}"
_MOST_NAMES = 8
_CACHES = ("XDG_CACHE_HOME", "KERAS_HOME")
"""What a child's environment points at its own folder, beside its home."""


@dataclass(frozen=True)
class UserCode:
    """Something in the user's code that was named, and what is expected of it.

    Attributes:
        module: A dotted module, or the path of a ``.py`` file.
        name: What is defined there.
        given: As the user gave both, for messages.
        wanted: What it should be, such as ``a function that returns a torch.nn.Module``.
        error: What is raised where it is not.
        hint: What to write instead.
    """

    module: str
    name: str
    given: str
    wanted: str
    error: type[OnnxqError]
    hint: str


@contextlib.contextmanager
def importable_from(folders: tuple[str, ...]) -> Iterator[None]:
    """Let user code be imported from folders, before anything of the same name elsewhere.

    No bytecode is written meanwhile: the folders are the user's.

    Args:
        folders: Put in front of the import path, in this order, until the context ends.
    """
    before, wrote_nothing = list(sys.path), sys.dont_write_bytecode
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = before, wrote_nothing


@contextlib.contextmanager
def working_in(folder: str) -> Iterator[None]:
    """Let user code find its files as it does when the user runs it.

    A child works in a folder and with a home of its own; code that was named reads relative
    paths, and caches in the user's home.

    Args:
        folder: The user's working folder; empty changes nothing.
    """
    if not folder:
        yield
        return
    before = {name: os.environ.get(name) for name in ("HOME", *_CACHES)}
    with contextlib.chdir(folder):
        with contextlib.suppress(KeyError):  # a container's user may have no entry
            os.environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
        for name in _CACHES:
            os.environ.pop(name, None)
        try:
            yield
        finally:
            os.environ.update({name: value for name, value in before.items() if value is not None})


def import_named(code: UserCode, folders: tuple[str, ...]) -> object:
    """Import what the user named.

    Args:
        code: What was named.
        folders: Where a relative ``file.py`` is looked for after the working folder.

    Returns:
        Whatever has that name.

    Raises:
        OnnxqError: ``code.error``, if it does not exist (OQ105) or its module fails when it is
            imported (OQ106).
        MissingDependencyError: OQ108, if it imports a package that is not installed.
    """
    module = _import(code, folders)
    if hasattr(module, code.name):
        found: object = getattr(module, code.name)
        return found
    public = [
        name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
    ]
    near = difflib.get_close_matches(code.name, public, n=1)
    listed = ", ".join(near or sorted(public)[:_MOST_NAMES])
    hint = f"Did you mean {listed}?" if listed else "It defines nothing that can be called."
    message = f"{code.given}: {Path(code.module).name} has no {code.name!r}."
    raise code.error(message, code="OQ105", hint=hint)


def call_named(named: object, code: UserCode) -> object:
    """Call what the user named, without arguments.

    Args:
        named: From :func:`import_named`.
        code: What was named.

    Returns:
        What it returns.

    Raises:
        OnnxqError: ``code.error`` OQ106, if it cannot be called so, or fails.
        MissingDependencyError: OQ108, if it imports a package that is not installed.
    """
    if not callable(named):
        message = f"{code.given} is {with_article(named)}, expected {code.wanted}."
        raise code.error(message, code="OQ106", hint=code.hint)
    needed = _required_arguments(named)
    if needed:
        message = f"{code.given} needs arguments: {', '.join(needed)}."
        raise code.error(message, code="OQ106", hint=code.hint)
    with failures_said(code):
        result: object = named()
    return result


@contextlib.contextmanager
def failures_said(code: UserCode) -> Iterator[None]:
    """Turn whatever the user's code raises into one error that says where.

    Args:
        code: What was named.

    Raises:
        OnnxqError: ``code.error`` OQ106, if anything but an error of onnxq is raised.
        MissingDependencyError: OQ108, if a package is not installed.
    """
    try:
        yield
    except OnnxqError:
        raise
    except ModuleNotFoundError as error:
        raise _missing(code, error) from error
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        message = f"{code.given} failed: {describe_failure(error)}"
        raise code.error(
            message, code="OQ106", hint=f"Call {code.given} yourself first."
        ) from error


def describe_failure(error: BaseException) -> str:
    """Say what was raised, and in which line of the user's code.

    Args:
        error: As it was caught.

    Returns:
        ``ValueError: no such luck (nets.py, line 12)``; without a place where only onnxq's own
        code, or none, was running.
    """
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_PACKAGE_FOLDER, "<frozen"))
    ]
    # What the user wrote, where it called a package that raised.
    installed = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
    own = [frame for frame in frames if not frame.filename.startswith(installed)] or frames
    if isinstance(error, SyntaxError) or not own:
        return words
    return f"{words} ({Path(own[-1].filename).name}, line {own[-1].lineno})"


def _import(code: UserCode, folders: tuple[str, ...]) -> ModuleType:
    try:
        if code.module.endswith(".py"):
            return _import_file(_find_file(code, folders), code)
        return importlib.import_module(code.module)
    except OnnxqError:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if f"{code.module}.".startswith(f"{missing}."):
            raise _no_module(code, missing, folders) from error
        raise _missing(code, error) from error
    except (Exception, SystemExit) as error:  # the user's file may raise anything
        message = f"{code.given} cannot be imported: {describe_failure(error)}"
        hint = f"It has to import without errors:  python -c 'import {Path(code.module).stem}'"
        raise code.error(message, code="OQ106", hint=hint) from error


def _find_file(code: UserCode, folders: tuple[str, ...]) -> Path:
    for file in (Path(code.module), *(Path(folder) / code.module for folder in folders)):
        if file.is_file():
            return file
    message = f"{code.module} does not exist."
    raise code.error(message, code="OQ105", hint="Check the path.")


def _import_file(file: Path, code: UserCode) -> ModuleType:
    """Import a file under a name that no installed package has.

    It is registered before it runs: dataclasses and torch.export look their module up by name.
    """
    name = f"onnxq_user_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        message = f"{file} is not a Python file."
        raise code.error(message, code="OQ105", hint="Expected  FILE.py:NAME")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _missing(code: UserCode, error: ModuleNotFoundError) -> MissingDependencyError:
    missing = error.name or ""
    message = f"{code.given} imports {missing!r}, which is not installed here."
    hint = f"Install it beside onnxq:  pip install {missing.partition('.')[0]}"
    return MissingDependencyError(message, code="OQ108", hint=hint)


def _no_module(code: UserCode, missing: str, folders: tuple[str, ...]) -> OnnxqError:
    names = [path.stem for folder in folders for path in Path(folder).glob("*.py")]
    names += [path.parent.name for folder in folders for path in Path(folder).glob("*/__init__.py")]
    near = difflib.get_close_matches(missing, names, n=1)
    message = f"{code.given}: there is no Python module {missing!r}."
    tried = ", ".join(folders) or "the installed packages"
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return code.error(message, code="OQ105", hint=f"{hint}Looked in {tried}.")


def _required_arguments(function: Callable[..., object]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # builtins may have none
        return []
    open_ended = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return [p.name for p in parameters if p.default is p.empty and p.kind not in open_ended]
