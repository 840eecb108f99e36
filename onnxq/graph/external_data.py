"""The stage that finds the files an ``.onnx`` file keeps its weights in, before it is copied."""

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import TensorProto

from onnxq.errors import SourceError
from onnxq.events import Tell
from onnxq.side_files import locate_side_file
from onnxq.stages import SideFilesRequest, SideFilesResult

_PACKED_BITS: dict[int, int] = {
    TensorProto.INT4: 4, TensorProto.UINT4: 4, TensorProto.FLOAT4E2M1: 4,
    TensorProto.INT2: 2, TensorProto.UINT2: 2,
}  # fmt: skip


def list_side_files(request: SideFilesRequest, folder: Path, tell: Tell) -> SideFilesResult:  # noqa: ARG001 - the signature of a stage
    """List the external data files of a model, and check that they hold what it expects of them.

    Args:
        request: The model where the user keeps it; nothing is written there.
        folder: Not written to.
        tell: Not told anything.

    Returns:
        Locations of the files, relative to the model's folder, sorted.

    Raises:
        SourceError: OQ104 if the model cannot be parsed, or a file is shorter than its tensors;
            OQ111 if a location leads out of the folder; OQ101 if a file is not there.
    """
    model = Path(request.path)
    found: dict[str, int] = {}
    for tensor in external_tensors(_parse(model)):
        location, end = _place_of(tensor, model)
        found[location] = max(end, found.get(location, 0))
    for location, needed in found.items():
        _check_length(model, location, needed)
    return SideFilesResult(locations=tuple(sorted(found)))


def external_tensors(message: Message) -> Iterator[TensorProto]:
    """Yield every tensor that lies in another file, wherever in a message it stands.

    Args:
        message: A ``ModelProto`` whose external data was not loaded, or a part of one:
            initializers, sparse ones, attributes, subgraphs, local functions, training.
    """
    if isinstance(message, TensorProto):
        if message.data_location == TensorProto.EXTERNAL:
            yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for inner in [value] if isinstance(value, Message) else value:
            yield from external_tensors(inner)


def _parse(model: Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(model), load_external_data=False)
    except (DecodeError, OSError) as error:
        message = f"{model.name} is not a whole ONNX file: {error}"
        hint = "Export the model again, or check the download."
        raise SourceError(message, code="OQ104", hint=hint) from error


def _place_of(tensor: TensorProto, model: Path) -> tuple[str, int]:
    """Return where a tensor lies, and how long that file must be at least."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    needed = _stored_bytes(tensor)
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", needed))
    except ValueError:
        offset = length = -1
    if min(offset, needed) < 0 or length != needed:
        message = (
            f"{model.name}: the tensor {tensor.name!r} lies at offset "
            f"{entries.get('offset', '0')}, {entries.get('length', '?')} bytes long; expected "
            f"{needed} bytes for {list(tensor.dims)}."
        )
        raise SourceError(message, code="OQ104", hint="Export the model again.")
    return entries.get("location", ""), offset + length


def _stored_bytes(tensor: TensorProto) -> int:
    count = math.prod(tensor.dims)
    if tensor.data_type in _PACKED_BITS:
        return -(-count * _PACKED_BITS[tensor.data_type] // 8)
    try:
        return count * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError:
        return -1  # of no type that exists


def _check_length(model: Path, location: str, needed: int) -> None:
    size = locate_side_file(model, location).stat().st_size
    if size < needed:
        message = (
            f"{location} is {size} bytes long; {model.name} expects {needed}: it was cut short, "
            "or belongs to another model."
        )
        raise SourceError(message, code="OQ104", hint="Download or export both files again.")
