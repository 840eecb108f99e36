"""Pixels: numpy and Pillow are the oracles."""

import numpy as np
import pytest
from PIL import Image

from onnxq.datasets.arrays import RawArray
from onnxq.datasets.pixels import apply_preprocess, preprocessed_shape
from onnxq.datasets.preprocess import PRESETS, parse_preprocess
from onnxq.errors import DatasetError


@pytest.fixture
def images():
    return np.random.default_rng(5).integers(0, 256, (3, 40, 52, 3), np.uint8)


def test_arithmetic_is_scale_then_mean_then_std(images):
    spec = parse_preprocess("scale=255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225")
    expected = (images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    fed = apply_preprocess(images, spec)
    assert fed.dtype == np.float32
    np.testing.assert_allclose(fed, expected, rtol=0, atol=2e-6)


def test_minus_one_one_spans_its_name():
    ends = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    np.testing.assert_array_equal(
        apply_preprocess(ends, PRESETS["minus-one-one"]).ravel(), [-1.0, 1.0]
    )


def test_mean_is_in_the_order_of_channels_after_reordering(images):
    fed = apply_preprocess(images, parse_preprocess("order=bgr,mean=104:117:123"))
    np.testing.assert_array_equal(fed, images[..., ::-1].astype(np.float32) - [104, 117, 123])


def test_gray_is_pillows_gray(images):
    fed = apply_preprocess(images, parse_preprocess("order=gray"))
    expected = [np.asarray(Image.fromarray(image).convert("L")) for image in images]
    np.testing.assert_array_equal(fed[..., 0], np.stack(expected))


def test_one_image_is_a_batch_of_one(images):
    spec = PRESETS["zero-one"]
    np.testing.assert_array_equal(
        apply_preprocess(images[0], spec), apply_preprocess(images, spec)[0]
    )


def test_an_array_is_resized_and_cropped_as_a_file_would_be(images):
    fed = apply_preprocess(images, parse_preprocess("size=20,crop=16"))
    resized = [
        Image.fromarray(image).resize((26, 20), Image.Resampling.BILINEAR) for image in images
    ]
    expected = np.stack([np.asarray(image)[2:18, 5:21] for image in resized])
    np.testing.assert_array_equal(fed, expected)


def test_an_array_of_the_final_size_is_not_resized():
    images = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(
        apply_preprocess(images, parse_preprocess("size=20,crop=16")), images
    )


def test_one_channel_stays_one_channel():
    images = np.arange(60, dtype=np.uint8).reshape(1, 6, 10, 1)
    fed = apply_preprocess(images, parse_preprocess("scale=255,resize=12x20"))
    expected = Image.fromarray(images[0, ..., 0]).resize((20, 12), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(
        fed[0, ..., 0], np.asarray(expected, np.float32) / np.float32(255)
    )


def test_bytes_that_are_no_images_go_through_arithmetic_alone():
    rows = np.arange(20, dtype=np.uint8).reshape(2, 10)
    np.testing.assert_allclose(apply_preprocess(rows, PRESETS["zero-one"]), rows / 255, atol=1e-7)
    with pytest.raises(DatasetError, match="needs images") as caught:
        apply_preprocess(rows, PRESETS["imagenet"])
    assert caught.value.code == "OQ126"


def test_colours_need_three_channels():
    images = np.zeros((1, 8, 8, 1), np.uint8)
    with pytest.raises(DatasetError, match="1 channel") as caught:
        apply_preprocess(images, parse_preprocess("mean=1:2:3"))
    assert caught.value.code == "OQ126"


@pytest.mark.parametrize(
    ("row_shape", "text", "expected"),
    [
        ((40, 52, 3), "size=20,crop=16", (16, 16, 3)),
        ((3, 40, 52), "size=20", (20, 26, 3)),
        ((52, 40, 3), "size=20", (26, 20, 3)),
        ((28, 28), "zero-one", (28, 28, 1)),
        ((28, 28, 3), "order=gray", (28, 28, 1)),
        ((224, 224, 3), "imagenet", (224, 224, 3)),
        ((784,), "zero-one", (784,)),
        ((5, 6, 7), "zero-one", (5, 6, 7)),
    ],
)
def test_the_shape_is_known_before_anything_is_read(row_shape, text, expected):
    array = RawArray("x", np.dtype(np.uint8), (9, *row_shape))
    assert preprocessed_shape(array, parse_preprocess(text)) == expected


def test_a_crop_larger_than_the_image_is_refused():
    array = RawArray("x", np.dtype(np.uint8), (9, 32, 48, 3))
    with pytest.raises(DatasetError, match="crop=64 does not fit x: it is 32x48") as caught:
        preprocessed_shape(array, parse_preprocess("crop=64"))
    assert caught.value.code == "OQ126"
