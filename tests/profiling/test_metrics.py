"""Metrics per row beside scikit-learn's, and which output labels are about."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from onnxq.errors import DatasetError
from onnxq.profiling.metrics import (
    NamedClasses,
    ScoredClasses,
    SquaredError,
    YesOrNo,
    choose_metric,
    class_labels,
    first_class,
    row_slices,
    squared_error,
    top1,
)

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.normal(size=(60, 5)).astype(np.float32)
LABELS = RANDOM.integers(0, 5, 60)
VALUES = RANDOM.normal(size=(60, 3)).astype(np.float32)


def test_top1_beside_sklearn():
    right = top1(ScoredClasses("y", 5), SCORES, LABELS)
    assert right.dtype == np.bool_
    expected = sklearn_metrics.top_k_accuracy_score(LABELS, SCORES, k=1, labels=range(5))
    assert right.mean() == pytest.approx(expected)


def test_squared_error_beside_sklearn():
    targets = VALUES + 0.1
    errors = squared_error(VALUES, targets)
    assert errors.shape == (60,)
    assert errors.mean() == pytest.approx(sklearn_metrics.mean_squared_error(targets, VALUES))


def test_squared_error_is_taken_in_float64():
    assert squared_error(np.array([[300.0]], np.float16), np.array([[0.0]])) == [90_000]


def test_the_first_of_equal_scores_is_the_answer():
    scores = np.array([[1.0, 3.0, 3.0]], np.float32)
    assert first_class(ScoredClasses("y", 3), scores) == [1]


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.astype(np.uint8),
        LABELS.astype(np.float32),
        LABELS[:, None],
        np.eye(5)[LABELS],
        np.eye(5, dtype=np.int64)[LABELS],
        np.eye(5, dtype=bool)[LABELS],
    ],
)
@pytest.mark.parametrize("scores", [SCORES, SCORES[:, :, None, None], SCORES[:, None, :]])
def test_class_labels_of_every_kind_fit_scores(labels, scores):
    assert choose_metric({"y": scores}, labels) == ScoredClasses("y", 5)
    assert np.array_equal(class_labels(labels), LABELS)
    found = top1(ScoredClasses("y", 5), scores, labels)
    assert np.array_equal(found, SCORES.argmax(axis=1) == LABELS)


@pytest.mark.parametrize("labels", [LABELS % 2, (LABELS % 2).astype(np.float32), LABELS % 2 == 1])
@pytest.mark.parametrize("shape", [(60,), (60, 1)])
def test_one_score_with_yes_or_no_labels(labels, shape):
    logits = SCORES[:, 0].reshape(shape)
    probabilities = 1 / (1 + np.exp(-logits))
    by_logit = choose_metric({"y": logits}, labels)
    by_probability = choose_metric({"y": probabilities}, labels)
    assert by_logit == YesOrNo("y", 0.0)
    assert by_probability == YesOrNo("y", 0.5)
    assert isinstance(by_logit, YesOrNo)
    assert isinstance(by_probability, YesOrNo)
    expected = (SCORES[:, 0] > 0) == labels
    assert np.array_equal(top1(by_logit, logits, labels), expected)
    assert np.array_equal(top1(by_probability, probabilities, labels), expected)


def test_one_score_with_other_numbers_is_a_regression():
    assert choose_metric({"y": SCORES[:, :1]}, LABELS) == SquaredError("y")
    assert choose_metric({"y": SCORES[:, 0]}, SCORES[:, :1]) == SquaredError("y")


def test_targets_of_the_output_s_shape():
    assert choose_metric({"y": VALUES}, VALUES) == SquaredError("y")
    images = np.zeros((4, 3, 8, 8), np.float32)
    assert choose_metric({"y": images}, images) == SquaredError("y")


def test_an_output_that_is_the_class():
    ids = LABELS.astype(np.int64)
    assert choose_metric({"y": ids}, LABELS) == NamedClasses("y")
    assert top1(NamedClasses("y"), ids, LABELS).all()
    assert choose_metric({"ids": ids, "scores": SCORES}, LABELS) == ScoredClasses("scores", 5)


def test_the_only_output_that_fits_is_judged():
    outputs = {"boxes": np.zeros((60, 7, 4), np.float32), "y": SCORES}
    assert choose_metric(outputs, LABELS) == ScoredClasses("y", 5)
    assert choose_metric({"y": SCORES, "values": VALUES}, VALUES) == SquaredError("values")


def test_logits_beside_probabilities_are_one_answer():
    exponents = np.exp(SCORES)
    outputs = {"logits": SCORES, "probabilities": exponents / exponents.sum(axis=1)[:, None]}
    assert choose_metric(outputs, LABELS) == ScoredClasses("logits", 5)


def test_the_output_with_as_many_classes_as_labels_wins():
    outputs = {"features": RANDOM.normal(size=(60, 64)).astype(np.float32), "y": SCORES}
    assert choose_metric(outputs, LABELS) == ScoredClasses("y", 5)


def test_several_outputs_that_disagree_are_refused():
    outputs = {"a": SCORES, "b": -SCORES}
    with pytest.raises(DatasetError, match=r"fit several outputs .*a float32 .*b") as error:
        choose_metric(outputs, LABELS)
    assert error.value.code == "OQ125"


@pytest.mark.parametrize(
    "labels",
    [
        LABELS[:50],
        RANDOM.normal(size=60),
        RANDOM.integers(0, 5, (60, 7)),
        np.array(["cat"] * 60),
        np.int64(3),
    ],
)
def test_labels_that_fit_no_output_are_refused(labels):
    with pytest.raises(DatasetError, match="do not fit an output") as error:
        choose_metric({"y": SCORES}, np.asarray(labels))
    assert error.value.code == "OQ125"
    assert "y float32 [60, 5]" in error.value.message


@pytest.mark.parametrize(("value", "row"), [(5, 17), (-1, 3), (900, 59)])
def test_a_label_out_of_range_is_named(value, row):
    labels = LABELS.copy()
    labels[row] = value
    with pytest.raises(DatasetError, match=rf"row {row} is {value}; .*5 classes.* 0 to 4") as error:
        choose_metric({"y": SCORES}, labels)
    assert error.value.code == "OQ125"
    names = [f"image-{index}.png" for index in range(60)]
    with pytest.raises(DatasetError, match=rf"row image-{row}\.png is {value}"):
        choose_metric({"y": SCORES}, labels, names)


def test_labels_that_count_from_one_are_recognized():
    with pytest.raises(DatasetError) as error:
        choose_metric({"y": SCORES}, LABELS + 1)
    assert "subtract 1" in error.value.hint


def test_a_label_that_is_no_number_is_named():
    labels = SCORES.copy()
    labels[8, 2] = np.nan
    with pytest.raises(DatasetError, match="row 8 is nan"):
        choose_metric({"y": SCORES}, labels)


def test_slices_cover_every_row_once():
    array = np.lib.stride_tricks.as_strided(np.zeros(1), (10, 1 << 20), (0, 0))
    parts = list(row_slices(array))
    assert len(parts) == 5
    assert np.array_equal(np.concatenate([np.arange(10)[part] for part in parts]), np.arange(10))
    assert list(row_slices(np.zeros((0, 3)))) == []
