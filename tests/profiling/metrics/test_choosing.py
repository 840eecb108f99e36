"""Which output labels are about, and how the two are read."""

import numpy as np
import pytest

from onnxq.errors import DatasetError, UsageError
from onnxq.metric_choices import parse_metric
from onnxq.profiling.metrics import (
    NamedClasses,
    ScoredClasses,
    Targets,
    YesOrNo,
    choose_reading,
    class_labels,
    first_class,
    row_slices,
)

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.normal(size=(60, 5)).astype(np.float32)
LABELS = RANDOM.integers(0, 5, 60)
VALUES = RANDOM.normal(size=(60, 3)).astype(np.float32)


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
    assert choose_reading({"y": scores}, labels) == ScoredClasses("y", 5)
    assert np.array_equal(class_labels(labels), LABELS)
    assert np.array_equal(first_class(ScoredClasses("y", 5), scores), SCORES.argmax(axis=1))


@pytest.mark.parametrize("labels", [LABELS % 2, (LABELS % 2).astype(np.float32), LABELS % 2 == 1])
@pytest.mark.parametrize("shape", [(60,), (60, 1)])
def test_one_score_with_yes_or_no_labels(labels, shape):
    logits = SCORES[:, 0].reshape(shape)
    probabilities = 1 / (1 + np.exp(-logits))
    by_logit = choose_reading({"y": logits}, labels)
    by_probability = choose_reading({"y": probabilities}, labels)
    assert by_logit == YesOrNo("y", 0.0)
    assert by_probability == YesOrNo("y", 0.5)
    assert isinstance(by_logit, YesOrNo)
    assert isinstance(by_probability, YesOrNo)
    expected = (SCORES[:, 0] > 0) == labels
    assert np.array_equal(first_class(by_logit, logits) == labels, expected)
    assert np.array_equal(first_class(by_probability, probabilities) == labels, expected)


def test_one_score_with_other_numbers_is_a_regression():
    assert choose_reading({"y": SCORES[:, :1]}, LABELS) == Targets("y")
    assert choose_reading({"y": SCORES[:, 0]}, SCORES[:, :1]) == Targets("y")


def test_targets_of_the_output_s_shape():
    assert choose_reading({"y": VALUES}, VALUES) == Targets("y")
    images = np.zeros((4, 3, 8, 8), np.float32)
    assert choose_reading({"y": images}, images) == Targets("y")


def test_an_output_that_is_the_class():
    ids = LABELS.astype(np.int64)
    assert choose_reading({"y": ids}, LABELS) == NamedClasses("y")
    assert np.array_equal(first_class(NamedClasses("y"), ids), LABELS)
    assert choose_reading({"ids": ids, "scores": SCORES}, LABELS) == ScoredClasses("scores", 5)


def test_the_only_output_that_fits_is_judged():
    outputs = {"boxes": np.zeros((60, 7, 4), np.float32), "y": SCORES}
    assert choose_reading(outputs, LABELS) == ScoredClasses("y", 5)
    assert choose_reading({"y": SCORES, "values": VALUES}, VALUES) == Targets("values")


def test_logits_beside_probabilities_are_one_answer():
    exponents = np.exp(SCORES)
    outputs = {"logits": SCORES, "probabilities": exponents / exponents.sum(axis=1)[:, None]}
    assert choose_reading(outputs, LABELS) == ScoredClasses("logits", 5)


def test_the_output_with_as_many_classes_as_labels_wins():
    outputs = {"features": RANDOM.normal(size=(60, 64)).astype(np.float32), "y": SCORES}
    assert choose_reading(outputs, LABELS) == ScoredClasses("y", 5)


def test_several_outputs_that_disagree_are_refused():
    outputs = {"a": SCORES, "b": -SCORES}
    with pytest.raises(DatasetError, match=r"fit several outputs .*a float32 .*b") as error:
        choose_reading(outputs, LABELS)
    assert error.value.code == "OQ125"


@pytest.mark.parametrize(
    "labels",
    [
        LABELS[:50],
        RANDOM.normal(size=60),
        RANDOM.integers(0, 5, (60, 7)),
        RANDOM.normal(size=(60, 5, 2)),
        np.array(["cat"] * 60),
        np.int64(3),
    ],
)
def test_labels_that_fit_no_output_are_refused(labels):
    with pytest.raises(DatasetError, match="do not fit an output") as error:
        choose_reading({"y": SCORES}, np.asarray(labels))
    assert error.value.code == "OQ125"
    assert "y float32 [60, 5]" in error.value.message


@pytest.mark.parametrize(("value", "row"), [(5, 17), (-1, 3), (900, 59)])
def test_a_label_out_of_range_is_named(value, row):
    labels = LABELS.copy()
    labels[row] = value
    with pytest.raises(DatasetError, match=rf"row {row} is {value}; .*5 classes.* 0 to 4") as error:
        choose_reading({"y": SCORES}, labels)
    assert error.value.code == "OQ125"
    names = [f"image-{index}.png" for index in range(60)]
    with pytest.raises(DatasetError, match=rf"row image-{row}\.png is {value}"):
        choose_reading({"y": SCORES}, labels, row_names=names)


