"""Files of Keras 2: real ones against what Keras 2 computed, and what Keras 3 would misread."""

import importlib.util
import json
import warnings
import zipfile
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from onnxq.errors import ConversionError, SourceError

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None, reason="the extra keras is not installed"
    ),
]

REAL_FILES = {
    "resnet8": "keras2_tinymlperf/pretrainedResnet.h5",
    "vww": "keras2_tinymlperf/vww_96.h5",
    "ad01": "keras2_tinymlperf/ad01.h5",
    "miniX": "keras2_face/fer2013_mini_XCEPTION.119-0.65.hdf5",
}


@pytest.fixture(scope="module")
def door():
    from onnxq.conversion.from_keras import convert_keras  # noqa: PLC0415 - takes seconds
    from onnxq.conversion.from_keras_backend import keras  # noqa: PLC0415 - takes seconds
    from onnxq.runtime import open_predict  # noqa: PLC0415 - beside the others

    return SimpleNamespace(
        keras=keras, layers=keras.layers, convert=convert_keras, open_predict=open_predict
    )


@pytest.fixture
def write_as_keras2(door, tmp_path):
    """Save a model as HDF5 as Keras 2 would have: with its version and other configurations."""
    import h5py  # noqa: PLC0415 - comes with the extra

    def write(layers, **changes):
        path = tmp_path / "old.h5"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            door.keras.Sequential(layers).save(path)
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            for node in objects(config):
                node.update(changes.get(node["name"], {}))
            file.attrs["model_config"] = json.dumps(config)
            file.attrs["keras_version"] = "2.4.0"
        return path

    return write


def objects(node):
    if isinstance(node, dict):
        if isinstance(node.get("name"), str):
            yield node
        for value in node.values():
            yield from objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from objects(value)


def convert(door, path):
    export = door.convert(path, path.with_suffix(".onnx"))
    proto = onnx.load(path.with_suffix(".onnx"))
    return export, proto, door.open_predict(path.with_suffix(".onnx"))


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_file_computes_what_keras2_did(door, shared, tmp_path, name):
    reference = np.load(shared / "models" / "keras2_reference_io.npz")
    export = door.convert(shared / "models" / REAL_FILES[name], tmp_path / "made.onnx")
    predict = door.open_predict(tmp_path / "made.onnx")
    (fed,) = onnx.load(tmp_path / "made.onnx").graph.input
    rows, expected = reference[f"{name}_x"], reference[f"{name}_y"]
    for computed in (predict, export.predict):
        (found,) = computed({fed.name: rows}).values()
        np.testing.assert_allclose(found, expected, atol=1e-4 * max(1, abs(expected).max()))
    (finding,) = export.findings
    assert finding.code == "OQ156"
    assert ("DepthwiseConv2D.groups" in finding.message) == (name == "vww")


def test_real_autoencoder_keeps_nothing_but_gemm_and_relu(door, shared, tmp_path):
    """Keras 2's BatchNormalization behind a Dense arrives as Mul and Add, which stay float."""
    from onnxq.events import tell_nobody  # noqa: PLC0415 - beside the others
    from onnxq.graph import read_model  # noqa: PLC0415
    from onnxq.preparation import prepare  # noqa: PLC0415
    from onnxq.stages import PrepareRequest  # noqa: PLC0415

    door.convert(shared / "models" / REAL_FILES["ad01"], tmp_path / "made.onnx")
    made = read_model(tmp_path / "made.onnx")
    (tmp_path / "work").mkdir()
    prepared = prepare(PrepareRequest(model=made), tmp_path / "work", tell_nobody)
    assert prepared.model.operators == {"Gemm": 10, "Relu": 9}
    (fed,) = made.signature.inputs
    rows = {fed.name: np.load(shared / "models" / "keras2_reference_io.npz")["ad01_x"]}
    expected, found = (door.open_predict(m.path)(rows) for m in (made, prepared.model))
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-5 * max(1, abs(array).max()))


