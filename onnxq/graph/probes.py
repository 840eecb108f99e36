"""Random inputs that fit a signature: for comparing a model with its own rewriting, not more."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from onnxq.arrays import Array
from onnxq.tensors import Dim, Signature, TensorSpec

_SEED = 20261121
_FREE_SIZES = (16, 64, 224, 8, 32, 128, 4, 1)
"""Tried in this order for free axes other than the batch, until the model runs."""

_BATCHES = (2, 3, 1)
_SCALES = (1.0, 8.0, 0.05)


@dataclass(frozen=True)
class ProbeShape:
    """How large the free axes of a set of probes are.

    Attributes:
        free_size: Every free axis but the batch.
        batches: Rows of each probe, where the batch axis is free.
    """

    free_size: int
    batches: tuple[int, ...]


def probe_shapes(signature: Signature) -> Iterator[ProbeShape]:
    """Yield sizes to try, the likeliest to run first.

    Args:
        signature: Of the model.

    Returns:
        One entry where no axis but the batch is free.
    """
    has_free = any(isinstance(dim, str) for spec in signature.inputs for dim in spec.shape[1:])
    for size in _FREE_SIZES if has_free else _FREE_SIZES[:1]:
        yield ProbeShape(free_size=size, batches=_BATCHES)
    yield ProbeShape(free_size=_FREE_SIZES[0], batches=(1, 1, 1))


def make_probes(signature: Signature, shape: ProbeShape) -> list[dict[str, Array]]:
    """Make random inputs of three scales: float32 of both signs, integers of 0 and 1.

    Args:
        signature: Of the model.
        shape: Sizes of free axes; equal symbols get equal sizes.

    Returns:
        Three probes, the same at every call.
    """
    generator = np.random.default_rng(_SEED)
    return [
        {
            spec.name: _values(spec, batch, shape.free_size, scale, generator)
            for spec in signature.inputs
        }
        for batch, scale in zip(shape.batches, _SCALES, strict=True)
    ]


def _values(
    spec: TensorSpec, batch: int, free: int, scale: float, generator: np.random.Generator
) -> Array:
    sizes = [_size(dim, batch if axis == 0 else free) for axis, dim in enumerate(spec.shape)]
    if spec.dtype == "string":
        return np.full(sizes, "a", dtype=object)
    if spec.dtype.startswith(("float", "bfloat")):
        dtype = np.float32 if spec.dtype == "bfloat16" else np.dtype(spec.dtype)
        return (scale * generator.standard_normal(sizes)).astype(dtype)
    return generator.integers(0, 2, sizes).astype(np.dtype(spec.dtype))


def _size(dim: Dim, free: int) -> int:
    return dim if isinstance(dim, int) else free
