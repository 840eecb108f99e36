"""Where TensorFlow is not installed, Keras runs on PyTorch: a process of its own hides it."""

import importlib.util
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.conversion.keras_torch_graphs import add_negatives

WITHOUT_TENSORFLOW = """\
import sys
for name in ("tensorflow", "tf2onnx"):
    sys.modules[name] = None
import json
from pathlib import Path
import numpy as np
from onnxq.conversion.from_keras import convert_keras, convert_keras_model
from onnxq.conversion.from_keras_package import keras
from onnxq.errors import OnnxqError
from onnxq.runtime import open_predict

def build_cnn():
    image = layers.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same")(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.AveragePooling2D(3, padding="same", name="pool")(x)
    return keras.Model(image, layers.Dense(3, name="scores")(layers.Flatten()(x)))

def build_two():
    alpha, beta = layers.Input((4,), name="alpha"), layers.Input((3,), name="beta")
    both = layers.Concatenate()([beta, alpha])
    outputs = {n: layers.Dense(size, name=n)(both) for n, size in (("two", 2), ("one", 3))}
    return keras.Model({"beta": beta, "alpha": alpha}, outputs)

def build_steps():
    steps = layers.Input((5, 3), name="steps")
    return keras.Model(steps, layers.Dense(2)(layers.LSTM(4, name="lstm")(steps)))

def build_free():
    steps = layers.Input((None, 3), name="steps")
    return keras.Model(steps, layers.Dense(2)(layers.LSTM(4)(steps)))

def run(what, destination, shapes):
    try:
        if what.endswith(".keras"):
            export = convert_keras(Path(what), destination)
        else:
            export = convert_keras_model(globals()[f"build_{what}"](), destination)
    except OnnxqError as error:
        return {"code": error.code, "message": error.message}
    predict, apart = open_predict(destination), []
    for rows in (1, 3):
        generator = np.random.default_rng(rows)
        feed = {
            name: generator.normal(size=(rows, *shape)).astype(np.float32)
            for name, shape in shapes.items()
        }
        expected, found = export.predict(feed), predict(feed)
        assert list(expected) == list(found)
        apart += [float(np.abs(expected[n] - found[n]).max()) for n in expected]
    return {
        "apart": max(apart),
        "exporter": export.exporter,
        "findings": [[one.code, one.message] for one in export.findings],
    }

layers, folder, cases = keras.layers, Path(sys.argv[1]), json.loads(sys.argv[2])
made = [run(what, folder / f"{i}.onnx", shapes) for i, (what, shapes) in enumerate(cases)]
print(json.dumps(made))
"""

CASES = {
    "cnn": {"image": [8, 8, 3]},
    "two": {"alpha": [4], "beta": [3]},
    "steps": {"steps": [5, 3]},
    "free": {},
    "models/mnist_cnn_keras/mnist_cnn.keras": {"image": [28, 28]},
}

needs_torch = [
    pytest.mark.keras,
    pytest.mark.torch,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("keras", "torch", "onnxscript")),
        reason="the extra keras-torch is not installed",
    ),
]


@pytest.fixture(scope="class")
def made(tmp_path_factory, pytestconfig):
    """Convert all cases in one process: each costs seconds only once."""
    folder = tmp_path_factory.mktemp("made")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, str(folder), json.dumps(list(CASES.items()))],
        capture_output=True,
        text=True,
        check=False,
        cwd=pytestconfig.rootpath,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    paths = [folder / f"{index}.onnx" for index in range(len(CASES))]
    return {
        name: SimpleNamespace(**answer, proto=onnx.load(path) if path.exists() else None)
        for name, answer, path in zip(CASES, answers, paths, strict=True)
    } | {"files": sorted(path.name for path in folder.iterdir())}


def names(values):
    return [value.name for value in values]


class TestWithoutTensorflow:
    pytestmark = needs_torch

    def test_cnn(self, made):
        cnn = made["cnn"]
        assert cnn.apart < 1e-5
        assert "torch" in cnn.exporter
        assert "Keras" in cnn.exporter
        assert names(cnn.proto.graph.input) == ["image"]
        assert names(cnn.proto.graph.output) == ["scores"]
        (fed,) = cnn.proto.graph.input
        dims = [dim.dim_param or dim.dim_value for dim in fed.type.tensor_type.shape.dim]
        assert dims == ["N", 8, 8, 3]
        assert "Sub" not in {node.op_type for node in cnn.proto.graph.node}
        said = [message for code, message in cnn.findings if code == "OQ119"]
        assert len(said) == 2
        assert "TensorFlow is not installed" in said[0]
        assert "pool" in said[1]

    def test_names_and_order(self, made):
        assert made["two"].apart < 1e-5
        assert names(made["two"].proto.graph.input) == ["beta", "alpha"]
        assert names(made["two"].proto.graph.output) == ["two", "one"]

    def test_recurrent_layer_is_unrolled_and_that_is_said(self, made):
        assert made["steps"].apart < 1e-5
        assert any("lstm" in message for _, message in made["steps"].findings)

    def test_free_steps_need_a_size(self, made):
        assert made["free"].code == "OQ112"
        assert "steps_1" in made["free"].message

    def test_file_that_tensorflow_wrote(self, made):
        assert made["models/mnist_cnn_keras/mnist_cnn.keras"].apart < 1e-4

    def test_nothing_is_left_beside_the_model(self, made):
        assert made["files"] == ["0.onnx", "1.onnx", "2.onnx", "4.onnx"]


def subtracting():
    mean = numpy_helper.from_array(np.array([0.5, -2.0], np.float32), "mean")
    whole = numpy_helper.from_array(np.array([3], np.int64), "whole")
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["centred"]),
        helper.make_node("Sub", ["mean", "centred"], ["y"]),
        helper.make_node("Sub", ["n", "whole"], ["m"]),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2]),
        helper.make_tensor_value_info("n", TensorProto.INT64, [1]),
    ]
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2]),
        helper.make_tensor_value_info("m", TensorProto.INT64, [1]),
    ]
    graph = helper.make_graph(nodes, "subtracting", inputs, outputs, [mean, whole])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_what_adds_negatives_gives_the_same_bits():
    proto = subtracting()
    changed = add_negatives(proto)
    assert [node.op_type for node in changed.graph.node] == ["Add", "Sub", "Sub"]
    assert [node.op_type for node in proto.graph.node] == ["Sub"] * 3, "the argument stays"
    x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    feed = {"x": x, "n": np.array([7])}
    before, after = (ReferenceEvaluator(one).run(None, feed) for one in (proto, changed))
    for left, right in zip(before, after, strict=True):
        np.testing.assert_array_equal(left, right)
