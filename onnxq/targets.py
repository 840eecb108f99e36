"""Kinds of CPU, as far as onnxruntime's int8 kernels differ between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

TargetName: TypeAlias = Literal["x86-amx", "x86-vnni", "x86", "arm64"]

_VNNI = frozenset({"avx512_vnni", "avx_vnni"})
_AMX = frozenset({"amx_int8"})
_ARM = frozenset({"neon", "asimd", "asimddp", "i8mm", "sve"})
_ARM_DOT_PRODUCTS = frozenset({"asimddp", "i8mm"})
_ARM_MACHINES = frozenset({"aarch64", "arm64"})


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


X86_AMX = Target(
    name="x86-amx",
    int8_is_fast=True,
    int8_saturates=False,
    sentence="VNNI and AMX: int8 kernels are fast, large ones use matrix tiles, none saturates",
)
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
X86_UNKNOWN = Target(
    name="x86",
    int8_is_fast=False,
    int8_saturates=True,
    sentence="no AVX2 or VNNI is known of it: int8 kernels may be slow and saturate",
)
ARM64_DOT = Target(
    name="arm64",
    int8_is_fast=True,
    int8_saturates=False,
    sentence="ARM64 with dot products: int8 kernels are fast and do not saturate",
)
ARM64 = Target(
    name="arm64",
    int8_is_fast=False,
    int8_saturates=False,
    sentence="ARM64 without dot products: int8 kernels are slower, and do not saturate",
)

TARGETS: Mapping[TargetName, Target] = MappingProxyType(
    {"x86-amx": X86_AMX, "x86-vnni": X86_VNNI, "x86": X86, "arm64": ARM64_DOT}
)
"""What each name stands for where a CPU was named, not looked at."""


def detect_target(isa: tuple[str, ...], machine: str = "") -> Target:
    """Tell the kind of a CPU by its instruction sets.

    On x86 without VNNI, be it AVX2 or AVX-512, onnxruntime multiplies pairs of uint8 and int8
    with ``vpmaddubsw``, whose sums saturate at 16 bits; VNNI sums in 32 bits.

    Args:
        isa: Instruction sets as Linux names them, such as ``avx512_vnni``.
        machine: As Python's ``platform.machine()`` names it; tells ARM where ``isa`` is empty.

    Returns:
        The target; x86 without VNNI, the most cautious one, where nothing is known.
    """
    found = frozenset(isa)
    if found & _VNNI:
        return X86_AMX if found & _AMX else X86_VNNI
    if found & _ARM or machine.lower() in _ARM_MACHINES:
        return ARM64_DOT if found & _ARM_DOT_PRODUCTS else ARM64
    return X86 if found else X86_UNKNOWN


def describe_target(isa: tuple[str, ...], machine: str = "") -> str:
    """Return what a CPU's int8 kernels are good for, as a sentence without a full stop.

    Args:
        isa: As :func:`detect_target` takes it.
        machine: The same.

    Returns:
        The target's sentence.
    """
    return detect_target(isa, machine).sentence
