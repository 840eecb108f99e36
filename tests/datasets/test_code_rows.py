"""Rows from the user's own code: everything that it may give, and what it may not."""

import json
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from onnxq.datasets import gathering, spooling
from onnxq.datasets.loading import data_specs, load_probe_rows, load_rows
from onnxq.datasets.splitting import choose_rows
from onnxq.datasets.values import DataRequest
from onnxq.errors import DatasetError, MissingDependencyError
from onnxq.events import tell_nobody
from onnxq.stages import LoadRowsRequest, NoDataRequest
from onnxq.tensors import Signature, TensorSpec

LOADERS = """
import itertools
import numpy as np
from neighbour_of_loaders import N

X = np.random.default_rng(0).standard_normal((N, 2, 3)).astype("float32")
Y = np.arange(N) % 4

class Rows:
    def __len__(self): return N
    def __getitem__(self, index):
        if index >= N: raise IndexError(index)
        return X[index], int(Y[index])

class Batches:
    def __len__(self): return 5
    def __getitem__(self, index):
        return X[index * 8:index * 8 + 8], Y[index * 8:index * 8 + 8]

class Tensor:
    '''What duck typing asks of PyTorch.'''
    def __init__(self, values): self.values = values
    def detach(self): return self
    def cpu(self): return self
    def float(self): return Tensor(self.values)
    def numpy(self): return self.values

class Eager:
    '''What duck typing asks of TensorFlow.'''
    def __init__(self, values): self.values = values
    def numpy(self): return self.values

class Numpied:
    def __init__(self, values): self.values = values
    def __array__(self, dtype=None, copy=None): return self.values

def chunks():
    return [(X[i:i + 8], Y[i:i + 8]) for i in range(0, N, 8)]

# what is fine
def an_array(): return X
def a_dict(): return {"x": X, "labels": Y}
def a_pair(): return X, Y
def lists(): return X.tolist(), Y.tolist()
def nested_pair(): return {"x": X}, Y
def rows(): yield from zip(X, map(int, Y))
def batches(): yield from chunks()
def dicts():
    for x, y in chunks(): yield {"x": x, "y": y, "id": object(), "name": ["a"] * len(x)}
def pair_lists():
    for x, y in chunks(): yield [Tensor(x), Tensor(y)]
def eager():
    for x, y in chunks(): yield Eager(x), Eager(y)
def arrays_by_protocol():
    for x, y in chunks(): yield Numpied(x), Numpied(y)
def tuples_of_one():
    for x, _ in chunks(): yield (x,)
def bare_rows(): yield from X
def row_dicts():
    for x, y in zip(X, Y): yield {"x": x.tolist(), "label": int(y)}
def text_labels(): return X, ["dcba"[y] for y in Y]
def text_label_batches():
    for x, y in chunks(): yield x, ["dcba"[i] for i in y]
ready = Rows()
listed = list(zip(X, map(int, Y)))

# what is not
def nothing(): return None
def none_items(): yield None
def text(): return ["one", "two"]
def three(): return X, Y, Y
def label_dicts(): return X, {"a": Y}
def needs(width): return X
def raises(): raise RuntimeError("no such luck")
def raises_later():
    yield X[0], 0
    1 / 0
def raises_in_item():
    class Bad(Rows):
        def __getitem__(self, index): raise ValueError(f"row {index}")
    return Bad()
def leaves(): raise SystemExit(2)
def lacks():
    import no_such_package_here
def empty(): return iter(())
def no_items(): return []
def no_arrays(): return {}
def ragged():
    yield X[0], 0
    yield X[0, :1], 0
def ragged_lists(): yield [[1.0, 2.0], [3.0]], 0
def other_dtype():
    yield np.zeros((2, 3), np.int64), 0
    yield np.zeros((2, 3)), 0
def other_keys():
    yield {"x": X[0], "y": 0}
    yield {"x": X[1]}
def uneven(): yield X[:4], Y[:3]
def unclear():
    for _ in range(3): yield np.zeros(7)
def objects(): return np.array([{}, {}])
def strings(): return np.array(["how are you", "fine"])
def string_rows(): yield from [("how are you", 1), ("fine", 0)]
def endless():
    for i in itertools.count(): yield X[i % N], i % 4
def two_inputs():
    for x, y in zip(X, Y): yield (x, x + 1), int(y)
LIMIT = 3
"""

ONE = Signature(
    (TensorSpec("x", "float32", ("N", 2, 3)),), (TensorSpec("scores", "float32", ("N", 4)),)
)
N = 40
X = np.random.default_rng(0).standard_normal((N, 2, 3)).astype(np.float32)
Y = np.arange(N) % 4