def test_temporary_copy_is_gone(door, write_as_keras2, tmp_path):
    layers = [door.layers.Input((6, 6, 2)), door.layers.DepthwiseConv2D(3, name="old")]
    convert(door, write_as_keras2(layers, old={"groups": 1}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.h5", "old.onnx"]


def test_groups_that_keras3_does_not_assume_are_refused(door, write_as_keras2):
    layers = [door.layers.Input((6, 6, 2)), door.layers.DepthwiseConv2D(3, name="old")]
    with pytest.raises(ConversionError, match=r"Keras 2\.4\.0: .*groups") as raised:
        convert(door, write_as_keras2(layers, old={"groups": 2}))
    assert raised.value.code == "OQ151"
    assert "save_format='tf'" in raised.value.hint


def test_recurrent_layers_also_nested(door, write_as_keras2):
    old = {"time_major": False, "implementation": 2}
    layers = [
        door.layers.Input((5, 3)),
        door.layers.Bidirectional(door.layers.LSTM(4, return_sequences=True, name="inner")),
        door.layers.LSTM(3, name="outer"),
    ]
    expected = door.keras.Sequential(layers)
    names = dict.fromkeys(("inner", "forward_inner", "backward_inner", "outer"), old)
    export, proto, predict = convert(door, write_as_keras2(layers, **names))
    assert "LSTM" in {node.op_type for node in proto.graph.node}
    rows = np.random.default_rng(1).normal(size=(3, 5, 3)).astype(np.float32)
    (found,) = predict({proto.graph.input[0].name: rows}).values()
    np.testing.assert_allclose(found, np.asarray(expected(rows)), atol=1e-6)
    assert "LSTM.time_major" in export.findings[0].message


def test_hard_sigmoid_keeps_keras2_slope(door, write_as_keras2):
    """Keras 3 computes clip(x / 6 + 0.5), Keras 2 clip(x / 5 + 0.5), under the same name."""
    layers = [door.layers.Input((7,)), door.layers.Activation("hard_sigmoid", name="gate")]
    export, proto, predict = convert(door, write_as_keras2(layers))
    rows = np.array([[-4, -2.6, -1, 0, 1, 2.6, 4]], np.float32)
    expected = np.clip(0.2 * rows + 0.5, 0, 1)
    for computed in (predict, export.predict):
        (found,) = computed({proto.graph.input[0].name: rows}).values()
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert "Activation.activation=hard_sigmoid" in export.findings[0].message


def test_hard_sigmoid_inside_an_lstm(door, write_as_keras2):
    """The default of Keras 2.0 to 2.2."""
    tf = pytest.importorskip("tensorflow")

    def old(values):
        return tf.clip_by_value(0.2 * values + 0.5, 0, 1)

    given = door.layers.LSTM(4, name="old", recurrent_activation="hard_sigmoid")
    path = write_as_keras2([door.layers.Input((5, 3)), given])
    expected = door.layers.LSTM(4, recurrent_activation=old)
    expected.build((None, 5, 3))
    expected.set_weights(door.keras.saving.load_model(path, compile=False).get_weights())
    rows = np.random.default_rng(1).normal(0, 2, (3, 5, 3)).astype(np.float32)
    _, proto, predict = convert(door, path)
    (found,) = predict({proto.graph.input[0].name: rows}).values()
    np.testing.assert_allclose(found, np.asarray(expected(rows)), atol=1e-6)


def test_hard_sigmoid_in_a_zip_of_keras2_is_refused(door, tmp_path):
    """Keras 3 would load it, and compute something else without a word."""
    layers = [door.layers.Input((7,)), door.layers.Activation("hard_sigmoid")]
    path = tmp_path / "old.keras"
    door.keras.Sequential(layers).save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as new, zipfile.ZipFile(path, "w") as old:
        for name in new.namelist():
            content = new.read(name)
            old.writestr(name, content.replace(b'"keras_version": "3.', b'"keras_version": "2.'))
    with pytest.raises(ConversionError, match=r"would misread old\.keras.*hard_sigmoid") as raised:
        convert(door, path)
    assert "model.save('model.h5')" in raised.value.hint


def test_attention_of_keras2_is_refused_by_the_layers_name(door, tmp_path):
    """Keras 2 stored the shapes of its attention, and called it otherwise."""
    import h5py  # noqa: PLC0415 - comes with the extra

    x, path = door.layers.Input((5, 8)), tmp_path / "old.h5"
    attended = door.layers.MultiHeadAttention(2, 4, name="look")(x, x)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        door.keras.Model(x, attended).save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "2.11.0"
    with pytest.raises(SourceError, match=r"'look' is a MultiHeadAttention of Keras 2") as raised:
        door.convert(path, tmp_path / "m.onnx")
    assert raised.value.code == "OQ111"
    assert "onnxq run saved" in raised.value.hint
