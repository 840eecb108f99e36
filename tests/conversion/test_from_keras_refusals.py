"""What cannot be converted from Keras is refused: each for its own reason, with a way out."""

import importlib.util
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from onnxq.errors import ConversionError, SourceError
from onnxq.sources import InputDeclaration

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None, reason="the extra keras is not installed"
    ),
]


@pytest.fixture(scope="module")
def door():
    from onnxq.conversion.from_keras import convert_keras  # noqa: PLC0415 - takes seconds
    from onnxq.conversion.from_keras_backend import keras  # noqa: PLC0415 - takes seconds
    from onnxq.runtime import open_predict  # noqa: PLC0415 - beside the others

    return SimpleNamespace(
        keras=keras, layers=keras.layers, convert=convert_keras, open_predict=open_predict
    )


def save(model, path):
    """Save without what Keras 3.15 provokes in numpy: its variables' ``__array__`` lacks copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        if ".weights." in path.name:
            model.save_weights(path)
        else:
            model.save(path)
    return path


def test_layer_that_cannot_be_traced(door, tmp_path):
    up = door.layers.UpSampling2D(interpolation="bilinear")
    path = save(
        door.keras.Sequential([door.layers.Input((None, None, 3)), up]), tmp_path / "up.keras"
    )
    with pytest.raises(ConversionError, match=r"up\.keras cannot be traced") as raised:
        door.convert(path, tmp_path / "up.onnx")
    assert raised.value.code == "OQ151"
    assert "Nx64x64x3" in raised.value.hint


def test_declared_sizes_make_it_traceable(door, tmp_path):
    x = door.layers.Input((None, None, 3), name="x")
    model = door.keras.Model(x, door.layers.UpSampling2D(interpolation="bilinear")(x))
    path = save(model, tmp_path / "up.keras")
    declared = (InputDeclaration("x", ("N", 8, 6, 3)),)
    export = door.convert(path, tmp_path / "up.onnx", declared)
    predict = door.open_predict(tmp_path / "up.onnx")
    for rows in (1, 3):
        feed = {"x": np.random.default_rng(rows).normal(size=(rows, 8, 6, 3)).astype(np.float32)}
        (expected,), (found,) = export.predict(feed).values(), predict(feed).values()
        assert found.shape == (rows, 16, 12, 3)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_operator_that_onnx_lacks_is_named(door, tmp_path):
    """tf2onnx writes the TensorFlow operator into the file and only logs that."""
    x = door.layers.Input((5,))
    path = save(door.keras.Model(x, door.keras.ops.erfinv(x)), tmp_path / "inverse.keras")
    with pytest.raises(ConversionError, match=r"as ONNX opset 17: Erfinv \(1x\)") as raised:
        door.convert(path, tmp_path / "inverse.onnx")
    assert raised.value.code == "OQ151"
    assert not (tmp_path / "inverse.onnx").exists()


def test_model_that_was_never_built(door, tmp_path):
    path = tmp_path / "unbuilt.keras"
    with pytest.warns(UserWarning, match="not yet been built"):
        door.keras.Sequential([door.layers.Dense(2)]).save(path)
    with pytest.raises(SourceError, match=r"unbuilt\.keras declares no inputs") as raised:
        door.convert(path, tmp_path / "unbuilt.onnx")
    assert raised.value.code == "OQ112"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_lambda_is_refused(door, tmp_path, suffix):
    layers = [door.layers.Input((3,)), door.layers.Lambda(lambda x: x * 2)]
    path = save(door.keras.Sequential(layers), tmp_path / f"code{suffix}")
    with pytest.raises(SourceError, match="a Lambda layer") as raised:
        door.convert(path, tmp_path / "code.onnx")
    assert raised.value.code == "OQ109"
    assert "model.export('model.onnx'" in raised.value.hint


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_trusted_lambda_is_converted(door, tmp_path, suffix):
    layers = [door.layers.Input((3,), name="x"), door.layers.Lambda(lambda x: x * 2, name="twice")]
    path = save(door.keras.Sequential(layers), tmp_path / f"code{suffix}")
    export = door.convert(path, tmp_path / "code.onnx", trust=True)
    ((name, found),) = export.predict({"x": np.ones((2, 3), np.float32)}).items()
    assert name == "twice"
    np.testing.assert_array_equal(found, np.full((2, 3), 2, np.float32))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_class_of_somebody_else_is_refused(door, tmp_path, suffix):
    class Doubled(door.layers.Layer):
        def call(self, values):
            return values * 2

    path = save(
        door.keras.Sequential([door.layers.Input((3,)), Doubled()]), tmp_path / f"custom{suffix}"
    )
    with pytest.raises(SourceError, match="Doubled") as raised:
        door.convert(path, tmp_path / "custom.onnx")
    assert raised.value.code == "OQ109"


@pytest.mark.parametrize("name", ["given.weights.h5", "old_style.h5"])
def test_weights_alone_are_refused(door, tmp_path, name):
    model = door.keras.Sequential([door.layers.Input((3,)), door.layers.Dense(2)])
    path = tmp_path / name
    if ".weights." in name:
        save(model, path)
    else:
        write_keras2_weights(path)
    with pytest.raises(SourceError, match="weights only") as raised:
        door.convert(path, tmp_path / "weights.onnx")
    assert raised.value.code == "OQ103"
    assert f"load_weights('{name}')" in raised.value.hint
    assert "model.save('model.keras')" in raised.value.hint


def write_keras2_weights(path):
    import h5py  # noqa: PLC0415 - comes with the extra

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file["dense/dense/kernel:0"] = np.zeros((3, 2), np.float32)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_truncated_file(door, tmp_path, suffix, kept):
    path = save(
        door.keras.Sequential([door.layers.Input((30,)), door.layers.Dense(200)]),
        tmp_path / f"whole{suffix}",
    )
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(SourceError, match=r"whole\.(keras|h5) is truncated or is not") as raised:
        door.convert(path, tmp_path / "cut.onnx")
    assert raised.value.code == "OQ104"
