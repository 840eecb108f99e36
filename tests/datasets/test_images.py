"""Image files: what is read is what Pillow gives; what is broken is named."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from onnxq.datasets import images as door
from onnxq.datasets.geometry import ImageSize
from onnxq.datasets.images import is_rotated, read_image, read_image_size
from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.values import AsGiven
from onnxq.errors import DatasetError


def noise(height, width, channels=3):
    return np.random.default_rng(9).integers(0, 256, (height, width, channels), np.uint8)


def test_a_file_gives_its_pixels(tmp_path):
    Image.fromarray(noise(7, 9)).save(tmp_path / "a.png")
    assert read_image_size(tmp_path / "a.png") == ImageSize(7, 9)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", AsGiven()), noise(7, 9))


def test_geometry_is_torchvisions(tmp_path):
    """Resize to the shorter side (bilinear, longer side truncated), then the centre."""
    Image.fromarray(noise(50, 71)).save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png", parse_preprocess("imagenet,size=32,crop=27"))
    resized = Image.fromarray(noise(50, 71)).resize((45, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(pixels, np.asarray(resized)[2:29, 9:36])


def test_an_exact_size_is_height_by_width(tmp_path):
    Image.fromarray(noise(50, 71)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", parse_preprocess("resize=24x32")).shape == (24, 32, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_usual_mode_becomes_rgb(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.fromarray(noise(6, 6)).convert(mode).save(tmp_path / f"a.{suffix}")
    assert read_image(tmp_path / f"a.{suffix}", AsGiven()).shape == (6, 6, 3)


def test_a_transparent_palette_becomes_rgb(tmp_path):
    palette = Image.fromarray(noise(6, 6)).convert("P")
    palette.save(tmp_path / "a.png", transparency=bytes(range(200)))
    assert read_image(tmp_path / "a.png", AsGiven()).shape == (6, 6, 3)


def test_sixteen_bits_are_refused_rather_than_clipped(tmp_path):
    Image.fromarray(np.full((4, 4), 4000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="8 bits a channel") as caught:
        read_image(tmp_path / "a.png", AsGiven())
    assert caught.value.code == "OQ127"


def test_a_rotation_tag_is_seen_and_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(8, 16)).save(tmp_path / "turned.jpg", exif=exif)
    Image.fromarray(noise(8, 16)).save(tmp_path / "plain.jpg")
    assert is_rotated(tmp_path / "turned.jpg")
    assert not is_rotated(tmp_path / "plain.jpg")
    assert read_image(tmp_path / "turned.jpg", AsGiven()).shape == (8, 16, 3)


def test_a_rotation_tag_that_cannot_be_read_asks_for_nothing(tmp_path):
    Image.fromarray(noise(8, 8)).save(tmp_path / "a.jpg", exif=b"Exif\x00\x00garbage")
    assert not is_rotated(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tiff", "webp", "bmp"])
def test_a_truncated_file_is_named(tmp_path, suffix):
    path = tmp_path / f"half.{suffix}"
    Image.fromarray(noise(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(DatasetError, match=f"half.{suffix} is not a whole image") as caught:
        read_image(path, AsGiven())
    assert caught.value.code == "OQ127"


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xe0", b"%!PS-Adobe\n"])
def test_what_is_no_image_is_named(tmp_path, content):
    (tmp_path / "fake.jpg").write_bytes(content)
    with pytest.raises(DatasetError, match=r"fake\.jpg is not a whole image"):
        read_image_size(tmp_path / "fake.jpg")


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, monkeypatch):
    Image.fromarray(noise(40, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(door, "MAX_IMAGE_PIXELS", 1599)
    with pytest.raises(DatasetError, match="too large to be decoded") as caught:
        read_image_size(tmp_path / "a.png")
    assert caught.value.code == "OQ127"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DatasetError, match="too large to be decoded"):
        read_image_size(tmp_path / "a.png")


def test_a_missing_pillow_is_one_sentence():
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from onnxq.errors import MissingDependencyError\n"
        "try:\n    import onnxq.datasets.images\n"
        "except MissingDependencyError as error:\n    print(error.code, error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "OQ108 pip install 'onnxq[images]'"
