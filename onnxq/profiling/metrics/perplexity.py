"""Perplexity: how many classes a model hesitates between, on average over positions."""

import numpy as np
from numpy.typing import NDArray

from onnxq.arrays import Array
from onnxq.profiling.metrics.readings import (
    IGNORED,
    ClassRows,
    RowValues,
    ScoredClasses,
    class_labels,
    row_slices,
    scores_of,
)
from onnxq.profiling.metrics.scores import Sums, Totals, totals_by_cell

LEAST_PROBABILITY = 2.0**-126
"""What a probability of 0 counts as: the smallest normal float32."""


def score_perplexity(
    reading: ScoredClasses, outputs: Array, labels: Array, *, as_logits: bool, seed: int
) -> Totals:
    """Compute the perplexity of the labels.

    Nothing is shifted: the label of a position is the class that its scores should favour. For a
    language model that is the next token.

    Args:
        reading: How classes are read from the output.
        outputs: The output, ``[N, C]`` or ``[N, ..., C]``.
        labels: ``[N]`` or ``[N, ...]``; -100 does not count.
        as_logits: Whether scores are logits, to be put through softmax (which leaves
            log-probabilities alone); else they are probabilities.
        seed: Of the dealing of rows into cells.

    Returns:
        exp(mean negative log-likelihood) over all positions, as a function of totals.
    """
    scores, truth = scores_of(reading, outputs), class_labels(labels, reading.positions)
    per_row = np.zeros((len(truth), 2))
    for part in row_slices(scores):
        losses = _losses(np.asarray(scores[part], np.float64), truth[part], as_logits=as_logits)
        counted = truth[part] != IGNORED
        per_row[part, 0] = np.where(counted, losses, 0).reshape(len(losses), -1).sum(axis=1)
        per_row[part, 1] = counted.reshape(len(losses), -1).sum(axis=1)
    return Totals(
        sums=totals_by_cell(per_row, seed),
        value_of=_value,
        marks=per_row[:, 0],
        imperfect=len(truth),
        effect=0.0,
        bounds=(1.0, np.inf),
    )


def _losses(scores: NDArray[np.float64], truth: ClassRows, *, as_logits: bool) -> RowValues:
    own = np.take_along_axis(scores, np.maximum(truth, 0)[..., None], axis=-1)[..., 0]
    if as_logits:
        top = scores.max(axis=-1)
        likelihoods = own - top - np.log(np.exp(scores - top[..., None]).sum(axis=-1))
    else:
        likelihoods = np.log(np.maximum(own, LEAST_PROBABILITY))
    return np.asarray(-np.maximum(likelihoods, np.log(LEAST_PROBABILITY)), np.float64)


def _value(sums: Sums) -> RowValues:
    return np.asarray(np.exp(sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan)), np.float64)
