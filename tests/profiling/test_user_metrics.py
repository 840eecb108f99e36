"""A metric of the user's: where it is looked for, what it may return, what it is blamed for."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from onnxq.datasets.values import EvaluationSet, StoredRows
from onnxq.errors import DatasetError, MissingDependencyError, UsageError
from onnxq.estimates import paired_drop, wilson
from onnxq.measurements import Judged
from onnxq.metric_choices import parse_metric
from onnxq.profiling.accuracy import judge
from onnxq.stages import JudgeRequest

RANDOM = np.random.default_rng(0)
ROWS = 120
LABELS = RANDOM.integers(0, 3, ROWS)
REFERENCE = (np.eye(3)[LABELS] * 2 + RANDOM.normal(size=(ROWS, 3))).astype(np.float32)
CANDIDATE = REFERENCE + RANDOM.normal(0, 0.8, REFERENCE.shape).astype(np.float32)

CODE = """
import numpy as np

def right(outputs, labels):
    return outputs.argmax(axis=1) == labels

def margin(outputs, labels):
    rows = np.arange(len(labels))
    return outputs[rows, labels] - outputs.mean(axis=1)

def loss(outputs, labels):
    return float(np.mean(outputs[np.arange(len(labels)), labels] ** 2))
loss.higher_is_better = False

def macro_f1(outputs, labels):
    answers, scores = outputs.argmax(axis=1), []
    for c in np.unique(labels):
        both = ((answers == c) & (labels == c)).sum()
        scores.append(2 * both / max((answers == c).sum() + (labels == c).sum(), 1))
    return np.mean(scores)
macro_f1.higher_is_better = True

def of_several(outputs, labels):
    assert sorted(outputs) == ["a", "b"]
    return np.array([[row] for row in outputs["a"][:, 0]])

def fails(outputs, labels):
    raise KeyError("nose")

def writes(outputs, labels):
    outputs[0] = 0

def text(outputs, labels):
    return "good"

def few(outputs, labels):
    return [0.5, 0.5]

def broken(outputs, labels):
    values = np.ones(len(labels))
    values[7] = np.nan
    return values

def nothing(outputs, labels):
    pass

needs = 3

def imports(outputs, labels):
    import no_such_package

def refuses_above(outputs, labels, most):
    if labels.sum() > most:
        raise ValueError("not these rows")
    return np.mean(outputs.argmax(axis=1) == labels)
"""
CODE += f"""
def refuses_rarely(outputs, labels):
    return refuses_above(outputs, labels, {LABELS.sum() + 21})

def refuses_often(outputs, labels):
    return refuses_above(outputs, labels, {LABELS.sum()})
