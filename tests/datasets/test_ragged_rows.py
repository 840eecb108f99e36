"""Rows that differ in shape, from every form that can hold them: where the model lets them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onnxq.datasets.loading import load_probe_rows, load_rows
from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.row_arrays import open_row_arrays
from onnxq.datasets.values import AsGiven, DataRequest
from onnxq.errors import DatasetError
from onnxq.events import tell_nobody
from onnxq.stages import LoadRowsRequest, NoDataRequest
from onnxq.tensors import Signature, TensorSpec

SCORES = (TensorSpec("scores", "float32", ("N", 4)),)
TOKENS = Signature((TensorSpec("ids", "int64", ("N", "L")),), SCORES)
FIXED_TOKENS = Signature((TensorSpec("ids", "int64", ("N", 7)),), SCORES)
IMAGE = Signature((TensorSpec("x", "float32", ("N", 3, "H", "W")),), SCORES)
FIXED_IMAGE = Signature((TensorSpec("x", "float32", ("N", 3, 8, 8)),), SCORES)
PAIR = Signature(
    (TensorSpec("ids", "int64", ("N", "L")), TensorSpec("mask", "bool", ("N", "L"))), SCORES
)
LENGTHS = (7, 3, 3, 9, 1, 7, 5, 12, 2, 7)


def sequences():
    generator = np.random.default_rng(0)
    return [generator.integers(0, 50, length) for length in LENGTHS]


def images(dtype=np.float32):
    generator = np.random.default_rng(1)
    sizes = [(8, 8), (6, 10), (6, 10), (12, 5), (8, 8), (9, 9)]
    return [(generator.random((3, h, w)) * 255).astype(dtype) for h, w in sizes]


@pytest.fixture
def load(tmp_path):
    def load_all(path, signature, *, split=False, preprocess="", **options):
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        spec = parse_preprocess(preprocess) if preprocess else AsGiven()
        request = LoadRowsRequest(
            data=DataRequest(spec=str(path), preprocess=spec, **options),
            calibration=NoDataRequest(),
            signature=signature,
            declared=(),
            split=split,
        )
        return load_rows(request, work, tell_nobody)

    return load_all


def rows_of(part, name):
    array = open_row_arrays(part.rows)[name]
    return [array.take([row])[0] for row in range(part.rows.count_rows)]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_array_equal(one, other)


def write_files(folder, rows):
    for number, row in enumerate(rows):
        path = folder / f"{number:02d}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, row)
    return folder


def test_sequences_come_from_a_folder_of_npy(load, tmp_path):
    result = load(write_files(tmp_path / "rows", sequences()), TOKENS)
    assert_same(rows_of(result.evaluation, "ids"), sequences())
    rows = result.evaluation.rows
    assert np.load(rows.inputs["ids"]).shape == (sum(LENGTHS),)
    assert np.load(rows.shapes["ids"]).tolist() == [[length] for length in LENGTHS]
    (said,) = [one for one in result.findings if one.code == "OQ136"]
    assert "have 7 shapes, [1] to [12]" in said.message
    assert "a row of median size is timed" in said.message


def test_images_come_from_a_folder_of_npy(load, tmp_path):
    result = load(write_files(tmp_path / "rows", images()), IMAGE)
    assert_same(rows_of(result.evaluation, "x"), images())


def test_class_folders_may_hold_rows_of_several_shapes(load, tmp_path):
    for number, row in enumerate(sequences()):
        path = tmp_path / "rows" / "ab"[number % 2] / f"{number:02d}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, row)
    result = load(tmp_path / "rows", TOKENS)
    assert_same(rows_of(result.evaluation, "ids"), sequences()[::2] + sequences()[1::2])
    assert np.load(result.evaluation.rows.labels).tolist() == [0] * 5 + [1] * 5


def test_npz_files_of_a_row_each_feed_several_inputs(load, tmp_path):
    (tmp_path / "rows").mkdir()
    for number, row in enumerate(sequences()):
        np.savez(tmp_path / "rows" / f"{number:02d}.npz", ids=row, mask=row > 9, y=number % 4)
    result = load(tmp_path / "rows", PAIR)
    assert_same(rows_of(result.evaluation, "ids"), sequences())
    assert_same(rows_of(result.evaluation, "mask"), [row > 9 for row in sequences()])
    assert np.load(result.evaluation.rows.labels).tolist() == [n % 4 for n in range(10)]


CODE = """
import numpy as np
LENGTHS = (7, 3, 3, 9, 1, 7, 5, 12, 2, 7)
generator = np.random.default_rng(0)
IDS = [generator.integers(0, 50, length) for length in LENGTHS]

def dicts():
    for number, row in enumerate(IDS):
        yield {"ids": row, "labels": number % 4}

def both():
    for row in IDS:
        yield {"ids": row, "mask": row > 9}

def bare():
    yield from IDS

class Rows:
    def __len__(self): return len(IDS)
    def __getitem__(self, index): return {"ids": IDS[index], "labels": index % 4}

