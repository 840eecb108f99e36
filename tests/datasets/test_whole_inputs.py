"""Inputs without a batch axis: scalars, sizes, flags, what is the same for every row."""

import numpy as np
import pytest

from onnxq.conversion.parity_probes import make_probes
from onnxq.datasets.loading import load_probe_rows, load_rows
from onnxq.datasets.row_arrays import open_row_arrays
from onnxq.datasets.values import AsGiven, DataRequest
from onnxq.errors import DatasetError
from onnxq.events import tell_nobody
from onnxq.stages import LoadRowsRequest, NoDataRequest
from onnxq.tensors import Signature, TensorSpec

X = np.arange(36, dtype=np.float32).reshape(6, 2, 3)
SPEC = TensorSpec("x", "float32", ("N", 2, 3))
CODE = """
import numpy as np
X = np.arange(36, dtype=np.float32).reshape(6, 2, 3)

def rows():
    for number, row in enumerate(X):
        yield {"x": row, "threshold": 0.5, "sizes": [2, 3], "training": number < 3}

def growing():
    for number, row in enumerate(X):
        yield {"x": row, "boxes": np.ones((number % 3, 4), np.float32)}
"""


def with_x(*specs):
    return Signature((SPEC, *specs), (TensorSpec("scores", "float32", ("N", 4)),))


THRESHOLD = TensorSpec("threshold", "float32", ())
TRAINING = TensorSpec("training", "bool", ())
SIZES = TensorSpec("sizes", "int64", (2,))
BOXES = TensorSpec("boxes", "float32", ("M", 4))


@pytest.fixture
def load(tmp_path):
    def load_all(signature, path="", **arrays):
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        if arrays:
            path = tmp_path / "rows.npz"
            np.savez(path, **arrays)
        request = LoadRowsRequest(
            data=DataRequest(spec=str(path), preprocess=AsGiven()),
            calibration=NoDataRequest(),
            signature=signature,
            declared=(),
            split=False,
        )
        result = load_rows(request, work, tell_nobody)
        rows = result.evaluation.rows
        said = [one.message for one in result.findings if one.code == "OQ137"]
        assert len(said) == bool(rows.whole)
        assert all(name in said[0] for name in rows.whole)
        arrays = open_row_arrays(rows)
        every = {
            name: [one.take([row])[0, ...] for row in range(rows.count_rows)]
            for name, one in arrays.items()
        }
        return every, rows

    return load_all


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_a_row_feeds_a_scalar_one_value(load, shape):
    values = np.linspace(0, 1, 6, dtype=np.float32).reshape(shape)
    every, rows = load(with_x(THRESHOLD), x=X, threshold=values)
    assert rows.whole == ("threshold",)
    assert [value.shape for value in every["threshold"]] == [()] * 6
    assert np.array(every["threshold"]).tolist() == values.ravel().tolist()


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (THRESHOLD, np.float64(0.5)),
        (TRAINING, np.bool_(False)),
        (SIZES, np.array([2, 3])),
        (TensorSpec("sizes", "float32", (2,)), np.array([2, 3])),
    ],
)
def test_one_value_serves_every_row(load, spec, value):
    every, rows = load(with_x(spec), **{"x": X, spec.name: value})
    assert rows.whole == (spec.name,)
    assert all(np.array_equal(one, value) for one in every[spec.name])
    assert {one.dtype.name for one in every[spec.name]} == {spec.dtype}
    assert len(every[spec.name]) == 6


def test_every_row_may_have_sizes_of_its_own(load):
    sizes = np.arange(12).reshape(6, 2)
    every, rows = load(with_x(SIZES), x=X, sizes=sizes)
    assert (rows.whole, rows.shapes) == (("sizes",), {})
    np.testing.assert_array_equal(every["sizes"], sizes)


def test_a_fixed_batch_is_a_batch_where_rows_fit_it(load):
    """``[2]`` is a batch of two scalars if rows are scalars."""
    _, rows = load(with_x(SIZES), x=X, sizes=np.arange(6))
    assert rows.whole == ()


def test_an_image_may_have_no_batch_axis(load, tmp_path):
    image = Signature((TensorSpec("image", "float32", (3, "H", "W")),), ())
    (tmp_path / "rows" / "c").mkdir(parents=True)
    for number, (height, width) in enumerate([(4, 5), (6, 2), (4, 5)]):
        np.save(tmp_path / "rows" / "c" / f"{number}.npy", np.ones((3, height, width), np.float32))
    every, rows = load(image, tmp_path / "rows")
    assert rows.whole == ("image",)
    assert [one.shape for one in every["image"]] == [(3, 4, 5), (3, 6, 2), (3, 4, 5)]


def test_code_gives_python_numbers_and_lists(load, tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    every, rows = load(with_x(THRESHOLD, SIZES, TRAINING), f"{tmp_path / 'code.py'}:rows")
    assert rows.whole == ("threshold", "sizes", "training")
    assert np.array(every["threshold"]).tolist() == [0.5] * 6
    assert np.array(every["sizes"]).tolist() == [[2, 3]] * 6
    assert np.array(every["training"]).tolist() == [True] * 3 + [False] * 3
    np.testing.assert_array_equal(every["x"], X)


def test_an_axis_of_another_symbol_is_no_batch(load, tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    every, rows = load(with_x(BOXES), f"{tmp_path / 'code.py'}:growing")
    assert rows.whole == ("boxes",)
    assert [one.shape for one in every["boxes"]] == [(n % 3, 4) for n in range(6)]


@pytest.mark.parametrize(
    ("signature", "arrays"),
    [
        (with_x(THRESHOLD), {"x": X, "threshold": np.zeros((6, 2), np.float32)}),
        (with_x(THRESHOLD), {"x": X, "threshold": np.zeros(5, np.float32)}),
        (with_x(SIZES), {"x": X, "sizes": np.arange(3)}),
        (Signature((SPEC,), ()), {"x": np.zeros((6, 4, 2, 3), np.float32)}),
    ],
    ids=["two-values", "too-few", "another-size", "batches"],
)
def test_what_fits_neither_way_is_refused(load, signature, arrays):
    with pytest.raises(DatasetError) as caught:
        load(signature, **arrays)
    assert caught.value.code == "OQ121"
    assert caught.value.hint


def test_probes_share_what_has_no_batch_axis(tmp_path):
    """They are what an export is compared on, a batch at a time."""
    flags = np.array([True, True, True, False, True, True])
    np.savez(tmp_path / "rows.npz", x=X, training=flags, sizes=np.array([2, 3]))
    signature = with_x(TRAINING, SIZES)
    rows = load_probe_rows(DataRequest(spec=str(tmp_path / "rows.npz")), signature, count_rows=5)
    assert {name: array.shape for name, array in rows.items()} == {
        "x": (3, 2, 3),
        "training": (3,),
        "sizes": (3, 2),
    }
    for probe in make_probes(with_x(TRAINING), rows, (), traced_rows=1, seed=0):
        assert probe.inputs["x"].shape == (probe.batch_rows, 2, 3)
        assert probe.inputs["training"].shape == ()
