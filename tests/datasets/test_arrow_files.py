"""``.parquet`` and ``hf:``: columns become arrays; files are laid out as ``datasets`` 5.2 does."""

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from onnxq.datasets.loading import load_probe_rows, load_rows
from onnxq.datasets.preprocess import parse_preprocess
from onnxq.datasets.row_arrays import open_row_arrays
from onnxq.datasets.specs import absolute_spec
from onnxq.datasets.values import AsGiven, DataRequest
from onnxq.errors import DatasetError, MissingDependencyError
from onnxq.events import tell_nobody
from onnxq.stages import LoadRowsRequest, NoDataRequest
from onnxq.tensors import Signature, TensorSpec

pa = pytest.importorskip("pyarrow")
from pyarrow import ipc, parquet  # noqa: E402 - after the skip

N = 25
GENERATOR = np.random.default_rng(5)
IDS = GENERATOR.integers(0, 99, (N, 6))
MATRIX = GENERATOR.standard_normal((N, 2, 3)).astype(np.float32)
A, B = GENERATOR.standard_normal((2, N)).astype(np.float32)
Y = np.arange(N) % 3
PIXELS = GENERATOR.integers(0, 256, (N, 8, 9, 3), np.uint8)


def encoded(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return {"bytes": content.getvalue(), "path": "a.png"}


COLUMNS = {
    "ids": pa.array(IDS.tolist(), pa.list_(pa.int32(), 6)),
    "free": pa.array(IDS.tolist(), pa.list_(pa.int64())),
    "matrix": pa.array(MATRIX.tolist(), pa.list_(pa.list_(pa.float32()))),
    "a": pa.array(A),
    "b": pa.array(B.astype(np.float16)),
    "flag": pa.array((Y > 1).tolist()),
    "label": pa.array(Y),
    "names": pa.array(["cab"[y] for y in Y]),
    "coded": pa.array(["cab"[y] for y in Y]).dictionary_encode(),
    "when": pa.array([0] * N, pa.timestamp("s")),
    "image": pa.array([encoded(one) for one in PIXELS]),
}


def table(*names):
    return pa.table({name: COLUMNS[name] for name in names})


def signature(*inputs):
    specs = tuple(TensorSpec(name, dtype, shape) for name, dtype, shape in inputs)
    return Signature(specs, (TensorSpec("scores", "float32", ("N", 3)),))


TOKENS = signature(("ids", "int64", ("N", "seq")))


@pytest.fixture
def load(tmp_path):
    def load_spec(spec, model=TOKENS, preprocess="", **options):
        work = tmp_path / "work"
        work.mkdir()
        prepare = parse_preprocess(preprocess) if preprocess else AsGiven()
        request = LoadRowsRequest(
            data=DataRequest(
                spec=absolute_spec(str(spec), tmp_path), preprocess=prepare, **options
            ),
            calibration=NoDataRequest(),
            signature=model,
            declared=(),
            split=False,
        )
        rows = load_rows(request, work, tell_nobody).evaluation.rows
        arrays = {name: np.load(file) for name, file in rows.inputs.items()}
        return arrays, np.load(rows.labels).tolist() if rows.labels else None

    return load_spec


def write(path, *names, **options):
    parquet.write_table(table(*names), path, **options)
    return path


def save(folder, part, shards=1, images=(), **state):
    """Write what ``Dataset.save_to_disk`` writes."""
    folder.mkdir(parents=True)
    files = [f"data-{index:05d}-of-{shards:05d}.arrow" for index in range(shards)]
    for index, file in enumerate(files):
        rows = part.slice(index * N // shards, (index + 1) * N // shards - index * N // shards)
        with ipc.new_stream(folder / file, part.schema) as stream:
            stream.write_table(rows, max_chunksize=4)
    described = {"_data_files": [{"filename": file} for file in files], "_split": None, **state}
    (folder / "state.json").write_text(json.dumps(described))
    features = {name: {"_type": "Image"} for name in images}
    (folder / "dataset_info.json").write_text(json.dumps({"features": features, "splits": None}))
    return folder


def cache(folder, config="default", shards=1, splits=("train", "test")):
    """Write what ``load_dataset`` leaves in its cache."""
    place = folder / config / "0.0.0" / "50d9546da11dca4e"
    place.mkdir(parents=True)
    held = {split: {"num_examples": N, "shard_lengths": [N] * shards} for split in splits}
    info = {"features": {}, "dataset_name": "my_data", "config_name": config, "splits": held}
    (place / "dataset_info.json").write_text(json.dumps(info))
    for split in splits:
        for index in range(shards):
            part = f"-{index:05d}-of-{shards:05d}" if shards > 1 else ""
            with ipc.new_stream(place / f"my_data-{split}{part}.arrow", table("ids").schema) as out:
                out.write_table(table("ids"))
    (place / "cache-cb6b4f81a51f89af.arrow").write_bytes(b"of some map()")


def test_columns_become_arrays(load, tmp_path):
    path = write(tmp_path / "t.parquet", *COLUMNS, row_group_size=7)
    model = signature(
        ("ids", "int64", ("N", "seq")),
        ("free", "int32", ("N", 6)),
        ("matrix", "float32", ("N", 2, 3)),
        ("a", "float32", ("N",)),
        ("flag", "float32", ("N", 1)),
    )
    arrays, labels = load(path, model)
    for name in ("ids", "free"):
        np.testing.assert_array_equal(arrays[name], IDS)
    np.testing.assert_array_equal(arrays["matrix"], MATRIX)
    np.testing.assert_array_equal(arrays["a"], A)
    np.testing.assert_array_equal(arrays["flag"][:, 0], Y > 1)
    assert labels == Y.tolist()


def test_scalar_columns_feed_the_only_input_side_by_side(load, tmp_path):
    model = signature(("x", "float32", ("N", 2)))
    expected = np.stack([A, B.astype(np.float16).astype(np.float32)], 1)
    arrays, labels = load(write(tmp_path / "t.parquet", "a", "label", "b"), model)
    np.testing.assert_array_equal(arrays["x"], expected)
    assert labels == Y.tolist()


def test_columns_are_mapped(load, tmp_path):
    model = signature(("x", "float32", ("N", 2)))
    path = write(tmp_path / "t.parquet", *COLUMNS)
    arrays, labels = load(path, model, mapping={"x": "b,a", "labels": "names"}, limit_rows=9)
    assert arrays["x"].shape == (9, 2)
    assert sorted(set(labels)) == [0, 1, 2]


@pytest.mark.parametrize("name", ["names", "coded"])
def test_text_labels_are_numbered(load, tmp_path, name):
    _, labels = load(write(tmp_path / "t.pq", "ids", name), mapping={"labels": name})
    assert labels == [{"a": 0, "b": 1, "c": 2}["cab"[y]] for y in Y]


def test_a_folder_of_parts_is_one_table(load, tmp_path):
    (tmp_path / "parts").mkdir()
    for index in range(2):
        write(tmp_path / "parts" / f"{index}.parquet", "ids", "label")
    arrays, labels = load(tmp_path / "parts")
    np.testing.assert_array_equal(arrays["ids"], np.concatenate([IDS, IDS]))
    assert labels == [*Y, *Y]


@pytest.mark.parametrize("is_parquet", [True, False])
def test_images_are_decoded_and_preprocessed(load, tmp_path, is_parquet):
    model = signature(("x", "float32", ("N", 3, 8, 8)))
    spec = tmp_path / "t.parquet"
    if is_parquet:
        write(spec, "image", "label")
    else:
        spec = f"hf:{save(tmp_path / 'saved', table('image', 'label'), images=['image'])}"
    arrays, labels = load(spec, model, preprocess="crop=8,scale=255")
    expected = PIXELS[:, :, :8].transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_array_equal(arrays["x"], expected)
    assert labels == Y.tolist()


def test_images_of_another_size_are_named(load, tmp_path):
    images = [encoded(PIXELS[0]), encoded(PIXELS[0, :, :5])]
    parquet.write_table(pa.table({"image": images}), tmp_path / "t.parquet")
    with pytest.raises(DatasetError) as caught:
        load(tmp_path / "t.parquet", signature(("x", "float32", ("N", 8, 9, 3))))
    assert caught.value.code == "OQ121"
    assert "row 1 is 8x5 pixels and row 0 is 8x9" in caught.value.message


@pytest.mark.parametrize("shards", [1, 3])
def test_a_saved_dataset_is_read(load, tmp_path, shards):
    save(tmp_path / "saved", table("ids", "label", "names"), shards)
    arrays, labels = load("hf:./saved")
    np.testing.assert_array_equal(arrays["ids"], IDS)
    assert labels == Y.tolist()


def test_a_split_of_saved_ones_is_read(load, tmp_path):
    for split in ("train", "test"):
        save(tmp_path / "saved" / split, table("ids", "label"))
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    np.testing.assert_array_equal(load("hf:saved:test")[0]["ids"], IDS)
    with pytest.raises(DatasetError) as caught:
        load_probe_rows(DataRequest(spec=f"hf:{tmp_path}/saved"), TOKENS, count_rows=1)
    assert caught.value.code == "OQ127"
    assert "there are train, test" in caught.value.message


@pytest.mark.parametrize("name", ["lhoestq/MyData", "lhoestq/my_data"])
@pytest.mark.parametrize("shards", [1, 2])
def test_a_cached_dataset_is_read(load, tmp_path, monkeypatch, name, shards):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    cache(tmp_path / "cache" / "lhoestq___my_data", shards=shards)
    arrays, _ = load(f"hf:{name}:test")
    np.testing.assert_array_equal(arrays["ids"], np.concatenate([IDS] * shards))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("hf:nosuch", "onnxq fetches nothing"),
        ("hf:nosuch", "load_dataset('nosuch')"),
        ("hf:org/nosuch", "load_dataset('org/nosuch')"),
        ("hf:one", "2 splits and none was named: there are train, test"),
        ("hf:one:tset", "no split 'tset'"),
        ("hf:one:other:test", "no configuration 'other'"),
        ("hf:two:test", "2 configurations and none was named: there are en, fr"),
        ("hf:two:en", "2 splits"),
        ("hf:empty", "holds no dataset"),
        ("hf:gone:train", "not stored completely"),
    ],
)
def test_a_dataset_that_cannot_be_told_says_why(load, tmp_path, monkeypatch, spec, says):
    place = tmp_path / "cache"
    monkeypatch.setenv("HF_DATASETS_CACHE", str(place))
    cache(place / "one")
    cache(place / "two", "en")
    cache(place / "two", "fr")
    (place / "empty").mkdir()
    cache(place / "gone")
    next((place / "gone").rglob("my_data-train.arrow")).unlink()
    with pytest.raises(DatasetError) as caught:
        load(spec)
    assert caught.value.code == "OQ127"
    assert says in f"{caught.value.message}\n{caught.value.hint}"


