"""TFLite files, made here by TFLite's own converter or shipped by others, become ONNX models."""

import contextlib
import importlib.util
import io
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from onnxq.conversion.converting import convert as convert_stage
from onnxq.conversion.tolerances import FLOAT32, INT8
from onnxq.errors import InferenceError, SourceError
from onnxq.reports import Parity
from onnxq.sources import TfliteFile
from onnxq.stages import ConvertRequest, NoDataRequest

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None, reason="the extra keras is not installed"
    ),
]

TWINS = {
    "resnet8": "pretrainedResnet_quant.tflite",
    "vww": "vww_96_int8.tflite",
    "ad01": "ad01_int8.tflite",
}


@pytest.fixture(scope="module")
def door():
    from onnxq.conversion.from_keras_backend import keras, tf  # noqa: PLC0415 - takes seconds
    from onnxq.conversion.from_tflite import convert_tflite  # noqa: PLC0415 - takes seconds
    from onnxq.runtime import open_predict  # noqa: PLC0415 - beside the others

    return SimpleNamespace(
        keras=keras, layers=keras.layers, tf=tf, convert=convert_tflite, open_predict=open_predict
    )


@pytest.fixture(scope="module")
def cnn(door):
    door.keras.utils.set_random_seed(0)
    image = door.layers.Input((12, 12, 3), name="image")
    x = door.layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = door.layers.DepthwiseConv2D(3)(x)
    x = door.layers.ReLU(6.0)(door.layers.BatchNormalization()(x))
    x = door.layers.GlobalAveragePooling2D()(x)
    return door.keras.Model(image, door.layers.Dense(5, name="scores")(x))


@pytest.fixture(scope="module")
def write(door, tmp_path_factory):
    """Convert a Keras model by TFLite's converter, quietly, and return the file."""
    folder = tmp_path_factory.mktemp("tflite")

    def run(model, name, **options):
        converter = door.tf.lite.TFLiteConverter.from_keras_model(model)
        for option, value in options.items():
            holder = converter.target_spec if option.startswith("supported") else converter
            setattr(holder, option, value)
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the converter's own, about Keras and itself
            content = converter.convert()
        path = folder / f"{name}.tflite"
        path.write_bytes(content)
        return path

    return run


def quantizing(door, shape=(1, 12, 12, 3), **more):
    def rows():
        generator = np.random.default_rng(0)
        for _ in range(20):
            yield [generator.normal(size=shape).astype(np.float32)]

    return {
        "optimizations": [door.tf.lite.Optimize.DEFAULT],
        "representative_dataset": rows,
        **more,
    }


def compare(door, path, destination, feed):
    """Convert a file; return the export, what TFLite gives and what onnxruntime gives."""
    export = door.convert(path, destination)
    return export, export.predict(feed), door.open_predict(destination)(feed)


def images(rows, dtype=np.float32):
    generator = np.random.default_rng(rows)
    if dtype == np.float32:
        return generator.normal(size=(rows, 12, 12, 3)).astype(dtype)
    bounds = np.iinfo(dtype)
    return generator.integers(bounds.min, bounds.max + 1, (rows, 12, 12, 3)).astype(dtype)


def test_float(door, cnn, write, tmp_path):
    path = write(cnn, "float")
    for rows in (1, 3):
        export, expected, found = compare(
            door, path, tmp_path / f"{rows}.onnx", {"image": images(rows)}
        )
        np.testing.assert_allclose(found["output_0"], expected["output_0"], atol=1e-6)
    proto = onnx.load(tmp_path / "3.onnx")
    (fed,), (given,) = proto.graph.input, proto.graph.output
    assert (fed.name, given.name) == ("image", "output_0")
    assert [d.dim_param or d.dim_value for d in fed.type.tensor_type.shape.dim] == ["N", 12, 12, 3]
    assert proto.opset_import[0].version == 17
    assert (export.quantized_already, export.tolerance, export.known_inputs) == ("", FLOAT32, ())


