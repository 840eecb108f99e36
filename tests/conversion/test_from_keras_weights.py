"""Keras models that a user's code builds: their weights from a file, their inputs declared."""

import contextlib
import importlib.util
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from onnxq.conversion.tolerances import FLOAT16, FLOAT32
from onnxq.errors import SourceError
from onnxq.sources import InputDeclaration

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None, reason="the extra keras is not installed"
    ),
]


@pytest.fixture(scope="module")
def door():
    from onnxq.conversion.from_keras import convert_keras_model  # noqa: PLC0415 - takes seconds
    from onnxq.conversion.from_keras_backend import keras  # noqa: PLC0415 - takes seconds
    from onnxq.conversion.from_keras_weights import load_keras_weights  # noqa: PLC0415
    from onnxq.runtime import open_predict  # noqa: PLC0415 - beside the others

    return SimpleNamespace(
        keras=keras,
        layers=keras.layers,
        convert=convert_keras_model,
        load_weights=load_keras_weights,
        open_predict=open_predict,
    )


@pytest.fixture(scope="module")
def build(door):
    def make(units=4, kernel=3, *, hidden=False):
        image = door.layers.Input((8, 8, 3), name="image")
        x = door.layers.Conv2D(4, kernel, name="conv")(image)
        x = door.layers.Dropout(0.5)(door.layers.BatchNormalization(name="norm")(x))
        x = door.layers.Flatten()(x)
        if hidden:
            x = door.layers.Dense(7, name="hidden")(x)
        return door.keras.Model(image, door.layers.Dense(units, name="head")(x), name="net")

    return make


