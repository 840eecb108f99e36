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
ranges are equal files.
"""

import contextlib
import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from onnxq.errors import DatasetError, UsageError
from onnxq.ranges import TensorRange, TensorRanges

SCHEMA: Final = "onnxq/ranges/1"
MAX_FILE_BYTES: Final = 1 << 28
"""Above, a file is none of ours: a range takes some 100 bytes, and a model has at most some
10 000."""

_KIND = re.compile(r"onnxq/ranges/(\d{1,9})", re.ASCII)
_AGAIN: Final = "Write it again: onnxq calibrate MODEL --calib DATA -o FOLDER"


class RangesSet(Struct, frozen=True, kw_only=True):
    """The ranges for one recipe on one scope.

    Attributes:
        kept_float: First outputs of nodes that stay float because of what was seen.
        ranges: By tensor name.
    """

    kept_float: tuple[str, ...] = ()
    ranges: dict[str, TensorRange]


class RangesFile(Struct, frozen=True, kw_only=True):
    """What such a file holds.

    Attributes:
        schema: Always :data:`SCHEMA`.
        model_sha256: Of the prepared model that was calibrated; empty if nothing could be.
        rows: Rows that it was calibrated on; 0 where that is not told.
        sets: By :func:`onnxq.recipe_kinds.ranges_key`.
    """

    schema: str = SCHEMA
    model_sha256: str
    rows: int = 0
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
        Its ranges, each finite and not inverted.

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
        data: Its JSON; fields that are not known are ignored.
        origin: What messages call it.

    Returns:
        Its ranges.

    Raises:
        DatasetError: OQ146, as for :func:`read_ranges_file`.
    """
    try:
        _check_schema(msgspec.json.decode(data, type=_Marked).schema, origin)
        return msgspec.json.decode(data, type=RangesFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"{origin} holds no ranges that onnxq can read: {_place(data)}{error}."
        hint = f"Ranges are finite, low is not above high. {_AGAIN}"
        raise DatasetError(message, code="OQ146", hint=hint) from error


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


def find_ranges(file: RangesFile, key: str, model_sha256: str) -> TensorRanges:
    """Find the ranges that a recipe needs.

    Args:
        file: A file of ranges.
        key: :func:`onnxq.recipe_kinds.ranges_key` of the recipe on its scope.
        model_sha256: Of the prepared model that is to be quantized.

    Returns:
        The ranges.

    Raises:
        UsageError: OQ147 if they are of another model, or there are none for this recipe.
    """
    if file.model_sha256 != model_sha256:
        message = (
            f"the ranges are of another model: found {_short(file.model_sha256)}, "
            f"expected {_short(model_sha256)}."
        )
        hint = "Calibrate this model: onnxq calibrate MODEL --calib DATA -o FOLDER"
        raise UsageError(message, code="OQ147", hint=hint)
    if key not in file.sets:
        message = f"the file has no ranges {key!r}: it has {', '.join(file.sets) or 'none'}."
        near = difflib.get_close_matches(key, file.sets, 1)
        guess = f"Did you mean {near[0]!r}? " if near else ""
        hint = f"{guess}Calibrate for this recipe and its options: onnxq calibrate MODEL -r RECIPE"
        raise UsageError(message, code="OQ147", hint=hint)
    found = file.sets[key]
    return TensorRanges(
        method=key,
        ranges=found.ranges,
        model_sha256=model_sha256,
        kept_float=found.kept_float,
    )


def _short(sha256: str) -> str:
    return sha256[:12] or "none"
