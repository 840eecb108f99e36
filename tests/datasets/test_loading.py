"""The stage: rows on disk are the rows of the data, split, in order, with their labels."""

import errno
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from onnxq.datasets import loading, opening
from onnxq.datasets.loading import data_specs, load_probe_rows, load_rows
from onnxq.datasets.npy_files import NpyWriter
from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.splitting import choose_rows, split_rows
from onnxq.datasets.values import AsGiven, CalibrationSet, DataRequest, EvaluationSet, NoRows
from onnxq.errors import DatasetError
from onnxq.events import Progressed, tell_nobody
from onnxq.sources import InputDeclaration
from onnxq.stages import LoadRowsRequest, NoDataRequest
from onnxq.tensors import Signature, TensorSpec


def model(*shape, dtype="float32", classes=10):
    return Signature(
        (TensorSpec("x", dtype, shape),), (TensorSpec("scores", "float32", ("N", classes)),)
    )


def request(path, signature, calibration=None, declared=(), preprocess="", **options):
    spec = parse_preprocess(preprocess) if preprocess else AsGiven()
    return LoadRowsRequest(
        data=DataRequest(spec=str(path), preprocess=spec, **options),
        calibration=DataRequest(spec=str(calibration)) if calibration else NoDataRequest(),
        signature=signature,
        declared=declared,
    )


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def rows(tmp_path):
    """60 rows whose values are unique, with labels."""
    x = np.arange(60 * 8, dtype=np.float32).reshape(60, 8)
    np.savez(tmp_path / "val.npz", x=x, y=np.arange(60) % 10)
    return tmp_path / "val.npz", x


def loaded(part, name="x"):
    assert isinstance(part, CalibrationSet | EvaluationSet)
    array = np.load(part.rows.inputs[name], mmap_mode="r", allow_pickle=False)
    assert array.flags.c_contiguous
    assert len(array) == part.rows.count_rows
    names = json.loads(Path(part.rows.row_names).read_text())
    assert len(names) == len(array)
    return array, names


def codes(result):
    return [finding.code for finding in result.findings]


def refused(work, *args, **options):
    with pytest.raises(DatasetError) as caught:
        load_rows(request(*args, **options), work, tell_nobody)
    assert caught.value.hint
    return caught.value


def test_rows_are_split_and_stored_in_order(work, rows):
    path, x = rows
    result = load_rows(request(path, model("N", 8), seed=3), work, tell_nobody)
    for part, indices in zip(
        (result.calibration, result.evaluation), split_rows(60, 3), strict=True
    ):
        stored, names = loaded(part)
        np.testing.assert_array_equal(stored, x[indices])
        np.testing.assert_array_equal(np.load(part.rows.labels), indices % 10)
        assert names == [str(index) for index in indices]
    assert (result.labelled, result.classes, result.findings) == (True, 10, ())


def test_the_result_travels_as_json(work, rows):
    result = load_rows(request(rows[0], model("N", 8)), work, tell_nobody)
    assert msgspec.json.decode(msgspec.json.encode(result), type=type(result)) == result


def test_a_limit_is_chosen_first_and_then_split(work, rows):
    path, x = rows
    result = load_rows(request(path, model("N", 8), limit_rows=10, seed=1), work, tell_nobody)
    chosen = choose_rows(60, 10, 1)
    calibration, evaluation = split_rows(10, 1)
    np.testing.assert_array_equal(loaded(result.calibration)[0], x[chosen[calibration]])
    np.testing.assert_array_equal(loaded(result.evaluation)[0], x[chosen[evaluation]])


def test_a_single_row_is_for_evaluating(work, rows):
    result = load_rows(request(rows[0], model("N", 8), limit_rows=1), work, tell_nobody)
    assert result.calibration == NoRows()
    assert len(loaded(result.evaluation)[0]) == 1


def test_several_inputs_keep_their_rows_together(work, tmp_path):
    a, ids = np.arange(30.0)[:, None], np.arange(30)[:, None]
    np.savez(tmp_path / "two.npz", ids=ids, a=a)
    signature = Signature(
        (TensorSpec("a", "float32", ("N", 1)), TensorSpec("ids", "int64", ("N", 1))), ()
    )
    result = load_rows(request(tmp_path / "two.npz", signature), work, tell_nobody)
    for part in (result.calibration, result.evaluation):
        np.testing.assert_array_equal(loaded(part, "a")[0], loaded(part, "ids")[0])
    assert not result.labelled
    assert result.evaluation.rows.labels == ""
    assert codes(result) == ["OQ128"]


