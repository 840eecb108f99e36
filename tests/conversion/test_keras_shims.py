"""Configurations of Keras 2 lose only what Keras 3 assumes anyway."""

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(
        importlib.util.find_spec("h5py") is None, reason="the extra keras is not installed"
    ),
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def shim():
    from onnxq.conversion.keras_shims import shim_keras2  # noqa: PLC0415 - needs h5py

    return shim_keras2


def layer(class_name, **config):
    return {"class_name": class_name, "config": {"name": "old", **config}}


@pytest.mark.parametrize(
    ("class_name", "key", "value"),
    [
        ("DepthwiseConv2D", "groups", 1),
        ("SeparableConv2D", "groups", 1),
        ("Conv2DTranspose", "groups", 1),
        ("LSTM", "time_major", False),
        ("GRU", "implementation", 2),
        ("LSTMCell", "implementation", 1),
    ],
)
def test_what_keras3_assumes_is_left_out(shim, class_name, key, value):
    nested = layer("Bidirectional", layer=layer(class_name, **{key: value}))
    shimmed = shim({"layers": [nested]})
    assert shimmed.config == {"layers": [layer("Bidirectional", layer=layer(class_name))]}
    assert shimmed.changes == (f"{class_name}.{key}",)


@pytest.mark.parametrize(
    ("class_name", "key", "value"),
    [("DepthwiseConv2D", "groups", 2), ("LSTM", "time_major", True), ("Conv2D", "groups", 1)],
)
def test_what_means_something_stays(shim, class_name, key, value):
    config = layer(class_name, **{key: value})
    assert shim(config).config == config
    assert not shim(config).changes


def test_hard_sigmoid_is_renamed_wherever_it_is_an_activation(shim):
    shimmed = shim(layer("LSTM", activation="tanh", recurrent_activation="hard_sigmoid"))
    inner = shimmed.config["config"]
    assert inner["activation"] == "tanh"
    assert inner["recurrent_activation"]["config"] == "keras2_hard_sigmoid"
    assert shimmed.changes == ("LSTM.recurrent_activation=hard_sigmoid",)


@given(config=JSON)
def test_anything_else_is_untouched(shim, config):
    shimmed = shim(config)
    assert shimmed.config == config
    assert not shimmed.changes


@given(config=JSON)
def test_once_is_enough(shim, config):
    first = shim({"layer": layer("LSTM", time_major=False), "rest": config})
    assert shim(first.config).config == first.config
