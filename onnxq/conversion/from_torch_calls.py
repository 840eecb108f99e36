"""How a PyTorch module is called: what its inputs and outputs are named, and example inputs."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from onnxq.arrays import Array
from onnxq.errors import ConversionError, SourceError
from onnxq.sources import InputDeclaration
from onnxq.tensors import DType

FREE_BATCH = "N"
_SEED = 0
_DECLARE = "Declare each input in the order of forward:  --input x:Nx3x224x224"
_DTYPES: dict[DType, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "int16": torch.int16,
    "uint16": torch.uint16,
    "int32": torch.int32,
    "uint32": torch.uint32,
    "int64": torch.int64,
    "uint64": torch.uint64,
    "bool": torch.bool,
}


@dataclass(frozen=True)
class ModuleCall:
    """A module with the inputs that it is called with.

    Attributes:
        module: On the CPU, in evaluation mode.
        inputs: In the order of ``forward``'s parameters.
        by_name: Whether the inputs carry the names of ``forward``'s parameters, so that they
            are passed by keyword.
        rows: Rows of the user's by input name, to trace with; empty where there are none.
    """

    module: nn.Module
    inputs: tuple[InputDeclaration, ...]
    by_name: bool
    rows: Mapping[str, Array] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The module's class, for messages."""
        return type(self.module).__name__

    @property
    def has_free_batch(self) -> bool:
        """Whether any input has a free batch axis."""
        return any(isinstance(i.shape[0], str) for i in self.inputs if i.shape)

    def run(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Call the module without gradients; return its outputs by name.

        Args:
            tensors: One by each input's name.

        Returns:
            Its tensors, named by the keys of a dictionary or named tuple, else ``output`` or
            ``output_0``, ``output_1``, …; a name that an input has gets ``output_`` before it.

        Raises:
            ConversionError: If the module returns something that is not a tensor (OQ151).
        """
        args, kwargs = self.arguments(tensors)
        with torch.no_grad():
            outputs = dict(_flatten(self.module(*args, **kwargs), "", self.name))
        taken = {i.name for i in self.inputs}
        return {f"output_{n}" if n in taken else n: tensor for n, tensor in outputs.items()}

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Call the module on arrays: what the export must compute too.

        Args:
            inputs: One array by each input's name.

        Returns:
            Arrays by output name; bfloat16 comes as float32.
        """
        tensors = {
            i.name: torch.tensor(np.asarray(inputs[i.name])).to(_DTYPES[i.dtype])
            for i in self.inputs
        }
        return {name: _to_array(tensor) for name, tensor in self.run(tensors).items()}

    def arguments(
        self, tensors: Mapping[str, Tensor]
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """Arrange tensors as positional and keyword arguments."""
        if self.by_name:
            return (), {i.name: tensors[i.name] for i in self.inputs}
        return tuple(tensors[i.name] for i in self.inputs), {}

    def free_axes(self) -> tuple[object, ...] | dict[str, dict[int, str]]:
        """Name the free axes of each input, in the structure of ``forward``'s parameters.

        It is what ``torch.onnx.export`` takes as ``dynamic_shapes``: what ``*args`` takes is one
        tuple inside.
        """
        axes = [
            {0: FREE_BATCH} if i.shape and isinstance(i.shape[0], str) else {} for i in self.inputs
        ]
        if self.by_name:
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
            A tensor by each input's name. Where there are no rows, floats are normal, integers
            come from the declared values, else they are 0, and a mask is true at its end:
            attention fails on some masks that are all false.
        """
        if self.rows:
            return {i.name: self._first_rows(i, rows) for i in self.inputs}
        generator = torch.Generator().manual_seed(_SEED)
        return {i.name: _example(i, rows, generator) for i in self.inputs}

    def _first_rows(self, declared: InputDeclaration, rows: int) -> Tensor:
        stored = np.asarray(self.rows[declared.name])
        first = declared.shape[0] if declared.shape else rows
        count = first if isinstance(first, int) else rows
        taken = stored[np.arange(count) % len(stored)]
        return torch.tensor(taken).to(_DTYPES[declared.dtype])


def plan_call(module: nn.Module, inputs: tuple[InputDeclaration, ...]) -> ModuleCall:
    """Find out how a module takes the inputs that were declared.

    Args:
        module: On the CPU, in evaluation mode.
        inputs: Declared by ``forward``'s own names, or else in the order of its parameters.

    Returns:
        The call.

    Raises:
        SourceError: If the declarations cannot be this module's inputs (OQ112).
    """
    _check_declarations(inputs)
    parameters = [p.name for p in _parameters(module)]
    if all(i.name in parameters for i in inputs):
        ordered = sorted(inputs, key=lambda i: parameters.index(i.name))
        missing = set(torch_input_names(module)) - {i.name for i in inputs}
        if not missing or len(parameters) == len(missing) == 1:
            return ModuleCall(module, tuple(ordered), by_name=True)
        message = f"{type(module).__name__}.forward also needs {', '.join(sorted(missing))}."
        raise SourceError(message, code="OQ112", hint=_DECLARE)
    needed = _required(module)
    most = len(inputs) if _is_open_ended(module) else len(parameters)
    if not len(needed) <= len(inputs) <= most:
        message = (
            f"{type(module).__name__}.forward takes ({', '.join(parameters)}); "
            f"declared are ({', '.join(i.name for i in inputs)})."
        )
        raise SourceError(message, code="OQ112", hint=_DECLARE)
    return ModuleCall(module, inputs, by_name=False)


def torch_input_names(module: nn.Module) -> tuple[str, ...]:
    """Name the inputs that a module's ``forward`` must be given.

    Args:
        module: Any module.

    Returns:
        Its parameters without defaults, in order; its first one where all have defaults.
    """
    return _required(module) or tuple(p.name for p in _parameters(module)[:1])


def _required(module: nn.Module) -> tuple[str, ...]:
    return tuple(p.name for p in _parameters(module) if p.default is p.empty)


def _parameters(module: nn.Module) -> list[inspect.Parameter]:
    named = {
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    }
    return [p for p in inspect.signature(module.forward).parameters.values() if p.kind in named]


def _is_open_ended(module: nn.Module) -> bool:
    """Whether ``forward`` takes ``*args``."""
    parameters = inspect.signature(module.forward).parameters.values()
    return any(p.kind is p.VAR_POSITIONAL for p in parameters)


def _check_declarations(inputs: tuple[InputDeclaration, ...]) -> None:
    for declared in inputs:
        symbols = [dim for dim in declared.shape[1:] if isinstance(dim, str)]
        if symbols:
            message = f"Input {declared.name!r} leaves {', '.join(symbols)} free."
            hint = "Only the batch axis of a PyTorch module may be free: give the other sizes."
            raise SourceError(message, code="OQ112", hint=hint)
        if declared.dtype not in _DTYPES:
            message = f"Input {declared.name!r} is of {declared.dtype}, which PyTorch cannot hold."
            raise SourceError(message, code="OQ112", hint=f"There are {', '.join(_DTYPES)}.")


def _example(declared: InputDeclaration, rows: int, generator: torch.Generator) -> Tensor:
    shape = tuple(dim if isinstance(dim, int) else rows for dim in declared.shape)
    dtype = _DTYPES[declared.dtype]
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    if declared.has_values:
        values = torch.randint(declared.low, declared.high + 1, shape, generator=generator)
        return values.to(dtype)
    example = torch.zeros(shape, dtype=dtype)
    if dtype is torch.bool and shape:
        example[..., -1] = True
    return example


def _flatten(value: object, name: str, module: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of an output in the order of torch's own pytrees."""
    if isinstance(value, Tensor):
        yield name or "output", value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(item, f"{name}_{key}" if name else str(key), module)
    elif isinstance(value, (tuple, list)):
        fields = getattr(value, "_fields", range(len(value)))
        for key, item in zip(fields, value, strict=True):
            stem = name or ("" if isinstance(key, str) else "output")
            yield from _flatten(item, f"{stem}_{key}" if stem else str(key), module)
    elif value is not None:  # torch.onnx.export leaves out an output that is None
        message = f"{module}.forward returns a {type(value).__name__}, expected tensors."
        hint = "Wrap the module in one that returns a tensor, or a tuple or dict of tensors."
        raise ConversionError(message, code="OQ151", hint=hint)


def _to_array(tensor: Tensor) -> Array:
    plain = tensor.float() if tensor.dtype is torch.bfloat16 else tensor
    return np.asarray(plain.detach().numpy())