"""


@pytest.fixture
def ask(tmp_path):
    (tmp_path / "mine.py").write_text(CODE)
    told = []

    def save(prefix, arrays):
        for name, array in arrays.items():
            np.save(tmp_path / f"{prefix}-{name}.npy", array)
        return {name: str(tmp_path / f"{prefix}-{name}.npy") for name in arrays}

    def ask(metric, candidate=CANDIDATE, reference=REFERENCE, *, itself=False, **named):
        reference = reference if isinstance(reference, dict) else {"y": reference}
        candidate = candidate if isinstance(candidate, dict) else {"y": candidate}
        (tmp_path / "names.json").write_text(json.dumps([f"row-{n}" for n in range(ROWS)]))
        rows = StoredRows(
            inputs={},
            count_rows=ROWS,
            labels=save("labels", {"y": LABELS})["y"],
            row_names=str(tmp_path / "names.json"),
        )
        expected = save("reference", reference)
        request = JudgeRequest(
            outputs=expected if itself else save("candidate", candidate),
            reference=expected,
            rows=EvaluationSet(rows),
            labelled=True,
            seed=0,
            metric=parse_metric(metric),
            trusted_folders=(str(tmp_path),),
            **named,
        )
        result = judge(request, tmp_path, told.append)
        assert isinstance(result.quality, Judged)
        return result.quality.accuracy, result.findings, told

    return ask


@pytest.mark.parametrize("module", ["mine", "mine.py"])
def test_a_truth_per_row_is_a_rate(ask, module):
    accuracy, _, _ = ask(f"{module}:right")
    right, before = CANDIDATE.argmax(axis=1) == LABELS, REFERENCE.argmax(axis=1) == LABELS
    assert accuracy.value == wilson(int(right.sum()), ROWS)
    assert accuracy.drop == paired_drop(before, right)
    assert (accuracy.metric, accuracy.scale) == (f"{module}:right", "rate")


def test_a_number_per_row_is_a_mean(ask):
    accuracy, _, _ = ask("mine:margin")
    margins = CANDIDATE[np.arange(ROWS), LABELS] - CANDIDATE.mean(axis=1)
    assert accuracy.value.value == pytest.approx(margins.mean(), rel=1e-6)
    assert accuracy.value.method == accuracy.drop.method == "bca-95"
    assert (accuracy.scale, accuracy.higher_is_better) == ("own", True)


def test_one_number_is_computed_again_on_resamples(ask):
    accuracy, findings, told = ask("mine:macro_f1")
    answers = CANDIDATE.argmax(axis=1), REFERENCE.argmax(axis=1)
    values = [f1_score(LABELS, one, average="macro") for one in answers]
    assert accuracy.value.value == pytest.approx(values[0])
    assert accuracy.drop.value == pytest.approx(values[1] - values[0])
    assert accuracy.drop.low < accuracy.drop.value < accuracy.drop.high
    assert accuracy.drop.method == "bca-95"
    built_in, _, _ = ask("f1-macro")
    widths = [one.drop.high - one.drop.low for one in (accuracy, built_in)]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)
    assert "OQ135" not in {finding.code for finding in findings}
    assert told[-1].done == told[-1].total
    assert len(told) > 80


def test_a_resample_that_the_function_refuses_is_passed_over(ask):
    """A class may be missing on a resample; functions of scikit-learn raise then."""
    accuracy, _, _ = ask("mine:refuses_rarely")
    assert accuracy.value.low < accuracy.value.value < accuracy.value.high
    with pytest.raises(DatasetError, match="is not defined on these rows") as caught:
        ask("mine:refuses_often")
    assert caught.value.code == "OQ134"


def test_a_few_rows_that_matter_are_found_by_trying(ask):
    candidate = REFERENCE + np.float32(0.001)
    flipped = np.flatnonzero(REFERENCE.argmax(axis=1) == LABELS)[:3]
    candidate[flipped] = -candidate[flipped]
    accuracy, _, _ = ask("mine:macro_f1", candidate)
    assert accuracy.drop.value > 0
    assert accuracy.drop.method == "bounded-95"
    assert accuracy.drop.low < 0 < accuracy.drop.value < accuracy.drop.high


def test_the_float_model_beside_itself(ask):
    accuracy, _, _ = ask("mine:macro_f1", itself=True)
    assert accuracy.drop.value == 0
    assert accuracy.drop.high == -accuracy.drop.low > 0.005


def test_the_direction_is_an_attribute_of_the_function(ask):
    accuracy, findings, _ = ask("mine:loss", itself=True)
    assert not accuracy.higher_is_better
    assert findings == ()
    accuracy, findings, _ = ask("mine:margin", itself=True)
    assert accuracy.higher_is_better
    assert [finding.code for finding in findings] == ["OQ135"]
    assert "margin.higher_is_better = False" in findings[0].fix


def test_several_outputs_come_by_name_and_one_that_is_named_alone(ask):
    both = {"a": CANDIDATE, "b": CANDIDATE}, {"a": REFERENCE, "b": REFERENCE}
    accuracy, _, _ = ask("mine:of_several", *both)
    assert accuracy.value.value == pytest.approx(CANDIDATE[:, 0].mean(), rel=1e-5)
    accuracy, _, _ = ask("mine:right", *both, output="b")
    assert accuracy.value.value == (CANDIDATE.argmax(axis=1) == LABELS).mean()
    with pytest.raises(UsageError, match="no output of this name"):
        ask("mine:right", *both, output="c")


@pytest.mark.parametrize(
    ("metric", "said", "code"),
    [
        ("mine:fails", r"^mine:fails failed: KeyError: 'nose' \(mine\.py, line 28\)", "OQ106"),
        ("mine:writes", "read-only", "OQ106"),
        ("mine:text", "returned a str.*expected a number, or 120 of them", "OQ134"),
        ("mine:few", r"returned a list float64 \[2\]", "OQ134"),
        ("mine:broken", "returned nan for row row-7", "OQ134"),
        ("mine:nothing", "returned None; expected", "OQ134"),
        ("mine:needs", "is an int, expected a function", "OQ106"),
        ("mine:rihgt", "has no 'rihgt'", "OQ105"),
        ("mina:right", "no Python module 'mina'", "OQ105"),
    ],
)
def test_what_the_users_function_is_blamed_for(ask, metric, said, code):
    with pytest.raises(DatasetError, match=said) as caught:
        ask(metric)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_package_that_the_function_lacks_is_named(ask):
    with pytest.raises(MissingDependencyError, match="no_such_package"):
        ask("mine:imports")


def test_its_relative_paths_hold_where_the_user_works(ask, tmp_path, monkeypatch):
    work, child = tmp_path / "work", tmp_path / "child"
    work.mkdir()
    child.mkdir()
    (work / "scale.txt").write_text("0.25")
    read = "from pathlib import Path\nSCALE = float(Path('scale.txt').read_text())\n"
    score = "def half(outputs, labels):\n    Path('scale.txt').read_text()\n    return SCALE\n"
    (tmp_path / "reads.py").write_text(read + score)
    monkeypatch.chdir(child)
    accuracy, _, _ = ask("reads.py:half", working_folder=str(work))
    assert accuracy.value.value == 0.25
