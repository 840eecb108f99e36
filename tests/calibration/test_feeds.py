import numpy as np
import pytest

from onnxq.calibration.feeds import Feeds, open_feeds
from onnxq.datasets.row_arrays import RowFile
from onnxq.datasets.values import StoredRows
from onnxq.errors import DatasetError


def rows_of(count, *shape):
    return np.arange(count * int(np.prod(shape)), dtype=np.float32).reshape(count, *shape)


def test_every_row_is_fed_once_with_a_batch_of_one():
    x = rows_of(5, 2, 3)
    feeds = Feeds({"x": x})
    assert len(feeds) == 5
    np.testing.assert_array_equal(np.concatenate([feed["x"] for feed in feeds]), x)
    assert feeds.dropped_rows == 0


def test_the_last_partial_batch_is_left_out_and_counted():
    x = rows_of(10, 2)
    feeds = Feeds({"x": x}, batch_rows=4)
    assert (len(feeds), feeds.dropped_rows) == (2, 2)
    np.testing.assert_array_equal(np.concatenate([feed["x"] for feed in feeds]), x[:8])


def test_fewer_rows_than_a_batch_are_repeated():
    feeds = Feeds({"x": rows_of(3, 1)}, batch_rows=8)
    assert (len(feeds), feeds.dropped_rows) == (1, 0)
    assert feeds.rows_of(0) == [0, 1, 2, 0, 1, 2, 0, 1]


def test_inputs_are_fed_together():
    feeds = Feeds({"a": rows_of(4, 2), "b": rows_of(4)}, batch_rows=2)
    assert {name: value.tolist() for name, value in feeds[1].items()} == {
        "a": [[4.0, 5.0], [6.0, 7.0]],
        "b": [2.0, 3.0],
    }


@pytest.mark.parametrize("run", [-1, 3])
def test_there_are_no_other_runs(run):
    with pytest.raises(IndexError):
        Feeds({"x": rows_of(3, 1)})[run]


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({}, "OQ124"),
        ({"x": rows_of(0, 2)}, "OQ124"),
        ({"x": np.float32(1.0)}, "OQ124"),
        ({"x": rows_of(3, 1), "y": rows_of(4, 1)}, "OQ121"),
    ],
)
def test_bad_rows_are_refused(arrays, code):
    with pytest.raises(DatasetError) as caught:
        Feeds({name: np.asarray(array) for name, array in arrays.items()})
    assert caught.value.code == code


def test_a_batch_has_rows():
    with pytest.raises(ValueError, match="batch_rows must be positive"):
        Feeds({"x": rows_of(3, 1)}, batch_rows=0)


def test_stored_rows_stay_on_disk_until_they_are_fed(tmp_path):
    np.save(tmp_path / "x.npy", rows_of(4, 2))
    stored = StoredRows(
        inputs={"x": str(tmp_path / "x.npy")}, count_rows=4, labels="", row_names=""
    )
    feeds = open_feeds(stored, batch_rows=2)
    assert isinstance(feeds.arrays["x"], RowFile)
    fed = feeds[0]["x"]
    assert not isinstance(fed.base, np.memmap)
    assert fed.flags.c_contiguous


def test_rows_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"not an array")
    stored = StoredRows(
        inputs={"x": str(tmp_path / "x.npy")}, count_rows=4, labels="", row_names=""
    )
    with pytest.raises(DatasetError, match=r"x\.npy") as caught:
        open_feeds(stored)
    assert caught.value.code == "OQ127"
