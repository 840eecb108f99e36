"""Where an ``.onnx`` file may keep its weights: in files of its own folder, and nowhere else.

ONNX calls them external data: a tensor names a location relative to the model. A location is text
of whoever made the model, so it is resolved here before anything is read through it.
"""

import mmap
from pathlib import Path, PurePosixPath

from onnxq.errors import SourceError

_LOCATION_ENTRY = b"\x0a\x08location"
"""How protobuf writes the key of ``StringStringEntryProto`` (onnx.proto) that names a location."""

_HINT = (
    "Save it with its weights inside:  "
    "onnx.save(onnx.load('model.onnx'), 'whole.onnx', save_as_external_data=False)"
)


def mentions_side_files(model: Path | str) -> bool:
    """Tell whether a file may have external data, without parsing it.

    Args:
        model: An ``.onnx`` file.

    Returns:
        False if it certainly has none.

    Raises:
        OSError: If it cannot be read.
    """
    with (
        Path(model).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        return data.find(_LOCATION_ENTRY) >= 0


def locate_side_file(model: Path, location: str) -> Path:
    """Find the file that a location names.

    Args:
        model: The ``.onnx`` file, as the user named it.
        location: As a tensor gives it.

    Returns:
        An existing file in the model's folder or below. Links may lead out of it only to where
        the model's own link leads: caches keep models as links into one folder.

    Raises:
        SourceError: OQ111 if the location is absolute, goes up, or leads out of the folder;
            OQ101 if there is no such file.
    """
    parts = PurePosixPath(location)
    if not location or parts.is_absolute() or ".." in parts.parts or "\0" in location:
        message = (
            f"{model.name} keeps weights at {location!r}: expected a path inside its own folder."
        )
        raise SourceError(message, code="OQ111", hint=_HINT)
    path = model.parent / parts
    if not path.is_file():
        message = f"{model.name} keeps weights in {location}, which is not there: {path}."
        hint = f"Put that file beside {model.name}, where it was exported or downloaded with it."
        raise SourceError(message, code="OQ101", hint=hint)
    homes = (model.parent.resolve(), model.resolve().parent)
    if not any(path.resolve().is_relative_to(home) for home in homes):
        message = f"{model.name} keeps weights in {location}, a link that leads out of its folder."
        raise SourceError(message, code="OQ111", hint=_HINT)
    return path
