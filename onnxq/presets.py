"""What is chosen for a kind of CPU, and why: in words, for plans and reports.

Figures were measured with onnxruntime 1.31 at 1 thread on x86-64 with AVX512-VNNI, over the float
model. Nothing could be measured for ARM, and nothing but results for x86 without VNNI.
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from onnxq.targets import TargetName
from onnxq.tunings import Tuning


class Preset(Struct, frozen=True, kw_only=True):
    """What is chosen for a kind of CPU.

    Attributes:
        activations: dtype of the activations of static recipes.
        choice: All that is particular to it, for a person.
        why: The reason, with its figure.
    """

    activations: str
    choice: str
    why: str


PRESETS: Mapping[TargetName, Preset] = MappingProxyType(
    {
        "x86-amx": Preset(
            activations="uint8",
            choice="uint8 activations, int8 weights; of large convolutions with a zero point of -1",
            why="which makes onnxruntime multiply them in tiles: ResNet-18 1.25x faster with AMX, "
            "1.15x slower without: give --target x86-vnni to serve where there is none",
        ),
        "x86-vnni": Preset(
            activations="uint8",
            choice="uint8 activations, int8 weights, stems widened to four channels",
            why="3.4x on ResNet-18, where int8 activations reach 1.3x: half of it stays float",
        ),
        "x86": Preset(
            activations="uint8",
            choice="uint8 activations, int8 weights whose sums of two products fit 16 bits",
            why="without VNNI larger sums saturate; only the channels that need it lose "
            "levels, one bit at most",
        ),
        "arm64": Preset(
            activations="int8",
            choice="int8 activations, int8 weights",
            why="ARM multiplies int8 with int8; as onnxruntime documents it, not measured here",
        ),
    }
)
"""By the name of the target."""

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "convolutions": "static, a scale per channel",
        "attention": "MatMul and Gemm alone, static or dynamic",
        "LSTM": "dynamic",
        "GRU": "float, for want of a kernel",
        "MLP": "static, one scale a weight where that is faster",
    }
)
"""What usually wins in each family of models; ``run`` measures it."""


def describe_tuning(tuning: Tuning, here: TargetName) -> str:
    """Say for which CPU models are made, and what follows.

    Args:
        tuning: What was asked for.
        here: The kind of CPU of this machine.

    Returns:
        A sentence without a full stop.
    """
    preset = PRESETS[tuning.target]
    whose = "this machine's" if tuning.target == here else f"this machine is {here}"
    parts = [f"{tuning.target} ({whose}): {preset.choice} ({preset.why})"]
    parts += [f"without {', '.join(tuning.skipped)}"] * bool(tuning.skipped)
    parts += [f"with {', '.join(tuning.added)}"] * bool(tuning.added)
    return "; ".join(parts)


def describe_families() -> str:
    """Say what usually wins in each family of models.

    Returns:
        A sentence without a full stop.
    """
    return "; ".join(f"{family}: {choice}" for family, choice in FAMILIES.items())