def test_a_fixed_batch_does_not_change_how_rows_are_stored(work, rows):
    result = load_rows(request(rows[0], model(4, 8)), work, tell_nobody)
    assert loaded(result.evaluation)[0].shape == (48, 8)


def test_progress_ends_at_its_total(work, rows):
    events = []
    load_rows(request(rows[0], model("N", 8)), work, events.append)
    assert events[-1] == Progressed(stage="load rows", done=60, total=60)


def test_blocks_do_not_show_in_what_is_stored(work, rows, monkeypatch):
    monkeypatch.setattr("onnxq.datasets.archives.BLOCK_BYTES", 7 * 32)
    path, x = rows
    result = load_rows(request(path, model("N", 8)), work, tell_nobody)
    np.testing.assert_array_equal(loaded(result.evaluation)[0], x[split_rows(60, 0)[1]])


def test_other_rows_may_be_for_calibrating(work, rows, tmp_path):
    path, x = rows
    np.savez(tmp_path / "calib.npz", x=-1 - x[:9])
    result = load_rows(request(path, model("N", 8), tmp_path / "calib.npz"), work, tell_nobody)
    np.testing.assert_array_equal(loaded(result.calibration)[0], -1 - x[:9])
    np.testing.assert_array_equal(loaded(result.evaluation)[0], x)
    assert (codes(result), result.calibration.rows.labels) == ([], "")


def test_rows_for_calibrating_need_no_labels(work, rows, tmp_path):
    path, x = rows
    np.savez(path, rows=x, truth=np.arange(60) % 10)
    np.savez(tmp_path / "calib.npz", rows=-1 - x[:9])
    options = {"mapping": {"x": "rows", "labels": "truth"}}
    asked = request(path, model("N", 8), tmp_path / "calib.npz", **options)
    calibration = msgspec.structs.replace(asked.calibration, classes=r"^(\d+)_", **options)
    asked = msgspec.structs.replace(asked, calibration=calibration)
    result = load_rows(asked, work, tell_nobody)
    assert (result.labelled, len(loaded(result.calibration)[0])) == (True, 9)


def test_rows_that_are_in_both_parts_are_counted(work, rows, tmp_path):
    path, x = rows
    np.savez(tmp_path / "calib.npz", x=np.concatenate([x[10:14], -1 - x[:5]]))
    result = load_rows(request(path, model("N", 8), tmp_path / "calib.npz"), work, tell_nobody)
    (finding,) = result.findings
    assert (finding.code, finding.severity) == ("OQ141", "warning")
    assert finding.evidence["shared_rows"] == 4
    assert finding.evidence["calibration_rows"] == 9


def test_rows_that_a_file_holds_twice_are_counted(work, tmp_path):
    np.savez(tmp_path / "same.npz", x=np.ones((10, 8), np.float32))
    result = load_rows(request(tmp_path / "same.npz", model("N", 8)), work, tell_nobody)
    assert codes(result) == ["OQ141"]
    assert "more than once" in result.findings[0].fix


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_counted_and_the_first_is_named(work, rows, value):
    path, x = rows
    x[[17, 40], 3] = value
    np.savez(path, x=x)
    error = refused(work, path, model("N", 8))
    assert error.code == "OQ123"
    assert "2 of 60 rows in val.npz" in str(error)
    assert "first row 17 of 'x'" in str(error)


def test_a_value_that_becomes_infinite_by_its_cast_is_not_finite(work, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.array([[1.0], [1e39]]))
    error = refused(work, tmp_path / "x.npz", model("N", 1))
    assert error.code == "OQ123"
    assert "finite as float32, first row 1" in str(error)


def test_no_rows_are_an_error(work, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((0, 8), np.float32))
    assert refused(work, tmp_path / "x.npz", model("N", 8)).code == "OQ124"


def test_labels_are_checked_on_the_rows_that_are_used(work, rows):
    error = refused(work, rows[0], model("N", 8, classes=5))
    assert error.code == "OQ125"
    assert "expected 0 to 4" in str(error)


def test_integers_keep_to_what_was_declared(work, tmp_path):
    np.savez(tmp_path / "x.npz", tokens=np.array([[1, 2], [3, 1000]]))
    declared = (InputDeclaration("x", ("N", 2), "int64", 0, 999),)
    signature = model("N", 2, dtype="int64")
    error = refused(work, tmp_path / "x.npz", signature, declared=declared)
    assert error.code == "OQ121"
    assert "row 1 in x.npz holds 1000" in str(error)


