"""What is known about an array of rows before any of it is read."""

from dataclasses import dataclass
from typing import Any

import numpy as np

_CHANNELS = frozenset({1, 3, 4})

TEXT: np.dtype[Any] = np.dtype("U")
"""The dtype of text of any length."""


@dataclass(frozen=True)
class RawArray:
    """An array as its header, or the first image of a folder, describes it.

    Attributes:
        name: In the data; ``images`` for a folder of images.
        dtype: Of its elements; ``<U0`` for text of any length.
        shape: Axis 0 is rows.
        images: Whether rows are known to be pixels with channels last, as image files give them.
        columns: Columns of a table that stand side by side in it, in this order; empty for an
            array of its own.
        is_typed: Whether the dtype is the data's own choice; numbers in text have none.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    images: bool = False
    columns: tuple[str, ...] = ()
    is_typed: bool = True

    @property
    def count_rows(self) -> int:
        """Rows that the array holds; 0 for a scalar."""
        return self.shape[0] if self.shape else 0

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.shape[1:]

    @property
    def is_bytes(self) -> bool:
        """Whether the elements are ``uint8``, as pixels are."""
        return self.dtype == np.uint8

    @property
    def is_numeric(self) -> bool:
        """Whether the elements are numbers or booleans; text and objects can feed nothing."""
        return self.dtype.kind in "biuf"

    @property
    def is_text(self) -> bool:
        """Whether the elements are strings."""
        return self.dtype.kind in "US"

    @property
    def dtype_name(self) -> str:
        """What messages call the dtype: ``text`` for strings of any length."""
        return "text" if self.is_text and not self.dtype.itemsize else str(self.dtype)

    def __str__(self) -> str:
        """Render as ``images uint8 [1000, 32, 32, 3]``."""
        return f"{self.name} {self.dtype_name} {list(self.shape)}"


def has_channels_last(row_shape: tuple[int, ...]) -> bool:
    """Whether a row of this shape is an image ``[height, width, channels]`` by its looks."""
    return len(row_shape) == 3 and row_shape[2] in _CHANNELS  # noqa: PLR2004 - an image's axes


def has_channels_first(row_shape: tuple[int, ...]) -> bool:
    """Whether a row of this shape is an image ``[channels, height, width]`` by its looks."""
    first = len(row_shape) == 3 and row_shape[0] in _CHANNELS  # noqa: PLR2004 - an image's axes
    return first and not has_channels_last(row_shape)
