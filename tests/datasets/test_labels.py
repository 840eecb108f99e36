"""Labels: classes and targets are told apart, and what the model cannot answer is refused."""

import numpy as np
import pytest

from onnxq.datasets.labels import Labels, describe_classes, read_labels
from onnxq.errors import DatasetError
from onnxq.profiling.metrics import ScoredClasses, Targets, YesOrNo, choose_reading
from onnxq.tensors import Signature, TensorSpec


def model(*shape):
    return Signature((), (TensorSpec("scores", "float32", shape),))


TEN_CLASSES = model("N", 10)


def read(values, signature=TEN_CLASSES):
    return read_labels(np.asarray(values), signature, "val.npz", str)


def codes(labels):
    return [(finding.code, finding.severity) for finding in labels.findings]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool"])
def test_integers_are_classes(dtype):
    labels = read(np.array([1, 0, 1]).astype(dtype))
    assert (labels.values.tolist(), labels.values.dtype, labels.classes) == ([1, 0, 1], "int64", 2)
    assert codes(labels) == []


def test_a_column_of_integers_is_classes():
    assert read([[3], [0]]).values.tolist() == [3, 0]


@pytest.mark.parametrize("dtype", ["float32", "uint8", "bool"])
def test_one_hot_rows_are_classes_and_that_is_said(dtype):
    labels = read(np.eye(10)[[7, 0, 2]].astype(dtype))
    assert (labels.values.tolist(), labels.classes) == ([7, 0, 2], 8)
    assert codes(labels) == [("OQ130", "note")]


def test_floats_are_targets():
    values = np.array([[0.5, 1.5], [2.0, 3.0]], np.float32)
    labels = read(values)
    np.testing.assert_array_equal(labels.values, values)
    assert (labels.classes, codes(labels)) == (0, [])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([1.0, 2.0], "targets where the output is one number a row"),
        ([[1.0], [2.0]], "targets where the output is one number a row"),
        ([1.0, 0.0], "yes or no where the output is one number a row"),
        ([[1.0, 1.0], [0.0, 2.0]], "they are targets"),
    ],
)
def test_whole_floats_are_kept_with_a_note_that_says_how_they_are_judged(values, says):
    labels = read(np.array(values))
    assert labels.classes == 0
    assert codes(labels) == [("OQ130", "note")]
    assert says in labels.findings[0].message


@pytest.mark.parametrize(
    ("labels", "outputs", "metric", "says"),
    [
        ([0.0, 1.0], [[0.2], [0.9]], YesOrNo("y", 0.5), "yes or no where the output is one"),
        ([0.0, 2.0], [[0.2], [0.9]], Targets("y"), "targets where the output is one"),
        ([0.0, 2.0], np.eye(3)[:2], ScoredClasses("y", 3), "classes of an output that scores"),
        ([[1.0, 1.0], [0.0, 0.0]], np.eye(2), Targets("y"), "they are targets"),
    ],
)
def test_what_the_note_says_of_whole_floats_is_what_the_metric_does(labels, outputs, metric, says):
    kept = read(labels)
    assert says in kept.findings[0].message
    assert choose_reading({"y": np.asarray(outputs, np.float32)}, kept.values) == metric


@pytest.mark.parametrize(
    ("values", "code", "says"),
    [
        (["cat", "dog"], "OQ125", "expected integers"),
        ([[1, 2], [3, 4]], "OQ125", "expected one class a row"),
        ([0, -1], "OQ125", "row 1 in val.npz has the label -1"),
        ([0, 3, 10], "OQ125", "row 2 in val.npz has the label 10: expected 0 to 9"),
        ([0.5, np.nan], "OQ123", "first of row 1"),
    ],
)
def test_labels_that_cannot_be_used_are_named(values, code, says):
    with pytest.raises(DatasetError) as caught:
        read(values)
    assert caught.value.code == code
    assert says in str(caught.value)


def test_labels_that_count_from_one_are_recognized():
    with pytest.raises(DatasetError) as caught:
        read(np.arange(1, 11))
    assert "y - 1" in caught.value.hint


@pytest.mark.parametrize("shape", [("N", 1), ("N", "classes"), ("N", 5, 5), ("N",)])
def test_outputs_that_do_not_tell_classes_limit_nothing(shape):
    assert read([0, 99], model(*shape)).classes == 100


def test_several_outputs_limit_nothing():
    specs = tuple(TensorSpec(name, "float32", ("N", 2)) for name in "ab")
    assert read([0, 99], Signature((), specs)).classes == 100


@pytest.mark.parametrize(
    ("names", "warns"),
    [
        ((), False),
        (tuple("abcdefghij"), False),
        (("cat", "dog"), True),
        (tuple(str(number) for number in range(10)), False),
        (tuple(sorted(str(number) for number in range(11))), True),
    ],
)
def test_numbering_in_sorted_order_is_doubted_where_it_may_be_wrong(names, warns):
    labels = describe_classes(Labels(np.array([0, 1]), 2), names, TEN_CLASSES, "photos/")
    assert codes(labels) == ([("OQ130", "warning")] if warns else [])
    assert all("--classes" in finding.fix for finding in labels.findings)


@pytest.mark.parametrize("shape", [("N", "T", 9), ("N", 9, "T"), ("N", 4, 9, 1), ("N", 4)])
def test_integers_per_position_are_kept(shape):
    values = np.array([[3, 0, -100, -100], [1, 1, 2, 8]], np.int32)
    labels = read(values, model(*shape))
    np.testing.assert_array_equal(labels.values, values)
    assert (labels.values.dtype, labels.classes, codes(labels)) == ("int64", 0, [])


def test_a_tag_in_each_sentence_is_no_one_hot_row():
    values = np.eye(4, dtype=np.int64)[[0, 3]]
    assert read(values, model("N", "T", 2)).values.shape == (2, 4)
    assert read(values, model("N", 4)).values.tolist() == [0, 3]


def test_integers_below_0_are_targets_where_no_classes_are_scored():
    labels = read([-3, 5, 0], model("N", 1))
    assert (labels.values.tolist(), labels.classes) == ([-3, 5, 0], 0)
    assert codes(labels) == [("OQ130", "warning")]
    assert "targets" in labels.findings[0].message
    reading = choose_reading({"scores": np.zeros((3, 1), np.float32)}, labels.values)
    assert reading == Targets("scores")
