"""How a row's axes become an input's axes: a closed family of layout changes."""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

import numpy as np

from onnxq.arrays import Array
from onnxq.tensors import Dim, TensorSpec

_IMAGE_AXES = 3


class Layout(Enum):
    """A change of layout; its value says it in words. Axis 0 of an array is rows."""

    AS_IS = "unchanged"
    CHANNELS_FIRST = "channels moved from last to first"
    CHANNELS_LAST = "channels moved from first to last"
    LEADING_AXIS = "an axis of size 1 added in front"
    TRAILING_AXIS = "an axis of size 1 added at the end"
    NO_LEADING_AXIS = "the axis of size 1 in front dropped"
    NO_TRAILING_AXIS = "the axis of size 1 at the end dropped"


_CHANGES: dict[Layout, Callable[[Array], Array]] = {
    Layout.AS_IS: lambda rows: rows,
    Layout.CHANNELS_FIRST: lambda rows: np.moveaxis(rows, -1, 1),
    Layout.CHANNELS_LAST: lambda rows: np.moveaxis(rows, 1, -1),
    Layout.LEADING_AXIS: lambda rows: rows[:, np.newaxis],
    Layout.TRAILING_AXIS: lambda rows: rows[..., np.newaxis],
    Layout.NO_LEADING_AXIS: lambda rows: rows[:, 0],
    Layout.NO_TRAILING_AXIS: lambda rows: rows[..., 0],
}


def change_layout(rows: Array, layout: Layout) -> Array:
    """Return a view of the rows in another layout."""
    return _CHANGES[layout](rows)


def changed_shape(row_shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    """Return the shape of a row in another layout."""
    one_row = np.broadcast_to(np.uint8(0), (1, *row_shape))
    return change_layout(one_row, layout).shape[1:]


def fitting_layouts(row_shape: tuple[int, ...], wanted: tuple[Dim, ...]) -> tuple[Layout, ...]:
    """Return every layout in which a row fits, the unchanged one first.

    Args:
        row_shape: Of a row as it is.
        wanted: Of a row as the model wants it; a symbol takes any size.

    Returns:
        Layouts that differ in what they do to this row; empty if none fits.
    """
    return tuple(
        layout
        for layout in _possible_layouts(row_shape)
        if _fits(changed_shape(row_shape, layout), wanted)
    )


class Way(NamedTuple):
    """How a row feeds an input.

    Attributes:
        layout: How its axes are changed.
        is_whole: Whether it is all of the input, and no row of a batch.
    """

    layout: Layout
    is_whole: bool


def fitting_ways(
    row_shape: tuple[int, ...], wanted: TensorSpec, *, may_be_whole: bool
) -> tuple[Way, ...]:
    """Return every way in which a row fits an input, the likeliest first: as a row of a batch.

    Args:
        row_shape: Of a row as it is.
        wanted: The input.
        may_be_whole: Whether it may be without a batch axis (:func:`may_be_whole`).

    Returns:
        The ways; empty if none fits.
    """
    batched = fitting_layouts(row_shape, wanted.shape[1:]) if wanted.shape else ()
    may_be_whole = may_be_whole or not wanted.shape
    whole = fitting_layouts(row_shape, wanted.shape) if may_be_whole else ()
    ways = [Way(layout, is_whole=False) for layout in batched]
    ways += [Way(layout, is_whole=True) for layout in whole]
    as_it_is = Way(Layout.AS_IS, is_whole=True)
    if as_it_is in ways and wanted.has_free_batch and Layout.AS_IS not in batched:
        ways.sort(key=lambda way: way != as_it_is)  # [1, 4] for [M, 4] is no row [4] of a batch
    return tuple(ways)


def may_be_whole(spec: TensorSpec, inputs: tuple[TensorSpec, ...]) -> bool:
    """Whether the first axis of an input may be something else than the batch.

    It may where it is no axis at all, a size, or free under another symbol than that of the first
    input which has one.

    Args:
        spec: The input.
        inputs: All of the model's.
    """
    firsts = [one.shape[0] for one in inputs if one.shape]
    batch = next((dim for dim in firsts if isinstance(dim, str)), "")
    return not spec.shape or spec.shape[0] != batch


def _possible_layouts(row_shape: tuple[int, ...]) -> list[Layout]:
    layouts = [Layout.AS_IS, Layout.LEADING_AXIS]
    layouts += [Layout.TRAILING_AXIS] if row_shape else []
    if len(row_shape) == _IMAGE_AXES:
        layouts += [Layout.CHANNELS_FIRST, Layout.CHANNELS_LAST]
    if row_shape[:1] == (1,):
        layouts += [Layout.NO_LEADING_AXIS]
    if len(row_shape) > 1 and row_shape[-1] == 1:
        layouts += [Layout.NO_TRAILING_AXIS]
    return layouts


def _fits(shape: tuple[int, ...], wanted: tuple[Dim, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        isinstance(dim, str) or dim == size for size, dim in zip(shape, wanted, strict=True)
    )
