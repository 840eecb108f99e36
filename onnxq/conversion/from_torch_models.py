"""A live PyTorch model, of whichever of its kinds, is made ready and exported."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram

from onnxq.arrays import Array
from onnxq.conversion.exports import Export
from onnxq.conversion.from_torch import convert_module
from onnxq.conversion.from_torch_calls import torch_input_names
from onnxq.conversion.from_torch_export import convert_program
from onnxq.conversion.from_torch_placing import copy_module, place_module
from onnxq.conversion.from_torch_weights import load_weights
from onnxq.errors import SourceError
from onnxq.findings import Finding
from onnxq.sources import InputDeclaration, OwnWeights, WeightsFile


@dataclass(frozen=True)
class OpenedModule:
    """A module on the CPU and in evaluation mode, TorchScript among them.

    Attributes:
        module: The module.
        findings: What was noticed about its weights.
    """

    module: nn.Module
    findings: tuple[Finding, ...] = ()

    @property
    def unknown_inputs(self) -> tuple[str, ...]:
        """Names of the inputs whose shapes only the user, or the rows, can tell."""
        return torch_input_names(self.module)

    def export(
        self, inputs: tuple[InputDeclaration, ...], rows: Mapping[str, Array], destination: Path
    ) -> Export:
        """Export it; see :func:`~onnxq.conversion.from_torch.convert_module`."""
        return convert_module(self.module, inputs, destination, rows)


@dataclass(frozen=True)
class OpenedProgram:
    """A program of ``torch.export``: its inputs are those that it has.

    Attributes:
        program: The program.
        name: What messages call it.
        findings: Nothing.
    """

    program: ExportedProgram
    name: str
    findings: tuple[Finding, ...] = ()

    @property
    def unknown_inputs(self) -> tuple[str, ...]:
        """There are none."""
        return ()

    def export(
        self, _inputs: tuple[InputDeclaration, ...], _rows: Mapping[str, Array], destination: Path
    ) -> Export:
        """Export it; see :func:`~onnxq.conversion.from_torch_export.convert_program`."""
        return convert_program(self.program, self.name, destination)


def open_own(
    model: object, name: str, weights: OwnWeights | WeightsFile
) -> OpenedModule | OpenedProgram:
    """Make a model ready that is ours to change.

    Args:
        model: An ``nn.Module``, TorchScript, or a program of ``torch.export``.
        name: What messages call it.
        weights: What it gets first.

    Returns:
        The model itself.

    Raises:
        SourceError: If the weights cannot be read or do not fit (OQ104, OQ107, OQ109).
    """
    if isinstance(model, ExportedProgram):
        if isinstance(weights, WeightsFile):
            message = f"{name} gives a program of torch.export, which has its own weights."
            hint = "Leave --weights out, or name a function that returns the module."
            raise SourceError(message, code="OQ107", hint=hint)
        return OpenedProgram(model, name)
    module = place_module(_as_module(model))
    if isinstance(weights, WeightsFile):
        return OpenedModule(module, load_weights(module, Path(weights.path)))
    return OpenedModule(module)


def open_copy(model: object, name: str) -> OpenedModule | OpenedProgram:
    """Make a copy of a caller's model ready; the model itself is not changed.

    Args:
        model: An ``nn.Module``, TorchScript, or a program of ``torch.export``.
        name: What messages call it.

    Returns:
        The copy; a program, which exporting does not change, itself.

    Raises:
        ConversionError: If the model cannot be copied (OQ151).
    """
    if isinstance(model, ExportedProgram):
        return OpenedProgram(model, name)
    return OpenedModule(copy_module(_as_module(model)))


@contextmanager
def torch_state_kept() -> Iterator[None]:
    """Put PyTorch's random state back at the end; new tensors are made on the CPU meanwhile."""
    device = torch.get_default_device()
    with torch.random.fork_rng(devices=()):
        if device.type != "cpu":
            torch.set_default_device("cpu")
        try:
            yield
        finally:
            if device.type != "cpu":
                torch.set_default_device(device)


def _as_module(model: object) -> nn.Module:
    if not isinstance(model, nn.Module):
        message = f"{type(model).__name__} is no model of PyTorch"
        raise TypeError(message)
    return model