def test_float16_weights_become_float32(door, cnn, write, tmp_path):
    half = {"optimizations": [door.tf.lite.Optimize.DEFAULT]}
    path = write(cnn, "half", supported_types=[door.tf.float16], **half)
    export, expected, found = compare(door, path, tmp_path / "m.onnx", {"image": images(3)})
    np.testing.assert_allclose(found["output_0"], expected["output_0"], atol=1e-6)
    assert export.quantized_already == ""


def test_dynamic_range(door, write, tmp_path):
    """TFLite quantizes weights of 1024 values and more."""
    image = door.layers.Input((12, 12, 3), name="image")
    x = door.layers.Conv2D(32, 3, activation="relu")(image)
    x = door.layers.Conv2D(32, 3, activation="relu")(x)
    model = door.keras.Model(image, door.layers.Dense(10)(door.layers.Flatten()(x)))
    path = write(model, "dynamic", optimizations=[door.tf.lite.Optimize.DEFAULT])
    export, expected, found = compare(door, path, tmp_path / "m.onnx", {"image": images(3)})
    off = np.linalg.norm(found["output_0"] - expected["output_0"])
    assert off < 0.02 * np.linalg.norm(expected["output_0"])
    assert export.quantized_already.startswith("by TFLite: dynamic")
    assert "2 weights in int8" in export.quantized_already


def test_int8_is_what_the_default_kernels_give(door, cnn, write, tmp_path):
    path = write(cnn, "int8", **quantizing(door))
    export, expected, found = compare(door, path, tmp_path / "m.onnx", {"image": images(8)})
    np.testing.assert_array_equal(found["output_0"], expected["output_0"])
    assert "3 weights in int8, per channel" in export.quantized_already
    assert export.tolerance == INT8
    assert export.known_inputs == ()


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_integer_inputs_and_outputs(door, cnn, write, tmp_path, dtype):
    kind = getattr(door.tf, dtype)
    options = quantizing(door, inference_input_type=kind, inference_output_type=kind)
    only = [door.tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    path = write(cnn, f"full_{dtype}", supported_ops=only, **options)
    feed = {"image": images(8, np.dtype(dtype).type)}
    export, expected, found = compare(door, path, tmp_path / "m.onnx", feed)
    assert found["output_0"].dtype == dtype
    np.testing.assert_allclose(found["output_0"], expected["output_0"], atol=1)
    (bounds,) = export.known_inputs
    assert (bounds.low, bounds.high) == (np.iinfo(dtype).min, np.iinfo(dtype).max)
    (finding,) = export.findings
    assert finding.code == "OQ120"
    assert "image is" in finding.message
    assert {"image.scale", "image.zero_point", "output_0.scale"} <= finding.evidence.keys()


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu(door, write, tmp_path, approximate):
    """tf2onnx 1.17 copies TFL_GELU into the file."""
    x = door.layers.Input((6,), name="x")
    hidden = door.keras.activations.gelu(door.layers.Dense(8)(x), approximate=approximate)
    path = write(door.keras.Model(x, door.layers.Dense(3)(hidden)), f"gelu_{approximate}")
    feed = {"x": np.random.default_rng(0).normal(0, 3, (5, 6)).astype(np.float32)}
    _, expected, found = compare(door, path, tmp_path / "m.onnx", feed)
    np.testing.assert_allclose(found["output_0"], expected["output_0"], atol=2e-6)


def test_int8_gelu(door, write, tmp_path):
    x = door.layers.Input((6,), name="x")
    hidden = door.keras.activations.gelu(door.layers.Dense(8)(x))
    model = door.keras.Model(x, door.layers.Dense(3)(hidden))
    path = write(model, "gelu_int8", **quantizing(door, (1, 6)))
    feed = {"x": np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)}
    _, expected, found = compare(door, path, tmp_path / "m.onnx", feed)
    off = np.linalg.norm(found["output_0"] - expected["output_0"])
    assert off < 0.02 * np.linalg.norm(expected["output_0"])


