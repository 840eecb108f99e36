"""Labels that are text: the same in every form of data."""

import numpy as np
import pytest

from onnxq.datasets.folders import read_classes
from onnxq.datasets.loading import load_rows
from onnxq.datasets.text_labels import number_texts
from onnxq.datasets.values import DataRequest
from onnxq.errors import DatasetError
from onnxq.events import tell_nobody
from onnxq.stages import LoadRowsRequest, NoDataRequest
from onnxq.tensors import Signature, TensorSpec

TEXTS = np.array(["dog", "cat", " cat", "emu", "dog"])
ALL = np.arange(5)


def test_names_are_numbered_in_sorted_order_and_it_is_said():
    numbered = number_texts(TEXTS, ALL, None, "t.npz")
    assert numbered.values.tolist() == [1, 0, 0, 2, 1]
    assert numbered.class_names == ("cat", "dog", "emu")
    (finding,) = numbered.findings
    assert finding.code == "OQ130"
    assert "3 classes were numbered in sorted order: 'cat' is 0, 'dog' is 1, 'emu' is 2." in (
        finding.message
    )


def test_numbers_in_text_are_the_classes():
    numbered = number_texts(np.array([["10"], ["9"], ["0"]]), ALL[:3], None, "t.npz")
    assert (numbered.values.tolist(), numbered.class_names) == ([10, 9, 0], ())


def test_bytes_are_text():
    assert number_texts(TEXTS.astype("S"), ALL, None, "t").class_names == ("cat", "dog", "emu")


def test_a_list_numbers_them(tmp_path):
    (tmp_path / "classes.txt").write_text("emu\ndog\ncat\n")
    number_of = read_classes(tmp_path / "classes.txt")
    numbered = number_texts(TEXTS, ALL[1:], number_of, "t")
    assert (numbered.values.tolist(), numbered.findings) == ([2, 2, 0, 1], ())
    (tmp_path / "classes.txt").write_text("emu\ndogs\ncat\n")
    with pytest.raises(DatasetError, match="Did you mean 'dogs'"):
        number_texts(TEXTS, ALL, read_classes(tmp_path / "classes.txt"), "t")


@pytest.mark.parametrize(
    ("texts", "says"),
    [(np.array(["a", ""]), "row 1 in t has no label"), (np.array([["a", "b"]]), "expected one")],
)
def test_every_row_has_one(texts, says):
    with pytest.raises(DatasetError, match=says) as caught:
        number_texts(texts, ALL[: len(texts)], None, "t")
    assert caught.value.code == "OQ125"


def load(tmp_path, y, **options):
    np.savez(tmp_path / "t.npz", x=np.arange(10.0)[:, None], y=y)
    work = tmp_path / "work"
    work.mkdir()
    signature = Signature(
        (TensorSpec("x", "float32", ("N", 1)),), (TensorSpec("o", "float32", ("N", 3)),)
    )
    request = LoadRowsRequest(
        data=DataRequest(spec=str(tmp_path / "t.npz"), **options),
        calibration=NoDataRequest(),
        signature=signature,
        declared=(),
        split=False,
    )
    return load_rows(request, work, tell_nobody)


def test_an_archive_may_have_them_too(tmp_path):
    result = load(tmp_path, np.array(["b", "a"] * 5))
    assert np.load(result.evaluation.rows.labels).tolist() == [1, 0] * 5
    messages = [one.message for one in result.findings if one.code == "OQ130"]
    assert len(messages) == 2
    assert "the model tells 3 apart" in messages[1]


def test_a_list_is_for_names(tmp_path):
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DatasetError) as caught:
        load(tmp_path, np.arange(10) % 2, classes=str(tmp_path / "classes.txt"))
    assert caught.value.code == "OQ125"


def test_more_names_than_classes_are_an_error(tmp_path):
    with pytest.raises(DatasetError) as caught:
        load(tmp_path, np.array([f"name {i}" for i in range(10)]))
    assert caught.value.code == "OQ125"
    assert "the model's 3 classes" in caught.value.message
