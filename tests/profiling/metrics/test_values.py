"""Every metric's value beside scikit-learn's or scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.special import log_softmax, softmax
from sklearn import metrics as sklearn_metrics

from onnxq.errors import DatasetError
from onnxq.metric_choices import parse_metric
from onnxq.profiling.metrics import choose_reading, make_metric
from onnxq.profiling.metrics.scores import RightRows, Totals, ValuedRows
from onnxq.profiling.metrics.value_scores import PSNR_MOST_DB, peak_of

RANDOM = np.random.default_rng(0)
ROWS = 200
LABELS = RANDOM.integers(0, 5, ROWS)
LOGITS = (np.eye(5)[LABELS] * 1.5 + RANDOM.normal(size=(ROWS, 5))).astype(np.float32)
YES = LABELS % 2
ONE = (YES + RANDOM.normal(0, 0.7, ROWS) - 0.5).astype(np.float32)
TARGETS = RANDOM.normal(3, 2, (ROWS, 4, 3)).astype(np.float32)
FOUND = TARGETS + RANDOM.normal(0, 0.3, TARGETS.shape).astype(np.float32)


def metric_of(text, outputs, labels):
    choice = parse_metric(text)
    reading = choose_reading({"y": outputs}, labels, choice)
    return make_metric(choice, reading, outputs, labels, seed=0)


def value_of(text, outputs, labels):
    metric = metric_of(text, outputs, labels)
    match metric.score({"y": outputs}):
        case RightRows(right=right):
            return float(right.mean())
        case ValuedRows(values=values):
            return float(values.mean())
        case Totals(sums=sums, value_of=of_sums):
            return float(of_sums(sums.sum(axis=0, keepdims=True))[0])


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("scores", [LOGITS, LOGITS[:, :, None, None], softmax(LOGITS, axis=1)])
def test_top_k(k, scores):
    expected = sklearn_metrics.top_k_accuracy_score(LABELS, LOGITS, k=k, labels=range(5))
    assert value_of(f"top{k}", scores, LABELS) == pytest.approx(expected)


def test_of_equal_scores_the_first_is_the_larger():
    scores = np.array([[1, 3, 3, 3, 0]] * 5, np.float32)
    labels = np.arange(5)
    for k, right in ((1, {1}), (2, {1, 2}), (3, {1, 2, 3}), (4, {0, 1, 2, 3})):
        found = metric_of(f"top{k}", scores, labels).score({"y": scores})
        assert isinstance(found, RightRows)
        assert set(np.flatnonzero(found.right)) == right


def test_a_k_that_nothing_misses_is_refused():
    with pytest.raises(DatasetError, match="top5 of 5 classes is always right") as error:
        value_of("top5", LOGITS, LABELS)
    assert error.value.code == "OQ134"


@pytest.mark.parametrize("k", [1, 2])
def test_top_k_of_positions_leaves_padding_out(k):
    labels, scores = LABELS.reshape(40, 5).copy(), LOGITS.reshape(40, 5, 5)
    labels[:, 4] = -100
    kept = labels != -100
    expected = sklearn_metrics.top_k_accuracy_score(
        labels[kept], scores[kept], k=k, labels=range(5)
    )
    assert value_of(f"top{k}", scores, labels) == pytest.approx(expected)
    second = np.moveaxis(scores[:, :4], -1, 1)
    assert value_of(f"top{k}", second, labels[:, :4]) == pytest.approx(expected)


SCORERS = {
    "f1": sklearn_metrics.f1_score,
    "precision": sklearn_metrics.precision_score,
    "recall": sklearn_metrics.recall_score,
}


@pytest.mark.parametrize("score", SCORERS)
@pytest.mark.parametrize(
    "outputs", [ONE, ONE[:, None], np.stack([-ONE, ONE], axis=1), (ONE > 0) * 1]
)
def test_scores_of_two_classes(score, outputs):
    expected = SCORERS[score](YES, ONE > 0)
    assert value_of(score, outputs, YES) == pytest.approx(expected)
    macro = SCORERS[score](YES, ONE > 0, average="macro")
    assert value_of(f"{score}-macro", outputs, YES) == pytest.approx(macro)


@pytest.mark.parametrize("score", SCORERS)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_scores_of_several_classes(score, average):
    expected = SCORERS[score](LABELS, LOGITS.argmax(axis=1), average=average)
    assert value_of(f"{score}-{average}", LOGITS, LABELS) == pytest.approx(expected)
    assert value_of(f"{score}-{average}", LOGITS.argmax(axis=1), LABELS) == pytest.approx(expected)
    if average == "macro":
        assert value_of(score, LOGITS, LABELS) == pytest.approx(expected)
        assert metric_of(score, LOGITS, LABELS).name == f"{score}-macro"


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(list(SCORERS)), st.sampled_from(["macro", "weighted"]))
def test_scores_whatever_classes_are_missing(data, score, average):
    """Averaged over the classes of the labels; what else is answered is in no average."""
    rows = data.draw(st.integers(1, 12))
    truth = np.array(data.draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)))
    answers = np.array(data.draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)))
    outputs = np.eye(4, dtype=np.float32)[answers]
    expected = SCORERS[score](
        truth, answers, labels=np.unique(truth), average=average, zero_division=0
    )
    assert value_of(f"{score}-{average}", outputs, truth) == pytest.approx(expected)


def test_scores_of_positions():
    labels, scores = LABELS.reshape(40, 5).copy(), LOGITS.reshape(40, 5, 5)
    labels[::3, 3:] = -100
    kept = labels != -100
    expected = sklearn_metrics.f1_score(labels[kept], scores.argmax(axis=-1)[kept], average="macro")
    assert value_of("f1", scores, labels) == pytest.approx(expected)


@pytest.mark.parametrize("scores", [ONE, ONE.round(), np.stack([ONE * 0, ONE], axis=1), ONE * 0])
def test_auroc_of_two_classes_with_and_without_ties(scores):
    one = scores if scores.ndim == 1 else scores[:, 1]
    assert value_of("auroc", scores, YES) == pytest.approx(sklearn_metrics.roc_auc_score(YES, one))


@pytest.mark.parametrize("scores", [LOGITS, softmax(LOGITS, axis=1), log_softmax(LOGITS, axis=1)])
def test_auroc_of_several_classes(scores):
    expected = sklearn_metrics.roc_auc_score(
        LABELS, softmax(LOGITS.astype(np.float64), axis=1), multi_class="ovr", average="macro"
    )
    assert value_of("auroc", scores, LABELS) == pytest.approx(expected, abs=1e-6)


def test_auroc_leaves_a_class_without_rows_out():
    kept = LABELS != 2
    labels, logits = LABELS[kept], LOGITS[kept]
    chances = softmax(logits.astype(np.float64), axis=1)
    each = [
        sklearn_metrics.roc_auc_score(labels == number, chances[:, number])
        for number in (0, 1, 3, 4)
    ]
    assert value_of("auroc", logits, labels) == pytest.approx(np.mean(each))


def test_auroc_of_one_class_is_not_defined():
    with pytest.raises(DatasetError, match="all of them are of one class") as error:
        value_of("auroc", ONE, YES * 0)
    assert error.value.code == "OQ134"


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_auroc_with_any_ties(data):
    rows = data.draw(st.integers(2, 15))
    scores = np.array(data.draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)))
    truth = np.array(data.draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows)))
    truth[:2] = 0, 1
    expected = sklearn_metrics.roc_auc_score(truth, scores)
    assert value_of("auroc", scores.astype(np.float32) - 1, truth) == pytest.approx(expected)


FLAT = TARGETS.reshape(ROWS, -1).astype(np.float64), FOUND.reshape(ROWS, -1).astype(np.float64)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mae", sklearn_metrics.mean_absolute_error(*FLAT)),
        ("mse", sklearn_metrics.mean_squared_error(*FLAT)),
        ("rmse", np.sqrt(sklearn_metrics.mean_squared_error(*FLAT))),
        ("r2", sklearn_metrics.r2_score(*FLAT, multioutput="variance_weighted")),
        ("cosine", np.mean([1 - distance.cosine(a, b) for a, b in zip(*FLAT, strict=True)])),
    ],
)
def test_nearness_to_targets(text, expected):
    assert value_of(text, FOUND, TARGETS) == pytest.approx(expected, rel=1e-9)


def test_r2_of_one_value_a_row():
    found, targets = FOUND[:, 0, 0], TARGETS[:, 0, 0]
    expected = sklearn_metrics.r2_score(targets, found)
    assert value_of("r2", found, targets) == pytest.approx(expected)


def test_errors_are_taken_in_float64():
    outputs, targets = np.array([[300.0], [0]], np.float16), np.zeros((2, 1), np.float16)
    assert value_of("mse", outputs, targets) == 45_000


def test_cosine_of_nothing():
    found = np.array([[0, 0], [0, 0], [1, 0]], np.float32)
    targets = np.array([[0, 0], [1, 0], [-2, 0]], np.float32)
    scores = metric_of("cosine", found, targets).score({"y": found})
    assert isinstance(scores, ValuedRows)
    assert list(scores.values) == [1, 0, -1]


@pytest.mark.parametrize(
    ("targets", "peak"),
    [([0.2, 1.0], 1.0), ([0, 255], 255.0), ([0, 7], 255.0), ([-1, 1], 2.0), ([0, 300], 300.0)],
)
def test_the_peak_is_told_from_the_targets(targets, peak):
    assert peak_of(np.array(targets)) == peak


def test_psnr_by_its_definition():
    images = RANDOM.uniform(0, 1, (20, 8, 8, 3)).astype(np.float32)
    noisy = images + RANDOM.normal(0, 0.05, images.shape).astype(np.float32)
    error = sklearn_metrics.mean_squared_error(images.reshape(20, -1), noisy.reshape(20, -1))
    assert value_of("psnr", noisy, images) == pytest.approx(-10 * np.log10(error), rel=1e-5)
    assert value_of("psnr-4", noisy, images) == pytest.approx(10 * np.log10(16 / error), rel=1e-5)
    assert metric_of("psnr", noisy, images).name == "psnr-1"
    assert value_of("psnr", images, images) == pytest.approx(PSNR_MOST_DB)
    with pytest.raises(DatasetError, match="needs a peak"):
        value_of("psnr", noisy, images * 0 - 1)


@pytest.mark.parametrize(
    ("scores", "name"),
    [
        (LOGITS, "perplexity-logits"),
        (log_softmax(LOGITS, axis=1), "perplexity-logits"),
        (softmax(LOGITS, axis=1), "perplexity-probs"),
    ],
)
def test_perplexity_of_rows(scores, name):
    expected = np.exp(sklearn_metrics.log_loss(LABELS, softmax(LOGITS.astype(np.float64), axis=1)))
    assert value_of("perplexity", scores, LABELS) == pytest.approx(expected, rel=1e-5)
    assert metric_of("perplexity", scores, LABELS).name == name


def test_perplexity_of_positions_leaves_padding_out():
    labels, scores = LABELS.reshape(40, 5).copy(), LOGITS.reshape(40, 5, 5)
    labels[:, 4] = -100
    kept = labels != -100
    chances = softmax(scores[kept].astype(np.float64), axis=1)
    expected = np.exp(sklearn_metrics.log_loss(labels[kept], chances, labels=range(5)))
    assert value_of("perplexity", scores, labels) == pytest.approx(expected)
    assert value_of("perplexity", np.moveaxis(scores[:, :4], 2, 1), labels[:, :4]) == (
        pytest.approx(expected)
    )


def test_a_probability_of_nothing_costs_much_but_not_everything():
    certain = np.array([[1, 0], [0, 1]], np.float32)
    found = value_of("perplexity", certain, np.array([1, 1]))
    assert found == pytest.approx(2.0**63)
    assert value_of("perplexity-logits", certain * 1000, np.array([1, 1])) == pytest.approx(2.0**63)