def test_a_configuration_is_named_before_the_split(load, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    cache(tmp_path / "cache" / "two", "en")
    cache(tmp_path / "cache" / "two", "fr")
    np.testing.assert_array_equal(load("hf:two:fr:train")[0]["ids"], IDS)


def rows_of(path, model, **options):
    work = path.parent / "work"
    work.mkdir()
    request = LoadRowsRequest(
        data=DataRequest(spec=str(path), preprocess=AsGiven(), **options),
        calibration=NoDataRequest(),
        signature=model,
        declared=(),
        split=False,
    )
    rows = load_rows(request, work, tell_nobody).evaluation.rows
    (array,) = open_row_arrays(rows).values()
    return [array.take([row])[0] for row in range(rows.count_rows)]


@pytest.mark.parametrize("shards", [1, 3])
def test_lists_may_differ_in_length_where_the_model_lets_them(tmp_path, shards):
    lists = [list(range(1 + row % 4)) for row in range(N)]
    (tmp_path / "parts").mkdir()
    for index in range(shards):
        part = lists[index * N // shards : (index + 1) * N // shards]
        columns = {"ids": pa.array(part, pa.list_(pa.int32()))}
        parquet.write_table(pa.table(columns), tmp_path / "parts" / f"{index}.parquet")
    assert [row.tolist() for row in rows_of(tmp_path / "parts", TOKENS)] == lists


def test_images_may_differ_in_size_where_the_model_lets_them(tmp_path):
    pixels = [PIXELS[0], PIXELS[1, :, :5], PIXELS[2, :6]]
    parquet.write_table(
        pa.table({"image": [encoded(one) for one in pixels]}), tmp_path / "t.parquet"
    )
    found = rows_of(tmp_path / "t.parquet", signature(("x", "float32", ("N", "H", "W", 3))))
    for row, expected in zip(found, pixels, strict=True):
        np.testing.assert_array_equal(row, expected)


def nulls(name):
    values = COLUMNS[name].to_pylist()
    values[3] = None
    return pa.table({"x": pa.array(values, COLUMNS[name].type)})


def ragged():
    return pa.table({"x": [[1.0, 2.0], [3.0, 4.0], [5.0]]})


@pytest.mark.parametrize(
    ("make", "width", "code", "says"),
    [
        (
            lambda: table("a", "names"),
            2,
            "OQ122",
            "column 'names' of t.parquet cannot be fed: row 0",
        ),
        (lambda: table("a", "when"), 2, "OQ122", "it holds timestamp"),
        (lambda: table("names"), 2, "OQ122", "tokenize text"),
        (lambda: nulls("a"), 1, "OQ123", "row 3 of column 'x' in t.parquet has no value"),
        (lambda: nulls("free"), 6, "OQ123", "row 3 of column 'x' in t.parquet has no value"),
        (lambda: pa.table({"x": [[1.0, None]]}), 2, "OQ123", "missing values"),
        (ragged, 2, "OQ121", "[2] in row 0 and [1] in row 2: expected rows of one form"),
        (lambda: table("a", "b").slice(0, 0), 2, "OQ124", "has no rows"),
    ],
)
def test_what_cannot_be_fed_is_said(load, tmp_path, make, width, code, says):
    parquet.write_table(make(), tmp_path / "t.parquet")
    with pytest.raises(DatasetError) as caught:
        load(tmp_path / "t.parquet", signature(("x", "float32", ("N", width))))
    assert caught.value.code == code, caught.value.message
    assert says in f"{caught.value.message}\n{caught.value.hint}"


@pytest.mark.parametrize("content", [b"", b"PAR1", b"this is no table" * 9, "half"])
@pytest.mark.parametrize("is_parquet", [True, False])
def test_a_damaged_file_is_said(load, tmp_path, content, is_parquet):
    spec = path = tmp_path / "t.parquet"
    if is_parquet:
        write(path, "ids", "matrix")
    else:
        folder = save(tmp_path / "saved", table("ids", "matrix"))
        spec, path = f"hf:{folder}", folder / "data-00000-of-00001.arrow"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(DatasetError) as caught:
        load(spec)
    assert caught.value.code == "OQ127"
    assert "not a whole file" in caught.value.message


def test_parts_must_have_the_same_columns(load, tmp_path):
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts" / "0.parquet", "ids")
    write(tmp_path / "parts" / "1.parquet", "free")
    with pytest.raises(DatasetError, match="other columns"):
        load(tmp_path / "parts")


def test_a_choice_of_rows_from_an_old_version_is_refused(load, tmp_path):
    save(tmp_path / "saved", table("ids"), _indices_data_files=[{"filename": "i.arrow"}])
    with pytest.raises(DatasetError) as caught:
        load("hf:saved")
    assert "flatten_indices" in caught.value.hint


def test_without_pyarrow_its_extra_is_named(load, tmp_path, monkeypatch):
    write(tmp_path / "t.parquet", "ids")
    monkeypatch.delitem(sys.modules, "onnxq.datasets.arrow_files", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError) as caught:
        load(tmp_path / "t.parquet")
    assert caught.value.code == "OQ108"
    assert "pip install 'onnxq[data]'" in caught.value.hint
