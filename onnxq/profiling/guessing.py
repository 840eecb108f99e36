"""Does a model classify better than guessing? An exact test, with its exceptions."""

import numpy as np

from onnxq.arrays import Array
from onnxq.distributions import binomial_tail
from onnxq.profiling.metrics import Classifying, class_labels, first_class

CHANCE_LEVEL = 0.01
"""Of the one-sided test that a model is better than guessing."""

LOPSIDED = 0.8
"""Share of the commonest class above which beating it is no fair test of a model."""

LEAST_ROWS = 20
"""Fewer rows say nothing about guessing."""


def is_at_chance(reading: Classifying, outputs: Array, labels: Array) -> bool:
    """Say whether a model classifies no better than guessing.

    It is at chance if it is not right significantly (:data:`CHANCE_LEVEL`) more often than the
    commonest class is on these rows: an exact, one-sided binomial test. Two exceptions keep good
    models from being stopped. Where even a perfect score would not be significant, because the
    rows are few or of one class, nothing can be told and the answer is no. And where the
    commonest class is above :data:`LOPSIDED`, it is enough to be right more often than the same
    answers would be if they had nothing to do with the labels (the expectation in Cohen's kappa,
    1960): there a useful model need not beat the commonest class. Below :data:`LEAST_ROWS` rows
    nothing is told either; and a model that is right less than half as often as the commonest
    class is at chance whatever the test can show.

    Args:
        reading: How classes are read from the output.
        outputs: The output, ``[N, ...]``.
        labels: The rows' labels.

    Returns:
        Whether it only guesses.
    """
    answers, truth = first_class(reading, outputs), class_labels(labels)
    rows, right = truth.size, int((answers == truth).sum())
    classes, counts = np.unique(truth, return_counts=True)
    commonest = float(counts.max()) / rows
    if rows < LEAST_ROWS:
        return False
    if binomial_tail(rows, rows, commonest) > CHANCE_LEVEL:
        return right < rows * commonest / 2
    bar = commonest
    if commonest > LOPSIDED:
        answered = np.array([(answers == label).sum() for label in classes])
        bar = float((counts * answered).sum()) / rows**2
    return binomial_tail(right, rows, bar) > CHANCE_LEVEL
