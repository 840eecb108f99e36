"""Numbers as a person reads them. Every unit that is shown is chosen here."""

import math
from collections.abc import Iterable

from onnxq.cli.charset import MINUS, TIMES
from onnxq.estimates import Estimate

NOT_MEASURED = "-"

_KILO = 1000.0
_PERCENT = 100.0
_COARSE_RATIO = 10.0
_BINARY_DUST = 1e-6


def half_width(estimate: Estimate) -> float:
    """Return the longer arm of an interval: what a ± must not understate."""
    return max(estimate.high - estimate.value, estimate.value - estimate.low)


def signed(value: float, digits: int) -> str:
    """Write a difference with its sign; zero has none."""
    text = f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return text
    return f"{'+' if value > 0 else MINUS}{text}"


def ratio(value: float) -> str:
    """Write a ratio as ``2.01x``, with fewer decimals from 10 on."""
    return f"{value:.{1 if value >= _COARSE_RATIO else 2}f}{TIMES}"


def rounded_up(value: float, digits: int) -> float:
    """Round up at a digit, but not for the sake of a binary fraction's last digits."""
    step = 10.0**-digits
    return math.ceil(value / step - _BINARY_DUST) * step


def plus_minus(estimate: Estimate, digits: int) -> str:
    """Write the longer arm of an interval as ``±0.04``, rounded up."""
    return f"±{rounded_up(half_width(estimate), digits):.{digits}f}"


def ratio_with_error(estimate: Estimate) -> str:
    """Write a ratio as ``2.01x ±0.04``."""
    digits = 1 if estimate.value >= _COARSE_RATIO else 2
    return f"{ratio(estimate.value)} {plus_minus(estimate, digits)}"


def percent(share: float, digits: int = 2) -> str:
    """Write a share of one as a percentage, without the sign."""
    return f"{share * _PERCENT:.{digits}f}"


def decimals_for(values: Iterable[float]) -> int:
    """Return the decimals with which the largest of some values has about three digits."""
    largest = max((abs(value) for value in values), default=0.0)
    return next((d for d, bound in ((0, 1000), (1, 100), (2, 1)) if largest >= bound), 3)


def size_unit(sizes_bytes: Iterable[int]) -> tuple[str, float]:
    """Choose one unit for some sizes.

    Args:
        sizes_bytes: Sizes.

    Returns:
        The unit's name and its bytes: kB if all are below 1 MB.
    """
    largest = max(sizes_bytes, default=0)
    return ("MB", _KILO**2) if largest >= _KILO**2 else ("kB", _KILO)


def size_text(size_bytes: int) -> str:
    """Write a size with about three digits: ``1.2 GB``, ``11.8 MB``, ``5.9 kB``, ``32 B``."""
    if size_bytes < _KILO:
        return f"{size_bytes} B"
    is_huge = size_bytes >= _KILO**3
    unit, unit_bytes = ("GB", _KILO**3) if is_huge else size_unit([size_bytes])
    size = size_bytes / unit_bytes
    return f"{size:.{max(decimals_for([size]) - 1, 0)}f} {unit}"


def time_unit(times_ns: Iterable[float]) -> tuple[str, float]:
    """Choose one unit for some times.

    Args:
        times_ns: Times.

    Returns:
        The unit's name and its nanoseconds: µs if all are below 1 ms.
    """
    largest = max(times_ns, default=0.0)
    return ("ms", _KILO**2) if largest >= _KILO**2 else ("µs", _KILO)


def duration(seconds: float) -> str:
    """Write a wall time as ``3.2 s`` or ``2 min 05 s``."""
    minute = 60
    if seconds < minute:
        return f"{seconds:.1f} s"
    return f"{int(seconds // minute)} min {int(seconds % minute):02d} s"


def bounds_text(low: float, high: float, digits: int) -> str:
    """Write the ends of a value as ``[97.12, 98.40]``, rounded outward."""
    return f"[{-rounded_up(-low, digits):.{digits}f}, {rounded_up(high, digits):.{digits}f}]"


def interval_text(low: float, high: float, digits: int) -> str:
    """Write an interval as ``[-1.56, +0.10]``, rounded outward."""
    return (
        f"[{signed(-rounded_up(-low, digits), digits)}, {signed(rounded_up(high, digits), digits)}]"
    )