ready = Rows()

def batches():
    yield {"ids": np.stack([IDS[0], IDS[5]])}
    yield {"ids": np.stack([IDS[1], IDS[2]])}

def other_ranks():
    yield {"ids": IDS[0]}
    yield {"ids": IDS[1][None]}

def ragged_labels():
    for row in IDS:
        yield {"ids": row, "labels": row}
"""


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "rows_of_code.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize("name", ["dicts", "bare", "ready"])
def test_sequences_come_from_code(load, code, name):
    result = load(f"{code}:{name}", TOKENS)
    assert_same(rows_of(result.evaluation, "ids"), sequences())
    assert result.labelled == (name != "bare")


def test_several_inputs_come_from_code(load, code):
    result = load(f"{code}:both", PAIR)
    assert_same(rows_of(result.evaluation, "mask"), [row > 9 for row in sequences()])


def test_batches_padded_to_lengths_of_their_own_are_taken_apart(load, code):
    result = load(f"{code}:batches", TOKENS)
    expected = [sequences()[at] for at in (0, 5, 1, 2)]
    assert_same(rows_of(result.evaluation, "ids"), expected)


def test_of_what_has_an_index_rows_are_chosen(load, code):
    result = load(f"{code}:ready", TOKENS, limit_rows=4, seed=1)
    names = json.loads(Path(result.evaluation.rows.row_names).read_text())
    assert_same(rows_of(result.evaluation, "ids"), [sequences()[int(name)] for name in names])


@pytest.mark.parametrize("name", ["other_ranks", "ragged_labels"])
def test_what_must_be_alike_is_said(load, code, name):
    with pytest.raises(DatasetError) as caught:
        load(f"{code}:{name}", TOKENS)
    assert caught.value.code == "OQ121"
    assert caught.value.hint


def test_rows_are_split_with_their_shapes(load, tmp_path):
    result = load(write_files(tmp_path / "rows", sequences()), TOKENS, split=True)
    for part in (result.calibration, result.evaluation):
        names = json.loads(Path(part.rows.row_names).read_text())
        expected = [sequences()[int(Path(name).stem)] for name in names]
        assert_same(rows_of(part, "ids"), expected)


def test_chosen_rows_may_be_alike_where_others_are_not(load, tmp_path):
    rows = [np.arange(3), *[np.arange(5)] * 9]
    folder = write_files(tmp_path / "rows", rows)
    seed = next(s for s in range(9) if np.random.RandomState(s).permutation(10)[0] != 0)
    result = load(folder, TOKENS, limit_rows=1, seed=seed)
    assert result.evaluation.rows.shapes == {}
    assert np.load(result.evaluation.rows.inputs["ids"]).tolist() == [[0, 1, 2, 3, 4]]


def photo_folder(folder, *, grey=False):
    folder.mkdir()
    pixels = [row.transpose(1, 2, 0) for row in images(np.uint8)]
    for number, one in enumerate(pixels):
        Image.fromarray(one[..., 0] if grey else one).save(folder / f"{number:02d}.png")
    return folder, pixels


def test_photos_of_several_sizes_are_fed_as_they_are(load, tmp_path):
    folder, pixels = photo_folder(tmp_path / "photos")
    result = load(folder, IMAGE, preprocess="zero-one")
    expected = [(one / np.float32(255)).transpose(2, 0, 1) for one in pixels]
    found = rows_of(result.evaluation, "x")
    assert [row.shape for row in found] == [row.shape for row in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_photos_are_made_equal_where_preprocessing_says_so(load, tmp_path):
    folder, _ = photo_folder(tmp_path / "photos")
    result = load(folder, FIXED_IMAGE, preprocess="zero-one,resize=8x8")
    assert result.evaluation.rows.shapes == {}
    assert np.load(result.evaluation.rows.inputs["x"]).shape == (6, 3, 8, 8)
    assert not [one for one in result.findings if one.code == "OQ136"]


def test_the_shorter_side_may_be_made_equal_alone(load, tmp_path):
    folder, _ = photo_folder(tmp_path / "photos")
    result = load(folder, IMAGE, preprocess="zero-one,size=6")
    shapes = [row.shape for row in rows_of(result.evaluation, "x")]
    assert shapes == [(3, 6, 6), (3, 6, 10), (3, 6, 10), (3, 14, 6), (3, 6, 6), (3, 6, 6)]


def test_arrays_of_bytes_are_made_equal_by_preprocessing_too(load, tmp_path):
    pixels = [row.transpose(1, 2, 0) for row in images(np.uint8)]
    folder = tmp_path / "rows"
    for number, one in enumerate(pixels):
        path = folder / "c" / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, one)
    result = load(folder, FIXED_IMAGE, preprocess="zero-one,resize=8x8")
    assert np.load(result.evaluation.rows.inputs["x"]).shape == (6, 3, 8, 8)


@pytest.mark.parametrize(
    ("signature", "rows", "says", "hint"),
    [
        (FIXED_TOKENS, sequences, "in c/0.npy and [3] in c/1.npy: expected rows of one", "pad"),
        (FIXED_TOKENS, sequences, "the model wants ids int64 [N, 7]", "--input ids:NxL"),
        (
            FIXED_IMAGE,
            images,
            "[3, 8, 8] in c/0.npy and [3, 6, 10] in c/1.npy",
            "--input x:Nx3xHxW",
        ),
    ],
)
def test_a_fixed_axis_refuses_what_differs_along_it(load, tmp_path, signature, rows, says, hint):
    for number, row in enumerate(rows()):
        path = tmp_path / "rows" / "c" / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, row)
    with pytest.raises(DatasetError) as caught:
        load(tmp_path / "rows", signature)
    assert caught.value.code == "OQ121"
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_photos_that_a_model_cannot_take_are_named(load, tmp_path):
    folder, _ = photo_folder(tmp_path / "photos")
    with pytest.raises(DatasetError) as caught:
        load(folder, FIXED_IMAGE, preprocess="zero-one")
    assert caught.value.code == "OQ121"
    assert "01.png is 6x10 pixels and 00.png is 8x8" in caught.value.message
    assert "resize=" in caught.value.hint


def test_a_free_axis_does_not_free_the_others(load, tmp_path):
    rows = [np.zeros((3, 8, 8), np.float32), np.zeros((4, 6, 6), np.float32)]
    for number, row in enumerate(rows):
        path = tmp_path / "rows" / "c" / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, row)
    with pytest.raises(DatasetError) as caught:
        load(tmp_path / "rows", IMAGE)
    assert caught.value.code == "OQ121"


def test_probes_are_the_first_rows_of_one_shape(tmp_path):
    rows = [np.arange(3), np.arange(3) + 5, np.arange(4), np.arange(3)]
    folder = write_files(tmp_path / "rows", rows)
    probes = load_probe_rows(DataRequest(spec=str(folder)), TOKENS, count_rows=4)
    assert probes["ids"].tolist() == [[0, 1, 2], [5, 6, 7]]


def test_rows_without_values_are_rows(load, tmp_path):
    boxes = Signature((TensorSpec("boxes", "float32", ("N", "M", 4)),), SCORES)
    rows = [np.ones((count, 4), np.float32) for count in (2, 0, 3, 0)]
    result = load(write_files(tmp_path / "rows", rows), boxes)
    assert_same(rows_of(result.evaluation, "boxes"), rows)


def test_rows_that_are_all_empty_are_rows(load, tmp_path):
    boxes = Signature((TensorSpec("boxes", "float32", ("N", "M", 4)),), SCORES)
    result = load(write_files(tmp_path / "rows", [np.ones((0, 4), np.float32)] * 3), boxes)
    assert_same(rows_of(result.evaluation, "boxes"), [np.ones((0, 4), np.float32)] * 3)


def test_rows_with_the_same_values_in_another_shape_do_not_overlap(load, tmp_path):
    grid = Signature((TensorSpec("x", "float32", ("N", "H", "W")),), SCORES)
    shapes = [(2, 6), (6, 2), (3, 4), (4, 3), (1, 12), (12, 1)]
    rows = [np.zeros(shape, np.float32) for shape in shapes]
    result = load(write_files(tmp_path / "rows", rows), grid, split=True)
    assert not [one for one in result.findings if one.code == "OQ141"]


def test_one_chosen_row_that_does_not_fit_is_named_beside_the_first(load, tmp_path):
    write_files(tmp_path / "rows" / "c", [np.arange(7)] + [np.arange(3)] * 9)
    seed = next(s for s in range(9) if np.random.RandomState(s).permutation(10)[0] != 0)
    with pytest.raises(DatasetError) as caught:
        load(tmp_path / "rows", FIXED_TOKENS, limit_rows=1, seed=seed)
    assert "[7] in c/00.npy and [3] in c/0" in caught.value.message


@pytest.mark.parametrize("shapes", [((1, 4), (3, 4)), ((2, 4), (1, 4)), ((1, 4), (1, 4))])
def test_all_rows_are_fed_in_one_way(load, tmp_path, shapes):
    """A row of ``[1, 4]`` could be one of a batch, without its first axis; others could not."""
    model = Signature(
        (TensorSpec("x", "float32", ("N", 2)), TensorSpec("boxes", "float32", ("M", 4))), SCORES
    )
    (tmp_path / "rows").mkdir()
    boxes = [np.ones(shape, np.float32) for shape in shapes]
    for number, one in enumerate(boxes):
        np.savez(tmp_path / "rows" / f"{number}.npz", x=np.ones(2, np.float32), boxes=one)
    result = load(tmp_path / "rows", model)
    assert result.evaluation.rows.whole == ("boxes",)
    assert_same(rows_of(result.evaluation, "boxes"), boxes)
