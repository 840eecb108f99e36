"""The stage that judges: labels, agreement, dead outputs, models that only guess."""

import json
from types import MappingProxyType

import msgspec
import numpy as np
import pytest

from onnxq.datasets.values import EvaluationSet, StoredRows
from onnxq.errors import DatasetError, InferenceError, UsageError
from onnxq.estimates import Estimate, paired_drop
from onnxq.events import tell_nobody
from onnxq.measurements import Compared, Judged, NoClasses, Unjudged
from onnxq.metric_choices import parse_metric
from onnxq.profiling.accuracy import judge
from onnxq.profiling.guessing import is_at_chance
from onnxq.profiling.metrics import ScoredClasses
from onnxq.stages import JudgeRequest, JudgeResult

CLASSES = 4
RANDOM = np.random.default_rng(0)


def scores(labels, *, right=0.9, seed=0):
    """Class scores that are right on about a share of the rows."""
    random = np.random.default_rng(seed)
    answers = np.where(
        random.uniform(size=labels.size) < right, labels, (labels + 1) % (labels.max() + 1)
    )
    noise = random.normal(0, 0.1, (labels.size, int(labels.max()) + 1))
    return (np.eye(int(labels.max()) + 1)[answers] * 3 + noise).astype(np.float32)


LABELS = RANDOM.integers(0, CLASSES, 300)
REFERENCE = scores(LABELS)
QUANTIZED = REFERENCE + RANDOM.normal(0, 0.05, REFERENCE.shape).astype(np.float32)
QUANTIZED[:4] = -QUANTIZED[:4]


@pytest.fixture
def ask(tmp_path):
    def save(prefix, arrays):
        paths = {}
        for name, array in arrays.items():
            path = tmp_path / f"{prefix}-{name}.npy"
            np.save(path, array)
            paths[name] = str(path)
        return paths

    def ask(
        candidate,
        reference,
        labels=None,
        *,
        alias="int8",
        inputs=MappingProxyType({}),
        metric="",
        output="",
        **more,
    ):
        labelled = labels is not None
        candidate = candidate if isinstance(candidate, dict) else {"y": candidate}
        reference = reference if isinstance(reference, dict) else {"y": reference}
        count = len(next(iter(reference.values())))
        names = tmp_path / "names.json"
        names.write_text(json.dumps([f"row-{index}" for index in range(count)]))
        rows = StoredRows(
            inputs=save("inputs", inputs),
            count_rows=count,
            labels=save("labels", {"y": labels})["y"] if labelled else "",
            row_names=str(names),
        )
        request = JudgeRequest(
            outputs=save("candidate", candidate),
            reference=save("reference", reference),
            rows=EvaluationSet(rows),
            labelled=labelled,
            seed=0,
            alias=alias,
            metric=parse_metric(metric),
            output=output,
            **more,
        )
        result = judge(request, tmp_path, tell_nobody)
        as_json = msgspec.json.encode(result)
        assert msgspec.json.decode(as_json, type=JudgeResult) == result
        return result

    return ask


def test_accuracy_and_agreement_beside_the_reference(ask):
    result = ask(QUANTIZED, REFERENCE, LABELS)
    right, reference_right = QUANTIZED.argmax(1) == LABELS, REFERENCE.argmax(1) == LABELS
    assert isinstance(result.quality, Judged)
    accuracy, agreement = result.quality.accuracy, result.quality.agreement
    assert (accuracy.metric, accuracy.higher_is_better) == ("top1", True)
    assert accuracy.value.value == right.mean()
    assert accuracy.drop == paired_drop(reference_right, right)
    assert accuracy.discordant_rows == (right != reference_right).sum()
    same = (QUANTIZED.argmax(1) == REFERENCE.argmax(1)).mean()
    assert isinstance(agreement.same_top1, Estimate)
    assert agreement.same_top1.value == same
    assert agreement.outputs[0].sqnr_db > 10
    assert (result.unusable, result.at_chance, result.findings) == ("", False, ())


def test_the_reference_beside_itself(ask):
    result = ask(REFERENCE, REFERENCE, LABELS)
    assert isinstance(result.quality, Judged)
    drop = result.quality.accuracy.drop
    assert drop.value == 0
    assert drop.high == -drop.low > 0.01
    assert result.quality.accuracy.discordant_rows == 0
    assert result.findings == ()


