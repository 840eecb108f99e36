"""What ``--data`` names, told by its spelling alone. Loads no array library.

::

    spec = path                     a file or a folder; what exists is never read as the others
         | module ":" name          pkg.mod:fn or file.py:fn
         | "hf:" dataset [":" config] [":" split]      the split may stand in brackets, too
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

_CODE = re.compile(r"(?P<module>.+\.py|[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")
_BRACKETS = re.compile(r"\[([^\[\]]+)\]$")
_HF = "hf:"
_SAVED = ("state.json", "dataset_dict.json", "dataset_info.json")


@dataclass(frozen=True)
class PathSpec:
    """A file or a folder.

    Attributes:
        path: Its path.
    """

    path: Path


@dataclass(frozen=True)
class CodeSpec:
    """A function or an object in the user's code.

    Attributes:
        module: A dotted module, or the path of a ``.py`` file.
        name: What is defined there.
    """

    module: str
    name: str


@dataclass(frozen=True)
class HubSpec:
    """A dataset of the package ``datasets``, on this disk.

    Attributes:
        dataset: A folder that ``save_to_disk`` wrote, or a name in the local cache.
        parts: Configuration and split, in this order, as far as they were named.
    """

    dataset: str
    parts: tuple[str, ...]


DataSpec: TypeAlias = PathSpec | CodeSpec | HubSpec


def parse_spec(text: str) -> DataSpec:
    """Tell what kind of data a text names.

    Args:
        text: As typed after ``--data``.

    Returns:
        What it names; a path wherever it is neither of the others, or a file or folder of that
        very name exists.
    """
    if text.startswith(_HF) and not os.path.exists(text):  # noqa: PTH110 - too long for Path
        dataset, *parts = _BRACKETS.sub(r":\1", text.removeprefix(_HF)).split(":")
        return HubSpec(dataset, tuple(parts))
    code = _CODE.fullmatch(text)
    if code is None or os.path.exists(text):  # noqa: PTH110 - as above
        return PathSpec(Path(text))
    return CodeSpec(code["module"], code["name"])


def absolute_spec(text: str, folder: Path) -> str:
    """Write a spec so that it holds in another working folder, and under another home.

    Args:
        text: As typed after ``--data``; empty stays empty.
        folder: What relative paths are relative to.

    Returns:
        The same data: paths are absolute, ``hf:NAME`` becomes the folder of the local cache where
        such a dataset would lie, and dotted modules stay as they are.
    """
    if not text:
        return text
    match parse_spec(text):
        case PathSpec(path=path):
            return str(folder / path)
        case CodeSpec(module=module, name=name) if module.endswith(".py"):
            return f"{folder / module}:{name}"
        case CodeSpec():
            return text
        case HubSpec(dataset=dataset, parts=parts):
            return _HF + ":".join([str(_hub_folder(dataset, folder)), *parts])


def _hub_folder(dataset: str, folder: Path) -> Path:
    """Return where a dataset lies: the folder of that name, or its place in the cache."""
    path = folder / dataset
    is_path = dataset.startswith((".", os.sep, "~")) or any((path / n).is_file() for n in _SAVED)
    if is_path:
        return (folder / Path(dataset).expanduser()).absolute()
    return _hub_cache() / dataset.replace("/", "___")


def _hub_cache() -> Path:
    """Return the cache of ``datasets``, as its documentation describes it."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets").expanduser().absolute()
