"""Values for a model's input where there are no rows: to compare an export, to time a model.

Latency does not depend on the values in any kernel that onnxq measures, but integer inputs index
tables: they are never drawn from outside what a declaration holds.
"""

import math
import shlex
from collections.abc import Iterable, Sequence

import numpy as np

from onnxq.arrays import Array
from onnxq.errors import SourceError, UsageError
from onnxq.sources import InputDeclaration
from onnxq.tensors import Dim, TensorSpec

_MOST_ELEMENTS = 2**28
_SMALL_BITS = 8
_FLOATS = frozenset({"float16", "float32", "float64"})
_TWO_VALUES = ("mask", "token_type", "segment")
"""What transformers call inputs that are 0 or 1."""


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
    check_declared((spec,), declared)
    known = _declaration(spec, declared)
    sizes = [spec.shape[0] if isinstance(spec.shape[0], int) else count_rows] if spec.shape else []
    sizes += [dim for dim in _shape(spec, known)[1:] if isinstance(dim, int)]
    check_elements(spec, sizes)
    if spec.dtype in _FLOATS:
        return generator.standard_normal(sizes).astype(spec.dtype)
    if spec.dtype == "bool":
        return generator.integers(0, 2, sizes).astype(np.bool_)
    return generator.integers(known.low, known.high, sizes, endpoint=True).astype(spec.dtype)


def check_declared(specs: Iterable[TensorSpec], declared: tuple[InputDeclaration, ...]) -> None:
    """Refuse inputs that nothing can be drawn for, all of them at once.

    Args:
        specs: Inputs without rows.
        declared: Sizes of free axes and values of integers.

    Raises:
        SourceError: OQ112 if the sizes or integer values of some are not known.
    """
    specs = tuple(specs)
    known = {spec.name: _declaration(spec, declared) for spec in specs}
    reasons = {
        spec.name: reason for spec in specs if (reason := _why_unknown(spec, known[spec.name]))
    }
    if reasons:
        message = f"{'; '.join(reasons.values())}; there are no rows to tell it."
        options = [_declare(one, known[one.name]) for one in specs if one.name in reasons]
        raise SourceError(message, code="OQ112", hint=_hint(options))


def _declaration(spec: TensorSpec, declared: tuple[InputDeclaration, ...]) -> InputDeclaration:
    nothing = InputDeclaration(spec.name, ())
    return next((one for one in declared if one.name == spec.name), nothing)


def _shape(spec: TensorSpec, known: InputDeclaration) -> tuple[Dim, ...]:
    return known.shape if len(known.shape) == len(spec.shape) else spec.shape


def _why_unknown(spec: TensorSpec, known: InputDeclaration) -> str:
    if not all(isinstance(dim, int) for dim in _shape(spec, known)[1:]):
        return f"the size of input {spec} is not known"
    if spec.dtype in _FLOATS or spec.dtype == "bool" or known.has_values:
        return ""
    return f"input {spec} takes integers whose values are not known"


def _hint(options: Sequence[str]) -> str:
    if len(options) == 1:
        return f"Give rows (--data FILE), or declare it:  {options[0]}"
    return "Give rows (--data FILE), or declare them:\n  " + " \\\n  ".join(options)


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


def _some_values(spec: TensorSpec, known: InputDeclaration) -> str:
    """Return integers to suggest: all of a small dtype, a vocabulary of a large one."""
    if known.has_values:
        return f"{known.low}..{known.high}"
    if any(word in spec.name.lower() for word in _TWO_VALUES):
        return "0..1"
    limits = np.iinfo(spec.dtype)
    if limits.bits > _SMALL_BITS:
        return "0..999"
    return f"{limits.min}..{limits.max}"


def _declare(spec: TensorSpec, known: InputDeclaration) -> str:
    dims = _shape(spec, known)[1:]
    axes = ["N", *(str(dim) if isinstance(dim, int) else "SIZE" for dim in dims)]
    is_integer = spec.dtype not in _FLOATS and spec.dtype != "bool"
    values = f":{_some_values(spec, known)}" if is_integer else ""
    return f"--input {shlex.quote(f'{spec.name}:' + 'x'.join(axes) + f':{spec.dtype}{values}')}"