def test_squared_error(ask):
    targets = RANDOM.normal(size=(80, 3)).astype(np.float32)
    reference = targets + 0.1 * RANDOM.normal(size=(80, 3)).astype(np.float32)
    candidate = reference + 0.05 * RANDOM.normal(size=(80, 3)).astype(np.float32)
    result = ask(candidate, reference, targets)
    assert isinstance(result.quality, Judged)
    accuracy = result.quality.accuracy
    assert (accuracy.metric, accuracy.higher_is_better) == ("mse", False)
    errors = ((candidate - targets) ** 2).mean(), ((reference - targets) ** 2).mean()
    assert accuracy.value.value == pytest.approx(errors[0], rel=1e-5)
    assert accuracy.drop.value == pytest.approx(errors[0] - errors[1], rel=1e-4)
    assert accuracy.discordant_rows == 80
    assert isinstance(result.quality.agreement.same_top1, NoClasses)
    assert not result.at_chance
    itself = ask(reference, reference, targets)
    assert isinstance(itself.quality, Judged)
    drop = itself.quality.accuracy.drop
    assert drop.value == 0
    assert drop.high == -drop.low > 0


def test_without_labels_there_is_agreement_only(ask):
    result = ask(QUANTIZED, REFERENCE)
    assert isinstance(result.quality, Compared)
    assert isinstance(result.quality.agreement.same_top1, Estimate)
    assert result.quality.agreement.rows == 300


