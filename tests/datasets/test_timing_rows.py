import shlex

import numpy as np
import pytest

from onnxq.datasets.timing_rows import store_timing_rows
from onnxq.datasets.values import EvaluationSet, NoRows, StoredRows
from onnxq.errors import SourceError, UsageError
from onnxq.sources import InputDeclaration, parse_inputs
from onnxq.tensors import Signature, TensorSpec

IMAGE = TensorSpec("x", "float32", ("N", 3, 4, 4))
TOKENS = TensorSpec("tokens", "int64", ("N", 8))
FREE = TensorSpec("x", "float32", ("N", "T", 4))
FIXED = TensorSpec("x", "float32", (2, 3))
OUTPUT = TensorSpec("y", "float32", ("N", 2))


def timing(spec, folder, rows=NoRows(), declared=(), batch_rows=4):  # noqa: B008 - frozen values
    signature = Signature((spec,), (OUTPUT,))
    paths = store_timing_rows(
        signature, rows, declared, batch_rows=batch_rows, seed=1, folder=folder
    )
    return np.load(paths[spec.name])


def stored(array, folder):
    np.save(folder / "rows.npy", array)
    rows = StoredRows(
        inputs={"x": str(folder / "rows.npy")}, count_rows=len(array), labels="", row_names=""
    )
    return EvaluationSet(rows)


def test_takes_the_first_rows(tmp_path):
    array = np.arange(6 * 48, dtype=np.float32).reshape(6, 3, 4, 4)
    assert np.array_equal(timing(IMAGE, tmp_path, stored(array, tmp_path)), array[:4])


def test_repeats_rows_that_are_too_few(tmp_path):
    array = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
    assert np.array_equal(timing(IMAGE, tmp_path, stored(array, tmp_path)), np.repeat(array, 4, 0))


def test_fixed_batch_wins_over_the_one_asked_for(tmp_path):
    assert timing(FIXED, tmp_path).shape == (2, 3)


def test_random_values_are_repeatable(tmp_path):
    first = timing(IMAGE, tmp_path)
    assert first.dtype == np.float32
    assert np.array_equal(first, timing(IMAGE, tmp_path))


def test_integers_stay_inside_what_was_declared(tmp_path):
    declared = (InputDeclaration("tokens", ("N", 8), "int64", 5, 7),)
    values = timing(TOKENS, tmp_path, declared=declared)
    assert values.shape == (4, 8)
    assert set(np.unique(values)) <= {5, 6, 7}


def test_integers_are_never_guessed(tmp_path):
    with pytest.raises(SourceError, match="takes integers") as caught:
        timing(TOKENS, tmp_path)
    assert "--input tokens:Nx8:int64:0..999" in caught.value.hint


def test_free_sizes_are_never_guessed(tmp_path):
    with pytest.raises(SourceError, match="size of input") as caught:
        timing(FREE, tmp_path)
    assert "--input x:NxSIZEx4:float32" in caught.value.hint


def test_declared_sizes_are_used(tmp_path):
    declared = (InputDeclaration("x", ("N", 9, 4)),)
    assert timing(FREE, tmp_path, declared=declared).shape == (4, 9, 4)


def test_masks_need_no_declaration(tmp_path):
    values = timing(TensorSpec("mask", "bool", ("N", 64)), tmp_path)
    assert values.dtype == bool
    assert values.any()
    assert not values.all()


def test_batch_that_no_memory_holds_is_refused(tmp_path):
    with pytest.raises(UsageError, match="one inference would take"):
        timing(IMAGE, tmp_path, batch_rows=10**12)


def test_all_inputs_that_nothing_is_known_of_are_told_at_once(tmp_path):
    signature = Signature(
        inputs=(
            TensorSpec("input ids", "int64", ("N", "T")),
            TensorSpec("x", "float32", ("N", 3)),
            TensorSpec("attention_mask", "int64", ("N", 8)),
            TensorSpec("pixels", "int8", ("N", 4)),
            TensorSpec("known", "int64", ("N", 8)),
        ),
        outputs=(OUTPUT,),
    )
    known = (InputDeclaration("known", ("N", 8), "int64", 0, 5),)
    with pytest.raises(SourceError) as caught:
        store_timing_rows(signature, NoRows(), known, batch_rows=4, seed=0, folder=tmp_path)
    assert caught.value.code == "OQ112"
    assert caught.value.hint.splitlines()[1:] == [
        "  --input 'input ids:NxSIZE:int64:0..999' \\",
        "  --input attention_mask:Nx8:int64:0..1 \\",
        "  --input pixels:Nx4:int8:-128..127",
    ]
    words = shlex.split(
        caught.value.hint.partition(":\n")[2].replace("SIZE", "7").replace("\\\n", "")
    )
    assert words[::2] == ["--input"] * 3
    assert len(parse_inputs(words[1::2])) == 3
    assert "input known" not in caught.value.message


@pytest.mark.parametrize(("dtype", "values"), [("int8", "-128..127"), ("uint8", "0..255")])
def test_values_that_are_suggested_fit_the_dtype(dtype, values, tmp_path):
    with pytest.raises(SourceError, match="takes integers") as caught:
        timing(TensorSpec("q", dtype, ("N", 8)), tmp_path)
    assert caught.value.hint.endswith(f"--input q:Nx8:{dtype}:{values}")
