"""Arrays of any framework become NumPy's, by what they can do; no framework is imported here."""

from numbers import Number
from typing import Protocol, runtime_checkable

import numpy as np

from onnxq.arrays import Array


@runtime_checkable
class _Detachable(Protocol):
    """A tensor that may hang in a graph and lie on a device, as PyTorch's may."""

    def detach(self) -> "_Detachable": ...
    def cpu(self) -> "_Detachable": ...
    def float(self) -> "_Detachable": ...
    def numpy(self) -> Array: ...


@runtime_checkable
class _Numpied(Protocol):
    """A tensor that gives a NumPy array, as TensorFlow's do."""

    def numpy(self) -> object: ...


def is_array(value: object) -> bool:
    """Whether a value is an array, a tensor or a number by its own word; lists are not."""
    shown = isinstance(value, np.ndarray | np.generic | Number | str | bytes | _Detachable)
    return shown or hasattr(value, "__array__") or hasattr(value, "__array_interface__")


def as_array(value: object) -> Array:
    """Turn a value into an array.

    Args:
        value: An array or tensor of any framework, a number, text, an image of Pillow's, or
            nested lists of these with rows of one length.

    Returns:
        The array: numbers, booleans or text.

    Raises:
        ValueError: If it is neither, or lists are ragged.
    """
    array = _converted(value)
    if array.dtype.kind not in "biufUS":
        message = f"{type(value).__name__} of {array.dtype} is no array of numbers"
        raise ValueError(message)
    return array


def _converted(value: object) -> Array:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, _Detachable):
        return _detached(value)
    if isinstance(value, _Numpied):
        return np.asarray(value.numpy())
    if isinstance(value, list | tuple) and _is_plain(value):
        return np.asarray(value)  # raises ValueError for ragged lists
    if isinstance(value, list | tuple):
        parts = [_converted(one) for one in value]
        shapes = {part.shape for part in parts}
        if len(shapes) > 1:
            message = f"lists are ragged: {' and '.join(map(str, sorted(shapes)))} in one"
            raise ValueError(message)
        return np.array(parts) if parts else np.empty(0)
    if is_array(value):
        return np.asarray(value)
    message = f"{type(value).__name__} is no array of numbers"
    raise ValueError(message)


def _is_plain(value: object) -> bool:
    """Whether lists hold Python's own numbers or text, by the first of each."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, bool | int | float | str)


def _detached(value: _Detachable) -> Array:
    tensor = value.detach().cpu()
    try:
        return tensor.numpy()
    except TypeError:  # NumPy has no bfloat16
        return tensor.float().numpy()