def test_outputs_that_are_no_class_scores_are_compared(ask):
    boxes = RANDOM.normal(size=(20, 7, 4)).astype(np.float32)
    outputs = {"boxes": boxes, "count": np.arange(20)}
    result = ask({**outputs, "boxes": boxes + 0.01}, outputs)
    assert isinstance(result.quality, Compared)
    agreement = result.quality.agreement
    assert isinstance(agreement.same_top1, NoClasses)
    assert [output.output for output in agreement.outputs] == ["boxes", "count"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_make_a_candidate_unusable(ask, value):
    broken = QUANTIZED.copy()
    broken[17, 2] = value
    result = ask(broken, REFERENCE, LABELS)
    assert isinstance(result.quality, Unjudged)
    assert result.unusable == f"output 'y' holds values that are not finite: {value} on row 17"


def test_a_reference_that_is_not_a_number_is_unusable_itself(ask):
    broken = REFERENCE.copy()
    broken[3] = np.nan
    assert "not finite" in ask(broken, broken, LABELS).unusable


def test_masks_that_both_models_have_are_fine(ask):
    masked, candidate = REFERENCE.copy(), QUANTIZED.copy()
    masked[:, 3] = candidate[:, 3] = -np.inf
    assert ask(candidate, masked).unusable == ""


def test_a_constant_output_makes_a_candidate_unusable(ask):
    constant = np.broadcast_to(REFERENCE[0], REFERENCE.shape)
    result = ask(constant, REFERENCE, LABELS)
    assert result.unusable == "output 'y' is the same on all 300 rows, unlike the float model's"
    assert isinstance(result.quality, Unjudged)


def test_one_dead_output_among_several_is_enough(ask):
    reference = {"y": REFERENCE, "z": REFERENCE[:, :2] * 2}
    dead = np.zeros_like(reference["z"])
    assert "output 'z' is the same" in ask({"y": QUANTIZED, "z": dead}, reference).unusable


def test_a_float_model_that_is_constant_is_unusable(ask):
    constant = np.broadcast_to(REFERENCE[0], REFERENCE.shape)
    assert ask(constant, constant).unusable == "every output is the same on all 300 rows"


def test_saturated_probabilities_on_a_few_rows_are_not_dead(ask):
    reference = np.array([[0.9991], [0.9993], [0.9995]], np.float32)
    candidate = np.full((3, 1), 0.996, np.float32)
    assert ask(candidate, reference, np.ones(3, np.int64)).unusable == ""
    assert ask(candidate, candidate, np.ones(3, np.int64)).unusable == ""


def test_a_constant_output_that_both_models_have_is_fine(ask):
    anchors = np.broadcast_to(np.arange(8, dtype=np.float32), (300, 8))
    outputs = {"y": REFERENCE, "anchors": anchors}
    assert ask({"y": QUANTIZED, "anchors": anchors * 1.001}, outputs).unusable == ""


def test_low_agreement_is_a_warning_that_names_the_candidate(ask):
    noisy = REFERENCE + RANDOM.normal(0, 2, REFERENCE.shape).astype(np.float32)
    findings = ask(noisy, REFERENCE, LABELS).findings
    assert [finding.code for finding in findings] == ["OQ402", "OQ402"]
    assert {finding.subject for finding in findings} == {"int8"}
    assert {finding.severity for finding in findings} == {"warning"}
    assert "its signal to noise ratio is -" in findings[0].message
    assert "below" not in findings[0].message
    assert "first class" in findings[1].message
    assert all("the float model" in finding.message for finding in findings)


def test_what_is_no_float_model_is_not_called_one(ask):
    noisy = REFERENCE + RANDOM.normal(0, 2, REFERENCE.shape).astype(np.float32)
    findings = ask(noisy, REFERENCE, LABELS, compared_with="m.onnx on cpu").findings
    assert all("m.onnx on cpu" in finding.message for finding in findings)
    assert not any("float" in finding.message for finding in findings)


@pytest.mark.parametrize(
    ("alias", "calibrates"),
    [("int8", True), ("int8-dynamic", False), ("dynamic-uint8-int8-tensor", False)],
)
def test_only_a_static_recipe_is_told_to_calibrate(ask, alias, calibrates):
    noisy = REFERENCE + RANDOM.normal(0, 2, REFERENCE.shape).astype(np.float32)
    findings = ask(noisy, REFERENCE, LABELS, alias=alias).findings
    assert [finding.fix.startswith("Calibrate") for finding in findings] == [calibrates] * 2


def test_an_autoencoder_has_no_first_class(ask):
    rows = RANDOM.normal(size=(50, 6)).astype(np.float32)
    quality = ask(rows * 1.01, rows, inputs={"x": rows}).quality
    assert isinstance(quality, Compared)
    assert quality.agreement.same_top1 == NoClasses()


def test_a_label_out_of_range_names_the_row(ask):
    labels = LABELS.copy()
    labels[42] = 11
    with pytest.raises(DatasetError, match="row row-42 is 11"):
        ask(QUANTIZED, REFERENCE, labels)


@pytest.mark.parametrize(
    "candidate", [{"z": QUANTIZED}, {"y": QUANTIZED[:, :2]}, {"y": QUANTIZED.astype(np.int64)}]
)
def test_outputs_that_cannot_be_compared(ask, candidate):
    with pytest.raises(InferenceError, match="cannot be compared"):
        ask(candidate, REFERENCE)


@pytest.mark.parametrize(
    "candidate", [QUANTIZED.astype(np.float16), QUANTIZED[:, None, :], QUANTIZED[..., None]]
)
def test_width_and_unit_axes_are_no_difference(ask, candidate):
    expected = ask(QUANTIZED, REFERENCE, LABELS).quality
    found = ask(candidate, REFERENCE, LABELS).quality
    assert isinstance(found, Judged)
    assert found.accuracy == expected.accuracy
    (output,), (other,) = found.agreement.outputs, expected.agreement.outputs
    assert output.sqnr_db == pytest.approx(other.sqnr_db, abs=0.1)


def test_what_is_worthless_or_guesses_is_also_a_finding(ask):
    dead = ask(np.full_like(REFERENCE, np.nan), REFERENCE, LABELS)
    assert [one.code for one in dead.findings] == ["OQ401"]
    assert dead.unusable in dead.findings[0].message
    wrong = (LABELS + 1) % CLASSES
    guessing = ask(scores(wrong), REFERENCE, LABELS)
    assert guessing.at_chance
    assert "OQ401" in {one.code for one in guessing.findings}


def chance(labels, answers, classes=CLASSES):
    metric = ScoredClasses("y", classes)
    return is_at_chance(metric, np.eye(classes)[answers], labels)


def test_guessing_is_at_chance(ask):
    random = np.random.default_rng(3)
    assert chance(LABELS, random.integers(0, CLASSES, 300))
    assert chance(LABELS, np.zeros(300, int))
    assert chance(LABELS, (LABELS + 1) % CLASSES), "worse than guessing, too"
    guesses = scores((LABELS + random.integers(0, CLASSES, 300)) % CLASSES)
    assert ask(guesses, guesses, LABELS).at_chance


def test_a_chance_model_passes_rarely():
    random = np.random.default_rng(4)
    labels = random.integers(0, 2, 200)
    stopped = [chance(labels, random.integers(0, 2, 200), 2) for _ in range(200)]
    assert np.mean(stopped) >= 0.97


@pytest.mark.parametrize("right", [0.4, 0.6, 1.0])
def test_better_than_guessing_is_not_at_chance(right):
    assert not chance(LABELS, scores(LABELS, right=right, seed=1).argmax(1))


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_a_perfect_model_on_a_few_rows_is_not_stopped(rows):
    assert not chance(LABELS[:rows], LABELS[:rows])


def test_a_few_rows_stop_nothing():
    assert not chance(np.array([0, 1, 0]), np.array([1, 0, 1]))


def test_most_of_a_few_rows_right_is_not_stopped():
    assert not chance(np.array([0, 1, 0, 1]), np.array([0, 1, 0, 0]))


def test_rows_of_one_class_stop_only_what_is_mostly_wrong():
    assert not chance(np.zeros(500, int), np.zeros(500, int))
    assert chance(np.zeros(500, int), np.ones(500, int))


def test_a_useful_model_of_lopsided_rows_is_not_stopped():
    labels = np.zeros(1000, int)
    labels[:50] = 1
    answers = labels.copy()
    answers[:30] = 0
    answers[500:525] = 1
    assert (answers == labels).mean() < 0.95, "the commonest class does better"
    assert not chance(labels, answers, 2)
    assert chance(labels, np.zeros(1000, int), 2)
    unrelated = np.roll(labels, 300)
    assert chance(labels, unrelated, 2)


@pytest.mark.parametrize(
    ("metric", "named", "scale"),
    [
        ("", "top1", "rate"),
        ("top2", "top2", "rate"),
        ("f1", "f1-macro", "share"),
        ("auroc", "auroc", "share"),
        ("perplexity", "perplexity-logits", "own"),
    ],
)
def test_a_metric_that_is_asked_for(ask, metric, named, scale):
    quality = ask(QUANTIZED, REFERENCE, LABELS, metric=metric).quality
    assert isinstance(quality, Judged)
    assert (quality.accuracy.metric, quality.accuracy.scale) == (named, scale)
    assert isinstance(quality.agreement.same_top1, Estimate)


def test_whatever_the_metric_a_model_that_guesses_is_found_out(ask):
    guesses = scores(np.roll(LABELS, 1))
    assert ask(guesses, guesses, LABELS, metric="f1").at_chance
    assert not ask(REFERENCE, REFERENCE, LABELS, metric="auroc").at_chance


def test_of_several_outputs_the_one_that_is_named_is_judged(ask):
    outputs = {"a": REFERENCE, "b": -REFERENCE}
    candidate = {"a": QUANTIZED, "b": -QUANTIZED}
    with pytest.raises(DatasetError, match="fit several outputs") as caught:
        ask(candidate, outputs, LABELS)
    assert "--judge-output a" in caught.value.hint
    quality = ask(candidate, outputs, LABELS, output="a").quality
    assert isinstance(quality, Judged)
    assert quality.accuracy.value.value == (QUANTIZED.argmax(1) == LABELS).mean()
    assert [one.output for one in quality.agreement.outputs] == ["a", "b"]
    unlabelled = ask(candidate, outputs, output="b").quality
    assert isinstance(unlabelled, Compared)
    assert isinstance(unlabelled.agreement.same_top1, Estimate)
    with pytest.raises(UsageError, match="no output of this name"):
        ask(candidate, outputs, output="c")


def test_tokens_are_judged_by_sequence(ask):
    labels = RANDOM.integers(0, 3, (60, 8))
    labels[:, 6:] = -100
    reference = (np.eye(3)[np.maximum(labels, 0)] + RANDOM.normal(0, 0.5, (60, 8, 3))).astype("f4")
    candidate = reference + RANDOM.normal(0, 0.3, reference.shape).astype("f4")
    quality = ask(candidate, reference, labels).quality
    assert isinstance(quality, Judged)
    accuracy = quality.accuracy
    kept = labels != -100
    assert accuracy.value.value == pytest.approx((candidate.argmax(-1) == labels)[kept].mean())
    assert (accuracy.metric, accuracy.scale, accuracy.value.n) == ("top1", "rate", 60)
    assert accuracy.drop.method == "bca-95", "tokens of a sequence are not independent"
    assert isinstance(quality.agreement.same_top1, NoClasses)
