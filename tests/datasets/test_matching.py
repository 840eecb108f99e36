"""Which array feeds which input: only what is certain is taken, the rest is asked for."""

import numpy as np
import pytest

from onnxq.datasets.arrays import RawArray
from onnxq.datasets.matching import match_arrays
from onnxq.errors import DatasetError
from onnxq.tensors import TensorSpec


def arrays(**shapes):
    return {
        name: RawArray(name, np.dtype("int64" if len(shape) == 1 else "float32"), shape)
        for name, shape in shapes.items()
    }


def inputs(*names, row=(28, 28)):
    return tuple(TensorSpec(name, "float32", ("N", *row)) for name in names)


def matched(specs, held, **mapping):
    found = match_arrays(specs, held, mapping, "val.npz")
    labels = [array.name for array in found.labels]
    return {name: array.name for name, array in found.inputs.items()}, labels


@pytest.mark.parametrize("label", ["y", "label", "labels", "target", "targets", "Y"])
def test_labels_are_known_by_name(label):
    held = arrays(x=(9, 28, 28), **{label: (9,)})
    assert matched(inputs("x"), held) == ({"x": "x"}, [label])


def test_a_single_array_feeds_a_single_input():
    held = arrays(photos=(9, 28, 28), labels=(9,))
    assert matched(inputs("input_1"), held) == ({"input_1": "photos"}, ["labels"])


def test_text_beside_an_array_feeds_nothing():
    names = RawArray("files", np.dtype("U9"), (9,))
    held = {**arrays(photos=(9, 28, 28), labels=(9,)), "files": names}
    assert matched(inputs("x"), held) == ({"x": "photos"}, ["labels"])
    assert matched(inputs("x"), {"files": names}) == ({"x": "files"}, [])


def test_names_feed_several_inputs_and_more_arrays_do_no_harm():
    held = arrays(b=(9, 28, 28), a=(9, 28, 28), other=(3,))
    assert matched(inputs("a", "b"), held) == ({"a": "a", "b": "b"}, [])


def test_a_mapping_wins():
    held = arrays(x=(9, 28, 28), x_test=(9, 28, 28), y=(9,), truth=(9,))
    assert matched(inputs("x"), held, x="x_test", labels="truth") == ({"x": "x_test"}, ["truth"])


def test_an_input_called_y_is_an_input():
    held = arrays(x=(9, 28, 28), y=(9, 28, 28), labels=(9,))
    assert matched(inputs("x", "y"), held) == ({"x": "x", "y": "y"}, ["labels"])


def test_a_mapped_array_is_no_label():
    held = arrays(x=(9, 28, 28), y=(9, 28, 28))
    assert matched(inputs("a"), held, a="y") == ({"a": "y"}, [])


def refused(specs, held, **mapping):
    with pytest.raises(DatasetError) as caught:
        match_arrays(specs, held, mapping, "val.npz")
    return caught.value


def test_train_and_test_rows_are_not_guessed_between():
    held = arrays(x_train=(60, 28, 28), y_train=(60,), x_test=(9, 28, 28), y_test=(9,))
    error = refused(inputs("flatten_input"), held)
    assert error.code == "OQ121"
    assert all(f" {name} " in str(error) for name in held)
    assert "--map flatten_input=x_test --map labels=y_test" in error.hint


def test_the_hint_names_the_array_that_fits():
    held = arrays(a=(9, 5), images=(9, 28, 28, 1), y=(9,))
    error = refused(inputs("x", row=(28, 28, 1)), held)
    assert error.hint.endswith("--map x=images")


def test_an_input_without_any_array_is_named():
    error = refused(inputs("a", "mask"), arrays(a=(9, 28, 28), y=(9,)))
    assert error.code == "OQ121"
    assert "model wants  mask" in str(error)
    assert "nothing else to feed" in str(error)
    assert "'mask'" in error.hint


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"imges": "x"}, "no input 'imges', but images. Did you mean 'images'?"),
        ({"images": "xx"}, "no array 'xx', but x, y. Did you mean 'x'?"),
        ({"labels": "z"}, "no array 'z'"),
    ],
)
def test_a_mapping_of_what_does_not_exist_is_named(mapping, says):
    error = refused(inputs("images"), arrays(x=(9, 28, 28), y=(9,)), **mapping)
    assert error.code == "OQ121"
    assert says in str(error)


def test_two_arrays_of_labels_are_not_guessed_between():
    error = refused(inputs("x"), arrays(x=(9, 28, 28), y=(9,), labels=(9,)))
    assert (error.code, error.hint) == ("OQ125", "Name one:  --map labels=y")


def test_rows_must_agree():
    error = refused(inputs("a", "b"), arrays(a=(9, 28, 28), b=(8, 28, 28)))
    assert error.code == "OQ121"
    error = refused(inputs("a"), arrays(a=(9, 28, 28), y=(8,)))
    assert error.code == "OQ125"
    assert "8 labels in 'y': expected 9" in str(error)
