"""Ranges in a file that people may read, edit and keep beside a model.

::

    {
      "schema": "onnxq/ranges/1",
      "model_sha256": "9f86d081...",          the prepared model: ranges fit no other
      "rows": 500,                            rows that they were calibrated on; 0: not told
      "sets": {
        "mse": {                              by key: method, then dtype and scope if not int8's
          "kept_float": ["concat_out"],       nodes left float, by their first outputs
          "ranges": {"conv1_out": {"low": 0.0, "high": 6.2}}
        }
      }
    }

Nothing in it depends on when, where or in how many parts rows were calibrated, so that equal
ranges are equal files. Fields that are not known are refused: they are misspelt.
"""

import contextlib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from onnxq.errors import DatasetError
from onnxq.ranges import LARGEST_BOUND, TensorRange, TensorRanges

SCHEMA: Final = "onnxq/ranges/1"
MAX_FILE_BYTES: Final = 1 << 28
"""Above, a file is none of ours: a range takes some 100 bytes, and a model has at most some
10 000."""

_KIND = re.compile(r"onnxq/ranges/(\d{1,9})", re.ASCII)
_AGAIN: Final = "Write it again: onnxq calibrate MODEL --calib DATA -o FOLDER"


class RangesSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ranges for one recipe on one scope.

    Attributes:
        kept_float: First outputs of nodes that stay float because of what was seen.
        ranges: By tensor name.
    """

    kept_float: tuple[str, ...] = ()
    ranges: dict[str, TensorRange]


class RangesFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What such a file holds.

    Attributes:
        schema: Always :data:`SCHEMA`.
        model_sha256: Of the prepared model that was calibrated; empty if nothing could be.
        rows: Rows that it was calibrated on; 0 where that is not told.
        sets: By :func:`onnxq.recipe_kinds.ranges_key`.
    """

    schema: str = SCHEMA
    model_sha256: str
    rows: Annotated[int, Meta(ge=0)] = 0
    sets: dict[str, RangesSet]


class _Marked(Struct, frozen=True):
    schema: str


def encode_ranges_file(sets: Iterable[TensorRanges], *, rows: int = 0) -> bytes:
    """Encode ranges for people; the same for the same ranges, in whatever order they come.

    Args:
        sets: Ranges of one model, each of another key.
        rows: Rows that they were calibrated on; 0 does not tell.

    Returns:
        JSON, indented, with a newline at the end.

    Raises:
        ValueError: If there are none, they are of several models, or two have one key.
    """
    by_key = sorted(sets, key=lambda one: one.method)
    keys, models = [one.method for one in by_key], {one.model_sha256 for one in by_key}
    if len(models) != 1 or len(set(keys)) != len(keys):
        message = f"not one file: models {sorted(models)}, keys {keys}"
        raise ValueError(message)
    file = RangesFile(
        model_sha256=models.pop(),
        rows=rows,
        sets={
            one.method: RangesSet(
                kept_float=tuple(sorted(one.kept_float)), ranges=dict(sorted(one.ranges.items()))
            )
            for one in by_key
        },
    )
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def write_ranges_file(path: Path, sets: Iterable[TensorRanges], *, rows: int = 0) -> None:
    """Write what :func:`encode_ranges_file` encodes.

    Args:
        path: The file; one that is there is replaced.
        sets: Ranges of one model, each of another key.
        rows: Rows that they were calibrated on; 0 does not tell.

    Raises:
        OSError: If it cannot be written.
        ValueError: As :func:`encode_ranges_file` does.
    """
    path.write_bytes(encode_ranges_file(sets, rows=rows))


def read_ranges_file(path: Path) -> RangesFile:
    """Read a file of ranges; edited by hand is fine.

    Args:
        path: A file that :func:`write_ranges_file` wrote, or one like it.

    Returns:
        Its ranges, each finite, not inverted, and with a scale that float32 holds.

    Raises:
        DatasetError: OQ127 if it cannot be read; OQ146 if it is no JSON, of another schema or of
            a newer onnxq, or holds what is no range.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_FILE_BYTES else b""
    except OSError as error:
        message = f"the ranges in {path} cannot be read: {error.strerror or error}."
        hint = "Give the path of a .ranges.json that onnxq calibrate wrote."
        raise DatasetError(message, code="OQ127", hint=hint) from error
    if size > MAX_FILE_BYTES:
        message = f"{path} holds no ranges: it has {size} bytes."
        raise DatasetError(message, code="OQ146", hint=_AGAIN)
    return parse_ranges_file(data, origin=str(path))


def parse_ranges_file(data: bytes, *, origin: str) -> RangesFile:
    """Parse a file of ranges.

    Args:
        data: Its JSON.
        origin: What messages call it.

    Returns:
        Its ranges.

    Raises:
        DatasetError: OQ146, as for :func:`read_ranges_file`.
    """
    try:
        _check_schema(msgspec.json.decode(data, type=_Marked).schema, origin)
        file = msgspec.json.decode(data, type=RangesFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = _non_finite(data) or f"{_place(data)}{error}"
        raise _no_ranges(origin, why) from error
    for key, one in file.sets.items():
        for name, bounds in one.ranges.items():
            if max(-bounds.low, bounds.high) > LARGEST_BOUND:
                why = f"[{bounds.low:g}, {bounds.high:g}] has no scale in float32"
                raise _no_ranges(origin, f"{name!r} of {key!r}: {why}")
    return file


def _no_ranges(origin: str, why: str) -> DatasetError:
    message = f"{origin} holds no ranges that onnxq can read: {why}."
    hint = f"Ranges are finite numbers, low is not above high, nothing else is in them. {_AGAIN}"
    return DatasetError(message, code="OQ146", hint=hint)


class _Loose(Struct, frozen=True):
    ranges: dict[str, dict[str, object]]


class _LooseFile(Struct, frozen=True):
    sets: dict[str, _Loose]


def _non_finite(data: bytes) -> str:
    """Name the first tensor with NaN or Infinity, which JSON lacks and Python's json writes."""
    with contextlib.suppress(ValueError, RecursionError, msgspec.ValidationError):
        for key, one in msgspec.convert(json.loads(data), type=_LooseFile).sets.items():
            for name, bounds in one.ranges.items():
                for end, value in bounds.items():
                    if isinstance(value, float) and not math.isfinite(value):
                        return f"{name!r} of {key!r}: {end} is {value}, expected a finite number"
    return ""


class _Unchecked(Struct, frozen=True):
    ranges: dict[str, msgspec.Raw]


class _UncheckedFile(Struct, frozen=True):
    sets: dict[str, _Unchecked]


def _place(data: bytes) -> str:
    """Name the first tensor whose range is none: msgspec tells the path without its keys."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        for key, one in msgspec.json.decode(data, type=_UncheckedFile).sets.items():
            for name, text in one.ranges.items():
                if not _is_range(text):
                    return f"{name!r} of {key!r}: "
    return ""


def _is_range(text: msgspec.Raw) -> bool:
    try:
        msgspec.json.decode(text, type=TensorRange)
    except msgspec.DecodeError:
        return False
    return True


def _check_schema(schema: str, origin: str) -> None:
    if schema == SCHEMA:
        return
    message = f"{origin} is not a file of ranges: found schema {schema!r}, expected {SCHEMA!r}."
    is_ours = _KIND.fullmatch(schema)
    hint = "A newer onnxq wrote it: update onnxq, or calibrate again." if is_ours else _AGAIN
    raise DatasetError(message, code="OQ146", hint=hint)
