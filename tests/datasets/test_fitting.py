"""One array to one input: NumPy says what rows must become."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.datasets.arrays import RawArray
from onnxq.datasets.casts import apply_cast, plan_cast
from onnxq.datasets.fitting import describe_fit, fit_rows, plan_fit
from onnxq.datasets.layouts import Layout, change_layout, changed_shape, fitting_layouts
from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.values import AsGiven
from onnxq.errors import DatasetError
from onnxq.tensors import TensorSpec


def fed(rows, shape, dtype="float32", preprocess=""):
    spec = parse_preprocess(preprocess) if preprocess else AsGiven()
    array = RawArray("data", rows.dtype, rows.shape)
    fit = plan_fit(TensorSpec("x", dtype, shape), array, spec, "val.npz")
    result = fit_rows(rows, fit, str)
    assert result.shape == (len(rows), *fit.row_shape)
    assert result.flags.c_contiguous
    return result, [finding.code for finding in describe_fit(fit, "val.npz")]


def refused(rows, shape, dtype="float32", preprocess=""):
    with pytest.raises(DatasetError) as caught:
        fed(rows, shape, dtype, preprocess)
    return caught.value


def numbers(*shape):
    return np.random.default_rng(2).standard_normal(shape).astype(np.float32)


def pixels(*shape):
    return np.random.default_rng(2).integers(0, 256, shape, np.uint8)


def test_rows_that_fit_are_left_alone():
    result, codes = fed(numbers(5, 8), ("N", 8))
    np.testing.assert_array_equal(result, numbers(5, 8))
    assert codes == []


@pytest.mark.parametrize(
    ("row", "wanted", "change"),
    [
        ((6, 7, 3), (3, 6, 7), lambda x: x.transpose(0, 3, 1, 2)),
        ((3, 6, 7), (6, 7, 3), lambda x: x.transpose(0, 2, 3, 1)),
        ((6, 7, 3), (3, "h", "w"), lambda x: x.transpose(0, 3, 1, 2)),
        ((6, 6, 3), (3, 6, 6), lambda x: x.transpose(0, 3, 1, 2)),
        ((6, 7), (1, 6, 7), lambda x: x[:, None]),
        ((6, 7), (6, 7, 1), lambda x: x[..., None]),
        ((6, 7, 1), (1, 6, 7), lambda x: x.transpose(0, 3, 1, 2)),
        ((6, 7, 1), (6, 7), lambda x: x[..., 0]),
        ((1, 6, 7), (6, 7), lambda x: x[:, 0]),
        ((), (1,), lambda x: x[:, None]),
        ((1,), (), lambda x: x[:, 0]),
    ],
)
def test_a_clear_change_of_layout_is_made_and_said(row, wanted, change):
    rows = numbers(4, *row)
    result, codes = fed(rows, ("N", *wanted))
    np.testing.assert_array_equal(result, change(rows))
    assert codes == ["OQ129"]


def test_symbols_take_rows_as_they_are():
    _, codes = fed(numbers(4, 6, 7, 64), ("N", "a", "b", "c"))
    assert codes == []


@pytest.mark.parametrize(
    ("rows", "wanted", "preprocess"),
    [
        (pixels(4, 6, 6, 3), ("c", "h", "w"), ""),
        (pixels(4, 6, 6, 3), ("c", "h", "w"), "zero-one"),
        (numbers(4, 6, 6), ("a", "b", "c"), ""),
    ],
)
def test_a_layout_that_the_model_leaves_open_is_not_guessed(rows, wanted, preprocess):
    error = refused(rows, ("N", *wanted), preprocess=preprocess)
    assert error.code == "OQ121"
    assert "would fit" in str(error)
    assert "--input x:Nx" in error.hint


@given(st.lists(st.integers(1, 5), max_size=4), st.sampled_from(Layout))
def test_the_shape_of_a_layout_is_that_of_the_rows_in_it(shape, layout):
    any_shape = [tuple("abcdef"[:rank]) for rank in range(6)]
    if any(layout in fitting_layouts(tuple(shape), wanted) for wanted in any_shape):
        changed = change_layout(numbers(3, *shape), layout)
        assert changed.shape == (3, *changed_shape(tuple(shape), layout))


def test_preprocessed_images_reach_the_layout_of_the_model():
    rows = pixels(4, 6, 7, 3)
    expected = (rows[..., ::-1].astype(np.float32) - [1, 2, 3]).transpose(0, 3, 1, 2)
    result, codes = fed(rows, ("N", 3, 6, 7), preprocess="order=bgr,mean=1:2:3")
    np.testing.assert_array_equal(result, expected)
    assert codes == ["OQ129"]


def test_images_with_channels_first_are_preprocessed_along_their_channels():
    rows = pixels(4, 3, 6, 7)
    result, codes = fed(rows, ("N", 3, 6, 7), preprocess="mean=1:2:3")
    np.testing.assert_array_equal(result, rows - np.array([1, 2, 3.0]).reshape(3, 1, 1))
    assert codes == []


@pytest.mark.parametrize("wanted", [(28, 28), (28, 28, 1), (1, 28, 28)])
def test_gray_rows_find_their_place(wanted):
    rows = pixels(3, 28, 28)
    result, _ = fed(rows, ("N", *wanted), preprocess="zero-one")
    np.testing.assert_array_equal(result, (rows / np.float32(255)).reshape(3, *wanted))


def test_bytes_are_fed_as_bytes_where_the_model_takes_them():
    result, codes = fed(pixels(2, 6, 7, 3), ("N", 6, 7, 3), "uint8", preprocess="order=bgr")
    np.testing.assert_array_equal(result, pixels(2, 6, 7, 3)[..., ::-1])
    assert result.dtype == np.uint8
    assert codes == []
    error = refused(pixels(2, 6, 7, 3), ("N", 6, 7, 3), "uint8", preprocess="zero-one")
    assert error.code == "OQ122"


@pytest.mark.parametrize(
    ("source", "wanted", "codes"),
    [
        ("uint8", "float32", ["OQ128"]),
        ("float64", "float32", ["OQ128"]),
        ("float16", "float32", ["OQ128"]),
        ("float32", "float16", ["OQ128"]),
        ("int64", "int32", ["OQ128"]),
        ("int32", "int64", ["OQ128"]),
        ("int64", "float32", ["OQ128"]),
        ("bool", "float32", ["OQ128"]),
        (">i4", "int32", []),
        ("int64", "int64", []),
    ],
)
def test_a_cast_that_keeps_values_is_made_and_said(source, wanted, codes):
    rows = np.array([[0, 1], [1, 0]]).astype(source)
    result, said = fed(rows, ("N", 2), wanted)
    assert result.dtype == np.dtype(wanted)
    np.testing.assert_array_equal(result, rows)
    assert said == codes


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("float32", "int64"),
        ("float64", "uint8"),
        ("complex64", "float32"),
        ("U3", "float32"),
        ("O", "float32"),
        ("datetime64[s]", "int64"),
        ("int64", "bool"),
        ("float32", "bfloat16"),
        ("U3", "string"),
    ],
)
def test_a_dtype_that_cannot_be_fed_is_refused(source, wanted):
    error = refused(np.zeros((2, 2), source), ("N", 2), wanted)
    assert error.code == "OQ122"
    assert error.hint


@pytest.mark.parametrize(
    ("value", "source", "wanted"),
    [
        (2**31, "int64", "int32"),
        (-1, "int64", "uint8"),
        (2**24 + 1, "int64", "float32"),
        (2**63 - 1, "int64", "float64"),
    ],
)
def test_an_integer_that_a_cast_would_change_is_named(value, source, wanted):
    rows = np.array([[0], [0], [value]], source)
    error = refused(rows, ("N", 1), wanted)
    assert error.code == "OQ122"
    assert "first in row 2" in str(error)


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.sampled_from(["int32", "float32"])
)
def test_exactly_the_rows_that_would_change_are_found(values, wanted):
    rows = np.array(values, np.int64)[:, None]
    array = RawArray("data", rows.dtype, rows.shape)
    _, changed = apply_cast(rows, plan_cast(TensorSpec("x", wanted, ("N", 1)), array, "val.npz"))
    kept = [int(np.float32(v)) == v for v in values]
    if wanted == "int32":
        kept = [-(2**31) <= v < 2**31 for v in values]
    assert changed == [index for index, is_kept in enumerate(kept) if not is_kept]


@pytest.mark.parametrize(
    ("rows", "shape", "preprocess", "hint"),
    [
        (pixels(9, 30, 30, 3), ("N", 3, 224, 224), "", "--preprocess imagenet"),
        (pixels(9, 30, 30, 3), (1, 3, 24, 32), "", "--preprocess order=rgb,resize=24x32,scale=1"),
        (pixels(9, 30, 30, 3), (1, 24, 32, 3), "zero-one", "rgb,resize=24x32,scale=255"),
        (pixels(9, 30, 30, 3), ("N", 30, 30, 1), "zero-one", "--preprocess order=gray,scale=255"),
        (pixels(9, 30, 30, 1), ("N", 3, 30, 30), "", "wants 3 channels, rows have 1"),
        (pixels(9, 32, 32, 3), ("N", 32, 32, 3), "imagenet", "--preprocess order=rgb,scale=255"),
        (numbers(9, 28, 28), ("N", 784), "", "data.reshape(-1, 784)"),
        (numbers(28, 28), ("N", 28, 28), "", "data[None]"),
        (numbers(9, 5), ("N", 6), "", "--map INPUT=ARRAY"),
    ],
)
def test_a_misfit_shows_both_sides_and_the_likely_fix(rows, shape, preprocess, hint):
    error = refused(rows, shape, "float32", preprocess)
    assert error.code == "OQ121"
    first, wants, has, *_ = str(error).splitlines()
    assert first == "val.npz does not fit the model."
    assert wants.split(maxsplit=4)[:4] == ["model", "wants", "x", "float32"]
    assert str(list(rows.shape)) in has
    assert hint in error.hint


def test_a_fix_that_is_offered_helps():
    error = refused(pixels(9, 30, 40, 3), (1, 3, 24, 32), "float32", "imagenet,order=bgr")
    offered = error.hint.split("--preprocess ")[1]
    result, _ = fed(pixels(9, 30, 40, 3), (1, 3, 24, 32), "float32", offered)
    assert result.shape == (9, 3, 24, 32)


def test_a_scalar_takes_one_value_a_row():
    assert fed(numbers(3), ())[0].shape == (3,)
    assert refused(numbers(3, 2), ()).code == "OQ121"


def test_integers_of_the_same_width_never_wrap():
    wanted = TensorSpec("x", "int8", ("N", 2))
    cast = plan_cast(wanted, RawArray("x", np.dtype(np.uint8), (3, 2)), "rows.npz")
    _, changed = apply_cast(np.array([[1, 2], [200, 3], [127, 128]], np.uint8), cast)
    assert changed == [1, 2]


def test_a_cast_for_a_quantized_input_says_what_the_input_stands_for():
    wanted = TensorSpec("x", "int8", ("N", 8), scale=0.5)
    fit = plan_fit(wanted, RawArray("data", np.dtype("uint8"), (5, 8)), AsGiven(), "val.npz")
    (finding,) = describe_fit(fit, "val.npz")
    assert "from uint8 to float32" in finding.message
    assert "is int8 and stands for float32" in finding.message
