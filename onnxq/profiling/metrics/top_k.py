"""Top-k: is the class of the label among the k largest scores?"""

import numpy as np
from numpy.typing import NDArray

from onnxq.arrays import Array
from onnxq.profiling.metrics.readings import (
    IGNORED,
    Classifying,
    ClassRows,
    RowFlags,
    ScoredClasses,
    class_labels,
    first_class,
    row_slices,
    scores_of,
)
from onnxq.profiling.metrics.scores import RightRows, Scores, Totals, totals_by_cell


def score_top_k(reading: Classifying, k: int, outputs: Array, labels: Array, seed: int) -> Scores:
    """Compute top-k.

    Args:
        reading: How classes are read from the output.
        k: How many of the largest scores count.
        outputs: The output, ``[N, ...]``.
        labels: Of the rows, or of each position of them.
        seed: Of the dealing of rows into cells.

    Returns:
        Which rows are right; or, where rows have positions, the share of positions that are:
        positions of a row are not independent of each other, so rows are what is resampled.
    """
    truth = class_labels(labels, reading.positions)
    right = top_k(reading, k, outputs, truth)
    if not reading.positions:
        return RightRows(right)
    return _share_of_positions(right, truth, seed)


def top_k(reading: Classifying, k: int, outputs: Array, truth: ClassRows) -> RowFlags:
    """Return where the class of the label is among the ``k`` largest scores.

    Of equal scores the first counts as the larger, so that top-1 is the class that
    :func:`~onnxq.profiling.metrics.readings.first_class` gives.

    Args:
        reading: How classes are read from the output; scores for a ``k`` above 1.
        k: 1 or more.
        outputs: The output, ``[N, ...]``.
        truth: Class numbers, ``[N]`` or ``[N, ...]``.

    Returns:
        The shape of ``truth``; False where a position does not count.
    """
    if k == 1 or not isinstance(reading, ScoredClasses):
        return np.asarray(first_class(reading, outputs) == truth, np.bool_)
    scores = scores_of(reading, outputs)
    right = np.zeros(truth.shape, np.bool_)
    for part in row_slices(scores):
        right[part] = _ranks(np.asarray(scores[part]), truth[part]) < k
    right[truth == IGNORED] = False
    return right


def _ranks(scores: Array, truth: ClassRows) -> NDArray[np.int_]:
    """Return how many classes come before the one of the label."""
    places = np.maximum(truth, 0)[..., None]
    own = np.take_along_axis(scores, places, axis=-1)
    before = np.arange(scores.shape[-1]) < places
    return np.asarray(((scores > own) | ((scores == own) & before)).sum(axis=-1), np.int_)


def _share_of_positions(right: RowFlags, truth: ClassRows, seed: int) -> Totals:
    rows = len(truth)
    flags, counted = right.reshape(rows, -1), (truth != IGNORED).reshape(rows, -1)
    per_row = np.stack([flags.sum(axis=1), counted.sum(axis=1)], axis=1).astype(np.float64)
    total = max(float(per_row[:, 1].sum()), 1.0)
    return Totals(
        sums=totals_by_cell(per_row, seed),
        value_of=lambda sums: sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan),
        marks=per_row[:, 0].astype(np.int64),
        imperfect=int((per_row[:, 0] < per_row[:, 1]).sum()),
        effect=rows * float(per_row[:, 1].max()) / total,
        bounds=(0.0, 1.0),
    )
