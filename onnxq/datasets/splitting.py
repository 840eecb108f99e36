"""Which rows are used, and which of them only for calibrating."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

MAX_CALIBRATION_ROWS = 256
CALIBRATION_SHARE = 5
"""One row in so many is for calibrating."""


def choose_rows(count_rows: int, limit_rows: int, seed: int) -> Indices:
    """Choose rows at random, without repetition.

    Args:
        count_rows: Rows that there are.
        limit_rows: Most rows wanted; 0 wants all.
        seed: Any integer; it counts modulo 2**32.

    Returns:
        Indices in ascending order.
    """
    if not limit_rows or limit_rows >= count_rows:
        return np.arange(count_rows)
    return np.sort(_shuffled(count_rows, seed)[:limit_rows])


def split_rows(count_rows: int, seed: int, most_rows: int = 0) -> tuple[Indices, Indices]:
    """Split rows into those to calibrate on and those to evaluate on.

    Args:
        count_rows: Rows that there are.
        seed: Any integer; the same seed gives the same split, in every version of NumPy.
        most_rows: Most rows to calibrate on; 0 takes the default, a fifth and at most 256.

    Returns:
        Calibration and evaluation indices, each ascending, disjoint, complete. Calibration gets
        what was asked for and evaluation at least one row; of a single row calibration gets none.
    """
    usual = min(MAX_CALIBRATION_ROWS, max(1, count_rows // CALIBRATION_SHARE))
    share = min(most_rows, count_rows - 1) if most_rows else usual
    if count_rows <= 1:
        share = 0
    shuffled = _shuffled(count_rows, seed)
    return np.sort(shuffled[:share]), np.sort(shuffled[share:])


def _shuffled(count_rows: int, seed: int) -> Indices:
    # NumPy promises never to change this generator's stream (NEP 19), and no such thing of others.
    generator = np.random.RandomState(seed % 2**32)
    return generator.permutation(count_rows).astype(np.int64)
