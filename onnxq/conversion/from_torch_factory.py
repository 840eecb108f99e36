"""A PyTorch factory, by name, becomes a module: the user's code is imported and called here."""

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from torch import jit, nn

from onnxq.conversion.from_torch_weights import load_weights
from onnxq.errors import MissingDependencyError, OnnxqError, SourceError
from onnxq.findings import Finding
from onnxq.sources import Factory, WeightsFile, source_path

_WRAP = "Write a function of your own that calls it, and name that:  onnxq run FILE.py:build"


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


def load_module(
    factory: Factory, trusted_folders: tuple[str, ...]
) -> tuple[nn.Module, tuple[Finding, ...]]:
    """Call a factory and give its module the weights that were named.

    Args:
        factory: The factory. What it names may also be a module that is there already.
        trusted_folders: Where a relative ``file.py`` is looked for after the working folder.

    Returns:
        The module on the CPU in evaluation mode, and what was noticed about its weights.

    Raises:
        SourceError: If the factory does not exist (OQ105), cannot be called or fails (OQ106),
            or the weights cannot be read or do not fit (OQ104, OQ107, OQ109).
        MissingDependencyError: If the user's code imports a package that is not installed.
    """
    given = source_path(factory)
    named = _named(_import(factory, trusted_folders), factory)
    module = named if isinstance(named, nn.Module) else _call(named, given)
    if isinstance(module, jit.ScriptModule):
        message = f"{given} gives a TorchScript module, which PyTorch cannot export to ONNX."
        hint = "Name a function that returns the module before torch.jit saw it."
        raise SourceError(message, code="OQ111", hint=hint)
    module = module.to("cpu").eval()
    if not isinstance(factory.weights, WeightsFile):
        return module, ()
    return module, load_weights(module, Path(factory.weights.path))


def _import(factory: Factory, folders: tuple[str, ...]) -> ModuleType:
    given = source_path(factory)
    try:
        if factory.module.endswith(".py"):
            return _import_file(_find_file(factory.module, folders))
        return importlib.import_module(factory.module)
    except OnnxqError:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if f"{factory.module}.".startswith(f"{missing}."):
            raise _no_module(factory, missing, folders) from error
        message = f"{given} imports {missing!r}, which is not installed here."
        hint = f"Install it beside onnxq:  pip install {missing.partition('.')[0]}"
        raise MissingDependencyError(message, code="OQ108", hint=hint) from error
    except (Exception, SystemExit) as error:  # the user's file may raise anything
        message = f"{given} cannot be imported: {_words(error)}"
        hint = f"It has to import without errors:  python -c 'import {Path(factory.module).stem}'"
        raise SourceError(message, code="OQ106", hint=hint) from error


def _find_file(path: str, folders: tuple[str, ...]) -> Path:
    for file in (Path(path), *(Path(folder) / path for folder in folders)):
        if file.is_file():
            return file
    message = f"{path} does not exist."
    raise SourceError(message, code="OQ101", hint="Check the path.")


def _import_file(file: Path) -> ModuleType:
    """Import a file under a name that no installed package has.

    It is registered before it runs: dataclasses and torch.export look their module up by name.
    """
    name = f"onnxq_factory_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        message = f"{file} is not a Python file."
        raise SourceError(message, code="OQ105", hint="Expected  FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _no_module(factory: Factory, missing: str, folders: tuple[str, ...]) -> SourceError:
    names = [path.stem for folder in folders for path in Path(folder).glob("*.py")]
    names += [path.parent.name for folder in folders for path in Path(folder).glob("*/__init__.py")]
    near = difflib.get_close_matches(missing, names, n=1)
    message = f"{source_path(factory)}: there is no Python module {missing!r}."
    tried = ", ".join(folders) or "the installed packages"
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return SourceError(message, code="OQ105", hint=f"{hint}Looked in {tried}.")


def _named(module: ModuleType, factory: Factory) -> Callable[..., object]:
    given = source_path(factory)
    public = [
        name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
    ]
    if not hasattr(module, factory.function):
        near = difflib.get_close_matches(factory.function, public, n=1)
        listed = ", ".join(near or sorted(public)[:8])
        hint = f"Did you mean {listed}?" if listed else "It defines nothing that can be called."
        message = f"{given}: {factory.module} has no {factory.function!r}."
        raise SourceError(message, code="OQ105", hint=hint)
    named = getattr(module, factory.function)
    if not callable(named):
        message = f"{given} is {_article(named)}, expected a function that returns a module."
        raise SourceError(message, code="OQ106", hint=_WRAP)
    return named  # type: ignore[no-any-return] # what the user's file holds has no type


def _call(factory: Callable[..., object], given: str) -> nn.Module:
    needed = _required_arguments(factory)
    if needed:
        message = f"{given} needs arguments: {', '.join(needed)}."
        raise SourceError(message, code="OQ106", hint=_WRAP)
    try:
        module = factory()
    except (Exception, SystemExit) as error:  # the user's function may raise anything
        message = f"{given} failed: {_words(error)}"
        raise SourceError(message, code="OQ106", hint=f"Call {given} yourself first.") from error
    if not isinstance(module, nn.Module):
        message = f"{given} returned {_article(module)}, expected a torch.nn.Module."
        raise SourceError(message, code="OQ106", hint=_WRAP)
    return module


def _required_arguments(factory: Callable[..., object]) -> list[str]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # builtins may have none
        return []
    open_ended = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return [p.name for p in parameters if p.default is p.empty and p.kind not in open_ended]


def _article(value: object) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