def test_a_declared_shape_settles_the_layout(work, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((9, 6, 7, 3), np.uint8))
    declared = (InputDeclaration("x", ("N", 3, 6, 7)),)
    signature = model("N", "c", "h", "w")
    result = load_rows(request(tmp_path / "x.npz", signature, declared=declared), work, tell_nobody)
    assert loaded(result.evaluation)[0].shape[1:] == (3, 6, 7)
    assert set(codes(result)) >= {"OQ128", "OQ129"}


@pytest.mark.parametrize(
    ("spec", "code", "says"),
    [
        ("vall.npz", "OQ127", "Did you mean"),
        ("val.txt", "OQ127", "val.txt is of no form that holds rows"),
        ("val.py", "OQ127", "of no form that holds rows"),
        ("none", "OQ124", "it is empty"),
        ("others", "OQ124", "found .md, .txt"),
        ("both", "OQ127", "holds 1 images and 1 .npy files"),
        ("x" * 300, "OQ127", "does not exist"),
    ],
)
@pytest.mark.usefixtures("rows")
def test_data_that_is_not_there_or_of_no_known_kind(work, tmp_path, spec, code, says):
    for name in ("val.txt", "val.py", "others/a.txt", "others/b.md", "both/a.npy", "both/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1,2\n")
    (tmp_path / "none").mkdir()
    error = refused(work, tmp_path / spec, model("N", 8))
    assert error.code == code
    assert says in str(error)


def test_preprocessing_needs_bytes(work, rows):
    error = refused(work, rows[0], model("N", 8), preprocess="zero-one")
    assert error.code == "OQ126"
    assert "leave --preprocess out" in error.hint.lower()


def test_classes_are_for_folders(work, rows):
    assert refused(work, rows[0], model("N", 8), classes=r"(\d)").code == "OQ125"


def test_rows_that_would_fill_the_disk_are_refused_before_they_are_read(work, rows, monkeypatch):
    monkeypatch.setattr(loading, "MAX_STORED_BYTES", 1000)
    error = refused(work, rows[0], model("N", 8))
    assert error.code == "OQ127"
    assert error.hint.endswith("--limit 30")
    assert list(work.iterdir()) == []


def test_a_full_disk_is_one_sentence(work, rows, monkeypatch):
    def append(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(NpyWriter, "append", append)
    error = refused(work, rows[0], model("N", 8))
    assert error.code == "OQ127"
    assert "disk is full" in str(error)


@pytest.fixture
def photos(tmp_path):
    """12 photos in two classes, 20 x 30 pixels, lossless."""
    generator = np.random.default_rng(11)
    pixels = {}
    for index in range(12):
        name = f"{'cat' if index < 7 else 'dog'}/{index:02d}.png"
        pixels[name] = generator.integers(0, 256, (20, 30, 3), np.uint8)
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[name]).save(tmp_path / "photos" / name)
    return tmp_path / "photos", pixels


def test_labels_too_large_to_hold_are_refused(work, tmp_path, monkeypatch):
    np.savez(tmp_path / "x.npz", x=np.zeros((9, 8)), y=np.full((9, 8), 0.5))
    monkeypatch.setattr(opening, "MAX_LABEL_BYTES", 9 * 8 * 8 - 1)
    error = refused(work, tmp_path / "x.npz", model("N", 8))
    assert error.code == "OQ127"
    assert "y float64 [9, 8]" in str(error)


def test_photos_become_rows(work, photos):
    path, pixels = photos
    signature = model("N", 3, 16, 16, classes=2)
    options = {"preprocess": "order=bgr,crop=16,mean=1:2:3"}
    result = load_rows(request(path, signature, **options), work, tell_nobody)
    stored, names = loaded(result.evaluation)
    assert names == [sorted(pixels)[index] for index in split_rows(12, 0)[1]]
    for row, name in zip(stored, names, strict=True):
        expected = pixels[name][2:18, 7:23, ::-1].astype(np.float32) - [1, 2, 3]
        np.testing.assert_array_equal(row, expected.transpose(2, 0, 1))
    labels = np.load(result.evaluation.rows.labels)
    assert labels.tolist() == [int(name.startswith("dog")) for name in names]
    assert codes(result) == []


def test_photos_of_another_size_are_named(work, photos):
    path, _ = photos
    Image.new("RGB", (31, 20)).save(path / "dog" / "odd.png")
    error = refused(work, path, model("N", 20, 30, 3))
    assert error.code == "OQ121"
    assert "odd.png is 20x31 pixels and cat/00.png is 20x30" in str(error)


