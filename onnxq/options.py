"""Options that are more than a word: text becomes a value, or an error that says how to write it.

The command line and the Python functions take the same text, so both come through here.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from onnxq.calibrations import WHOLE, Shard
from onnxq.errors import UsageError
from onnxq.metric_choices import (
    Automatic,
    MetricChoice,
    TopK,
    drop_units,
    metric_name,
    own_unit,
)

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_DROP = re.compile(rf"{_NUMBER}\s*(pp|%|[^\W\d]\w*)?")
_SPEEDUP = re.compile(rf"{_NUMBER}\s*[xX\u00d7]?", re.ASCII)
_SIZE = re.compile(rf"{_NUMBER}\s*([kKMG]?i?B)?", re.ASCII)
_SHARD = re.compile(r"(\d{1,9})\s*/\s*(\d{1,9})", re.ASCII)
_COUNT = re.compile(r"\d{1,12}", re.ASCII)
_PERCENT = 100.0
_LEAST_MEMORY_BYTES = 10**6
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
PERCENTS = frozenset({"pp", "%"})
"""Units of a drop that are hundredths: of 1, or of the float model's error."""

AUTO = "auto"
"""What ``--calib-rows`` takes in the place of a number."""


@dataclass(frozen=True, kw_only=True)
class CalibrationRows:
    """On how many rows ranges are calibrated.

    Attributes:
        most: The most rows looked at; 0 sets no limit of its own.
        stop_early: Whether to stop once more rows would hardly change the ranges.
    """

    most: int = 0
    stop_early: bool = False


def parse_max_drop(text: str, metric: MetricChoice = Automatic()) -> float:  # noqa: B008 - a frozen value
    """Parse the largest drop of the metric that is acceptable.

    Args:
        text: ``1pp`` or ``1%`` (both are percentage points of what runs from 0 to 1), ``0.01``
            (in the metric's own unit, of a rate a fraction), or with that unit: ``0.3mse``,
            ``0.01auroc``, ``0.5db``. ``2%`` of an error is of the float model's value.
        metric: What models are judged by; it says which units there are.

    Returns:
        The drop as a fraction, or in the metric's own unit; 0 or more.

    Raises:
        UsageError: If it is none of these, has the unit of another metric, or is a bare number
            of 1 or more, which would let a rate drop to nothing where one percentage point was
            meant.
    """
    hint = f"Write a drop as {_drop_examples(metric)}."
    match = _DROP.fullmatch(text.strip())
    if match is None or not match[1].isascii():
        _refuse("--max-drop", text, "a drop such as 1pp", hint)
    value, unit = float(match[1]), drop_metric(text)
    is_share = "pp" in drop_units(metric)
    if unit not in {"", *drop_units(metric)}:
        _refuse("--max-drop", text, f"a unit of --metric {metric_name(metric) or 'top1'}", hint)
    if not unit and is_share and value >= 1:
        _refuse("--max-drop", text, "a unit: a bare 1 would be 100 percentage points", hint)
    if unit in PERCENTS and is_share and value > _PERCENT:
        _refuse("--max-drop", text, "at most 100 percentage points", hint)
    return _finite("--max-drop", text, value / (_PERCENT if unit in PERCENTS else 1.0), hint)


def drop_metric(text: str) -> str:
    """Tell the unit that a drop is written in.

    Args:
        text: A drop that :func:`parse_max_drop` takes.

    Returns:
        ``pp`` or ``%``, ``mse`` for ``0.3mse``, ``db`` for ``0.5dB``; empty for a bare number,
        which is read in the unit of whatever metric there is, and for no text.
    """
    match = _DROP.fullmatch(text.strip())
    unit = (match[2] if match else None) or ""
    return unit.lower() if unit.lower() == "db" else unit


