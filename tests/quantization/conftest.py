"""Tiny networks of each family, in float32 at opset 17, prepared; rows; ranges for them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.calibration.calibrating import calibrate
from onnxq.datasets.values import CalibrationSet, StoredRows
from onnxq.events import tell_nobody
from onnxq.graph import load_proto, write_proto
from onnxq.graph.weight_values import weight_values
from onnxq.models import OnnxModel
from onnxq.preparation import prepare
from onnxq.quantization.quantizing import quantize
from onnxq.recipe_kinds import EVERYTHING, StaticQdq, ranges_key
from onnxq.stages import (
    CalibrateRequest,
    PrepareRequest,
    QuantizeRequest,
    QuantizeResult,
    RangesAsked,
)
from onnxq.tunings import Tuning

ROWS = 48
UNFOLDED = Tuning(skipped=("fold-stem-columns",))  # weights of a stem keep their places


def node(op, inputs, outputs, name, **attributes):
    return helper.make_node(op, inputs, outputs, name=name, **attributes)


def floats(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


class Weights(dict):
    """Weights by name, drawn with the scale that keeps variance; a tenth of them are zero."""

    def __init__(self, seed):
        super().__init__()
        self.generator = np.random.default_rng(seed)

    def draw(self, name, *shape):
        fan_in = shape[0] if len(shape) == 2 else int(np.prod(shape[1:])) or 1
        values = self.generator.standard_normal(shape) / np.sqrt(fan_in)
        values[self.generator.random(shape) < 0.1] = 0.0
        self[name] = values.astype(np.float32)
        return name


def graph_of(nodes, weights, inputs, outputs):
    graph = helper.make_graph(
        nodes, "g", inputs, outputs, [numpy_helper.from_array(v, k) for k, v in weights.items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def cnn():
    w = Weights(1)
    pads = [1] * 4
    nodes = [
        node(
            "Conv", ["x", w.draw("w1", 16, 3, 3, 3), w.draw("b1", 16)], ["c1"], "conv1", pads=pads
        ),
        node("Relu", ["c1"], ["r1"], "relu1"),
        node("MaxPool", ["r1"], ["p1"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", w.draw("w2", 32, 16, 3, 3)], ["c2"], "conv2", pads=pads),
        node("Relu", ["c2"], ["r2"], "relu2"),
        node("Conv", ["p1", w.draw("w3", 32, 16, 3, 3)], ["c3"], "conv3", pads=pads),
        node("Add", ["r2", "c3"], ["a"], "add"),
        node("Relu", ["a"], ["r3"], "relu3"),
        node("GlobalAveragePool", ["r3"], ["g"], "pool2"),
        node("Flatten", ["g"], ["f"], "flatten"),
        node("Gemm", ["f", w.draw("wf", 10, 32), w.draw("bf", 10)], ["l"], "head", transB=1),
        node("Softmax", ["l"], ["y"], "softmax", axis=1),
    ]
    return graph_of(nodes, w, [floats("x", ["N", 3, 16, 16])], [floats("y", ["N", 10])])


def mlp():
    w = Weights(2)
    nodes = [
        node("MatMul", ["x", w.draw("w1", 72, 128)], ["m1"], "matmul"),
        node("Relu", ["m1"], ["r1"], "relu1"),
        node("Gemm", ["r1", w.draw("w2", 128, 48), w.draw("b2", 48)], ["g2"], "gemm"),
        node("Relu", ["g2"], ["r2"], "relu2"),
        node("Gemm", ["r2", w.draw("w3", 10, 48)], ["y"], "head", transB=1),
    ]
    return graph_of(nodes, w, [floats("x", ["N", 72])], [floats("y", ["N", 10])])


def recurrent(op, gates):
    w, hidden = Weights(3), 24
    w["ends"] = np.array([0], np.int64)
    w["bias"] = np.zeros((1, 2 * gates * hidden), np.float32)
    cell = [w.draw("w_in", 1, gates * hidden, 16), w.draw("w_state", 1, gates * hidden, hidden)]
    attributes = {"linear_before_reset": 1} if op == "GRU" else {}
    w.draw("table", 600, 16)
    w["table"] *= 24  # as large as embeddings are
    nodes = [
        node("Gather", ["table", "ids"], ["e"], "embedding"),
        node("Transpose", ["e"], ["t"], "transpose", perm=[1, 0, 2]),
        node(op, ["t", *cell, "bias"], ["", "h"], "cell", hidden_size=hidden, **attributes),
        node("Squeeze", ["h", "ends"], ["s"], "squeeze"),
        node("Gemm", ["s", w.draw("wf", hidden, 12)], ["y"], "head"),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", 12])
    return graph_of(nodes, w, [ids], [floats("y", ["N", 12])])


def attention():
    w, size = Weights(4), 32
    w["factor"] = np.array(size**-0.5, np.float32)
    w["ones"], w["zeros"] = np.ones(size, np.float32), np.zeros(size, np.float32)
    nodes = [
        *(node("MatMul", ["x", w.draw(f"w_{n}", size, size)], [n], f"to_{n}") for n in "qkv"),
        node("Transpose", ["k"], ["kt"], "transpose", perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["s0"], "scores"),
        node("Mul", ["s0", "factor"], ["s1"], "scale"),
        node("Softmax", ["s1"], ["p"], "softmax", axis=-1),
        node("MatMul", ["p", "v"], ["c"], "context"),
        node("MatMul", ["c", w.draw("w_o", size, size)], ["o"], "out"),
        node("Add", ["o", "x"], ["res"], "residual"),
        node("LayerNormalization", ["res", "ones", "zeros"], ["ln"], "norm", axis=-1),
        node("MatMul", ["ln", w.draw("w_up", size, 64)], ["u"], "up"),
        node("Relu", ["u"], ["ur"], "relu"),
        node("MatMul", ["ur", w.draw("w_down", 64, size)], ["d"], "down"),
        node("Add", ["d", "ln"], ["y"], "sum"),
    ]
    return graph_of(nodes, w, [floats("x", ["N", 6, size])], [floats("y", ["N", 6, size])])


ZOO = {
    "cnn": cnn,
    "mlp": mlp,
    "lstm": lambda: recurrent("LSTM", 4),
    "gru": lambda: recurrent("GRU", 3),
    "attention": attention,
}


@dataclass(frozen=True)
class Kit:
    """A prepared network, and what it takes to quantize it by any recipe."""

    name: str
    model: OnnxModel
    folder: Path

    def rows(self, seed, count=ROWS):
        generator = np.random.default_rng(seed)
        (spec,) = self.model.signature.inputs
        shape = (count, *spec.shape[1:])
        if spec.dtype == "int64":
            return {spec.name: generator.integers(0, 600, shape)}
        return {spec.name: generator.standard_normal(shape).astype(np.float32)}

    def calibrate(self, *asked):
        folder = self.new_folder("calibration")
        arrays = self.rows(seed=0)
        for name, values in arrays.items():
            np.save(folder / f"{name}.npy", values)
        (folder / "names.json").write_bytes(msgspec.json.encode([f"row {i}" for i in range(ROWS)]))
        stored = StoredRows(
            inputs={name: str(folder / f"{name}.npy") for name in arrays},
            count_rows=ROWS,
            labels="",
            row_names=str(folder / "names.json"),
        )
        request = CalibrateRequest(
            model=self.model, rows=CalibrationSet(stored), threads=1, asked=asked
        )
        return calibrate(request, folder, tell_nobody)

    def quantize(self, recipe, scope=EVERYTHING) -> QuantizeResult:
        ranges = ""
        if isinstance(recipe, StaticQdq):
            calibrated = self.calibrate(RangesAsked(recipe=recipe, scope=scope))
            ranges = calibrated.ranges[ranges_key(recipe, scope)]
        request = QuantizeRequest(
            model=self.model, recipe=recipe, ranges=ranges, scope=scope, tuning=UNFOLDED
        )
        return quantize(request, self.new_folder("quantized"), tell_nobody)

    def weight_errors(self, result):
        """Mean absolute error by weight, of those that found their name and shape again."""
        found = dict(weight_values(load_proto(result.model.path)))
        errors = {}
        for name, values in weight_values(load_proto(self.model.path)):
            after = self.as_original(found[name], values)
            errors[name] = float(np.abs(after - values).mean())
        return errors

    @staticmethod
    def as_original(found, values):
        """A quantized weight in the shape of its float one: matrices turn, channels are added."""
        if found.ndim == 2:
            return found if found.shape == values.shape else found.T
        return found[tuple(slice(size) for size in values.shape)]

    def new_folder(self, name):
        folder = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        return folder


@pytest.fixture(scope="session")
def prepared_models(tmp_path_factory):
    return {name: _prepare(build(), tmp_path_factory.mktemp(name)) for name, build in ZOO.items()}


def _prepare(proto, folder):
    given = write_proto(proto, folder / "given.onnx")
    return prepare(PrepareRequest(model=given), folder, tell_nobody).model


@pytest.fixture
def kit_of(prepared_models, tmp_path) -> Callable[[str], Kit]:
    return lambda name: Kit(name, prepared_models[name], tmp_path)


@pytest.fixture(params=ZOO)
def kit(request, kit_of):
    return kit_of(request.param)
