import hashlib
import re

import numpy as np
import pytest

from onnxq.datasets.row_digests import rows_sha256
from onnxq.datasets.values import StoredRows
from onnxq.errors import DatasetError


def store(folder, *, whole=(), shapes=None, **arrays):
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, array in (arrays | (shapes or {})).items():
        paths[name] = str(folder / f"{name}.npy")
        np.save(paths[name], array)
    return StoredRows(
        inputs={name: paths[name] for name in arrays},
        count_rows=len(next(iter(arrays.values()))),
        labels="",
        row_names="",
        shapes={name.removesuffix("-shapes"): paths[name] for name in shapes or {}},
        whole=whole,
    )


X = np.arange(24, dtype=np.float32).reshape(4, 6)
Y = np.arange(4, dtype=np.int64)


def test_it_is_the_sha256_of_a_described_content(tmp_path):
    expected = hashlib.sha256(b'["rows", "x"]\n["<f4", "[4, 6]", "C"]\n' + X.tobytes())
    assert rows_sha256(store(tmp_path, x=X)) == f"sha256:{expected.hexdigest()}"


def test_paths_and_the_order_of_inputs_do_not_matter(tmp_path):
    one = rows_sha256(store(tmp_path / "one", x=X, y=Y))
    assert one == rows_sha256(store(tmp_path / "two", y=Y, x=X))
    assert re.fullmatch("sha256:[0-9a-f]{64}", one)


def test_labels_and_row_names_do_not_matter(tmp_path):
    one = store(tmp_path, x=X)
    other = StoredRows(inputs=one.inputs, count_rows=4, labels="labels.npy", row_names="names")
    assert rows_sha256(one) == rows_sha256(other)


@pytest.mark.parametrize(
    "other",
    [
        {"x": X + np.float32(1e-6)},
        {"x": X.reshape(4, 3, 2)},
        {"x": X.view(np.int32)},
        {"x": X[:3]},
        {"x": X[::-1]},
        {"z": X},
        {"x": X, "y": Y},
        {"x": X, "whole": ("x",)},
        {"x": X.reshape(-1), "shapes": {"x-shapes": np.array([[6], [6], [6], [6]])}},
    ],
    ids=["value", "shape", "dtype", "count", "order", "name", "input", "whole", "ragged"],
)
def test_whatever_a_model_is_fed_matters(tmp_path, other):
    assert rows_sha256(store(tmp_path / "one", x=X)) != rows_sha256(store(tmp_path / "b", **other))


def test_shapes_of_ragged_rows_matter(tmp_path):
    def digest(name, *shapes):
        return rows_sha256(
            store(tmp_path / name, x=X.reshape(-1), shapes={"x-shapes": np.array(shapes)})
        )

    assert digest("a", [2, 3], [3, 6]) != digest("b", [3, 2], [3, 6])
    assert digest("c", [2, 3], [3, 6]) == digest("a", [2, 3], [3, 6])


def test_files_larger_than_a_chunk_are_read_to_the_end(tmp_path):
    x = np.zeros((3, 1 << 18), np.float32)
    first = rows_sha256(store(tmp_path / "a", x=x))
    x[-1, -1] = 1
    assert rows_sha256(store(tmp_path / "b", x=x)) != first


def test_rows_without_values_have_a_digest(tmp_path):
    one = rows_sha256(store(tmp_path / "a", x=np.zeros((2, 0, 4), np.float32)))
    assert one != rows_sha256(store(tmp_path / "b", x=np.zeros((3, 0, 4), np.float32)))


def test_a_damaged_file_is_refused(tmp_path):
    rows = store(tmp_path, x=X)
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content[:-4])
    with pytest.raises(DatasetError) as caught:
        rows_sha256(rows)
    assert caught.value.code == "OQ127"
