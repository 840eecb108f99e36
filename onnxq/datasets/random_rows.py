"""Values for a model's input where there are no rows: to compare an export, to time a model.

Latency does not depend on the values in any kernel that onnxq measures, but integer inputs index
tables: they are never drawn from outside what a declaration holds.
"""

import math
from collections.abc import Sequence

import numpy as np

from onnxq.arrays import Array
from onnxq.errors import SourceError, UsageError
from onnxq.sources import InputDeclaration
from onnxq.tensors import TensorSpec

_MOST_ELEMENTS = 2**28
_FLOATS = frozenset({"float16", "float32", "float64"})


def draw_rows(
    spec: TensorSpec,
    declared: tuple[InputDeclaration, ...],
    count_rows: int,
    generator: np.random.Generator,
) -> Array:
    """Draw one batch of an input.

    Args:
        spec: The input; a fixed batch axis wins over ``count_rows``.
        declared: Sizes of free axes and values of integers.
        count_rows: Rows of the batch, where that is free.
        generator: Of the values: normal floats, either truth value, declared integers.

    Returns:
        The batch.

    Raises:
        SourceError: If the input's sizes or integer values are not known.
        UsageError: If the batch would take more than 2^28 elements.
    """
    known = next((one for one in declared if one.name == spec.name), None)
    shape = known.shape if known and len(known.shape) == len(spec.shape) else spec.shape
    sizes = [spec.shape[0] if isinstance(spec.shape[0], int) else count_rows] if shape else []
    sizes += [dim for dim in shape[1:] if isinstance(dim, int)]
    if len(sizes) != len(spec.shape):
        message = f"the size of input {spec} is not known, and there are no rows to tell it."
        raise SourceError(message, code="OQ112", hint=_declare(spec, shape, ""))
    check_elements(spec, sizes)
    if spec.dtype in _FLOATS:
        return generator.standard_normal(sizes).astype(spec.dtype)
    if spec.dtype == "bool":
        return generator.integers(0, 2, sizes).astype(np.bool_)
    if known is None or not known.has_values:
        message = (
            f"input {spec} takes integers whose values are not known, and there are no rows to "
            "tell them."
        )
        raise SourceError(message, code="OQ112", hint=_declare(spec, shape, ":0..999"))
    return generator.integers(known.low, known.high, sizes, endpoint=True).astype(spec.dtype)


def check_elements(spec: TensorSpec, sizes: Sequence[int]) -> None:
    """Refuse a batch that no memory should be asked to hold.

    Args:
        spec: The input.
        sizes: Of the batch.

    Raises:
        UsageError: If it has more than 2^28 elements.
    """
    if math.prod(sizes) > _MOST_ELEMENTS:
        message = f"one inference would take {sizes} elements of input {spec}."
        hint = "Use a smaller --batch."
        raise UsageError(message, code="OQ100", hint=hint)


def _declare(spec: TensorSpec, shape: Sequence[int | str], values: str) -> str:
    axes = ["N", *(str(dim) if isinstance(dim, int) else "SIZE" for dim in shape[1:])]
    declaration = f"{spec.name}:{'x'.join(axes)}:{spec.dtype}{values}"
    return f"Give rows (--data FILE), or declare it:  --input {declaration}"
