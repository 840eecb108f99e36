"""The door to Pillow: image files become bytes, height x width x 3, red first.

Files are read by the formats listed here alone, and neither colour profiles nor rotation tags
are applied: the loaders that models were trained with do not apply them either.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from onnxq.datasets.geometry import ImageSize, centre_box, resized
from onnxq.datasets.values import AsGiven, PreprocessSpec
from onnxq.errors import DatasetError, MissingDependencyError

try:
    from PIL import Image
except ImportError as error:
    _MESSAGE = "reading or resizing images needs Pillow, which is not installed."
    raise MissingDependencyError(
        _MESSAGE, code="OQ108", hint="pip install 'onnxq[images]'"
    ) from error

MAX_IMAGE_PIXELS = 100_000_000
"""Pixels of the largest image that is decoded: 300 MB of bytes."""

_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
_ORIENTATION = 0x0112
# What Pillow's decoders raise on broken files, besides OSError.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError)


@dataclass(frozen=True)
class EncodedImage:
    """An image file's content, as tables hold it.

    Attributes:
        name: What messages call it.
        content: Its bytes.
    """

    name: str
    content: bytes

    def __str__(self) -> str:
        """Return the name."""
        return self.name


def read_image_size(path: Path | EncodedImage) -> ImageSize:
    """Read an image's size from its header.

    Args:
        path: The file, or its content.

    Returns:
        Height and width.

    Raises:
        DatasetError: OQ127, if the file is no image, or is too large to be decoded.
    """
    with _opened(path) as image:
        return ImageSize(image.height, image.width)


def is_rotated(path: Path) -> bool:
    """Whether a file carries a tag (Exif orientation) that asks viewers to turn it.

    A tag that cannot be read asks for nothing.

    Raises:
        DatasetError: OQ127, if the file is no image.
    """
    with _opened(path) as image:
        if "exif" not in image.info:  # asking a PNG for its Exif tags would decode all of it
            return False
        try:
            return image.getexif().get(_ORIENTATION, 1) in range(2, 9)
        except (*_BROKEN, KeyError, TypeError):
            return False


def read_image(path: Path | EncodedImage, spec: PreprocessSpec | AsGiven) -> NDArray[np.uint8]:
    """Read, resize and crop one image.

    Args:
        path: The file, or its content.
        spec: Its geometry is applied (bilinear, antialiased); colours stay RGB bytes.

    Returns:
        ``[height, width, 3]``.

    Raises:
        DatasetError: OQ127, if the file is no whole image; OQ126, if it is smaller than the crop.
    """
    with _opened(path) as image:
        if image.mode not in _MODES:
            message = f"{path} holds {image.mode} pixels: expected 8 bits a channel."
            hint = "Convert it, for example with Pillow or ImageMagick, and say the range it has."
            raise DatasetError(message, code="OQ127", hint=hint)
        if "transparency" in image.info:  # Pillow warns if such a palette loses it in one step
            return _fit(image.convert("RGBA").convert("RGB"), spec, str(path))
        return _fit(image.convert("RGB"), spec, str(path))


def resize_pixels(pixels: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.uint8]:
    """Resize and crop one image that is in memory, as :func:`read_image` does.

    Args:
        pixels: ``[height, width, channels]`` with 1 or 3 channels.
        spec: Its geometry is applied.

    Returns:
        The image with as many channels.

    Raises:
        DatasetError: OQ126, if it is smaller than the crop.
    """
    if pixels.shape[2] == 1:
        return _fit(Image.fromarray(pixels[..., 0]), spec, "an image")[..., np.newaxis]
    return _fit(Image.fromarray(np.ascontiguousarray(pixels)), spec, "an image")


def _fit(image: Image.Image, spec: PreprocessSpec | AsGiven, subject: str) -> NDArray[np.uint8]:
    if isinstance(spec, PreprocessSpec):
        size = resized(ImageSize(image.height, image.width), spec)
        box = centre_box(size, spec, subject)
        if (image.height, image.width) != size:
            image = image.resize((size.width, size.height), Image.Resampling.BILINEAR)
        if spec.crop:
            image = image.crop((box.left, box.top, box.right, box.bottom))
    return np.array(image, np.uint8)


@contextmanager
def _opened(path: Path | EncodedImage) -> Iterator[Image.Image]:
    source = io.BytesIO(path.content) if isinstance(path, EncodedImage) else path
    try:
        with Image.open(source, formats=_FORMATS) as image:
            _check_pixels(path, image)
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, str(error)) from error
    except _BROKEN as error:
        message = f"{path} is not a whole image: {error}."
        hint = "Remove the file, or fetch it again."
        raise DatasetError(message, code="OQ127", hint=hint) from error


def _check_pixels(path: Path | EncodedImage, image: Image.Image) -> None:
    if image.height * image.width > MAX_IMAGE_PIXELS:
        found = f"it is {image.height}x{image.width}, more than {MAX_IMAGE_PIXELS} pixels"
        raise _too_large(path, found)


def _too_large(path: Path | EncodedImage, found: str) -> DatasetError:
    message = f"{path} is too large to be decoded: {found.rstrip('.')}."
    hint = "Make it smaller before, or remove the file."
    return DatasetError(message, code="OQ127", hint=hint)
