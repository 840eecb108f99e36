"""Sizes of images while they are preprocessed; nothing here touches a pixel.

The rules are torchvision's (``Resize`` to the shorter side, ``CenterCrop``), since published
accuracies of image models were mostly measured with them.
"""

from typing import NamedTuple

from onnxq.datasets.values import AsGiven, PreprocessSpec
from onnxq.errors import DatasetError


class ImageSize(NamedTuple):
    """Height and width in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        """Render as ``240x320``, height first."""
        return f"{self.height}x{self.width}"


class Box(NamedTuple):
    """Part of an image, in pixels; the far edges are not part of it."""

    top: int
    left: int
    bottom: int
    right: int


def resized(size: ImageSize, spec: PreprocessSpec) -> ImageSize:
    """Return the size after resizing and before cropping.

    The longer side is truncated to whole pixels, as torchvision does.
    """
    if spec.resize_height:
        return ImageSize(spec.resize_height, spec.resize_width)
    if not spec.size:
        return size
    height, width = size
    if height <= width:
        return ImageSize(spec.size, max(1, spec.size * width // height))
    return ImageSize(max(1, spec.size * height // width), spec.size)


def centre_box(size: ImageSize, spec: PreprocessSpec, subject: str) -> Box:
    """Return the part of a resized image that is kept.

    Args:
        size: After resizing.
        spec: Says what is cropped.
        subject: The image, for messages.

    Returns:
        The centre square, rounded to even halves as torchvision does; all of the image where
        nothing is cropped.

    Raises:
        DatasetError: OQ126, if the image is smaller than the square.
    """
    if not spec.crop:
        return Box(0, 0, *size)
    if spec.crop > min(size):
        message = f"crop={spec.crop} does not fit {subject}: it is {size} pixels before cropping."
        hint = f"Resize the shorter side first:  --preprocess …,size={spec.crop},crop={spec.crop}"
        raise DatasetError(message, code="OQ126", hint=hint)
    top = round((size.height - spec.crop) / 2)
    left = round((size.width - spec.crop) / 2)
    return Box(top, left, top + spec.crop, left + spec.crop)


def final_size(size: ImageSize, spec: PreprocessSpec | AsGiven, subject: str) -> ImageSize:
    """Return the size that an image file has after preprocessing.

    Raises:
        DatasetError: OQ126, if the image is smaller than the crop.
    """
    if isinstance(spec, AsGiven):
        return size
    box = centre_box(resized(size, spec), spec, subject)
    return ImageSize(box.bottom - box.top, box.right - box.left)


def is_final(size: ImageSize, spec: PreprocessSpec) -> bool:
    """Whether an array of this size needs no resizing and no cropping.

    Arrays are mostly stored after that step; resizing them to ``size`` and cropping them back
    would change what they show.
    """
    if spec.crop:
        return size == (spec.crop, spec.crop)
    return resized(size, spec) == size
