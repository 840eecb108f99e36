"""PyTorch modules that are quantized already, or were made ready for it: what can be exported."""

from enum import Enum

from torch import nn

from onnxq.errors import SourceError

_CONVERTED = (
    "torch.ao.nn.quantized.",
    "torch.ao.nn.intrinsic.quantized.",
    "torch.ao.nn.sparse.quantized.",
)
_DYNAMIC = ("torch.ao.nn.quantized.dynamic.", "torch.ao.nn.intrinsic.quantized.dynamic.")
_WATCHING = (
    "torch.ao.quantization.observer",
    "torch.ao.quantization.fake_quantize",
    "torch.ao.nn.qat.",
    "torch.ao.nn.intrinsic.qat.",
)
"""Where torch.ao keeps the classes of each state (torch 2.13)."""

_CONVERT = (
    "Convert it first:  module = torch.ao.quantization.convert(module.eval())\n"
    "(after prepare_fx: convert_fx(module))"
)
_GIVE_FLOAT = "Give the float module: the recipe int8-dynamic does the same to it."


class QuantizedState(Enum):
    """How far a module's quantization got."""

    FLOAT = "float"
    CONVERTED = "converted"


def check_quantized(module: nn.Module, name: str) -> QuantizedState:
    """Tell whether a module computes in integers.

    Args:
        module: Any module.
        name: Of the module, for messages.

    Returns:
        Its state, float or converted.

    Raises:
        SourceError: OQ111, if it still observes or imitates its quantization, or quantizes
            dynamically, both of which PyTorch cannot export.
    """
    homes = [f"{type(part).__module__}." for part in module.modules()]
    watching = sum(home.startswith(_WATCHING) for home in homes)
    if watching:
        message = f"{name} is prepared for quantization, and not converted yet: it still has "
        message += f"{watching} observers or fake quantizers."
        raise SourceError(message, code="OQ111", hint=_CONVERT)
    if any(home.startswith(_DYNAMIC) for home in homes):
        message = f"{name} is quantized dynamically by torch.ao, which PyTorch cannot export."
        raise SourceError(message, code="OQ111", hint=_GIVE_FLOAT)
    converted = any(home.startswith(_CONVERTED) for home in homes)
    return QuantizedState.CONVERTED if converted else QuantizedState.FLOAT
