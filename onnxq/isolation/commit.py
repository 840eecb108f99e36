"""The output folder: whole or not at all.

Files are gathered in a sibling of the output folder, so that a rename makes them appear in one
step. A folder that holds anything which its own report does not list is somebody else's.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxq.documents import artefact_files, read_document
from onnxq.errors import OutputError, UsageError

REPORT_FILE = "report.json"
SNIPPET_FILE = "serve.py"
RECIPES_FILE = "recipes.toml"


def check_output(folder: Path, *, overwrite: bool, kept: tuple[Path, ...]) -> None:
    """Raise if a run could not, or must not, write its output folder.

    Args:
        folder: The output folder; it need not exist.
        overwrite: Whether a folder that is not ours may be replaced.
        kept: Files that the user gave; a folder that holds one of them is never replaced.

    Raises:
        OutputError: If it holds files that are not ours, or nothing can be written there.
        UsageError: If replacing it would remove what the user gave.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        message = f"the output {str(folder)!r} exists and is not a folder."
        raise OutputError(message, code="OQ192", hint="Name another folder: -o NAME.")
    if not folder.exists():
        _check_writable(folder)
        return
    _check_keeps(folder, kept)
    _check_writable(folder)
    if not overwrite:
        _check_ours(folder)


def _check_ours(folder: Path) -> None:
    foreign = sorted(_names(folder) - _own_names(folder))
    if foreign:
        message = (
            f"the output folder {str(folder)!r} holds {foreign[0]!r}"
            f"{f' and {len(foreign) - 1} more' if foreign[1:] else ''}, which onnxq did not write."
        )
        hint = "Name another folder (-o NAME), or replace this one: --overwrite."
        raise OutputError(message, code="OQ191", hint=hint)


@contextmanager
def staged_output(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a sibling of the output folder to write into; it becomes the folder at the end.

    Args:
        folder: The output folder; what onnxq wrote into it is replaced.
        overwrite: Whether what others wrote is replaced too.

    Yields:
        The staging folder; it is removed if the body raises.

    Raises:
        OutputError: If the disk is full or the folder cannot be written.
    """
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.onnxq-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield staging
        _sync(staging)
        _replace(staging, folder, overwrite=overwrite)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_output_file(path: Path, *, overwrite: bool, kept: tuple[Path, ...]) -> None:
    """Raise if a single file could not, or must not, be written.

    Args:
        path: The output file; it need not exist.
        overwrite: Whether an existing file may be replaced.
        kept: Files that the user gave; none of them is ever replaced.

    Raises:
        OutputError: If it exists and may not be replaced, or nothing can be written there.
        UsageError: If replacing it would remove what the user gave.
    """
    if any(path.resolve() == one.resolve() for one in kept):
        message = f"the output {str(path)!r} is the model that was given."
        raise UsageError(message, code="OQ100", hint="Name another file: -o NAME.onnx.")
    _check_new(path, overwrite=overwrite)
    _check_writable(path)


@contextmanager
def staged_file(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a sibling of an output file to write; it becomes the file at the end.

    Args:
        path: The output file.
        overwrite: Whether an existing file is replaced.

    Yields:
        A path to write to; what is there is removed if the body raises.

    Raises:
        OutputError: If the disk is full, the folder cannot be written, or the file exists.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.onnxq-", dir=path.parent))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield folder / path.name
        _sync(folder)
        _check_new(path, overwrite=overwrite)  # again: minutes have passed
        (folder / path.name).replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_new(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        message = f"the output {str(path)!r} exists."
        hint = "Name another file (-o NAME.onnx), or replace this one: --overwrite."
        raise OutputError(message, code="OQ191", hint=hint)


def _check_writable(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        Path(tempfile.mkdtemp(prefix=f".{folder.name}.onnxq-", dir=folder.parent)).rmdir()
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> OutputError:
    message = f"the output {str(folder)!r} cannot be written: {error.strerror or error}."
    hint = "Free space, or name a place that you can write: -o NAME."
    return OutputError(message, code="OQ192", hint=hint)


def _check_keeps(folder: Path, kept: tuple[Path, ...]) -> None:
    for path in (*kept, Path.cwd(), Path.home()):
        if path.resolve().is_relative_to(folder.resolve()):
            message = f"the output folder {str(folder)!r} holds {str(path)!r}."
            hint = "Name a folder that may be replaced as a whole: -o NAME."
            raise UsageError(message, code="OQ100", hint=hint)


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def _own_names(folder: Path) -> set[str]:
    try:
        document = read_document(folder / REPORT_FILE)
    except (OutputError, OSError):
        return set()
    return {*artefact_files(document), REPORT_FILE, SNIPPET_FILE, RECIPES_FILE}


def _sync(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace(staging: Path, folder: Path, *, overwrite: bool) -> None:
    """Put the staged folder in the place of the old one, which comes back if that fails."""
    staging.chmod(0o755)  # mkdtemp makes it private
    if not folder.exists():
        staging.rename(folder)
        return
    if not overwrite:
        _check_ours(folder)  # again: minutes have passed
    old = staging.with_name(f"{staging.name}.old")
    try:
        folder.rename(old)
    except OSError as error:
        if error.errno not in {errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM}:
            raise
        _move_in(staging, folder)
        return
    try:
        staging.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old)


def _move_in(staging: Path, folder: Path) -> None:
    """Fill a folder that cannot be renamed (a mount point); the report is the mark of the end."""
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    names = sorted(_names(staging), key=lambda name: name == REPORT_FILE)
    for name in names:
        shutil.move(staging / name, folder / name)
