"""From bytes to what a model was trained on: geometry, order of channels, arithmetic."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.datasets.arrays import RawArray, has_channels_first, has_channels_last
from onnxq.datasets.geometry import ImageSize, final_size, is_final
from onnxq.datasets.preprocess import render_preprocess
from onnxq.datasets.values import PreprocessSpec
from onnxq.errors import DatasetError

Pixels: TypeAlias = NDArray[np.uint8]

_RGB = 3
_IMAGE_AXES = 3
_BATCH_AXES = 4
# ITU-R BT.601 luma in 16 bit fixed point, as Pillow computes its mode "L".
_LUMA = np.array([19595, 38470, 7471], np.uint32)
_LUMA_HALF = np.uint32(1 << 15)


def apply_preprocess(images: Pixels, spec: PreprocessSpec) -> NDArray[np.float32]:
    """Preprocess images that are in memory.

    Args:
        images: ``[height, width, channels]`` or ``[rows, height, width, channels]``; 1 channel,
            or 3 in the order RGB. Bytes of any other shape go through arithmetic alone.
        spec: What to do; an image that has its final size is neither resized nor cropped.

    Returns:
        The rows, channels last; ``(p / scale - mean) / std`` computed in float32.

    Raises:
        DatasetError: OQ126, if the spec does not apply to images of this shape.
        MissingDependencyError: OQ108, if an image must be resized and Pillow is not installed.
    """
    return scale_pixels(arrange_pixels(images, spec), spec)


def preprocessed_shape(array: RawArray, spec: PreprocessSpec) -> tuple[int, ...]:
    """Return the shape of a row after preprocessing, channels last, without reading any.

    Raises:
        DatasetError: OQ126, if the spec does not apply to rows of this shape.
    """
    shape = channels_last_shape(array.row_shape)
    if not has_channels_last(shape):
        _check_flat(array.row_shape, spec)
        return shape
    _check_channels(shape[2], spec)
    size = ImageSize(*shape[:2])
    if not is_final(size, spec):
        size = final_size(size, spec, array.name)
    return (*size, 1 if spec.order == "gray" else shape[2])


def channels_last_shape(row_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a row of bytes seen as an image, where it can be one.

    ``[height, width]`` gets a channel, channels that come first go last; a row of any other
    rank stays as it is.
    """
    if len(row_shape) == _IMAGE_AXES - 1:
        return (*row_shape, 1)
    if has_channels_first(row_shape):
        return (*row_shape[1:], row_shape[0])
    return row_shape


def channels_last_rows(rows: Pixels) -> Pixels:
    """Give rows of bytes the layout of :func:`channels_last_shape`; axis 0 is rows."""
    if rows.ndim == _BATCH_AXES - 1:
        return rows[..., np.newaxis]
    return np.moveaxis(rows, 1, -1) if has_channels_first(rows.shape[1:]) else rows


def has_arithmetic(spec: PreprocessSpec) -> bool:
    """Whether a spec changes values, or only sizes and the order of channels."""
    return (spec.scale, set(spec.mean), set(spec.std)) != (1.0, {0.0}, {1.0})


def arrange_pixels(images: Pixels, spec: PreprocessSpec) -> Pixels:
    """Resize, crop and reorder channels; still bytes.

    Args:
        images: As in :func:`apply_preprocess`.
        spec: What to do.

    Raises:
        DatasetError: OQ126, if the spec does not apply to images of this shape.
        MissingDependencyError: OQ108, if an image must be resized and Pillow is not installed.
    """
    if images.ndim not in {_IMAGE_AXES, _BATCH_AXES} or not has_channels_last(images.shape[-3:]):
        _check_flat(images.shape, spec)
        return images
    _check_channels(images.shape[-1], spec)
    if not is_final(ImageSize(*images.shape[-3:-1]), spec):
        images = _resize(images, spec)
    return _reorder(images, spec.order)


def scale_pixels(images: Pixels, spec: PreprocessSpec) -> NDArray[np.float32]:
    """Compute ``(p / scale - mean) / std`` in float32; mean and std go along the last axis."""
    rows = images.astype(np.float32)
    rows /= np.float32(spec.scale)
    rows -= np.asarray(spec.mean, np.float32)
    rows /= np.asarray(spec.std, np.float32)
    return rows


def _reorder(images: Pixels, order: str) -> Pixels:
    if images.shape[-1] != _RGB or order == "rgb":
        return images
    if order == "bgr":
        return images[..., ::-1]
    luma = images.astype(np.uint32) @ _LUMA + _LUMA_HALF
    return (luma >> np.uint32(16)).astype(np.uint8)[..., np.newaxis]


def _resize(images: Pixels, spec: PreprocessSpec) -> Pixels:
    from onnxq.datasets.images import resize_pixels  # noqa: PLC0415 - needs an extra

    batch = images.reshape(-1, *images.shape[-3:])
    resized = np.stack([resize_pixels(image, spec) for image in batch])
    return resized.reshape(*images.shape[:-3], *resized.shape[1:])


def _check_channels(channels: int, spec: PreprocessSpec) -> None:
    means = max(len(spec.mean), len(spec.std))
    if channels == _RGB or (channels == 1 and spec.order != "bgr" and means == 1):
        return
    message = (
        f"--preprocess {render_preprocess(spec)} does not apply to images of {channels} "
        "channel(s): it is made for 3."
    )
    hint = "Use one mean and one std, and no order of colours:  --preprocess zero-one"
    raise DatasetError(message, code="OQ126", hint=hint)


def _check_flat(shape: tuple[int, ...], spec: PreprocessSpec) -> None:
    geometry = spec.size or spec.crop or spec.resize_height
    means = max(len(spec.mean), len(spec.std))
    if spec.order == "rgb" and not geometry and means == 1:
        return
    message = (
        f"--preprocess {render_preprocess(spec)} needs images, height x width x channels: found "
        f"bytes of shape {list(shape)}."
    )
    hint = "Store them as images, or use one mean and one std alone:  --preprocess zero-one"
    raise DatasetError(message, code="OQ126", hint=hint)
