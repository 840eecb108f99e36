"""Whose an output folder is: what onnxq wrote into it, and whether that is still what it wrote."""

import hashlib
from pathlib import Path

from onnxq.documents import WrittenDocument, artefact_files, read_document
from onnxq.errors import OutputError

REPORT_FILE = "report.json"
SNIPPET_FILE = "serve.py"
RECIPES_FILE = "recipes.toml"


def file_digests(folder: Path) -> dict[str, str]:
    """Take the digests of the files in a folder.

    Args:
        folder: Holds files alone.

    Returns:
        SHA-256 by name, in hexadecimal digits.

    Raises:
        OSError: If one cannot be read.
    """
    return {path.name: _digest(path) for path in sorted(folder.iterdir())}


def check_ours(folder: Path) -> None:
    """Raise if replacing a folder would lose what somebody else wrote, or changed.

    Args:
        folder: An existing folder.

    Raises:
        OutputError: OQ191, if it holds anything that its own report does not list, or a file
            that was changed since.
    """
    written = _written(folder)
    names = sorted(entry.name for entry in folder.iterdir())
    foreign = [name for name in names if name not in written]
    if foreign:
        raise _refusal(folder, foreign, "which onnxq did not write")
    changed = [name for name in names if written[name] and not _is(folder / name, written[name])]
    if changed:
        raise _refusal(folder, changed, "changed since onnxq wrote it")


def _written(folder: Path) -> dict[str, str]:
    """Return what onnxq wrote there: digests by name, empty where the report does not say one."""
    try:
        document = read_document(folder / REPORT_FILE)
    except (OutputError, OSError):
        return {}
    return {REPORT_FILE: "", **(document.files or _names_without_digests(document))}


def _names_without_digests(document: WrittenDocument) -> dict[str, str]:
    """Name the files of a document that was written before documents held digests."""
    return dict.fromkeys((*artefact_files(document), SNIPPET_FILE, RECIPES_FILE), "")


def _is(path: Path, digest: str) -> bool:
    try:
        return _digest(path) == digest
    except OSError:  # a folder of that name, or a file that cannot be read: not what was written
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refusal(folder: Path, names: list[str], why: str) -> OutputError:
    more = f" and {len(names) - 1} more" if names[1:] else ""
    message = f"the output folder {str(folder)!r} holds {names[0]!r}{more}, {why}."
    hint = "Name another folder (-o NAME), or replace this one: --overwrite."
    return OutputError(message, code="OQ191", hint=hint)
