"""A folder of rows: which files there are, and what their classes are."""

import difflib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from onnxq.errors import DatasetError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)

_MAX_LIST_BYTES = 10_000_000


@dataclass(frozen=True)
class RowFolder:
    """Files that are a row each, in the order of their paths, by code point.

    Attributes:
        path: The folder.
        files: Paths below it, ``/`` between parts; never empty.
        labels: The class of each file; empty without labels.
        class_names: Names of folders, or texts found by a pattern, that were numbered in sorted
            order; empty where the numbers themselves were given.
    """

    path: Path
    files: tuple[str, ...]
    labels: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()


def list_files(path: Path) -> tuple[str, ...]:
    """List the files below a folder; hidden ones are left out.

    Args:
        path: The folder.

    Returns:
        Paths below it, ``/`` between parts, in order by code point.

    Raises:
        DatasetError: OQ127, if a folder cannot be listed.
    """
    return tuple(sorted(_walk(path)))


def select_files(files: tuple[str, ...], suffixes: frozenset[str]) -> tuple[str, ...]:
    """Return the files that have one of some suffixes, in whatever case."""
    return tuple(file for file in files if Path(file).suffix.lower() in suffixes)


def number_classes(path: Path, files: tuple[str, ...], classes: str) -> RowFolder:
    """Number the classes of files that are a row each.

    Subfolders are classes, numbered in sorted order as torchvision's and Keras' loaders do, or by
    ``classes``; a flat folder has no labels without ``classes``.

    Args:
        path: The folder.
        files: Of its rows, from :func:`list_files`; one at least.
        classes: As :class:`~onnxq.datasets.values.DataRequest` describes it.

    Returns:
        The files with their classes; none was opened.

    Raises:
        DatasetError: OQ125 if classes cannot be told; OQ127 if rows lie both in the folder and
            in subfolders.
    """
    nested = [file for file in files if "/" in file]
    if classes and not is_file(classes):
        return _by_pattern(path, files, classes)
    if nested and len(nested) < len(files):
        example = next(file for file in files if "/" not in file)
        message = f"{path} holds rows both in subfolders and beside them, such as {example}."
        hint = r"Move them, or say what the classes are:  --classes '^([^/]+)/'"
        raise DatasetError(message, code="OQ127", hint=hint)
    if classes:
        return _by_list(path, files, Path(classes))
    if not nested:
        return RowFolder(path, files)
    names = tuple(sorted(p.name for p in path.iterdir() if p.is_dir() and _is_shown(p.name)))
    labels = tuple(names.index(_top(file)) for file in files)
    return RowFolder(path, files, labels, names)


def _walk(path: Path) -> Iterator[str]:
    """Yield the files below a folder; links are followed, each folder is entered once."""
    entered = {path.resolve()}
    for folder, subfolders, names in os.walk(path, onerror=_refuse, followlinks=True):
        below = Path(folder)
        fresh = [name for name in sorted(subfolders) if _is_shown(name)]
        fresh = [name for name in fresh if (below / name).resolve() not in entered]
        entered |= {(below / name).resolve() for name in fresh}
        subfolders[:] = fresh
        for name in filter(_is_shown, names):
            if (below / name).is_file():
                yield (below / name).relative_to(path).as_posix()


def _refuse(error: OSError) -> NoReturn:
    message = f"{error.filename} cannot be listed: {error.strerror}."
    hint = "Make the folder readable, or name another."
    raise DatasetError(message, code="OQ127", hint=hint) from error


def is_file(text: str) -> bool:
    """Whether a text is the path of a file, and not an error if it can be no path at all."""
    return os.path.isfile(text)  # noqa: PTH113 - Path.is_file raises for a text that is too long


def _is_shown(name: str) -> bool:
    return not name.startswith((".", "__"))


def _top(file: str) -> str:
    return file.split("/", 1)[0]


def _by_pattern(path: Path, files: tuple[str, ...], text: str) -> RowFolder:
    pattern = _compile(text)
    found = [pattern.search(file) for file in files]
    missed = [file for file, match in zip(files, found, strict=True) if not match]
    if missed:
        message = (
            f"--classes {text!r} is not found in {len(missed)} of {len(files)} file names, the "
            f"first of them {missed[0]!r}."
        )
        raise DatasetError(message, code="OQ125", hint=_PATTERN_HINT)
    texts = [match[1] or "" for match in found if match]
    if all(text.isascii() and text.isdigit() for text in texts):
        return RowFolder(path, files, tuple(map(int, texts)))
    names = tuple(sorted(set(texts)))
    number = {name: index for index, name in enumerate(names)}
    return RowFolder(path, files, tuple(number[text] for text in texts), names)


_PATTERN_HINT = (
    r"It is a regular expression on the path below the folder, with one group, the class:"
    "\n"
    r"  --classes '^(\d+)_'        for 0007_cat.jpg"
    "\n"
    "or a file that names a class per line, in the order of the model's outputs."
)


def _compile(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        message = f"--classes {text!r} is neither a file nor a regular expression: {error}."
        raise DatasetError(message, code="OQ125", hint=_PATTERN_HINT) from error
    if pattern.groups != 1:
        message = (
            f"--classes {text!r} is neither a file nor a regular expression with one group: found "
            f"{pattern.groups} groups."
        )
        raise DatasetError(message, code="OQ125", hint=_PATTERN_HINT)
    return pattern


def _by_list(path: Path, files: tuple[str, ...], classes: Path) -> RowFolder:
    if all("/" not in file for file in files):
        message = f"{classes} names the classes of subfolders, and {path} has none."
        raise DatasetError(message, code="OQ125", hint=_PATTERN_HINT)
    number_of = read_classes(classes)
    return RowFolder(path, files, tuple(number_of(_top(file)) for file in files))


def read_classes(classes: Path) -> Callable[[str], int]:
    """Read a list of classes: ``name`` on each line (from 0), or ``index=name``.

    Args:
        classes: A text file in UTF-8.

    Returns:
        A function from a class's name to its number. It raises OQ125 for a name that the list
        does not name once.

    Raises:
        DatasetError: OQ125, if the list cannot be read.
    """
    return _looked_up(_read_classes(classes), classes)


def _looked_up(numbers: dict[str, list[int]], classes: Path) -> Callable[[str], int]:
    def number_of(name: str) -> int:
        found = numbers.get(name, [])
        if len(found) == 1:
            return found[0]
        near = difflib.get_close_matches(name, numbers, n=1)
        guess = f" Did you mean {near[0]!r}?" if near and not found else ""
        message = f"{classes} names the class {name!r} {len(found)} times: expected once.{guess}"
        hint = "One line a class, NAME in the order of the model's outputs, or INDEX=NAME."
        raise DatasetError(message, code="OQ125", hint=hint)

    return number_of


def _read_classes(classes: Path) -> dict[str, list[int]]:
    try:
        with classes.open(encoding="utf-8-sig") as file:
            lines = file.read(_MAX_LIST_BYTES).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"the class list {classes} cannot be read: {error}."
        hint = "It is a text file in UTF-8, one class a line."
        raise DatasetError(message, code="OQ125", hint=hint) from error
    numbers: dict[str, list[int]] = {}
    for line_number, line in enumerate(lines):
        index, sign, name = (part.strip() for part in line.partition("="))
        if sign and index.isascii() and index.isdigit():
            numbers.setdefault(name, []).append(int(index))
        elif line.strip():
            numbers.setdefault(line.strip(), []).append(line_number)
    return numbers
