"""The rows that the models of this project are trained and judged on, and the Keras one's score."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

MODELS = Path(__file__).parents[1] / "models"
LEAST_ACCURACY = 0.95


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("digits", MODELS / "digits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_and_their_split_are_fixed(digits):
    images, labels, is_training = digits.digits_rows()
    assert (images.shape, images.dtype) == ((1797, 28, 28), np.float32)
    assert (images.min(), images.max()) == (0, 1)
    assert (labels.dtype, is_training.sum(), (~is_training).sum()) == (np.int64, 897, 900)
    assert np.bincount(labels[~is_training]).min() >= 80
    digest = hashlib.sha256(np.packbits(is_training)).hexdigest()
    assert digest.startswith("9f9010d463c287a4"), (
        "another split would judge models on rows they were fed"
    )


def test_resize_is_bilinear(digits):
    """Pillow and scipy are the oracles: half-pixel centres, clamped edges."""
    ndimage = pytest.importorskip("scipy.ndimage")
    old = np.random.default_rng(2).random((1, 8, 8))
    at = (np.arange(28) + 0.5) * 8 / 28 - 0.5
    grid = np.meshgrid(at, at, indexing="ij")
    expected = ndimage.map_coordinates(old[0], grid, order=1, mode="nearest")
    np.testing.assert_allclose(digits.resize(old)[0], expected, atol=1e-6)


@pytest.mark.keras
@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="the extra keras is not installed"
)
def test_shipped_keras_model_reads_digits_it_has_not_seen(digits, tmp_path):
    from onnxq.conversion.from_keras import convert_keras  # noqa: PLC0415 - takes seconds
    from onnxq.runtime import open_predict  # noqa: PLC0415 - beside the other

    given = MODELS / "mnist_cnn_keras" / "mnist_cnn.keras"
    assert given.stat().st_size < 1_000_000
    export = convert_keras(given, tmp_path / "mnist_cnn.onnx")
    images, labels, is_training = digits.digits_rows()
    rows = {"image": images[~is_training]}
    found = open_predict(tmp_path / "mnist_cnn.onnx")(rows)["logits"]
    np.testing.assert_allclose(found, export.predict(rows)["logits"], rtol=1e-4, atol=1e-4)
    assert np.mean(found.argmax(axis=1) == labels[~is_training]) >= LEAST_ACCURACY