@pytest.fixture
def loaders(tmp_path, monkeypatch):
    (tmp_path / "loaders_of_test.py").write_text(LOADERS)
    (tmp_path / "neighbour_of_loaders.py").write_text(f"N = {N}\n")
    for name in ("neighbour_of_loaders", "loaders_of_test"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path / "loaders_of_test.py"


@pytest.fixture
def load(loaders, tmp_path):
    def load_named(name, model=ONE, **options):
        work = tmp_path / "work"
        work.mkdir()
        request = LoadRowsRequest(
            data=DataRequest(spec=f"{loaders}:{name}", **options),
            calibration=NoDataRequest(),
            signature=model,
            declared=(),
            split=False,
        )
        result = load_rows(request, work, tell_nobody)
        rows = result.evaluation.rows
        arrays = {name: np.load(file) for name, file in rows.inputs.items()}
        labels = np.load(rows.labels).tolist() if rows.labels else None
        notes = [one.message for one in result.findings if one.code == "OQ133"]
        return arrays, labels, json.loads(Path(rows.row_names).read_text()), notes

    return load_named


WHOLE = ["an_array", "a_dict", "a_pair", "lists", "nested_pair", "text_labels", "X"]
IN_ROWS = ["rows", "bare_rows", "row_dicts", "ready", "listed", "Rows"]
IN_BATCHES = ["batches", "dicts", "pair_lists", "eager", "arrays_by_protocol", "tuples_of_one",
              "text_label_batches", "Batches"]  # fmt: skip


@pytest.mark.parametrize("name", [*WHOLE, *IN_ROWS, *IN_BATCHES])
def test_rows_are_the_same_in_whatever_form(load, name):
    arrays, labels, names, notes = load(name)
    np.testing.assert_allclose(arrays["x"], X, rtol=1e-7)
    assert names == [str(index) for index in range(N)]
    if "text" in name:
        assert labels == (3 - Y).tolist()
    elif name not in {"an_array", "X", "bare_rows", "tuples_of_one"}:
        assert labels == Y.tolist()
    else:
        assert labels is None
    reading = {**dict.fromkeys(IN_ROWS, "one row an item"), **dict.fromkeys(IN_BATCHES, "batches")}
    assert [reading[name] in note for note in notes] == ([True] if name in reading else [])


def test_a_tuple_feeds_the_inputs_in_order(load):
    specs = tuple(TensorSpec(name, "float32", ("N", 2, 3)) for name in ("b", "a"))
    arrays, labels, _, _ = load("two_inputs", Signature(specs, ()))
    np.testing.assert_array_equal(arrays["b"], X)
    np.testing.assert_array_equal(arrays["a"], X + 1)
    assert labels == Y.tolist()


@pytest.mark.usefixtures("loaders")
def test_a_module_is_found_in_a_trusted_folder(tmp_path):
    data = DataRequest(spec="loaders_of_test:rows")
    probes = load_probe_rows(data, ONE, count_rows=3, trusted_folders=(str(tmp_path),))
    np.testing.assert_array_equal(probes["x"], X[:3])
    with pytest.raises(DatasetError) as caught:
        load_probe_rows(DataRequest(spec="loaders_of_tset:rows"), ONE, count_rows=3)
    assert caught.value.code == "OQ105"


def test_probing_takes_no_more_than_it_needs(loaders):
    data = DataRequest(spec=f"{loaders}:endless")
    np.testing.assert_array_equal(load_probe_rows(data, ONE, count_rows=3)["x"], X[:3])
    assert [str(one) for one in data_specs(data, channels_first=True)] == ["rows float32 [N, 2, 3]"]


def test_a_limit_ends_what_does_not_end(load):
    arrays, _, _, notes = load("endless", limit_rows=11)
    np.testing.assert_array_equal(arrays["x"], X[:11])
    assert notes[1].startswith("The first 11 rows were taken")


def test_a_limit_cuts_a_batch(load):
    arrays, labels, _, _ = load("batches", limit_rows=11)
    np.testing.assert_array_equal(arrays["x"], X[:11])
    assert labels == Y[:11].tolist()


@pytest.mark.parametrize("name", ["a_pair", "ready", "listed"])
def test_of_what_has_an_index_rows_are_chosen_at_random(load, name):
    arrays, labels, names, notes = load(name, limit_rows=9, seed=3)
    chosen = choose_rows(N, 9, 3)
    np.testing.assert_array_equal(arrays["x"], X[chosen])
    assert (labels, names) == (Y[chosen].tolist(), [str(index) for index in chosen])
    assert not any("first" in note for note in notes)


def test_what_does_not_end_is_an_error(load, monkeypatch):
    monkeypatch.setattr(gathering, "MAX_ENDLESS_ROWS", 100)
    with pytest.raises(DatasetError) as caught:
        load("endless")
    assert caught.value.code == "OQ127"
    assert "gave 100 rows and does not end" in caught.value.message
    assert "--limit" in caught.value.hint


def test_what_ends_at_the_last_row_that_is_allowed_is_none(load, monkeypatch):
    monkeypatch.setattr(gathering, "MAX_ENDLESS_ROWS", N)
    assert len(load("rows")[0]["x"]) == N


def test_what_would_fill_the_disk_is_an_error(load, monkeypatch):
    monkeypatch.setattr(spooling, "MAX_SPOOLED_BYTES", 100)
    with pytest.raises(DatasetError) as caught:
        load("rows")
    assert caught.value.code == "OQ127"


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("nosuch", "OQ105", "has no 'nosuch'"),
        ("nothing", "OQ106", "gave None, expected an array, a dict"),
        ("none_items", "OQ106", "gave None"),
        ("LIMIT", "OQ106", "an int"),
        ("three", "OQ106", "gave a tuple of 3"),
        ("label_dicts", "OQ106", "labels that are a dict"),
        ("needs", "OQ106", "needs arguments: width"),
        ("raises", "OQ106", "RuntimeError: no such luck (loaders_of_test.py, line"),
        ("raises_later", "OQ106", "ZeroDivisionError: division by zero (loaders_of_test.py, line"),
        ("raises_in_item", "OQ106", "ValueError: row 0 (loaders_of_test.py, line"),
        ("leaves", "OQ106", "SystemExit: 2"),
        ("empty", "OQ124", "gave no rows"),
        ("no_items", "OQ124", "gave no rows"),
        ("no_arrays", "OQ106", "gave no arrays"),
        ("text", "OQ106", "gave a str"),
        ("ragged", "OQ121", "item 1 of loaders_of_test.py:ragged holds rows of 'rows' as"),
        ("ragged_lists", "OQ121", "pad sequences to one length"),
        ("other_dtype", "OQ121", "expected int64 [2, 3], as the first item has"),
        ("other_keys", "OQ121", "differs from the items before, which hold x, y"),
        ("uneven", "OQ121", "arrays that differ in rows"),
        ("unclear", "OQ121", "whether that is a row or several"),
        ("objects", "OQ106", "cannot become an array"),
        ("strings", "OQ122", "tokenize it first"),
        ("string_rows", "OQ122", "tokenize it first"),
    ],
)
def test_what_cannot_be_used_says_why(load, name, code, says):
    with pytest.raises(DatasetError) as caught:
        load(name)
    assert caught.value.code == code, caught.value.message
    assert says in f"{caught.value.message}\n{caught.value.hint}"


