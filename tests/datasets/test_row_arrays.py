"""Rows in files, in memory and in a row are read alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxq.datasets.row_arrays import (
    FlatRows,
    HeldRows,
    RowFile,
    equal_stretches,
    is_ragged,
    kinds_of,
    open_row_arrays,
    row_blocks,
    same_shapes,
    typical_row,
)
from onnxq.datasets.values import StoredRows
from onnxq.errors import DatasetError

DTYPES = ("float32", "float16", "int64", "uint8", "bool")


def rows_like(shapes, dtype="float32", seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 100, shape).astype(dtype) for shape in shapes]


def store(folder, rows, *, ragged):
    """Store rows as the loader does."""
    paths = {"x": str(folder / "x.npy"), "shapes": str(folder / "x-shapes.npy")}
    np.save(paths["x"], np.concatenate([row.ravel() for row in rows]) if ragged else np.stack(rows))
    np.save(paths["shapes"], np.array([row.shape for row in rows], np.int64))
    return StoredRows(
        inputs={"x": paths["x"]},
        count_rows=len(rows),
        labels="",
        row_names="",
        shapes={"x": paths["shapes"]} if ragged else {},
    )


def in_every_form(folder, rows):
    shapes = np.array([row.shape for row in rows], np.int64).reshape(len(rows), -1)
    forms = [
        open_row_arrays(store(folder, rows, ragged=True))["x"],
        FlatRows(np.concatenate([row.ravel() for row in rows]), shapes),
        HeldRows(rows),
    ]
    if len({row.shape for row in rows}) == 1:
        forms += [
            open_row_arrays(store(folder, rows, ragged=False))["x"],
            HeldRows(np.stack(rows)),
        ]
    return forms


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shapes", [[(2, 3)] * 5, [(2, 3), (2, 3), (4, 1), (0, 3), (2, 3)], [(), (), ()]]
)
def test_every_form_gives_the_same_rows(tmp_path, dtype, shapes):
    rows = rows_like(shapes, dtype)
    for form in in_every_form(tmp_path, rows):
        assert form.dtype == dtype
        assert form.shapes.tolist() == [list(shape) for shape in shapes]
        for at, row in enumerate(rows):
            taken = form.take([at])
            assert (taken.shape, taken.dtype) == ((1, *row.shape), row.dtype)
            assert taken.flags.c_contiguous
            np.testing.assert_array_equal(taken[0], row)


def test_rows_of_one_shape_are_taken_in_any_order(tmp_path):
    rows = rows_like([(2, 3)] * 6)
    for form in in_every_form(tmp_path, rows):
        for taken in ([0, 1, 2], [4, 5, 0], [3, 3, 3], [5, 3, 4, 4]):
            np.testing.assert_array_equal(form.take(taken), np.stack([rows[at] for at in taken]))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from([(1, 2), (2, 2), (0, 2)]), min_size=1, max_size=12),
    st.data(),
)
def test_blocks_are_the_rows_in_order(shapes, data):
    rows = rows_like(shapes)
    chosen = sorted(data.draw(st.sets(st.integers(0, len(rows) - 1), min_size=1)))
    blocks = list(row_blocks(HeldRows(rows), np.array(chosen), block_bytes=32))
    flat = [row for block in blocks for row in block]
    assert len(flat) == len(chosen)
    for row, at in zip(flat, chosen, strict=True):
        np.testing.assert_array_equal(row, rows[at])
    assert all(len(block) == 1 or block.nbytes <= 32 for block in blocks)


def test_stretches_are_what_is_alike_and_adjacent():
    shapes = np.array([[1, 2], [1, 2], [3, 2], [1, 2]])
    assert list(equal_stretches(shapes)) == [(0, 2), (2, 3), (3, 4)]
    assert list(equal_stretches(same_shapes((), 3))) == [(0, 3)]
    assert list(equal_stretches(same_shapes((4,), 0))) == []


def test_ragged_is_what_differs():
    assert is_ragged(np.array([[1, 2], [2, 1]]))
    assert not is_ragged(same_shapes((2, 1), 5))
    assert not is_ragged(same_shapes((), 5))


@pytest.mark.parametrize(("lengths", "row"), [([5, 1, 9], 0), ([4, 4], 0), ([1, 9, 3, 3, 2], 2)])
def test_the_typical_row_is_of_median_size(lengths, row):
    arrays = {
        "ids": HeldRows(rows_like([(length,) for length in lengths])),
        "mask": HeldRows(rows_like([(length,) for length in lengths])),
    }
    assert typical_row(arrays) == row


def test_rows_of_one_kind_have_the_shapes_and_the_values_of_whole_inputs():
    arrays = {
        "x": HeldRows(rows_like([(2,), (2,), (3,), (2,)])),
        "threshold": HeldRows(np.array([1.0, 1.0, 1.0, 2.0], np.float32)),
    }
    first, second, third, fourth = kinds_of(arrays, ("threshold",))
    assert first == second
    assert len({first, third, fourth}) == 3
    assert len(set(kinds_of(arrays, ()))) == 2


def test_a_file_that_does_not_hold_its_rows_is_refused(tmp_path):
    rows = store(tmp_path, rows_like([(2, 3), (1, 3)]), ragged=True)
    np.save(tmp_path / "x.npy", np.zeros(8, np.float32))
    with pytest.raises(DatasetError, match="2 rows and 8 values: expected 2 rows and 9 values"):
        open_row_arrays(rows)


def test_a_file_that_is_cut_while_it_is_used_is_named(tmp_path):
    x = open_row_arrays(store(tmp_path, rows_like([(2, 3)] * 3), ragged=False))["x"]
    assert isinstance(x, RowFile)
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-4])
    np.testing.assert_array_equal(x.take([0]).shape, (1, 2, 3))
    with pytest.raises(DatasetError, match=r"x\.npy cannot be read: it ends too early"):
        x.take([2])


def test_fortran_order_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.asfortranarray(np.zeros((3, 2))))
    rows = StoredRows(inputs={"x": str(tmp_path / "x.npy")}, count_rows=3, labels="", row_names="")
    with pytest.raises(DatasetError, match="Fortran"):
        open_row_arrays(rows)