def test_names_and_order_are_the_signatures(door, write, tmp_path):
    """The tensors in the file stand in another order, and have other names."""
    alpha, beta = door.layers.Input((4,), name="alpha"), door.layers.Input((3,), name="beta")
    both = door.layers.Concatenate()([beta, alpha])
    outputs = {n: door.layers.Dense(size, name=n)(both) for n, size in (("two", 2), ("one", 3))}
    path = write(door.keras.Model({"alpha": alpha, "beta": beta}, outputs), "two")
    feed = {"alpha": np.ones((3, 4), np.float32), "beta": np.zeros((3, 3), np.float32)}
    _, expected, found = compare(door, path, tmp_path / "m.onnx", feed)
    assert [list(one) for one in (expected, found)] == [["one", "two"]] * 2
    assert (found["one"].shape, found["two"].shape) == ((3, 3), (3, 2))
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-6)


def test_recurrent_layer_becomes_a_loop_and_that_is_said(door, write, tmp_path):
    steps = door.layers.Input(batch_shape=(1, 5, 3), name="steps")
    model = door.keras.Model(steps, door.layers.Dense(2)(door.layers.LSTM(4)(steps)))
    feed = {"steps": np.random.default_rng(0).normal(size=(1, 5, 3)).astype(np.float32)}
    export, expected, found = compare(door, write(model, "lstm"), tmp_path / "m.onnx", feed)
    np.testing.assert_allclose(found["output_0"], expected["output_0"], atol=1e-6)
    (finding,) = export.findings
    assert finding.code == "OQ159"
    assert "Keras file" in finding.fix


def test_operators_of_tensorflow_are_refused(door, write, tmp_path):
    class Inverse(door.layers.Layer):
        def call(self, values):
            return door.tf.linalg.inv(door.tf.reshape(values, (-1, 2, 2)))

    x = door.layers.Input((4,))
    builtins, tensorflow = door.tf.lite.OpsSet.TFLITE_BUILTINS, door.tf.lite.OpsSet.SELECT_TF_OPS
    model = door.keras.Model(x, Inverse()(x))
    path = write(model, "flex", supported_ops=[builtins, tensorflow])
    with pytest.raises(SourceError, match="FlexMatrixInverse") as raised:
        door.convert(path, tmp_path / "m.onnx")
    assert raised.value.code == "OQ111"
    assert not (tmp_path / "m.onnx").exists()


def test_operators_are_numbered_as_tflite_reads_them(door, cnn, write, tmp_path):
    """TFLite takes the larger of the two numbers, so that a small first one hides a custom one."""
    from tensorflow.lite.tools import flatbuffer_utils  # noqa: PLC0415 - beside TensorFlow

    content = bytearray(write(cnn, "plain").read_bytes())
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    code = model.operatorCodes[0]
    code.deprecatedBuiltinCode, code.builtinCode, code.customCode = 0, 32, b"FlexWriteFile"
    path = tmp_path / "hidden.tflite"
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    with pytest.raises(SourceError, match="beside TFLite's own: FlexWriteFile") as raised:
        door.convert(path, tmp_path / "m.onnx")
    assert raised.value.code == "OQ111"


@pytest.mark.parametrize("layer", ["transposed", "along", "multiplied", "grouped", "recurrent"])
def test_layers_of_every_kind_are_proven_one_by_one(door, write, tmp_path, layer):
    """Their weights stand in other orders in ONNX."""
    layers, shape = door.layers, (1, 12, 12, 3)
    made = {
        "transposed": lambda: layers.Conv2DTranspose(4, 3, strides=2),
        "along": lambda: layers.Conv1D(4, 3),
        "multiplied": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        "grouped": lambda: layers.Conv2D(6, 3, groups=3),
        "recurrent": lambda: layers.LSTM(4, unroll=True),
    }[layer]()
    if layer in {"along", "recurrent"}:
        shape = (1, 12, 3)
    x = layers.Input(batch_shape=shape, name="x")
    model = door.keras.Model(x, layers.Dense(5)(layers.Flatten()(made(x))))
    path = write(model, layer, **quantizing(door, shape))
    result = convert_stage(request(path), tmp_path, lambda _: None)
    assert result.parity.layers >= 2


