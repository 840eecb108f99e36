"""Tensors of PyTorch: made to trace with, named as outputs, and turned into arrays."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from onnxq.arrays import Array
from onnxq.errors import ConversionError
from onnxq.sources import InputDeclaration
from onnxq.tensors import DType

TORCH_DTYPES: dict[DType, torch.dtype] = {
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
"""The dtypes that an input may have, by their names in ONNX."""


def to_tensor(array: Array, declared: InputDeclaration) -> Tensor:
    """Copy an array into a tensor of the declared dtype, on the CPU."""
    copied = torch.tensor(np.asarray(array), device="cpu")
    return copied.to(TORCH_DTYPES[declared.dtype])


def to_array(tensor: Tensor) -> Array:
    """Return a tensor as an array; bfloat16, which numpy lacks, comes as float32."""
    plain = tensor.float() if tensor.dtype is torch.bfloat16 else tensor
    return np.asarray(plain.detach().cpu().numpy())


def make_example(declared: InputDeclaration, rows: int, generator: torch.Generator) -> Tensor:
    """Make values of the declared kind.

    Args:
        declared: The input.
        rows: In the batch, where that is free.
        generator: Of the values.

    Returns:
        Normal floats; integers of the declared range, else zeros; masks that are true in their
        last column only, since attention fails on some masks that are all false.
    """
    shape = tuple(dim if isinstance(dim, int) else rows for dim in declared.shape)
    dtype = TORCH_DTYPES[declared.dtype]
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator, device="cpu").to(dtype)
    if declared.has_values:
        values = torch.randint(
            declared.low, declared.high + 1, shape, generator=generator, device="cpu"
        )
        return values.to(dtype)
    example = torch.zeros(shape, dtype=dtype, device="cpu")
    if dtype is torch.bool and shape:
        example[..., -1] = True
    return example


def name_outputs(value: object, module: str, taken: frozenset[str]) -> dict[str, Tensor]:
    """Name the tensors of a module's output, in the order of torch's own pytrees.

    Args:
        value: What ``forward`` returned: a tensor, or a nest of tuples, dictionaries, named
            tuples and dataclasses (which the outputs of transformers are) around tensors.
        module: The module's class, for messages.
        taken: Names of the inputs.

    Returns:
        Tensors by the keys of dictionaries and the names of fields, else ``output``, or
        ``output_0``, ``output_1``, …; a name that an input has gets ``output_`` before it, and
        one that occurs again a number behind it.

    Raises:
        ConversionError: If there is something that is not a tensor (OQ151).
    """
    named: dict[str, Tensor] = {}
    for name, tensor in _flatten(value, "", module):
        free = f"output_{name}" if name in taken else name
        counted = (f"{free}_{i}" for i in itertools.count(1))
        used = {*named, *taken}
        named[free if free not in used else next(c for c in counted if c not in used)] = tensor
    return named


def _flatten(value: object, name: str, module: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name or "output", value
        return
    if dataclasses.is_dataclass(value) and not isinstance(value, type | Mapping):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(item, f"{name}_{key}" if name else str(key), module)
    elif isinstance(value, tuple | list):
        fields = getattr(value, "_fields", range(len(value)))
        for key, item in zip(fields, value, strict=True):
            stem = name or ("" if isinstance(key, str) else "output")
            yield from _flatten(item, f"{stem}_{key}" if stem else str(key), module)
    elif value is not None:  # torch.onnx.export leaves out an output that is None
        message = f"{module}.forward returns a {type(value).__name__}, expected tensors."
        hint = "Wrap the module in one that returns a tensor, or a tuple or dict of tensors."
        raise ConversionError(message, code="OQ151", hint=hint)
