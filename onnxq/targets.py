"""Kinds of CPU, as far as onnxruntime's int8 kernels differ between them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

TargetName: TypeAlias = Literal["x86-vnni", "x86", "arm64"]

_VNNI = frozenset({"avx512_vnni", "avx_vnni"})
_ARM = frozenset({"neon", "asimd", "asimddp", "i8mm", "sve"})


@dataclass(frozen=True)
class Target:
    """A kind of CPU.

    Attributes:
        name: As ``--target`` will spell it.
        int8_is_fast: Whether one instruction multiplies and sums int8.
        int8_saturates: Whether sums of two uint8 x int8 products can exceed int16 on the way.
        sentence: For a person.
    """

    name: TargetName
    int8_is_fast: bool
    int8_saturates: bool
    sentence: str


X86_VNNI = Target(
    name="x86-vnni",
    int8_is_fast=True,
    int8_saturates=False,
    sentence="VNNI: int8 kernels are fast and do not saturate",
)
X86 = Target(
    name="x86",
    int8_is_fast=False,
    int8_saturates=True,
    sentence="no VNNI: int8 kernels are slower, and sums of large weights can saturate",
)
ARM64 = Target(
    name="arm64",
    int8_is_fast=True,
    int8_saturates=False,
    sentence="ARM64: int8 kernels do not saturate; they are fast where asimddp or i8mm is there",
)


def detect_target(isa: tuple[str, ...]) -> Target:
    """Tell the kind of a CPU by its instruction sets.

    Args:
        isa: Instruction sets as Linux names them, such as ``avx512_vnni``.

    Returns:
        The target; x86 without VNNI, the most cautious one, where nothing is known.
    """
    found = frozenset(isa)
    if found & _VNNI:
        return X86_VNNI
    return ARM64 if found & _ARM else X86


def describe_target(isa: tuple[str, ...]) -> str:
    """Return what a CPU's int8 kernels are good for, as a sentence without a full stop."""
    return detect_target(isa).sentence
