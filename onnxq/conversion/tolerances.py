"""How far an export may be from its source: the tightest bound that the source's own dtype allows.

Every dtype rounds: two correct programs that differ only in the order of their sums are this far
apart. A bound is on the largest difference, as a share of the largest reference value (of 1 where
that is smaller), and on the norm of the difference, as a share of the reference's.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """A bound on the difference between a source and its export.

    Attributes:
        largest: Of the largest absolute difference, times max(1, the largest reference value).
        relative_l2: Of the norm of the difference over the reference's.
        reason: Why it is not the usual one; empty where it is.
    """

    largest: float
    relative_l2: float
    reason: str = ""


FLOAT32 = Tolerance(1e-4, 1e-4)
"""float32 on both sides: 800 units of rounding, for the sums of deep networks."""

FLOAT16 = Tolerance(1e-2, 1e-2, "the source computes in float16")
"""20 units of rounding (2^-11): networks of 51 convolutions and of 6 encoder layers were measured
0.02 % and 0.06 % apart, on kernels that keep their sums in float32."""

BFLOAT16 = Tolerance(8e-2, 8e-2, "the source computes in bfloat16")
"""20 units of rounding (2^-8)."""

_BY_FLOATS = {"bfloat16": BFLOAT16, "float16": FLOAT16}
"""The coarsest first."""


def tolerance_of(floats: Iterable[str]) -> Tolerance:
    """Return the tolerance that the coarsest of some float types asks for.

    Args:
        floats: What a source computes in, such as ``float16`` and ``float32``.

    Returns:
        The usual one, unless float16 or bfloat16 is among them.
    """
    found = set(floats)
    return next((_BY_FLOATS[name] for name in _BY_FLOATS if name in found), FLOAT32)


INT8 = Tolerance(5e-1, 2e-1, "the source computes in integers, and a step is not small")
"""Integers on both sides: where two kernels round a half differently, an activation moves by a
step, the steps add up from layer to layer, and a softmax at the end multiplies them. On 1200 rows
of an int8 ResNet-8, TFLite's default kernels and an export were measured up to 16 % of a row's
norm apart, TFLite's own kernel sets 10 % over 64 rows. That is a coarse net: of exports with one
scale 10 % off it caught 7 in 48 (and 35 of 48 with a zeroed weight), so where the source tells
its layers, :mod:`onnxq.conversion.layer_proofs` compares those as well."""