def test_a_broken_photo_is_named(work, photos):
    path, _ = photos
    (path / "dog" / "11.png").write_bytes((path / "dog" / "11.png").read_bytes()[:400])
    error = refused(work, path, model("N", 20, 30, 3))
    assert error.code == "OQ127"
    assert "11.png is not a whole image" in str(error)


def test_rotation_tags_are_counted(work, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    (tmp_path / "p").mkdir()
    for name in "abc":
        tagged = {"exif": exif} if name == "b" else {}
        Image.new("RGB", (8, 8), name and (ord(name), 0, 0)).save(
            tmp_path / "p" / f"{name}.jpg", **tagged
        )
    result = load_rows(request(tmp_path / "p", model("N", 8, 8, 3)), work, tell_nobody)
    (finding,) = [one for one in result.findings if one.code == "OQ132"]
    assert finding.message.startswith("1 of 3 image files")


def test_a_folder_feeds_one_input(work, photos):
    signature = Signature(tuple(TensorSpec(name, "float32", ("N", 3, 20, 30)) for name in "ab"), ())
    error = refused(work, photos[0], signature)
    assert error.code == "OQ121"
    assert "feeds one input: the model has 2, a, b" in str(error)


def test_probe_rows_are_the_first_ones_fitted(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 6, 7, 3), np.uint8)
    np.savez(tmp_path / "x.npz", images=x, y=np.arange(40))
    data = DataRequest(spec=str(tmp_path / "x.npz"), preprocess=parse_preprocess("zero-one"))
    probes = load_probe_rows(data, model("N", 3, 6, 7), count_rows=5)
    expected = (x[:5] / np.float32(255)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(probes["x"], expected)
    assert len(load_probe_rows(data, model("N", 3, 6, 7), count_rows=99)["x"]) == 40


def test_probe_rows_come_from_photos_too(photos):
    path, pixels = photos
    data = DataRequest(spec=str(path))
    probes = load_probe_rows(data, model("N", 20, 30, 3), count_rows=2)
    np.testing.assert_array_equal(probes["x"], np.stack([pixels[n] for n in sorted(pixels)[:2]]))


def specs(path, *, channels_first=True, preprocess="", **options):
    spec = parse_preprocess(preprocess) if preprocess else AsGiven()
    data = DataRequest(spec=str(path), preprocess=spec, **options)
    return [str(one) for one in data_specs(data, channels_first=channels_first)]


def test_what_rows_look_like_is_told_without_reading_them(tmp_path, photos):
    np.savez(
        tmp_path / "x.npz",
        a=np.zeros((4, 6, 7, 3), np.uint8),
        b=np.zeros((4, 9)),
        ids=np.zeros((4, 9), np.int64),
        y=np.arange(4),
    )
    shown = ["a float32 [N, 3, 6, 7]", "b float32 [N, 9]", "ids int64 [N, 9]"]
    assert specs(tmp_path / "x.npz") == shown
    shown[0] = "a float32 [N, 6, 7, 3]"
    assert specs(tmp_path / "x.npz", channels_first=False) == shown
    mapping = {"tokens": "ids", "labels": "y"}
    assert specs(tmp_path / "x.npz", mapping=mapping) == ["tokens int64 [N, 9]"]
    assert specs(photos[0], preprocess="crop=16") == ["images float32 [N, 3, 16, 16]"]
    assert specs(photos[0], preprocess="order=gray") == ["images float32 [N, 1, 20, 30]"]
    assert specs(photos[0], mapping={"x": "images"}) == ["x float32 [N, 3, 20, 30]"]


def test_a_writer_insists_on_its_shape(tmp_path):
    with pytest.raises(ValueError, match="lacks 1 rows"), _writer(tmp_path / "a") as writer:
        writer.append(np.zeros((1, 3), np.float32))
    with _writer(tmp_path / "b") as writer:
        with pytest.raises(ValueError, match="got float64"):
            writer.append(np.zeros((1, 3)))
        with pytest.raises(ValueError, match="place for 2 rows: got 3"):
            writer.append(np.zeros((3, 3), np.float32))
        writer.append(np.ones((2, 3), np.float32))
    np.testing.assert_array_equal(np.load(tmp_path / "b"), np.ones((2, 3)))


def _writer(path):
    return NpyWriter(path, np.dtype(np.float32), (2, 3))
