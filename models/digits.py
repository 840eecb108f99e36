"""The real rows that the models in this folder are trained and judged on.

scikit-learn bundles 1797 handwritten digits of 8x8 pixels with values 0 to 16: the test part of
"Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI, 1998). Nothing is
downloaded. The digits are not MNIST: a model trained on one set does not read the other.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

SIDE = 28
TRAINING_ROWS = 897

_SEED = 20
_GREATEST_VALUE = 16.0


def digits_rows() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
    """Load every digit, resized, and say which rows may be trained on.

    897 rows drawn by a fixed seed are for training (and for calibration, which then costs no
    evaluation row); the other 900 are for evaluation only.

    Returns:
        The images ``[1797, 28, 28]`` with values 0 (paper) to 1 (ink), their labels 0 to 9
        ``[1797]``, and a mask ``[1797]`` that is true for the rows to train on.
    """
    digits: Any = load_digits()
    images = resize(np.asarray(digits.images, np.float64) / _GREATEST_VALUE)
    labels = np.asarray(digits.target, np.int64)
    # The raw stream of a bit generator never changes between releases of numpy; permutation may.
    order = np.argsort(np.random.PCG64(_SEED).random_raw(len(labels)), kind="stable")
    is_training = np.zeros(len(labels), np.bool_)
    is_training[order[:TRAINING_ROWS]] = True
    return images, labels, is_training


def resize(images: NDArray[np.float64], side: int = SIDE) -> NDArray[np.float32]:
    """Resize square images bilinearly, with half-pixel centres and clamped edges.

    Pixel i of the result lies at ``(i + 0.5) * old / side - 0.5`` of the old image, along each
    axis; what lies outside takes the value of the edge. It is Pillow's BILINEAR when enlarging,
    and ``Resize`` of ONNX with ``coordinate_transformation_mode="half_pixel"``.

    Args:
        images: ``[rows, old, old]``.
        side: Pixels along each axis of the result.

    Returns:
        ``[rows, side, side]``.
    """
    weights = _interpolation(images.shape[1], side)
    resized: NDArray[np.float64] = weights @ images @ weights.T
    return resized.astype(np.float32)


def _interpolation(old: int, new: int) -> NDArray[np.float64]:
    """Make the matrix ``[new, old]`` that interpolates linearly along one axis."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    left = np.minimum(at.astype(np.int64), old - 2)
    weights = np.zeros((new, old))
    weights[np.arange(new), left] = 1 - (at - left)
    weights[np.arange(new), left + 1] = at - left
    return weights
