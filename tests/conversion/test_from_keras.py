"""Keras models, built here or shipped, become ONNX models that compute the same."""

import importlib.util
import logging
import os
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from onnxq.errors import InferenceError

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None, reason="the extra keras is not installed"
    ),
]

BATCHES = (1, 3)


@pytest.fixture(scope="module")
def door():
    """What needs TensorFlow, imported once, when the first of these tests runs."""
    from onnxq.conversion.from_keras import convert_keras  # noqa: PLC0415 - takes seconds
    from onnxq.conversion.from_keras_backend import keras, tf  # noqa: PLC0415 - takes seconds
    from onnxq.runtime import open_predict  # noqa: PLC0415 - beside the others

    return SimpleNamespace(
        keras=keras, layers=keras.layers, tf=tf, convert=convert_keras, open_predict=open_predict
    )


@pytest.fixture
def convert(door, tmp_path):
    """Save a model, convert the file, and check parity at each batch."""

    def run(model, suffix=".keras"):
        path = save(model, tmp_path / f"given{suffix}")
        return check_parity(
            door, door.convert(path, tmp_path / "made.onnx"), tmp_path / "made.onnx"
        )

    return run


def save(model, path):
    """Save without what Keras 3.15 provokes in numpy: its variables' ``__array__`` lacks copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        model.save(path)
    return path


def check_parity(door, export, path):
    proto = onnx.load(path)
    predict = door.open_predict(path)
    for rows in BATCHES:
        feed = random_rows(proto, rows)
        expected, found = export.predict(feed), predict(feed)
        assert list(expected) == list(found) == names(proto.graph.output)
        for name, reference in expected.items():
            assert found[name].dtype == reference.dtype
            tolerance = 2e-3 if reference.dtype == np.float16 else 1e-5
            np.testing.assert_allclose(found[name], reference, atol=tolerance, rtol=tolerance)
    return SimpleNamespace(export=export, proto=proto)


def random_rows(proto, rows):
    generator = np.random.default_rng(rows)
    feed = {}
    for value in proto.graph.input:
        tensor = value.type.tensor_type
        shape = [dim.dim_value or 6 for dim in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        values = generator.normal(0, 3, (rows, *shape[1:]))
        feed[value.name] = (values if dtype.kind == "f" else abs(values)).astype(dtype)
    return feed


def names(values):
    return [value.name for value in values]


def shapes(values):
    return [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values]


def operators(proto):
    return {node.op_type for node in proto.graph.node}


def test_unnamed_sequential_model(door, convert):
    model = door.keras.Sequential(
        [
            door.layers.Input((8, 8)),
            door.layers.Reshape((8, 8, 1)),
            door.layers.Conv2D(3, 3, activation="relu"),
            door.layers.MaxPooling2D(),
            door.layers.Flatten(),
            door.layers.Dense(4, name="logits"),
        ]
    )
    made = convert(model)
    assert names(made.proto.graph.output) == ["logits"]
    assert shapes(made.proto.graph.input) == [["N", 8, 8]]
    assert shapes(made.proto.graph.output) == [["N", 4]]


def test_file_is_what_is_handed_over(door, convert, tmp_path):
    made = convert(door.keras.Sequential([door.layers.Input((5,)), door.layers.Dense(2)]))
    assert [(o.domain, o.version) for o in made.proto.opset_import] == [("", 17)]
    assert made.proto.ir_version == 8
    assert not made.proto.metadata_props
    assert not made.proto.graph.value_info
    assert str(tmp_path).encode() not in made.proto.SerializeToString()
    assert os.fsencode(os.path.expanduser("~")) not in made.proto.SerializeToString()  # noqa: PTH111 - bytes are searched
    assert made.export.exporter.startswith("tf2onnx 1.")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["given.keras", "made.onnx"]


def two_by_two(door, inputs, outputs):
    b, a = door.layers.Input((4,), name="b"), door.layers.Input((6, 6, 2), name="a")
    pooled = door.layers.GlobalAveragePooling2D()(door.layers.Conv2D(4, 3)(a))
    both = door.layers.Concatenate()([pooled, b])
    z, c = door.layers.Dense(2, name="z")(both), door.layers.Dense(3, name="c")(both)
    return door.keras.Model(inputs(a, b), outputs(z, c))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_names_and_order_of_a_functional_model(door, convert, suffix):
    model = two_by_two(door, lambda a, b: [b, a], lambda z, c: [z, c])
    made = convert(model, suffix)
    assert names(made.proto.graph.input) == ["b", "a"]
    assert names(made.proto.graph.output) == ["z", "c"]


def test_names_and_order_of_dictionaries(door, convert):
    """Keras and TensorFlow flatten dictionaries by sorted keys; the file keeps their own order."""
    model = two_by_two(door, lambda a, b: {"b": b, "a": a}, lambda z, c: {"last": z, "first": c})
    made = convert(model)
    assert names(made.proto.graph.input) == ["b", "a"]
    assert names(made.proto.graph.output) == ["last", "first"]


def test_names_become_unique_and_legal(door, convert):
    first, second = (door.layers.Input((3,), name=name) for name in ("one two", "one_two"))
    shared = door.layers.Dense(2, name="same")
    made = convert(door.keras.Model([first, second], [shared(first), shared(second), first]))
    assert names(made.proto.graph.input) == ["one_two", "one_two_1"]
    assert names(made.proto.graph.output) == ["same", "same_1", "one_two_2"]


def test_batch_normalization_and_depthwise_convolution(door, convert):
    image = door.layers.Input((8, 8, 3))
    layers = door.layers
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(image))
    x = layers.ReLU(6)(layers.BatchNormalization()(layers.DepthwiseConv2D(3)(x)))
    made = convert(door.keras.Model(image, x))
    assert operators(made.proto) <= {"Transpose", "Conv", "Mul", "Add", "Clip"}


def test_exact_gelu(door, convert):
    model = door.keras.Sequential(
        [door.layers.Input((5,)), door.layers.Dense(4, activation="gelu")]
    )
    model.layers[0].activation = door.keras.activations.gelu
    made = convert(door.keras.Sequential([door.layers.Input((5,)), door.layers.Activation("gelu")]))
    assert "Erf" in operators(made.proto)


def test_captured_constants_become_initializers(door, convert):
    normalization = door.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])
    made = convert(
        door.keras.Sequential([door.layers.Input((3,)), normalization, door.layers.Dense(2)])
    )
    assert len(made.proto.graph.input) == 1


def test_lstm_is_an_lstm(door, convert):
    made = convert(
        door.keras.Sequential(
            [door.layers.Input((None, 3)), door.layers.LSTM(4), door.layers.Dense(2)]
        )
    )
    assert "LSTM" in operators(made.proto)
    assert shapes(made.proto.graph.input)[0][0] == "N"


@pytest.mark.parametrize(
    ("options", "operator"),
    [
        ({}, "GRU"),
        ({"return_sequences": True, "go_backwards": True}, "GRU"),
        ({"use_bias": False, "activation": "relu"}, "GRU"),
        ({"reset_after": False}, "Loop"),
        ({"recurrent_activation": "hard_sigmoid"}, "Loop"),
    ],
)
def test_gru_is_a_gru_where_tf2onnx_can(door, convert, options, operator):
    gru = door.layers.GRU(4, bias_initializer="uniform", **options)
    inner_loop, call = door.layers.GRU.inner_loop, door.layers.GRUCell.call
    made = convert(door.keras.Sequential([door.layers.Input((None, 3)), gru]))
    assert operator in operators(made.proto)
    assert (door.layers.GRU.inner_loop, door.layers.GRUCell.call) == (inner_loop, call)


def test_masked_gru_stays_a_loop(door, convert):
    layers = door.layers
    masked = [layers.Input((5, 3)), layers.Masking(), layers.GRU(4, bias_initializer="uniform")]
    assert "Loop" in operators(convert(door.keras.Sequential(masked)).proto)


def test_bidirectional_gru(door, convert):
    layers = door.layers
    gru = layers.Bidirectional(layers.GRU(4, bias_initializer="uniform"))
    assert "GRU" in operators(convert(door.keras.Sequential([layers.Input((5, 3)), gru])).proto)


def test_integer_input(door, convert):
    tokens = door.layers.Input((6,), dtype="int32", name="tokens")
    convert(
        door.keras.Model(tokens, door.layers.Conv1D(3, 2)(door.layers.Embedding(12, 4)(tokens)))
    )


def test_mixed_precision(door, convert):
    dense = [door.layers.Dense(units, dtype="mixed_float16") for units in (4, 2)]
    made = convert(door.keras.Sequential([door.layers.Input((6,)), *dense]))
    assert made.proto.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16


def test_attention(door, convert):
    tokens = door.layers.Input((5, 8))
    convert(door.keras.Model(tokens, door.layers.MultiHeadAttention(2, 4)(tokens, tokens)))


def test_sequential_model_without_input_gets_a_free_batch(door, convert):
    model = door.keras.Sequential([door.layers.Conv2D(2, 3), door.layers.Flatten()])
    model(np.zeros((1, 6, 6, 1), np.float32))
    assert shapes(convert(model).proto.graph.input) == [["N", 6, 6, 1]]


def test_batch_that_cannot_be_free_is_kept_and_said(door, tmp_path):
    image = door.layers.Input(batch_shape=(2, 6), name="x")
    parts = door.keras.ops.unstack(image, axis=0)
    model = door.keras.Model(image, door.keras.ops.stack(parts[::-1]))
    export = door.convert(save(model, tmp_path / "fixed.keras"), tmp_path / "fixed.onnx")
    graph = onnx.load(tmp_path / "fixed.onnx").graph
    assert shapes(graph.input) == shapes(graph.output) == [[2, 6]]
    assert [(f.code, f.evidence) for f in export.findings] == [("OQ153", {"rows": 2})]
    rows = np.arange(12, dtype=np.float32).reshape(2, 6)
    (found,) = door.open_predict(tmp_path / "fixed.onnx")({"x": rows}).values()
    np.testing.assert_array_equal(found, rows[::-1])


def test_declared_batch_becomes_free_where_it_can(door, convert):
    layers = [door.layers.Input(batch_shape=(2, 6)), door.layers.Dense(3)]
    made = convert(door.keras.Sequential(layers))
    assert shapes(made.proto.graph.input) == [["N", 6]]
    assert not made.export.findings


def test_root_logger_is_left_alone(door, convert, caplog):
    """tf2onnx warns through it about matrix products in half precision."""
    gru = door.layers.GRU(4, dtype="mixed_float16")
    root = logging.getLogger()
    before = (root.level, list(root.handlers), list(root.filters))
    convert(door.keras.Sequential([door.layers.Input((5, 3)), gru]))
    assert (root.level, list(root.handlers), list(root.filters)) == before
    assert not [record for record in caplog.records if record.name in {"root", "tf2onnx"}]


def test_failed_rows_are_named(door, convert):
    made = convert(door.keras.Sequential([door.layers.Input((5,)), door.layers.Dense(2)]))
    (name,) = names(made.proto.graph.input)
    with pytest.raises(InferenceError, match=r"Keras failed on inputs of shapes .*\[2, 7\]"):
        made.export.predict({name: np.zeros((2, 7), np.float32)})


def test_import_is_quiet_and_ignores_keras_own_settings(tmp_path):
    """Nothing on stderr, and TensorFlow below Keras whatever the user's settings file says."""
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    code = "import onnxq.conversion.from_keras as f; print(f.keras.config.backend())"
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    for name in ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert (done.stdout.strip(), done.stderr) == ("tensorflow", "")
