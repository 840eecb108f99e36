"""``.npy``, and folders of ``.npy`` and ``.npz``: which reading is taken, and that it is said."""

import json
from pathlib import Path

import numpy as np
import pytest

from onnxq.datasets.loading import data_specs, load_rows
from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.values import AsGiven, DataRequest
from onnxq.errors import DatasetError
from onnxq.events import tell_nobody
from onnxq.stages import LoadRowsRequest, NoDataRequest
from onnxq.tensors import Signature, TensorSpec

X = np.arange(24 * 6, dtype=np.float32).reshape(24, 2, 3)
Y = np.arange(24) % 4


def signature(*inputs):
    specs = tuple(TensorSpec(name, dtype, shape) for name, dtype, shape in inputs)
    return Signature(specs, (TensorSpec("scores", "float32", ("N", 4)),))


ONE = signature(("x", "float32", ("N", 2, 3)))


@pytest.fixture
def load(tmp_path):
    def load_all(path, model=ONE, preprocess="", **options):
        work = tmp_path / "work"
        work.mkdir()
        spec = parse_preprocess(preprocess) if preprocess else AsGiven()
        request = LoadRowsRequest(
            data=DataRequest(spec=str(path), preprocess=spec, **options),
            calibration=NoDataRequest(),
            signature=model,
            declared=(),
            split=False,
        )
        result = load_rows(request, work, tell_nobody)
        rows = result.evaluation.rows
        arrays = {name: np.load(file) for name, file in rows.inputs.items()}
        labels = np.load(rows.labels) if rows.labels else None
        notes = [one.message for one in result.findings if one.code == "OQ133"]
        return arrays, labels, json.loads(Path(rows.row_names).read_text()), notes

    return load_all


def write(folder, **arrays):
    for name, array in arrays.items():
        path = folder / f"{name.replace('__', '/')}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
    return folder


def write_npz(folder, **files):
    folder.mkdir()
    for name, arrays in files.items():
        np.savez(folder / f"{name}.npz", **arrays)
    return folder


@pytest.mark.parametrize("stored", [X, np.asfortranarray(X), X.astype(">f4"), X[:0]])
def test_one_file_is_the_only_input(load, tmp_path, stored):
    np.save(tmp_path / "val.npy", stored)
    if not len(stored):
        with pytest.raises(DatasetError) as caught:
            load(tmp_path / "val.npy")
        assert caught.value.code == "OQ124"
        return
    arrays, labels, _, notes = load(tmp_path / "val.npy")
    np.testing.assert_array_equal(arrays["x"], X)
    assert (labels, notes) == (None, [])


def test_files_named_like_inputs_and_labels_are_arrays(load, tmp_path):
    folder = write(tmp_path / "val", x=X, y=Y)
    arrays, labels, _, notes = load(folder)
    np.testing.assert_array_equal(arrays["x"], X)
    np.testing.assert_array_equal(labels, Y)
    assert notes == ["val/ was read as arrays by name: x, y."]


def test_files_of_other_names_are_mapped(load, tmp_path):
    folder = write(tmp_path / "val", images=X, truth=Y, other=X + 1)
    arrays, labels, _, _ = load(folder, mapping={"x": "images", "labels": "truth"})
    np.testing.assert_array_equal(arrays["x"], X)
    np.testing.assert_array_equal(labels, Y)


def test_several_inputs_come_from_files_of_their_names(load, tmp_path):
    folder = write(tmp_path / "val", ids=Y[:, None], x=X)
    model = signature(("x", "float32", ("N", 2, 3)), ("ids", "int64", ("N", 1)))
    arrays, labels, _, _ = load(folder, model)
    np.testing.assert_array_equal(arrays["ids"], Y[:, None])
    assert labels is None


def test_files_in_class_folders_are_a_row_each(load, tmp_path):
    folder = write(tmp_path / "val", **{f"{'ab'[i % 2]}__{i}": X[i] for i in range(6)})
    arrays, labels, names, notes = load(folder)
    np.testing.assert_array_equal(arrays["x"], X[[0, 2, 4, 1, 3, 5]])
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert names[:2] == ["a/0.npy", "a/2.npy"]
    assert notes == ["val/ was read as one row a file, 6 rows."]


def test_files_with_the_shape_of_a_row_are_a_row_each(load, tmp_path):
    folder = write(tmp_path / "val", **{f"{i:02d}": X[i] for i in range(12)})
    arrays, labels, _, notes = load(folder)
    np.testing.assert_array_equal(arrays["x"], X[:12])
    assert labels is None
    assert notes == ["val/ was read as one row a file, 12 rows."]


def test_a_pattern_tells_the_classes_of_rows(load, tmp_path):
    folder = write(tmp_path / "val", **{f"{Y[i]}_{i:02d}": X[i] for i in range(8)})
    _, labels, _, _ = load(folder, classes=r"^(\d)_")
    assert labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_files_with_rows_follow_one_another(load, tmp_path):
    folder = write(tmp_path / "val", a=X[:5], b=X[5:6], c=X[6:])
    arrays, _, names, notes = load(folder)
    np.testing.assert_array_equal(arrays["x"], X)
    assert names == [str(index) for index in range(24)]
    assert "rows along axis 0 of 3 files" in notes[0]


