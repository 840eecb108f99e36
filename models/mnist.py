"""Rows of MNIST for the models in this folder: ``--data models/mnist.py:test_rows``.

MNIST (Y. LeCun, C. Cortes and C. J. C. Burges, http://yann.lecun.com/exdb/mnist) is not part of
this project: ``data/mnist.npz`` is read from the folder ``../shared`` beside it, or from the one
that ``ONNXQ_SHARED`` names.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CALIBRATION_ROWS = 256
"""The last training rows: enough for ranges, and no test row is spent on them."""

_PROJECT = Path(__file__).resolve().parents[1]
_WHITE = 255


def mnist_file() -> Path:
    """Say where MNIST lies, whether it is there or not.

    Returns:
        An ``.npz`` with ``x_train``, ``y_train``, ``x_test`` and ``y_test``.
    """
    return Path(os.environ.get("ONNXQ_SHARED", _PROJECT.parent / "shared")) / "data" / "mnist.npz"


def mnist_rows(part: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Load one part of MNIST.

    Args:
        part: ``train`` (60 000 rows) or ``test`` (10 000 rows).

    Returns:
        The images ``[rows, 28, 28]`` with values 0 (paper) to 1 (ink), and their digits 0 to 9
        ``[rows]``.

    Raises:
        FileNotFoundError: If :func:`mnist_file` is not there.
    """
    with np.load(mnist_file()) as arrays:
        images: NDArray[np.float32] = arrays[f"x_{part}"].astype(np.float32) / _WHITE
        return images, arrays[f"y_{part}"].astype(np.int64)


def test_rows() -> dict[str, NDArray[np.generic]]:
    """Load the test part, as ``--data`` takes it.

    Returns:
        ``image`` ``[10000, 28, 28]`` and its digit ``y`` ``[10000]``.
    """
    images, digits = mnist_rows("test")
    return {"image": images, "y": digits}


def calibration_rows() -> dict[str, NDArray[np.generic]]:
    """Load the last training rows, as ``--calib`` takes them.

    Returns:
        ``image`` ``[256, 28, 28]``.
    """
    return {"image": mnist_rows("train")[0][-CALIBRATION_ROWS:]}


def restoring_rows() -> dict[str, NDArray[np.generic]]:
    """Load the test part for a model whose output should be its input.

    Returns:
        ``image`` and the target ``y``, both ``[10000, 28, 28]``.
    """
    images, _ = mnist_rows("test")
    return {"image": images, "y": images}
