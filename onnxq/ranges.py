"""Ranges of tensors: what calibration finds out and a quantizer needs."""

import math
from pathlib import Path

import msgspec
from msgspec import Struct

LEAST_WIDTH = 2.0**-100
"""Ranges narrower than this (8e-31) have no scale: what lies in them counts as zero.

Their scales, or those times the scale of some weights, would leave float32.
"""

LARGEST_BOUND = 2.0**126
"""Ranges that reach farther than this (8.5e37) have no scale: made symmetric about zero, their
width would leave float32, in which quantizers compute it."""


class TensorRange(Struct, frozen=True, forbid_unknown_fields=True):
    """The values of one tensor that its integers shall cover.

    Attributes:
        low: Smallest value covered.
        high: Largest value covered; not below ``low``.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse what no scale can be made of.

        Raises:
            ValueError: If a bound is not finite or the bounds are swapped.
        """
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            message = f"not a range: [{self.low}, {self.high}]"
            raise ValueError(message)


class TensorRanges(Struct, frozen=True):
    """The ranges of a model's tensors, for one recipe on one scope.

    Attributes:
        method: What they were asked for: :func:`onnxq.recipe_kinds.ranges_key`, such as ``mse``.
        ranges: By tensor name.
        model_sha256: Of the prepared model that was calibrated: ranges fit no other.
        kept_float: First outputs of nodes that stay float because of what was seen: no range
            could serve them.
        origin: What messages call the file that they were taken from; empty: calibrated now.
    """

    method: str
    ranges: dict[str, TensorRange]
    model_sha256: str = ""
    kept_float: tuple[str, ...] = ()
    origin: str = ""


def load_ranges(path: Path | str) -> TensorRanges:
    """Load ranges that one stage wrote for another.

    Args:
        path: A file of :func:`write_ranges`; what people may have edited is read by
            :mod:`onnxq.ranges_files`.
    """
    return msgspec.json.decode(Path(path).read_bytes(), type=TensorRanges)


def write_ranges(ranges: TensorRanges, folder: Path) -> str:
    """Write ranges for another stage.

    Args:
        ranges: Of one recipe on one scope.
        folder: Where to.

    Returns:
        The file's path.
    """
    path = folder / f"ranges-{ranges.method}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(ranges)))
    return str(path)
