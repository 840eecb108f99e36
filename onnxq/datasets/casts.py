"""Which dtypes may become which, and the check that no value was changed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxq.arrays import Array
from onnxq.datasets.arrays import RawArray
from onnxq.errors import DatasetError
from onnxq.tensors import TensorSpec

_UNFED = frozenset({"bfloat16", "string"})


@dataclass(frozen=True)
class Cast:
    """From one dtype to another.

    Attributes:
        source: As rows are.
        target: As the model wants them.
        is_exact: Whether each integer must come back unchanged, which is checked.
    """

    source: np.dtype[Any]
    target: np.dtype[Any]
    is_exact: bool

    @property
    def changes(self) -> bool:
        """Whether the dtypes differ in more than the order of bytes."""
        return (self.source.kind, self.source.itemsize) != (self.target.kind, self.target.itemsize)


def plan_cast(wanted: TensorSpec, array: RawArray, title: str) -> Cast:
    """Decide how an array gets an input's dtype.

    Booleans may become any number. Integers may become other integers or floats, as long as no
    value changes; floats may become other floats. A float never becomes an integer.

    Args:
        wanted: The input.
        array: As it would be fed.
        title: The file, for messages.

    Returns:
        The cast; its check runs when it is applied.

    Raises:
        DatasetError: OQ122, if values of this dtype cannot be fed.
    """
    source = array.dtype.newbyteorder("=")
    if wanted.dtype in _UNFED:
        message = f"the model's input {wanted.name!r} is {wanted.dtype}, which cannot be fed yet."
        hint = "Give a model with a float32 or an integer input."
        raise DatasetError(message, code="OQ122", hint=hint)
    target = np.dtype(wanted.dtype)
    allowed = {"b": "biuf", "i": "iuf", "u": "iuf", "f": "f"}.get(source.kind, "")
    if source != target and target.kind not in allowed:
        message = f"{title} has {array}: expected {wanted.dtype} for the input {wanted.name!r}."
        raise DatasetError(message, code="OQ122", hint=_cast_hint(array, target))
    return Cast(source, target, is_exact=source.kind in "iu" and not _holds_all(source, target))


def apply_cast(rows: Array, cast: Cast) -> tuple[Array, list[int]]:
    """Cast rows.

    Args:
        rows: Axis 0 is rows.
        cast: From :func:`plan_cast`.

    Returns:
        The rows, and the indices of those that hold a value which the target cannot hold.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        fed = rows.astype(cast.target, copy=False)
        if not cast.is_exact:
            return fed, []
        changed = fed.astype(cast.source) != rows
        if cast.target.kind in "iu":  # 200 as int8 is -56, which comes back as 200
            changed |= (fed < 0) != (rows < 0)
        if cast.target.kind == "f":  # a float that is too large comes back as any integer
            changed |= fed >= float(np.iinfo(cast.source).max + 1)
    changed = changed.reshape(len(rows), -1).any(axis=1)
    return fed, [int(index) for index in np.flatnonzero(changed)]


def _holds_all(source: np.dtype[Any], target: np.dtype[Any]) -> bool:
    """Whether every integer of one dtype is exact in another."""
    if target.kind == "f":
        return np.finfo(target).nmant + 1 >= 8 * source.itemsize
    return np.can_cast(source, target, "safe")


def _cast_hint(array: RawArray, target: np.dtype[Any]) -> str:
    if array.dtype.hasobject:
        return "Python objects are never loaded: store numbers, in rows of one shape."
    if array.dtype.kind == "f" and not array.is_typed:
        return "If the values are whole numbers, write them without a fraction: 3, and not 3.0."
    if array.dtype.kind == "f":
        return (
            "If the values are whole numbers, store them as such:  "
            f"np.savez('val.npz', {array.name}={array.name}.astype('{target}'))"
        )
    return "Store numbers of the dtype that the model wants."