def _drop_examples(metric: MetricChoice) -> str:
    match metric:
        case Automatic():
            return "1pp, as 1%, or as the fraction 0.01; of an mse, write 0.3mse"
        case TopK():
            return "1pp, as 1%, or as the fraction 0.01"
        case _:
            others = "1pp, or as " if "pp" in drop_units(metric) else ""
            return f"{others}0.01{own_unit(metric)}, in the metric's own unit"


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
    size = _parse_bytes("--max-size", text, "20MB", hint)
    if size < 1:
        _refuse("--max-size", text, "at least one byte", hint)
    return size


def parse_max_memory(text: str) -> int:
    """Parse the most memory that a calibration may take beyond what its process takes anyway.

    Args:
        text: A size as :func:`parse_size_bytes` takes it; empty leaves the choice to onnxq, which
            takes half of what is free.

    Returns:
        Whole bytes, a million or more; 0 where the text is empty.

    Raises:
        UsageError: If it is not a size, lacks its unit, or is below a megabyte: not even one row
            of one tensor could be counted then.
    """
    if not text:
        return 0
    hint = "Write a size with its unit: --max-memory 2GB, 500MB, 1GiB."
    size = _parse_bytes("--max-memory", text, "2GB", hint)
    if size < _LEAST_MEMORY_BYTES:
        _refuse("--max-memory", text, "at least 1MB", hint)
    return size


def parse_calib_rows(text: str) -> CalibrationRows:
    """Parse on how many rows ranges are calibrated.

    Args:
        text: ``256``: at most so many; ``auto``: as many as change the ranges; empty: what is
            usual.

    Returns:
        The choice.

    Raises:
        UsageError: If it is none of these, or no row.
    """
    wanted = text.strip()
    if not wanted or wanted == AUTO:
        return CalibrationRows(stop_early=wanted == AUTO)
    if _COUNT.fullmatch(wanted) is None or int(wanted) < 1:
        hint = "Write --calib-rows 256, or --calib-rows auto to stop once the ranges have settled."
        _refuse("--calib-rows", text, f"a whole number of 1 or more, or {AUTO}", hint)
    return CalibrationRows(most=int(wanted))


def parse_shard(text: str) -> Shard:
    """Parse which part of the rows is calibrated on.

    Args:
        text: ``2/4``: the second of four equal parts; empty: all rows.

    Returns:
        The part.

    Raises:
        UsageError: If it is not of this form, or there is no such part.
    """
    if not text.strip():
        return WHOLE
    hint = "Write --shard 2/4 for the second of four parts; they count from 1/4 to 4/4."
    match = _SHARD.fullmatch(text.strip())
    if match is None:
        _refuse("--shard", text, "the form PART/PARTS", hint)
    number, total = int(match[1]), int(match[2])
    if not 1 <= number <= total:
        _refuse("--shard", text, "a part from 1 to the number of parts", hint)
    return Shard(number=number, total=total)


def check_histogram_sample(stride: int) -> None:
    """Refuse a stride that counts nothing.

    Args:
        stride: Every so-many-th value is counted.

    Raises:
        UsageError: If it is below 1.
    """
    if stride < 1:
        hint = "Write --histogram-sample 8 to count every 8th value; 1 counts each."
        _refuse("--histogram-sample", str(stride), "a whole number of 1 or more", hint)


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


def _parse_bytes(flag: str, text: str, example: str, hint: str) -> int:
    """Parse a size that has its unit into whole bytes, rounded down."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        _refuse(flag, text, f"a size such as {example}", hint)
    if match[2] is None:
        _refuse(flag, text, f"a unit, such as {example}", hint)
    return int(_finite(flag, text, float(match[1]) * _BYTES[match[2]], hint))


def _finite(flag: str, text: str, value: float, hint: str) -> float:
    if not math.isfinite(value):
        _refuse(flag, text, "a finite number", hint)
    return value


def _refuse(flag: str, text: str, expected: str, hint: str) -> NoReturn:
    message = f"{flag} cannot be read: found {text!r}, expected {expected}."
    raise UsageError(message, code="OQ100", hint=hint)