def test_int16_activations_are_refused(door, cnn, write, tmp_path):
    ops = door.tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    path = write(cnn, "wide", supported_ops=[ops], **quantizing(door))
    with pytest.raises(SourceError, match="int16 activations") as raised:
        door.convert(path, tmp_path / "m.onnx")
    assert raised.value.code == "OQ111"
    assert "-r int16" in raised.value.hint


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.3, 0.6, 0.9, 0.995])
def test_truncated_file(door, cnn, write, tmp_path, kept):
    content = write(cnn, "whole", **quantizing(door)).read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(SourceError, match=r"cut\.tflite is truncated or") as raised:
        door.convert(path, tmp_path / "m.onnx")
    assert raised.value.code == "OQ104"


def test_junk_behind_the_magic_number(door, tmp_path):
    """TFLite's interpreter would die of it."""
    path = tmp_path / "junk.tflite"
    junk = np.random.default_rng(0).integers(0, 256, 500, np.uint8).tobytes()
    path.write_bytes(b"\x20\0\0\0TFL3" + junk)
    with pytest.raises(SourceError) as raised:
        door.convert(path, tmp_path / "m.onnx")
    assert raised.value.code == "OQ104"


def test_missing_file(door, tmp_path):
    with pytest.raises(SourceError) as raised:
        door.convert(tmp_path / "no.tflite", tmp_path / "m.onnx")
    assert raised.value.code == "OQ101"


def test_rows_that_do_not_fit(door, cnn, write, tmp_path):
    export = door.convert(write(cnn, "fit"), tmp_path / "m.onnx")
    with pytest.raises(InferenceError, match="TFLite failed") as raised:
        export.predict({"image": np.zeros((2, 4), np.float32)})
    assert raised.value.code == "OQ173"


def request(path):
    return ConvertRequest(
        source=TfliteFile(str(path)),
        declared=(),
        data=NoDataRequest(),
        check=True,
        seed=0,
        trusted_folders=(),
    )


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.usefixtures("door")
def test_twins_of_others_are_proven_and_not_refused(shared, tmp_path, name):
    path = shared / "models" / "keras2_tinymlperf" / TWINS[name]
    result = convert_stage(request(path), tmp_path, lambda _: None)
    assert result.framework == "tflite"
    assert isinstance(result.parity, Parity)
    assert {probe.inputs for probe in result.parity.probes} == {"values"}, (
        "all int8 values are known"
    )
    assert "integers" in result.parity.tolerance
    assert result.parity.layers == {"resnet8": 15, "vww": 30, "ad01": 10}[name]
    assert result.quantized_already.startswith("by TFLite: static")
    assert result.model.min_runtime == "1.17"
    assert Path(result.model.path).stat().st_size < 1.5 * path.stat().st_size


def test_accuracy_of_the_twins(door, shared, tmp_path):
    """ResNet-8 and the person detector label as many rows rightly as TFLite does."""
    folder = shared / "models" / "keras2_tinymlperf"
    cifar = np.load(shared / "data" / "cifar10_jpegtest_A5000.npz")
    some = np.random.default_rng(0).permutation(5000)[:400]
    persons = np.load(shared / "data" / "vww_coco_train128.npz")
    for name, x, y, least in (
        ("resnet8", cifar["x"][some], cifar["y"][some], 0.72),
        ("vww", persons["x"], persons["y"], 0.84),
    ):
        export = door.convert(folder / TWINS[name], tmp_path / f"{name}.onnx")
        feed = {"input_1_int8": (x.astype(np.int16) - 128).astype(np.int8)}
        (expected,) = export.predict(feed).values()
        (found,) = door.open_predict(tmp_path / f"{name}.onnx")(feed).values()
        rates = [(scores.argmax(axis=1) == y.ravel()).mean() for scores in (expected, found)]
        assert min(rates) > least
        assert abs(rates[0] - rates[1]) < 0.015
        assert (expected.argmax(axis=1) == found.argmax(axis=1)).mean() > 0.97
