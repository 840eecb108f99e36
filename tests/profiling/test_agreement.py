"""Agreement with the float model, beside direct formulas."""

import numpy as np
import pytest

from onnxq.measurements import NoClasses
from onnxq.profiling.agreement import (
    SQNR_MOST_DB,
    compare_output,
    guess_classes,
    is_constant,
    same_first_class,
)
from onnxq.profiling.metrics import ScoredClasses

RANDOM = np.random.default_rng(0)
REFERENCE = RANDOM.normal(3, 1, size=(200, 6)).astype(np.float32)
NOISY = REFERENCE + RANDOM.normal(0, 0.1, REFERENCE.shape).astype(np.float32)


def test_agreement_beside_direct_formulas():
    found = compare_output("y", NOISY, REFERENCE)
    difference = NOISY.astype(np.float64) - REFERENCE.astype(np.float64)
    signal = ((REFERENCE - REFERENCE.mean(axis=0)) ** 2).sum()
    cosine = (NOISY.ravel() @ REFERENCE.ravel()) / (
        np.linalg.norm(NOISY) * np.linalg.norm(REFERENCE)
    )
    assert found.output == "y"
    assert found.sqnr_db == pytest.approx(10 * np.log10(signal / (difference**2).sum()), abs=1e-3)
    assert found.sqnr_db == pytest.approx(20, abs=0.5)
    assert found.cosine == pytest.approx(cosine, abs=1e-5)
    assert found.mean_abs_difference == pytest.approx(np.abs(difference).mean())
    assert found.max_abs_difference == pytest.approx(np.abs(difference).max())


def test_an_output_beside_itself():
    found = compare_output("y", REFERENCE, REFERENCE)
    assert (found.sqnr_db, found.max_abs_difference) == (SQNR_MOST_DB, 0)
    assert found.cosine == pytest.approx(1)


def test_a_constant_answer_is_worth_nothing_however_large_the_mean():
    mean = np.broadcast_to(REFERENCE.mean(axis=0), REFERENCE.shape)
    found = compare_output("y", mean, REFERENCE)
    assert found.cosine > 0.9
    assert found.sqnr_db == pytest.approx(0, abs=1e-4)


def test_an_output_that_tells_nothing_about_rows_is_measured_by_its_power():
    anchors = np.broadcast_to(np.arange(1.0, 7.0), (9, 6))
    assert compare_output("anchors", anchors * 1.01, anchors).sqnr_db == pytest.approx(40)


def test_one_row():
    found = compare_output("y", NOISY[:1], REFERENCE[:1])
    assert 5 < found.sqnr_db < 40


def test_masks_do_not_count():
    reference, candidate = REFERENCE.copy(), NOISY.copy()
    reference[:, 2] = -np.inf
    candidate[:, 2] = np.where(np.arange(200) % 2, -np.inf, -3e38)
    found = compare_output("y", candidate, reference)
    assert found.sqnr_db == pytest.approx(20, abs=1)
    assert found.max_abs_difference < 1


@pytest.mark.parametrize("shape", [(), (0, 4), (3, 0), (7,), (5, 1), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.bool_])
def test_any_shape_and_dtype(shape, dtype):
    array = (RANDOM.uniform(size=shape) > 0.5) * np.ones((), dtype)
    found = compare_output("y", np.asarray(array, dtype), np.asarray(array, dtype))
    assert found.sqnr_db == SQNR_MOST_DB
    assert found.max_abs_difference == 0


def test_nothing_beside_something():
    found = compare_output("y", np.zeros_like(REFERENCE), REFERENCE)
    assert found.cosine == 0
    assert found.sqnr_db < 0


def test_same_first_class():
    candidate = REFERENCE.copy()
    candidate[:10] = -candidate[:10]
    found = same_first_class(ScoredClasses("y", 6), candidate, REFERENCE)
    assert (found.value, found.n, found.method) == (0.95, 200, "wilson-95")


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"y": (8, 5)}, ScoredClasses("y", 5)),
        ({"y": (8, 5, 1, 1)}, ScoredClasses("y", 5)),
        ({"y": (8, 5), "boxes": (8, 20, 4)}, ScoredClasses("y", 5)),
        ({"y": (8, 5), "z": (8, 9)}, NoClasses()),
        ({"y": (8, 1)}, NoClasses()),
        ({"y": (8, 20, 4)}, NoClasses()),
        ({}, NoClasses()),
    ],
)
def test_scores_are_guessed_from_shapes(shapes, expected):
    outputs = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    assert guess_classes(outputs) == expected


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (((5,),), NoClasses()),
        (((3, 8, 8), (5,)), NoClasses()),
        (((3, 8, 8),), ScoredClasses("y", 5)),
        (((6,),), ScoredClasses("y", 5)),
    ],
)
def test_an_output_shaped_like_an_input_is_no_scores(inputs, expected):
    assert guess_classes({"y": np.zeros((8, 5), np.float32)}, inputs) == expected


def test_integers_are_no_scores():
    assert guess_classes({"y": np.zeros((8, 5), np.int64)}) == NoClasses()


def test_is_constant():
    assert is_constant(np.ones((3, 4)))
    assert is_constant(np.broadcast_to(np.arange(4.0), (3, 4)))
    assert not is_constant(REFERENCE)
    assert not is_constant(np.ones((1, 4))), "one row says nothing"
    assert not is_constant(np.ones((4, 0)))
    assert not is_constant(np.float32(1))
