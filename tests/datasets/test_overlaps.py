"""Rows that are in both sets are found by what the model is fed, whatever is on disk."""

import numpy as np
import pytest
from PIL import Image

from onnxq.datasets.loading import load_rows
from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.values import AsGiven, DataRequest
from onnxq.events import tell_nobody
from onnxq.stages import LoadRowsRequest, NoDataRequest
from onnxq.tensors import Signature, TensorSpec

SCORES = (TensorSpec("scores", "float32", ("N", 4)),)
FLAT = Signature((TensorSpec("x", "float32", ("N", 8)),), SCORES)
IMAGE = Signature((TensorSpec("x", "float32", ("N", 3, 8, 8)),), SCORES)
TOKENS = Signature((TensorSpec("ids", "int64", ("N", "L")),), SCORES)
PAIR = Signature(
    (TensorSpec("a", "float32", ("N", 8)), TensorSpec("b", "float32", ("N", 8))), SCORES
)


@pytest.fixture
def overlap(tmp_path):
    def found(signature, data, calib=None, preprocess=""):
        work = tmp_path / "work"
        work.mkdir()
        spec = parse_preprocess(preprocess) if preprocess else AsGiven()
        result = load_rows(
            LoadRowsRequest(
                data=DataRequest(spec=str(data), preprocess=spec),
                calibration=DataRequest(spec=str(calib), preprocess=spec)
                if calib
                else NoDataRequest(),
                signature=signature,
                declared=(),
            ),
            work,
            tell_nobody,
        )
        return [one for one in result.findings if one.code == "OQ141"]

    return found


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def integers(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_the_same_values_in_another_dtype_are_the_same_row(tmp_path, overlap):
    x = integers(9, 8)
    data = save(tmp_path / "val.npz", x=x.astype(np.float64))
    calib = save(tmp_path / "calib.npz", x=np.concatenate([integers(3, 8, seed=1), x[4:6]]))
    (finding,) = overlap(FLAT, data, calib)
    assert finding.evidence == {
        "shared_rows": 2,
        "calibration_rows": 5,
        "evaluation_rows": 2,
        "calibration_row": "row 3",
        "evaluation_row": "row 4",
    }
    assert finding.message == (
        "2 of 5 calibration rows are among the 9 evaluation rows: row 3 of calib.npz is row 4 of "
        "val.npz, and so on."
    )


def test_the_same_image_in_another_layout_is_the_same_row(tmp_path, overlap):
    x = integers(6, 3, 8, 8)
    data = save(tmp_path / "val.npz", x=x)
    calib = save(tmp_path / "calib.npz", x=x[2:3].transpose(0, 2, 3, 1))
    (finding,) = overlap(IMAGE, data, calib)
    assert finding.evidence["shared_rows"] == 1
    assert "Leave --calib out" in finding.fix


def test_the_same_file_given_twice_is_told_as_such(tmp_path, overlap):
    data = save(tmp_path / "val.npz", x=integers(12, 8))
    (finding,) = overlap(FLAT, data, data)
    assert finding.message.startswith("12 of 12 calibration rows are among the 12 evaluation rows")
    assert "Leave --calib out" in finding.fix


def test_photos_are_found_under_other_names(tmp_path, overlap):
    for folder, names, seeds in (("val", "abcd", range(4)), ("calib", "xyz", (7, 2, 8))):
        (tmp_path / folder).mkdir()
        for name, seed in zip(names, seeds, strict=True):
            image = Image.fromarray(integers(8, 8, 3, seed=seed))
            image.save(tmp_path / folder / f"{name}.png")
    (finding,) = overlap(IMAGE, tmp_path / "val", tmp_path / "calib", "zero-one")
    assert finding.evidence["shared_rows"] == 1
    assert "y.png of calib/ is c.png of val/" in finding.message


def test_ragged_rows_are_compared_with_their_shapes(tmp_path, overlap):
    for folder, rows in (
        ("val", [[1, 2, 3], [4, 5], [0, 0]]),
        ("calib", [[4, 5], [4, 5, 0], [0, 0, 0]]),
    ):
        (tmp_path / folder).mkdir()
        for number, row in enumerate(rows):
            np.save(tmp_path / folder / f"{number}.npy", np.array(row, np.int64))
    (finding,) = overlap(TOKENS, tmp_path / "val", tmp_path / "calib")
    assert finding.evidence["shared_rows"] == 1


def test_rows_are_equal_only_where_all_inputs_are(tmp_path, overlap):
    a, b = integers(9, 8), integers(9, 8, seed=1)
    data = save(tmp_path / "val.npz", a=a, b=b)
    calib = save(tmp_path / "calib.npz", a=a[:4], b=np.concatenate([b[:1], b[5:8]]))
    (finding,) = overlap(PAIR, data, calib)
    assert finding.evidence["shared_rows"] == 1


def test_rows_that_a_file_holds_twice_are_named(tmp_path, overlap):
    x = integers(10, 8)
    (finding,) = overlap(FLAT, save(tmp_path / "val.npz", x=np.concatenate([x, x])))
    first, twin = (finding.evidence[f"{part}_row"] for part in ("calibration", "evaluation"))
    assert abs(int(first.removeprefix("row ")) - int(twin.removeprefix("row "))) == 10
    assert finding.message.endswith("which are the same, and so on.")
    assert "more than once" in finding.fix


def test_one_calibration_row_may_stand_for_many_evaluation_rows(tmp_path, overlap):
    x = integers(9, 8)
    data = save(tmp_path / "val.npz", x=np.concatenate([x, np.repeat(x[:1], 5, axis=0)]))
    calib = save(tmp_path / "calib.npz", x=np.concatenate([x[:1], integers(2, 8, seed=1)]))
    (finding,) = overlap(FLAT, data, calib)
    assert (finding.evidence["shared_rows"], finding.evidence["evaluation_rows"]) == (1, 6)
    assert finding.message.startswith("1 of 3 calibration rows is among")


def test_other_rows_are_no_leak(tmp_path, overlap):
    data = save(tmp_path / "val.npz", x=integers(30, 8))
    assert not overlap(FLAT, data, save(tmp_path / "calib.npz", x=integers(9, 8, seed=1)))