def test_a_package_that_is_missing_is_named(load):
    with pytest.raises(MissingDependencyError, match="no_such_package_here"):
        load("lacks")


def test_a_pattern_of_paths_is_not_for_code(load):
    with pytest.raises(DatasetError) as caught:
        load("a_pair", classes=r"^(\d)")
    assert caught.value.code == "OQ125"


FRAMEWORKS = """
import numpy as np
X = np.random.default_rng(0).standard_normal((40, 2, 3)).astype("float32")
Y = np.arange(40) % 4

def torch_batches():
    import torch
    data = torch.utils.data.TensorDataset(torch.tensor(X, requires_grad=True), torch.tensor(Y))
    return torch.utils.data.DataLoader(data, batch_size=7)

def torch_rows():
    import torch
    return torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))

def torch_bfloat16():
    import torch
    return torch.tensor(X).bfloat16(), torch.tensor(Y)

def tensorflow_batches():
    import tensorflow
    return tensorflow.data.Dataset.from_tensor_slices((X, Y)).batch(7)

def keras_batches():
    import keras
    class Sequence(keras.utils.PyDataset):
        def __len__(self): return 5
        def __getitem__(self, index):
            return X[index * 8:index * 8 + 8], Y[index * 8:index * 8 + 8]
    return Sequence()
"""


@pytest.fixture
def frameworks(tmp_path):
    (tmp_path / "frameworks_of_test.py").write_text(textwrap.dedent(FRAMEWORKS))
    return tmp_path / "frameworks_of_test.py"


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "tolerance"), [("torch_batches", 0), ("torch_rows", 0), ("torch_bfloat16", 1e-2)]
)
def test_pytorch(frameworks, name, tolerance):
    pytest.importorskip("torch")
    data = DataRequest(spec=f"{frameworks}:{name}")
    rows = load_probe_rows(data, ONE, count_rows=99)["x"]
    np.testing.assert_allclose(rows, X, rtol=tolerance)


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.parametrize("name", ["tensorflow_batches", "keras_batches"])
def test_tensorflow(frameworks, name):
    pytest.importorskip("tensorflow")
    data = DataRequest(spec=f"{frameworks}:{name}")
    np.testing.assert_array_equal(load_probe_rows(data, ONE, count_rows=99)["x"], X)
