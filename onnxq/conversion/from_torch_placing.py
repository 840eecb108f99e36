"""Modules are exported on the CPU and in evaluation mode: a factory's itself, a caller's copied."""

import copy

from torch import Tensor, nn

from onnxq.conversion.from_torch_calls import module_name
from onnxq.conversion.from_torch_failures import reason
from onnxq.errors import ConversionError

_COMPILED = "_orig_mod"
"""Where the module is in what ``torch.compile`` returned."""

_HINT = (
    "Give a function that makes it instead, and its weights:\n"
    "  torch.save(module.state_dict(), 'weights.pt')\n"
    "  onnxq.run('nets.py:build', weights='weights.pt')"
)


def place_module(module: nn.Module) -> nn.Module:
    """Move a module to the CPU and into evaluation mode, in place.

    Args:
        module: Whose own it is to change.

    Returns:
        The module; the one inside, of what DataParallel or torch.compile returned.
    """
    placed = _unwrapped(module).to("cpu")
    if hasattr(placed, "training"):  # a frozen TorchScript module has no mode
        try:
            placed.eval()
        except NotImplementedError:  # what torch.export made has the one that it was made in
            return placed
    return placed


def copy_module(module: nn.Module) -> nn.Module:
    """Copy a module to the CPU, in evaluation mode; the given one stays as it is, wherever it is.

    Args:
        module: A caller's.

    Returns:
        The copy. Hooks come along: they may be part of what the module computes.

    Raises:
        ConversionError: If it holds something that cannot be copied, such as a lock (OQ151).
    """
    inner = _unwrapped(module)
    try:
        # What is in the memo counts as copied: no second copy is made on an accelerator, and
        # tensors that carry gradients, which cannot be copied otherwise, are detached.
        return place_module(copy.deepcopy(inner, _tensors_on_cpu(inner)))
    except Exception as error:  # a module may hold anything
        message = f"{module_name(inner)} cannot be copied: {reason(error)}"
        raise ConversionError(message, code="OQ151", hint=_HINT) from error


def _unwrapped(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return _unwrapped(module.module)
    inner = getattr(module, _COMPILED, None)
    return _unwrapped(inner) if isinstance(inner, nn.Module) else module


def _tensors_on_cpu(module: nn.Module) -> dict[int, Tensor]:
    """Copy the tensors that the parts of a module hold, by the id of each."""
    copies: dict[int, Tensor] = {}
    for part in module.modules():
        held = (*vars(part).values(), *_values(part, "_parameters"), *_values(part, "_buffers"))
        for tensor in held:
            if isinstance(tensor, Tensor) and id(tensor) not in copies:
                copied = tensor.detach().to("cpu", copy=True)
                is_parameter = isinstance(tensor, nn.Parameter)
                copies[id(tensor)] = (
                    nn.Parameter(copied, requires_grad=False) if is_parameter else copied
                )
    return copies


def _values(part: nn.Module, name: str) -> tuple[object, ...]:
    held = vars(part).get(name, {})
    return tuple(held.values()) if isinstance(held, dict) else ()
