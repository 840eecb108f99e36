"""The output folder: whole or not at all.

Files are gathered in a sibling of the output folder, so that a rename makes them appear in one
step. Folders on the way there are made then, and removed again if nothing came of it.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxq.errors import OutputError, UsageError
from onnxq.isolation.ownership import REPORT_FILE, check_ours

_NOT_MOVABLE = frozenset({errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM})
"""Why a folder cannot be renamed that can be filled all the same, such as a mount point."""


def check_output(folder: Path, *, overwrite: bool, kept: tuple[Path, ...]) -> None:
    """Raise if a run could not, or must not, write its output folder; nothing is made.

    Args:
        folder: The output folder; it need not exist.
        overwrite: Whether a folder that is not ours may be replaced.
        kept: Files that the user gave; a folder that holds one of them is never replaced.

    Raises:
        OutputError: If it holds files that are not ours, or that were changed since, or nothing
            can be written there.
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
        check_ours(folder)


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
    with _sibling(folder) as staging:
        yield staging
        _sync(staging)
        _replace(staging, folder, overwrite=overwrite)


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
    with _sibling(path) as folder:
        yield folder / path.name
        _sync(folder)
        _check_new(path, overwrite=overwrite)  # again: minutes have passed
        (folder / path.name).replace(path)


def _check_new(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        message = f"the output {str(path)!r} exists."
        hint = "Name another file (-o NAME.onnx), or replace this one: --overwrite."
        raise OutputError(message, code="OQ191", hint=hint)


@contextmanager
def remove_afterwards(folder: Path) -> Iterator[None]:
    """Remove a folder at the end of the body, also where a signal breaks into the removal."""
    try:
        yield
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        finally:  # after the first signal no other one is heard
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _sibling(path: Path) -> Iterator[Path]:
    """Give a folder beside an output, on the same file system, which is gone afterwards."""
    try:
        with _parents_made(path):
            staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.onnxq-", dir=path.parent))
            with remove_afterwards(staging):
                yield staging
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def _parents_made(path: Path) -> Iterator[None]:
    """Make the folders on the way to a path; those that were made go again if the body raises."""
    made = [parent for parent in path.absolute().parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # not there, or somebody else's by now
            for parent in made:
                parent.rmdir()
        raise


def _check_writable(path: Path) -> None:
    """Raise if nothing can be written at a path; tried in the nearest folder that exists."""
    try:
        nearest = next(parent for parent in path.absolute().parents if parent.exists())
        Path(tempfile.mkdtemp(prefix=f".{path.name}.onnxq-", dir=nearest)).rmdir()
    except OSError as error:
        raise _unwritable(path, error) from error


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
        check_ours(folder)  # again: minutes have passed
    try:
        _swap(staging, folder)
    except OSError as error:
        if error.errno not in _NOT_MOVABLE:
            raise
        _move_in(staging, folder)


def _swap(staging: Path, folder: Path) -> None:
    old = staging.with_name(f"{staging.name}.old")
    try:
        folder.rename(old)
        staging.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    with remove_afterwards(old):
        pass


def _move_in(staging: Path, folder: Path) -> None:
    """Fill a folder that cannot be renamed (a mount point); the report is the mark of the end."""
    for entry in folder.iterdir():
        is_folder = entry.is_dir() and not entry.is_symlink()
        shutil.rmtree(entry) if is_folder else entry.unlink()
    for entry in sorted(staging.iterdir(), key=lambda entry: entry.name == REPORT_FILE):
        shutil.move(entry, folder / entry.name)
