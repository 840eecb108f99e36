"""Weights in the safetensors format, read by hand.

The format is a header and plain buffers, specified at
https://github.com/huggingface/safetensors under "Format": eight bytes of length (little-endian), a
JSON object of that length, ``{name: {dtype, shape, data_offsets: [begin, end]}}`` with offsets
from the header's end, and the buffers, which cover the rest without holes or overlaps. Nothing
in it can run; a package for these few lines would only be one more to trust.
"""

import math
import mmap
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from onnxq.errors import SourceError

_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 100_000_000
_METADATA = "__metadata__"
_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "U16": torch.uint16,
    "I16": torch.int16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


class _Entry(msgspec.Struct, frozen=True):
    """A tensor as the header describes it; offsets are bytes behind the header."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]

    @property
    def count(self) -> int:
        return math.prod(self.shape)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Args:
        path: The file.

    Returns:
        Tensors by name, on the CPU. Their values are read from the file when they are used;
        writing to them does not change it.

    Raises:
        SourceError: If the file is damaged, or holds a dtype that PyTorch lacks (OQ104).
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    start = _LENGTH_BYTES + length
    if len(data) < _LENGTH_BYTES or length > min(_MOST_HEADER_BYTES, len(data) - _LENGTH_BYTES):
        raise _damaged(path, f"its header should take {length} bytes, the file has {len(data)}")
    entries = _parse_header(data[_LENGTH_BYTES:start], path)
    _check_entries(entries, len(data) - start, path)
    return {name: _tensor(entry, data, start) for name, entry in entries.items()}


def _parse_header(header: bytes, path: Path) -> dict[str, _Entry]:
    try:
        fields = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        fields.pop(_METADATA, None)
        return {name: msgspec.json.decode(raw, type=_Entry) for name, raw in fields.items()}
    except msgspec.MsgspecError as error:  # no JSON, or not as specified
        raise _damaged(path, f"its header cannot be read: {error}") from error


def _check_entries(entries: dict[str, _Entry], data_bytes: int, path: Path) -> None:
    """Check that the buffers follow each other and fill the file."""
    position = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        if entry.dtype not in _DTYPES:
            raise _damaged(path, f"{name!r} is of {entry.dtype}, which PyTorch lacks")
        begin, end = entry.data_offsets
        wanted = entry.count * _DTYPES[entry.dtype].itemsize
        if min(entry.shape, default=0) < 0 or begin != position or end - begin != wanted:
            raise _damaged(path, f"{name!r} {list(entry.shape)} does not lie where it should")
        position = end
    if position != data_bytes:
        raise _damaged(path, f"its tensors take {position} bytes, found {data_bytes}")


def _tensor(entry: _Entry, data: mmap.mmap, start: int) -> Tensor:
    dtype = _DTYPES[entry.dtype]
    if not entry.count:  # an empty tensor has no buffer
        return torch.empty(entry.shape, dtype=dtype)
    flat = torch.frombuffer(
        data, dtype=dtype, count=entry.count, offset=start + entry.data_offsets[0]
    )
    return flat.reshape(entry.shape)


def _damaged(path: Path, why: str) -> SourceError:
    message = f"{path.name} is not a whole safetensors file: {why}."
    return SourceError(message, code="OQ104", hint="Download or save it again.")