def test_labels_that_count_from_one_are_recognized():
    with pytest.raises(DatasetError) as error:
        choose_reading({"y": SCORES}, LABELS + 1)
    assert "subtract 1" in error.value.hint


def test_a_label_that_is_no_number_is_named():
    labels = SCORES.copy()
    labels[8, 2] = np.nan
    with pytest.raises(DatasetError, match="row 8 is nan"):
        choose_reading({"y": SCORES}, labels)


def test_slices_cover_every_row_once():
    array = np.lib.stride_tricks.as_strided(np.zeros(1), (10, 1 << 20), (0, 0))
    parts = list(row_slices(array))
    assert len(parts) == 5
    assert np.array_equal(np.concatenate([np.arange(10)[part] for part in parts]), np.arange(10))
    assert list(row_slices(np.zeros((0, 3)))) == []


def test_a_class_per_position_fits_scores_with_the_classes_last_or_second():
    labels = RANDOM.integers(0, 3, (20, 7))
    last, second = np.zeros((20, 7, 3), np.float32), np.zeros((20, 3, 7), np.float32)
    assert choose_reading({"y": last}, labels) == ScoredClasses("y", 3, axis=2, positions=1)
    assert choose_reading({"y": second}, labels) == ScoredClasses("y", 3, axis=1, positions=1)
    pixels = RANDOM.integers(0, 3, (20, 7, 4))
    maps = np.zeros((20, 3, 7, 4), np.float32)
    assert choose_reading({"y": maps}, pixels) == ScoredClasses("y", 3, axis=1, positions=2)
    ids = RANDOM.integers(0, 3, (20, 7))
    assert choose_reading({"y": ids}, labels) == NamedClasses("y", positions=1)


def test_padding_does_not_count_and_other_negative_labels_are_refused():
    labels = RANDOM.integers(0, 3, (20, 7))
    labels[:, 5:] = -100
    outputs = {"y": np.zeros((20, 7, 3), np.float32)}
    assert choose_reading(outputs, labels) == ScoredClasses("y", 3, axis=2, positions=1)
    labels[4, 2] = -1
    with pytest.raises(DatasetError, match="row 4 is -1") as error:
        choose_reading(outputs, labels)
    assert "-100" in error.value.hint
    with pytest.raises(DatasetError, match="row 1 is -100"):
        choose_reading({"y": SCORES[:2]}, np.array([0, -100]))


def test_a_mask_is_values_unless_classes_are_asked_for():
    mask = (VALUES > 0).astype(np.float32)
    logits = np.concatenate([VALUES, VALUES], axis=1)
    mask = np.concatenate([mask, mask], axis=1)
    assert choose_reading({"y": logits}, mask) == Targets("y")
    found = choose_reading({"y": logits}, mask, parse_metric("f1"))
    assert found == YesOrNo("y", 0.0, positions=1)


@pytest.mark.parametrize(
    ("metric", "outputs", "labels"),
    [
        ("mse", SCORES, LABELS),
        ("top1", VALUES, VALUES),
        ("auroc", LABELS, LABELS),
        ("auroc", np.zeros((60, 4, 3)), np.zeros((60, 4), int)),
        ("top5", SCORES[:, 0], LABELS % 2),
        ("perplexity", SCORES[:, 0], LABELS % 2),
        ("psnr", SCORES, LABELS),
    ],
)
def test_a_metric_that_the_labels_do_not_suit_says_what_it_needs(metric, outputs, labels):
    with pytest.raises(DatasetError, match=f"as {metric} needs them") as error:
        choose_reading({"y": outputs}, labels, parse_metric(metric))
    assert error.value.code == "OQ125"
    assert "[N, C]" in error.value.hint or "own shape" in error.value.hint


def test_a_metric_of_values_takes_whole_targets():
    counts = RANDOM.integers(0, 2, 60)
    assert choose_reading({"y": SCORES[:, 0]}, counts, parse_metric("mae")) == Targets("y")
    assert choose_reading({"y": counts}, counts, parse_metric("rmse")) == Targets("y")


def test_the_output_that_is_named_is_the_one():
    outputs = {"a": SCORES, "b": -SCORES}
    assert choose_reading(outputs, LABELS, output="b") == ScoredClasses("b", 5)
    with pytest.raises(UsageError, match="no output of this name") as error:
        choose_reading(outputs, LABELS, output="B")
    assert error.value.code == "OQ100"
    assert "Outputs: a, b." in error.value.hint
    with pytest.raises(UsageError) as error:
        choose_reading({"logits": SCORES}, LABELS, output="logit")
    assert "Did you mean 'logits'?" in error.value.hint
