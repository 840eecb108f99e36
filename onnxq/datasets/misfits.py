"""Errors for rows that do not fit: what the model wants, what the data has, the likely fix."""

import math
from itertools import zip_longest
from typing import TypeAlias

import msgspec

from onnxq.datasets.arrays import RawArray, has_channels_first, has_channels_last
from onnxq.datasets.layouts import Layout, fitting_layouts
from onnxq.datasets.pixels import channels_last_shape
from onnxq.datasets.preprocess import render_preprocess, without_geometry
from onnxq.datasets.values import AsGiven, PreprocessSpec
from onnxq.errors import DatasetError
from onnxq.tensors import Dim, TensorSpec

_IMAGE_AXES = 3
_IMAGENET_SIZE = [224, 224]
_CHANNELS = frozenset({1, 3, 4})
_MAX_SHOWN = 8

Shape: TypeAlias = tuple[int, ...]


def explain_misfit(
    wanted: TensorSpec,
    array: RawArray,
    fed: RawArray,
    preprocess: PreprocessSpec | AsGiven,
    title: str,
) -> DatasetError:
    """Make the error for rows whose shape no change of layout makes fit.

    Args:
        wanted: The input.
        array: The array as it is.
        fed: The array as it is after preprocessing.
        preprocess: What was done to it.
        title: The file.

    Returns:
        OQ121 with a fix that is likely to help.
    """
    after = () if fed == array else (f"  preprocessed to {fed.dtype} {_dims(fed.shape)}",)
    hint = _likely_fix(wanted, array, fed, preprocess)
    return misfit(wanted, (array,), title, hint=hint, after=after)


def misfit(
    wanted: TensorSpec,
    arrays: tuple[RawArray, ...],
    title: str,
    *,
    hint: str,
    after: tuple[str, ...] = (),
) -> DatasetError:
    """Make an error that shows an input beside arrays.

    Args:
        wanted: The input.
        arrays: What the file has.
        title: The file.
        hint: The likely fix.
        after: What else stands below, a line each.

    Returns:
        OQ121.
    """
    lines: list[tuple[str, ...]] = [("model wants", wanted.name, wanted.dtype, _dims(wanted.shape))]
    lines += [("data has", *_columns(array)) for array in arrays[:_MAX_SHOWN]]
    more = len(arrays) - _MAX_SHOWN
    lines += [("data has", f"{more} more arrays")] if more > 0 else []
    lines += [] if arrays else [("data has", "nothing else to feed")]
    message = "\n".join([f"{title} does not fit the model.", *_aligned(lines), *after])
    return DatasetError(message, code="OQ121", hint=hint)


def unclear_layout(
    wanted: TensorSpec, array: RawArray, layouts: tuple[Layout, ...], title: str
) -> DatasetError:
    """Make the error for rows that fit in more than one layout."""
    pointless = {Layout.CHANNELS_LAST} if has_channels_last(array.row_shape) else set()
    ways = tuple(f"  would fit    {way.value}" for way in layouts if way not in pointless)
    sizes = "x".join(str(dim) for dim in _nchw(array.row_shape))
    hint = (
        "The model leaves its layout open. Declare it, channels first or last:  "
        f"--input {wanted.name}:Nx{sizes}"
    )
    return misfit(wanted, (array,), title, hint=hint, after=ways)


def text_misfit(wanted: TensorSpec, array: RawArray, title: str) -> DatasetError:
    """Make the error for text where a model takes numbers: OQ122."""
    message = f"{title} has {array}: expected {wanted.dtype} for the input {wanted.name!r}."
    return DatasetError(message, code="OQ122", hint=text_hint(wanted.name))


def text_hint(name: str) -> str:
    """Say what becomes of text before a model takes it."""
    return (
        "Text cannot be fed: tokenize it first, as in training, and save the integers by input "
        f"name:  np.savez('val.npz', {name}=ids, y=labels)"
    )


