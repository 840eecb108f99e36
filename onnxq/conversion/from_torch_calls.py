"""How a PyTorch module is called: what its inputs and outputs are named, and example inputs."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec
import numpy as np
import torch
from torch import Tensor, jit, nn
from torch.utils import _pytree

from onnxq.arrays import Array
from onnxq.conversion.from_torch_tensors import (
    TORCH_DTYPES,
    make_example,
    name_outputs,
    to_array,
    to_tensor,
)
from onnxq.errors import SourceError
from onnxq.sources import InputDeclaration
from onnxq.tensors import DType

FREE_BATCH = "N"
_SEED = 0
_DECLARE = "Declare each input in the order of forward:  --input x:Nx3x224x224"

CallStyle: TypeAlias = Literal["keywords", "positions", "dictionary"]
"""How inputs are handed over: by the names of ``forward``'s parameters, in their order, or all in
one dictionary."""


@dataclass(frozen=True)
class ModuleCall:
    """A module with the inputs that it is called with.

    Attributes:
        module: On the CPU, in evaluation mode.
        inputs: In the order of ``forward``'s parameters, in the dtypes that it computes in.
        style: How they are handed over.
        rows: Rows of the user's by input name, to trace with; empty where there are none.
    """

    module: nn.Module
    inputs: tuple[InputDeclaration, ...]
    style: CallStyle
    rows: Mapping[str, Array] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The module's class, for messages."""
        return module_name(self.module)

    @property
    def has_free_batch(self) -> bool:
        """Whether any input has a free batch axis."""
        return any(isinstance(i.shape[0], str) for i in self.inputs if i.shape)

    def run(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Call the module without gradients; return its outputs by name.

        Args:
            tensors: One by each input's name.

        Returns:
            Its tensors, named as :func:`~onnxq.conversion.from_torch_tensors.name_outputs` does.

        Raises:
            ConversionError: If the module returns something that is not a tensor (OQ151).
        """
        with torch.no_grad():
            return self.run_traced(tensors)

    def run_traced(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Call the module as :meth:`run` does, but leave gradients alone: for exporters."""
        args, kwargs = self.arguments(tensors)
        taken = frozenset(i.name for i in self.inputs)
        return name_outputs(self.module(*args, **kwargs), self.name, taken)

    def returns_foreign(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether tensors come back in a container that ``torch.export`` does not know."""
        args, kwargs = self.arguments(tensors)
        with torch.no_grad():
            leaves = _pytree.tree_leaves(self.module(*args, **kwargs))
        return any(not isinstance(leaf, Tensor) and leaf is not None for leaf in leaves)

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Call the module on arrays: what the export must compute too.

        Args:
            inputs: One array by each input's name.

        Returns:
            Arrays by output name; bfloat16 comes as float32.
        """
        tensors = {i.name: to_tensor(inputs[i.name], i) for i in self.inputs}
        return {name: to_array(tensor) for name, tensor in self.run(tensors).items()}

    def arguments(
        self, tensors: Mapping[str, Tensor]
    ) -> tuple[tuple[object, ...], dict[str, Tensor]]:
        """Arrange tensors as positional and keyword arguments."""
        ordered = {i.name: tensors[i.name] for i in self.inputs}
        match self.style:
            case "keywords":
                return (), ordered
            case "positions":
                return tuple(ordered.values()), {}
            case "dictionary":
                return (ordered,), {}

    def free_axes(self) -> tuple[object, ...] | dict[str, dict[int, str]]:
        """Name the free axes of each input, in the structure of ``forward``'s parameters.

        It is what ``torch.onnx.export`` takes as ``dynamic_shapes``: what ``*args`` takes is one
        tuple inside.
        """
        axes = [
            {0: FREE_BATCH} if i.shape and isinstance(i.shape[0], str) else {} for i in self.inputs
        ]
        if self.style == "keywords":
            return {i.name: free for i, free in zip(self.inputs, axes, strict=True)}
        if not _is_open_ended(self.module):
            return tuple(axes)
        named = sum(p.kind is not p.KEYWORD_ONLY for p in _parameters(self.module))
        return (*axes[:named], tuple(axes[named:]))

    def example(self, rows: int) -> dict[str, Tensor]:
        """Make inputs to trace with: the user's rows, else values of the declared kind.

        Args:
            rows: In the batch, where that is free.

        Returns:
            A tensor by each input's name.
        """
        if self.rows:
            return {i.name: self._first_rows(i, rows) for i in self.inputs}
        generator = torch.Generator(device="cpu").manual_seed(_SEED)
        return {i.name: make_example(i, rows, generator) for i in self.inputs}

    def _first_rows(self, declared: InputDeclaration, rows: int) -> Tensor:
        stored = np.asarray(self.rows[declared.name])
        if stored.ndim > len(declared.shape):  # an input without a batch axis
            return to_tensor(stored[0], declared)
        first = declared.shape[0] if declared.shape else rows
        count = first if isinstance(first, int) else rows
        return to_tensor(stored[np.arange(count) % len(stored)], declared)


class FlatModule(nn.Module):
    """A module as exporters like it best: tensors in their order in, a tuple of tensors out.

    Args:
        call: The module with its inputs.
    """

    def __init__(self, call: ModuleCall) -> None:
        super().__init__()
        self.module = call.module
        self._call = call

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Call the module."""
        named = {i.name: t for i, t in zip(self._call.inputs, tensors, strict=True)}
        return tuple(self._call.run_traced(named).values())


def flatten_call(call: ModuleCall) -> ModuleCall:
    """Return a call of the same module and the same inputs that is flat on both sides."""
    flat = FlatModule(call)
    flat.training = False
    return ModuleCall(flat, call.inputs, style="positions", rows=call.rows)


def plan_call(module: nn.Module, inputs: tuple[InputDeclaration, ...]) -> ModuleCall:
    """Find out how a module takes the inputs that were declared.

    Args:
        module: On the CPU, in evaluation mode.
        inputs: Declared by ``forward``'s own names, or else in the order of its parameters;
            several for a single parameter are handed over in a dictionary. To a module in
            another float type, float32 inputs are handed over in that type.

    Returns:
        The call.

    Raises:
        SourceError: If the declarations cannot be this module's inputs (OQ112).
    """
    _check_declarations(inputs)
    own = _float_type(module)
    inputs = tuple(
        msgspec.structs.replace(i, dtype=own) if i.dtype == "float32" else i for i in inputs
    )
    parameters = [p.name for p in _parameters(module)]
    if all(i.name in parameters for i in inputs):
        missing = set(_required(module)) - {i.name for i in inputs}
        if not missing:
            ordered = sorted(inputs, key=lambda i: parameters.index(i.name))
            return ModuleCall(module, tuple(ordered), "keywords")
        message = f"{module_name(module)}.forward also needs {', '.join(sorted(missing))}."
        raise SourceError(message, code="OQ112", hint=_DECLARE)
    if len(parameters) == 1 < len(inputs) and not _is_open_ended(module):
        return ModuleCall(module, inputs, "dictionary")
    needed = _required(module)
    most = len(inputs) if _is_open_ended(module) else len(parameters)
    if not len(needed) <= len(inputs) <= most:
        message = (
            f"{module_name(module)}.forward takes ({', '.join(parameters)}); "
            f"declared are ({', '.join(i.name for i in inputs)})."
        )
        raise SourceError(message, code="OQ112", hint=_DECLARE)
    return ModuleCall(module, inputs, "positions")


def torch_input_names(module: nn.Module) -> tuple[str, ...]:
    """Name the inputs that a module's ``forward`` must be given.

    Args:
        module: Any module.

    Returns:
        Its parameters without defaults, in order; its first one where all have defaults.
    """
    return _required(module) or tuple(p.name for p in _parameters(module)[:1])


def module_name(module: nn.Module) -> str:
    """Return what messages call a module: the name of its class, before TorchScript saw it."""
    return str(getattr(module, "original_name", "") or type(module).__name__)


def _float_type(module: nn.Module) -> DType:
    """Return the one float type of a module's weights; float32 where there are several or none."""
    tensors = (*module.parameters(), *module.buffers())
    found = {tensor.dtype for tensor in tensors if tensor.dtype.is_floating_point}
    names: list[DType] = [name for name, dtype in TORCH_DTYPES.items() if found == {dtype}]
    return names[0] if names else "float32"


def _required(module: nn.Module) -> tuple[str, ...]:
    return tuple(p.name for p in _parameters(module) if p.default is p.empty)


def _parameters(module: nn.Module) -> list[inspect.Parameter]:
    """List what ``forward`` takes by name, whatever takes any number left out."""
    if isinstance(module, jit.ScriptModule):
        return _script_parameters(module)
    named = {
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    }
    return [p for p in inspect.signature(module.forward).parameters.values() if p.kind in named]


def _script_parameters(module: jit.ScriptModule) -> list[inspect.Parameter]:
    schema: torch.FunctionSchema = getattr(module.forward, "schema")  # noqa: B009 - it is typed as a plain method
    _, *arguments = schema.arguments  # the first is the module itself
    return [
        inspect.Parameter(
            argument.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=argument.default_value
            if argument.has_default_value()
            else inspect.Parameter.empty,
        )
        for argument in arguments
    ]


def _is_open_ended(module: nn.Module) -> bool:
    """Whether ``forward`` takes ``*args``."""
    if isinstance(module, jit.ScriptModule):
        return False
    parameters = inspect.signature(module.forward).parameters.values()
    return any(p.kind is p.VAR_POSITIONAL for p in parameters)


def _check_declarations(inputs: tuple[InputDeclaration, ...]) -> None:
    for declared in inputs:
        symbols = [dim for dim in declared.shape[1:] if isinstance(dim, str)]
        if symbols:
            message = f"Input {declared.name!r} leaves {', '.join(symbols)} free."
            hint = "Only the batch axis of a PyTorch module may be free: give the other sizes."
            raise SourceError(message, code="OQ112", hint=hint)
        if declared.dtype not in TORCH_DTYPES:
            message = f"Input {declared.name!r} is of {declared.dtype}, which PyTorch cannot hold."
            raise SourceError(message, code="OQ112", hint=f"There are {', '.join(TORCH_DTYPES)}.")
