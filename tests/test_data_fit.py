import numpy as np
import pytest

from onnxq.data_fit import answer_fit
from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.values import DataRequest
from onnxq.tensors import Signature, TensorSpec

IMAGES = Signature(
    inputs=(TensorSpec("x", "float32", ("N", 3, 8, 8)),),
    outputs=(TensorSpec("y", "float32", ("N", 10)),),
)
TOKENS = Signature(
    inputs=(
        TensorSpec("tokens", "int64", ("N", 5)),
        TensorSpec("mask", "float32", ("N", 5)),
    ),
    outputs=(TensorSpec("y", "float32", ("N", 2)),),
)
PIXELS = np.zeros((120, 8, 8, 3), np.uint8)


@pytest.fixture
def ask(tmp_path):
    """Give a function that saves arrays and asks whether they fit."""

    def asked(signature=IMAGES, *, preprocess="", mapping=None, **arrays):
        np.savez(tmp_path / "val.npz", **arrays)
        request = DataRequest(
            spec=str(tmp_path / "val.npz"),
            mapping=mapping or {},
            **({"preprocess": parse_preprocess(preprocess)} if preprocess else {}),
        )
        (tmp_path / "rows").mkdir(exist_ok=True)
        return answer_fit(request, signature, tmp_path / "rows")

    return asked


def test_images_with_labels(ask):
    answers = ask(preprocess="zero-one", images=PIXELS, y=np.arange(120) % 10)
    assert all(answer.fits for answer in answers)
    assert answers[0].subject == "x"
    assert "wants float32 [N, 3, 8, 8]" in answers[0].text
    assert "from 'images'" in answers[0].text
    assert answers[-2].text == "There are 120 rows."
    assert answers[-1].text == "There are labels, which span 10 classes; the model scores 10."


def test_changes_of_layout_and_dtype_are_said(ask):
    answers = ask(images=PIXELS)
    said = " ".join(answer.text + answer.fix for answer in answers)
    assert "hannels" in said
    assert "cast from uint8 to float32" in said
    assert "--preprocess zero-one" in said


def test_without_labels_only_agreement_is_measured(ask):
    answer = ask(preprocess="zero-one", images=PIXELS)[-1]
    assert (answer.fits, answer.subject) == (False, "labels")
    assert "--map labels=" in answer.fix


def test_what_does_not_fit_says_the_fix(ask):
    (answer,) = ask(images=np.zeros((5, 9, 9, 3), np.uint8), y=np.zeros(5, np.int64))
    assert not answer.fits
    assert "does not fit the model" in answer.text
    assert "resize=8x8" in answer.fix


def test_each_input_names_its_array(ask):
    tokens, mask = np.ones((4, 5), np.int32), np.ones((4, 5))
    answers = ask(TOKENS, mapping={"mask": "seen"}, tokens=tokens, seen=mask)
    assert [answer.subject for answer in answers[:2]] == ["tokens", "mask"]
    assert "from 'tokens', int64 [N, 5]" in answers[0].text
    assert "from 'seen', float32 [N, 5]" in answers[1].text


def test_few_rows_are_pointed_at(ask):
    answers = ask(x=np.zeros((5, 3, 8, 8), np.float32), y=np.zeros(5, np.int64))
    (rows,) = [answer for answer in answers if answer.subject == "rows"]
    assert rows.text == "There are 5 rows."
    assert rows.fix


def test_many_rows_are_not_all_read(ask):
    answers = ask(x=np.zeros((1500, 3, 8, 8), np.float32))
    (rows,) = [answer for answer in answers if answer.subject == "rows"]
    assert rows.text == "1000 rows were read; there may be more."


def test_values_that_are_not_finite_do_not_fit(ask):
    (answer,) = ask(x=np.full((3, 3, 8, 8), np.nan, np.float32))
    assert not answer.fits
    assert "not finite" in answer.text
