"""Options that are more than a word: text becomes a value, or an error that says how to write it.

The command line and the Python functions take the same text, so both come through here.
"""

import math
import re
from collections.abc import Iterable
from typing import NoReturn

from onnxq.errors import UsageError

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_DROP = re.compile(rf"{_NUMBER}\s*(pp|%|mse)?", re.ASCII)
_SPEEDUP = re.compile(rf"{_NUMBER}\s*[xX\u00d7]?", re.ASCII)
_SIZE = re.compile(rf"{_NUMBER}\s*([kKMG]?i?B)?", re.ASCII)
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "kiB": 2**10,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_PERCENTS = frozenset({"pp", "%"})
_PARTS_OF_ONE = {"pp": 100.0, "%": 100.0, "mse": 1.0, None: 1.0}


def parse_max_drop(text: str) -> float:
    """Parse the largest drop of the metric that is acceptable.

    Args:
        text: ``1pp`` or ``1%`` (both are percentage points of a rate), ``0.01`` (the same as a
            fraction), or ``0.3mse`` (in the metric's own unit).

    Returns:
        The drop as a fraction, or in the metric's own unit; 0 or more.

    Raises:
        UsageError: If it is none of these, or a bare number of 1 or more, which would let a
            rate drop to nothing where one percentage point was meant.
    """
    hint = "Write a drop as 1pp, as 1%, or as the fraction 0.01; of an mse, write 0.3mse."
    match = _DROP.fullmatch(text.strip())
    if match is None:
        _refuse("--max-drop", text, "a drop such as 1pp", hint)
    value, unit = float(match[1]), match[2]
    if unit is None and value >= 1:
        _refuse("--max-drop", text, "a unit: a bare 1 would be 100 percentage points", hint)
    if unit in _PERCENTS and value > _PARTS_OF_ONE[unit]:
        _refuse("--max-drop", text, "at most 100 percentage points", hint)
    return _finite("--max-drop", text, value / _PARTS_OF_ONE[unit], hint)


def drop_metric(text: str) -> str:
    """Tell which metric a drop is written for.

    Args:
        text: A drop that :func:`parse_max_drop` takes.

    Returns:
        ``rate`` for ``1pp`` and ``1%``, ``mse`` for ``0.3mse``; empty for a bare number, which
        is read in the unit of whatever metric there is, and for no text.
    """
    match = _DROP.fullmatch(text.strip())
    unit = match[2] if match else None
    return "rate" if unit in _PERCENTS else (unit or "")


def parse_min_speedup(text: str) -> float:
    """Parse the least speed-up that counts as fast.

    Args:
        text: ``1.5`` or ``1.5x``.

    Returns:
        The ratio, 1 or more.

    Raises:
        UsageError: If it is not a ratio, or below 1.
    """
    hint = "Write a speed-up as 1.5 or 1.5x: fp32's time over the quantized model's time."
    match = _SPEEDUP.fullmatch(text.strip())
    if match is None:
        _refuse("--min-speedup", text, "a ratio such as 1.5x", hint)
    ratio = float(match[1])
    if ratio < 1:
        _refuse("--min-speedup", text, "at least 1: below it is a slow-down", hint)
    return _finite("--min-speedup", text, ratio, hint)


def parse_size_bytes(text: str) -> int:
    """Parse the largest file that is acceptable.

    Args:
        text: ``20MB`` (millions of bytes), ``20MiB`` (of 2**20), ``500kB``, ``1.5GB``, ``20B``.

    Returns:
        Whole bytes, rounded down; 1 or more.

    Raises:
        UsageError: If it is not a size, if it is a bare number, which would be bytes where
            megabytes were meant, or if no byte is left after rounding.
    """
    hint = "Write a size with its unit: 20MB, 500kB, 1GiB; 20B is bytes."
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        _refuse("--max-size", text, "a size such as 20MB", hint)
    if match[2] is None:
        _refuse("--max-size", text, "a unit, such as 20MB", hint)
    size = _finite("--max-size", text, float(match[1]) * _BYTES[match[2]], hint)
    if size < 1:
        _refuse("--max-size", text, "at least one byte", hint)
    return int(size)


def parse_map(texts: Iterable[str]) -> dict[str, str]:
    """Parse which array feeds which input.

    Args:
        texts: Each ``x=images``: the model's input, an equals sign, the name in the data.

    Returns:
        Array name by input name.

    Raises:
        UsageError: If one lacks either name, or an input is mapped to two arrays.
    """
    mapping: dict[str, str] = {}
    for name, array in map(_parse_pair, texts):
        if mapping.setdefault(name, array) != array:
            message = f"--map feeds the input {name!r} twice: from {mapping[name]!r} and {array!r}."
            raise UsageError(message, code="OQ100", hint=f"Keep one: --map {name}={array}")
    return mapping


def _parse_pair(text: str) -> tuple[str, str]:
    name, equals, array = (part.strip() for part in text.partition("="))
    if not (name and equals and array):
        hint = "Write --map INPUT=ARRAY, as in --map x=images; repeat it for more inputs."
        _refuse("--map", text, "the form INPUT=ARRAY", hint)
    return name, array


def _finite(flag: str, text: str, value: float, hint: str) -> float:
    if not math.isfinite(value):
        _refuse(flag, text, "a finite number", hint)
    return value


def _refuse(flag: str, text: str, expected: str, hint: str) -> NoReturn:
    message = f"{flag} cannot be read: found {text!r}, expected {expected}."
    raise UsageError(message, code="OQ100", hint=hint)