def ragged_misfit(
    wanted: TensorSpec, array: RawArray, shapes: tuple[Shape, ...], names: tuple[str, ...]
) -> DatasetError:
    """Make the error for rows that differ in shape where the input cannot take all of them.

    Args:
        wanted: The input.
        array: The array.
        shapes: Of two rows; the second does not fit, or not in the layout of the first.
        names: What these are called.

    Returns:
        OQ121 with a fix that is likely to help.
    """
    free = any(isinstance(dim, str) for dim in wanted.shape[1:])
    names = tuple(f"row {name}" if name.isdigit() else name for name in names)
    if array.images:
        (first, second), (name, other) = (f"{h}x{w}" for h, w, _ in shapes), names
        message = f"{other} is {second} pixels and {name} is {first}: expected rows of one size"
        hint = "Say how they are made equal:  --preprocess imagenet  or  …,resize=240x320"
    else:
        message = (
            f"{array.name!r} has rows of different shapes, {list(shapes[0])} in {names[0]} and "
            f"{list(shapes[1])} in {names[1]}: expected rows of one form"
        )
        hint = "Give all rows one shape (pad sequences to one length)"
    example = {1: "NxL", _IMAGE_AXES: "Nx3xHxW"}.get(len(wanted.shape) - 1, "Nx…")
    wants = f"the model wants {wanted}"
    ways = "" if free else f", or let the model take them:  --input {wanted.name}:{example}"
    return DatasetError(f"{message}, because {wants}.", code="OQ121", hint=f"{hint}{ways}")


def _nchw(row_shape: tuple[int, ...]) -> tuple[int, ...]:
    shape = channels_last_shape(row_shape)
    return (shape[2], *shape[:2]) if len(shape) == _IMAGE_AXES else row_shape


def _likely_fix(
    wanted: TensorSpec, array: RawArray, fed: RawArray, preprocess: PreprocessSpec | AsGiven
) -> str:
    rows = wanted.shape[1:]
    if isinstance(preprocess, PreprocessSpec) and fitting_layouts(
        channels_last_shape(array.row_shape), rows
    ):
        plain = render_preprocess(without_geometry(preprocess))
        return f"The rows have the right size as they are. Try:  --preprocess {plain}"
    if fitting_layouts(array.shape, rows):
        return f"Looks like one row without an axis of rows. Try:  {array.name}[None]"
    if array.is_bytes and len(rows) == _IMAGE_AXES:
        return _image_fix(rows, fed, preprocess)
    sizes = [dim for dim in rows if isinstance(dim, int)]
    if len(sizes) == len(rows) and math.prod(sizes) == math.prod(array.row_shape):
        shape = ", ".join(["-1", *map(str, sizes)])
        return f"A row has as many values as the model wants. Try:  {array.name}.reshape({shape})"
    return "Store rows of that shape along axis 0, or name another array:  --map INPUT=ARRAY"


def _image_fix(rows: tuple[Dim, ...], fed: RawArray, preprocess: PreprocessSpec | AsGiven) -> str:
    shape = fed.row_shape
    if not (has_channels_last(shape) or has_channels_first(shape)):
        return "Store images as rows of [height, width, channels]."
    channels, *size = _wanted_image(rows)
    *has_size, has_channels = channels_last_shape(shape)
    spec = preprocess if isinstance(preprocess, PreprocessSpec) else PreprocessSpec()
    if channels == 1 and has_channels != 1:
        spec = _for_one_channel(spec)
    elif isinstance(channels, int) and channels != has_channels:
        return f"The model wants {channels} channels, rows have {has_channels}: store them so."
    elif isinstance(preprocess, AsGiven) and size == _IMAGENET_SIZE:
        return "The images have another size. Try:  --preprocess imagenet"
    if size != has_size:
        height, width = (dim if isinstance(dim, int) else has_size[0] for dim in size)
        spec = msgspec.structs.replace(
            without_geometry(spec), resize_height=height, resize_width=width
        )
    what = "size" if channels == has_channels else "number of channels"
    return f"The images have another {what}. Try:  --preprocess {render_preprocess(spec)}"


def _wanted_image(rows: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """Return channels, height and width as the model's shape suggests them."""
    first, middle, last = rows
    if last in _CHANNELS or not (first in _CHANNELS or isinstance(first, str)):
        return last, first, middle
    return rows


def _for_one_channel(spec: PreprocessSpec) -> PreprocessSpec:
    mean = round(sum(spec.mean) / len(spec.mean), 6)
    std = round(sum(spec.std) / len(spec.std), 6)
    return msgspec.structs.replace(spec, order="gray", mean=(mean,), std=(std,))


def _columns(array: RawArray) -> tuple[str, str, str]:
    return array.name, array.dtype_name, _dims(array.shape)


def _aligned(lines: list[tuple[str, ...]]) -> list[str]:
    """Pad the cells of each column to one width."""
    widths = [max(map(len, cells)) for cells in zip_longest(*lines, fillvalue="")]
    padded = [
        (cell.ljust(width) for cell, width in zip(line, widths, strict=False)) for line in lines
    ]
    return [f"  {'  '.join(cells)}".rstrip() for cells in padded]


def _dims(shape: tuple[Dim, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