@contextlib.contextmanager
def keras_quirk():
    """Keep quiet what Keras 3.15 provokes in numpy: its variables' ``__array__`` lacks copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield


def save_weights(model, path):
    with keras_quirk():
        model.save_weights(path)


@pytest.fixture(scope="module")
def saved(build, tmp_path_factory):
    """The same weights in the three forms that there are, by name, and the model."""
    import h5py  # noqa: PLC0415 - comes with the extra

    folder, model = tmp_path_factory.mktemp("weights"), build()
    save_weights(model, folder / "new.weights.h5")
    with keras_quirk():
        model.save(folder / "whole.h5")
    with h5py.File(folder / "whole.h5") as whole, h5py.File(folder / "old.h5", "w") as old:
        for name in whole["model_weights"]:
            whole.copy(f"model_weights/{name}", old)
        old.attrs["layer_names"] = [
            name.encode() for name in whole["model_weights"].attrs["layer_names"]
        ]
    return SimpleNamespace(folder=folder, model=model)


FORMS = ["new.weights.h5", "whole.h5", "old.h5"]


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_loaded(door, build, saved, form):
    model, rows = build(), np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    door.load_weights(model, saved.folder / form)
    np.testing.assert_allclose(model(rows), saved.model(rows), rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("other", "layer"), [({"units": 5}, "head"), ({"kernel": 5}, "conv")], ids=["units", "kernel"]
)
def test_another_shape_names_the_layer(door, build, saved, form, other, layer):
    with pytest.raises(SourceError, match=rf"{form} does not fit the model: .*{layer}") as raised:
        door.load_weights(build(**other), saved.folder / form)
    assert raised.value.code == "OQ107"
    assert len(raised.value.message) < 400


@pytest.mark.parametrize("form", FORMS)
def test_a_layer_that_the_file_lacks(door, build, saved, form):
    with pytest.raises(SourceError, match="hidden") as raised:
        door.load_weights(build(hidden=True), saved.folder / form)
    assert raised.value.code == "OQ107"


def test_a_layer_that_only_the_file_has(door, build, tmp_path):
    """Keras leaves it out in silence where the layers before it fit."""
    longer = door.keras.Sequential(
        [door.layers.Input((3,)), door.layers.Dense(3), door.layers.Dense(3)]
    )
    save_weights(longer, tmp_path / "longer.weights.h5")
    shorter = door.keras.Sequential([door.layers.Input((3,)), door.layers.Dense(3)])
    with pytest.raises(SourceError, match=r"holds 4 arrays .* has 2") as raised:
        door.load_weights(shorter, tmp_path / "longer.weights.h5")
    assert raised.value.code == "OQ107"
    with pytest.raises(SourceError, match=r"does not fit|holds 4 arrays"):
        door.load_weights(build(), tmp_path / "longer.weights.h5")


def test_a_model_without_weights_yet(door, saved):
    model = door.keras.Sequential([door.layers.Dense(3)], name="unbuilt")
    with pytest.raises(SourceError, match="'unbuilt' has no weights yet") as raised:
        door.load_weights(model, saved.folder / "old.h5")
    assert raised.value.code == "OQ107"
    assert "keras.Input" in raised.value.hint


@pytest.mark.parametrize("form", FORMS)
def test_truncated_file(door, build, saved, tmp_path, form):
    path = shutil.copy(saved.folder / form, tmp_path)
    content = (tmp_path / form).read_bytes()
    (tmp_path / form).write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match="is truncated") as raised:
        door.load_weights(build(), tmp_path / form)
    assert raised.value.code == "OQ104"
    assert path


def check(door, model, destination, declared=(), **feed):
    export = door.convert(model, destination, declared)
    expected, found = export.predict(feed), door.open_predict(destination)(feed)
    assert list(expected) == list(found)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-5)
    return export


def normal(*shape):
    return np.random.default_rng(shape[0]).normal(size=shape).astype(np.float32)


def test_model_in_memory(door, build, tmp_path):
    export = check(door, build(), tmp_path / "m.onnx", image=normal(3, 8, 8, 3))
    assert export.tolerance == FLOAT32
    assert export.findings == ()


def test_lambda_in_memory_is_the_users_own(door, tmp_path):
    x = door.layers.Input((3,), name="x")
    model = door.keras.Model(x, door.layers.Lambda(lambda values: values * 2)(x))
    check(door, model, tmp_path / "m.onnx", x=normal(2, 3))


@pytest.fixture(scope="module")
def subclasses(door):
    class One(door.keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = door.layers.Dense(2)

        def call(self, values):
            return self.dense(values)

    class Named(One):
        def call(self, left, right):
            return {"sum": self.dense(left + right), "left": left}

    class Packed(One):
        def call(self, values):
            return self.dense(values["left"] - values["right"])

    class Listed(One):
        def call(self, values):
            left, right = values
            return self.dense(left - right), left

    return SimpleNamespace(one=One, named=Named, packed=Packed, listed=Listed)


def test_inputs_that_only_the_user_knows(door, subclasses, tmp_path):
    declared = (InputDeclaration("x", ("N", 3)),)
    check(door, subclasses.one(), tmp_path / "m.onnx", declared, x=normal(2, 3))
    proto = onnx.load(tmp_path / "m.onnx")
    dims = [d.dim_param or d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["N", 3]


@pytest.mark.parametrize("kind", ["named", "packed", "listed"])
def test_several_inputs_that_only_the_user_knows(door, subclasses, tmp_path, kind):
    declared = tuple(InputDeclaration(name, ("N", 3)) for name in ("left", "right"))
    model = getattr(subclasses, kind)()
    feed = {"left": normal(2, 3), "right": normal(3, 3)[:2]}
    check(door, model, tmp_path / "m.onnx", declared, **feed)
    proto = onnx.load(tmp_path / "m.onnx")
    assert [value.name for value in proto.graph.input] == ["left", "right"]


def test_inputs_that_nobody_declares(door, subclasses, tmp_path):
    with pytest.raises(SourceError, match="declares no inputs") as raised:
        door.convert(subclasses.one(), tmp_path / "m.onnx")
    assert raised.value.code == "OQ112"
    assert "--input" in raised.value.hint


def test_inputs_that_do_not_fit(door, subclasses, tmp_path):
    declared = (InputDeclaration("left", ("N", 3)), InputDeclaration("right", ("N", 4)))
    with pytest.raises(SourceError, match="cannot be called on --input left:Nx3") as raised:
        door.convert(subclasses.named(), tmp_path / "m.onnx", declared)
    assert raised.value.code == "OQ112"


def test_weights_of_a_subclassed_model(door, subclasses, tmp_path):
    """They belong to the model itself, not to what onnxq wraps it in."""
    from onnxq.conversion.from_keras_building import with_known_inputs  # noqa: PLC0415

    trained = subclasses.one()
    trained(normal(2, 3))
    save_weights(trained, tmp_path / "one.weights.h5")
    model = subclasses.one()
    known = with_known_inputs(model, (InputDeclaration("x", ("N", 3)),), "one")
    door.load_weights(model, tmp_path / "one.weights.h5")
    np.testing.assert_array_equal(known(normal(2, 3)), trained(normal(2, 3)))


def test_declared_batch(door, build, tmp_path):
    declared = (InputDeclaration("image", (2, 8, 8, 3)),)
    check(door, build(), tmp_path / "m.onnx", declared, image=normal(2, 8, 8, 3))
    (fed,) = onnx.load(tmp_path / "m.onnx").graph.input
    assert [d.dim_value for d in fed.type.tensor_type.shape.dim] == [2, 8, 8, 3]


def test_half_precision_has_its_tolerance(door, tmp_path):
    x = door.layers.Input((8,), name="x")
    half = door.keras.Sequential(
        [door.layers.Dense(8, dtype="mixed_float16"), door.layers.Dense(2, dtype="float32")]
    )
    export = door.convert(door.keras.Model(x, half(x)), tmp_path / "m.onnx")
    assert export.tolerance == FLOAT16