def test_rows_of_pixels_are_preprocessed(load, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    folder = write(tmp_path / "val", **{str(i): pixels[i] for i in range(6)})
    model = signature(("x", "float32", ("N", 3, 8, 8)))
    arrays, _, _, _ = load(folder, model, preprocess="zero-one")
    expected = pixels.transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_array_equal(arrays["x"], expected)


def test_npz_files_follow_one_another(load, tmp_path):
    folder = write_npz(tmp_path / "val", b={"x": X[9:], "y": Y[9:]}, a={"y": Y[:9], "x": X[:9]})
    arrays, labels, _, notes = load(folder)
    np.testing.assert_array_equal(arrays["x"], X)
    np.testing.assert_array_equal(labels, Y)
    assert notes == [
        "val/ was read as rows along axis 0 of 2 files, one after the other in sorted order, 24 rows."  # noqa: E501 - as it is said
    ]


def test_npz_files_may_be_a_row_each(load, tmp_path):
    files = {f"{i:02d}": {"x": X[i], "y": Y[i]} for i in range(10)}
    arrays, labels, names, notes = load(write_npz(tmp_path / "val", **files))
    np.testing.assert_array_equal(arrays["x"], X[:10])
    np.testing.assert_array_equal(labels, Y[:10])
    assert names[3] == "03.npz"
    assert notes == ["val/ was read as one row a file, 10 rows."]


def test_what_a_folder_looks_like_is_told_without_a_model(tmp_path):
    folder = write(tmp_path / "val", x=X, y=Y)
    specs = data_specs(DataRequest(spec=str(folder)), channels_first=True)
    assert [str(one) for one in specs] == ["x float32 [N, 2, 3]"]


def broken(folder, name):
    write(folder, a=X[:4], b=X[4:8])
    content = (folder / "b.npy").read_bytes()
    texts = {
        "short": content[:-4],
        "empty": b"",
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "text": b"this is no array\n" * 20,
    }
    (folder / "b.npy").write_bytes(texts[name])
    return folder


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (lambda f: broken(f, "short"), "OQ127", "claims float32 [4, 2, 3], 96 bytes: found 92"),
        (lambda f: broken(f, "empty"), "OQ127", "b.npy is not a whole .npy file"),
        (lambda f: broken(f, "pointer"), "OQ127", "git lfs pull"),
        (lambda f: broken(f, "text"), "OQ127", "b.npy is not a whole .npy file"),
        (lambda f: write(f, a=np.array([{}]), b=X), "OQ127", "Python objects"),
        (lambda f: write(f, a=np.zeros(4), b=np.zeros(4)), "OQ127", "in two ways"),
        (lambda f: write(f, a__1=X[0], b=X[0]), "OQ127", "both in subfolders and beside them"),
        (lambda f: write(f, a__1=X[0], b__1=X[0, :1]), "OQ121", "expected rows of one form"),
        (lambda f: write(f, a=X[:4], b=X[4:6, :1], c=X), "OQ127", "rows of one dtype and shape"),
        (lambda f: write(f, a=X[:4], b=Y), "OQ121", "--map x=a"),
        (lambda f: write_npz(f, a={"x": X}, b={"z": X}), "OQ127", "same arrays in every file"),
        (lambda f: write_npz(f, a={"x": X, "y": Y[:9]}), "OQ127", "as many rows in each"),
        (
            lambda f: write_npz(f, a={"x": X[0], "y": Y[0]}, b={"x": X[1], "y": Y[1:2]}),
            "OQ121",
            "expected rows of one form",
        ),
        (lambda f: write_npz(f, a={"x": X}, b={"x": X.astype("f8")}), "OQ127", "b.npz"),
    ],
)
def test_what_cannot_be_read_is_said(load, tmp_path, make, code, says):
    with pytest.raises(DatasetError) as caught:
        load(make(tmp_path / "val"))
    assert caught.value.code == code
    assert says in f"{caught.value.message} {caught.value.hint}"


def test_npz_files_in_subfolders_are_refused(load, tmp_path):
    write_npz(tmp_path / "val", a={"x": X})
    write_npz(tmp_path / "val" / "sub", b={"x": X})
    with pytest.raises(DatasetError, match="in subfolders"):
        load(tmp_path / "val")


def test_classes_are_not_for_arrays_by_name(load, tmp_path):
    with pytest.raises(DatasetError) as caught:
        load(write_npz(tmp_path / "val", a={"x": X}), classes=r"^(\d)")
    assert caught.value.code == "OQ125"


TWO = signature(("a", "float32", ("N", "L", 3)), ("b", "float32", ("N", "M", 2)))


def test_rows_of_several_inputs_that_differ_in_shape_are_a_file_each(load, tmp_path):
    """As the hint says, which stands where a folder of arrays can be read in two ways."""
    one_each = write(tmp_path / "rag", **{f"{i}": np.zeros((3 + i, 3), np.float32) for i in (0, 1)})
    with pytest.raises(DatasetError, match="in two ways") as caught:
        load(one_each, TWO)
    assert "np.savez(f'rows/{i:05}.npz', **{'a': a[i], 'b': b[i]})" in caught.value.hint
    a = [np.full((3 + i, 3), i, np.float32) for i in range(6)]
    b = [np.full((2 + i % 2, 2), i, np.float32) for i in range(6)]
    (tmp_path / "rows").mkdir()
    for i in range(6):
        np.savez(tmp_path / f"rows/{i:05}.npz", a=a[i], b=b[i])
    (tmp_path / "work").rmdir()
    _, _, names, notes = load(tmp_path / "rows", TWO)
    assert names[5] == "00005.npz"
    assert notes == ["rows/ was read as one row a file, 6 rows."]
