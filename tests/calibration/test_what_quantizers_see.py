"""Ranges of random nets are those of exactly what each QuantizeLinear of the file is given.

The oracle knows nothing of edges, leaders or shared ranges. In the quantized file each pair of
QuantizeLinear and DequantizeLinear is replaced by a Clip to its range, and each quantized weight by
the float one. That must compute what the float model computes on the rows that were calibrated on:
MinMax cuts nothing off, and does the clipping of each Relu and Clip that was absorbed. And values
must reach both ends of each range, else it is too wide.
"""

import json
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.calibration.calibrating import calibrate
from onnxq.datasets.values import CalibrationSet, StoredRows
from onnxq.errors import QuantizationError
from onnxq.events import tell_nobody
from onnxq.graph import load_proto, write_proto
from onnxq.graph.rewrites import FOR_INTEGERS
from onnxq.preparation import prepare
from onnxq.quantization.quantizing import quantize
from onnxq.ranges import LEAST_WIDTH, TensorRange, TensorRanges
from onnxq.recipe_kinds import ALIASES, ranges_key
from onnxq.stages import CalibrateRequest, PrepareRequest, QuantizeRequest, RangesAsked
from onnxq.tunings import Tuning

ROWS = 6
SIZE = 8
CLIPS = ((0, 6), (-1, 1), (-2, 0), (0, 0), (0, 0.5), (-0.3, np.inf), (-np.inf, 0.4), (0.1, 1))


class RandomNet:
    """Operators drawn at random, each on tensors that nothing reads yet, or on any before.

    Shapes are ``[N, channels, height, width]``; outputs are the last tensor's and some others.
    """

    def __init__(self, seed, steps):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights, self.names = [], [], 0
        self.tensors = [("x", int(self.random.choice([3, 4, 8, 16])), SIZE, SIZE)]
        self.outputs = []
        for _ in range(steps):
            getattr(self, f"_{self.random.choice(OPERATORS)}")(*self._pick())
        self._end(*self.tensors[-1])

    def build(self):
        info = helper.make_tensor_value_info
        chance = self.random.random(len(self.tensors)) < 0.07
        inner = [one[0] for one, is_output in zip(self.tensors, chance, strict=True) if is_output]
        outputs = dict.fromkeys([*self.outputs, *inner])
        graph = helper.make_graph(
            self.nodes,
            "random",
            [info("x", TensorProto.FLOAT, ["N", *self.tensors[0][1:]])],
            [info(name, TensorProto.FLOAT, None) for name in outputs],
            self.weights,
        )
        imports = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)

    def rows(self):
        values = self.random.standard_normal((ROWS, *self.tensors[0][1:]))
        return (values * self.random.choice([0.5, 1, 3])).astype(np.float32)

    def _pick(self, *shape):
        """Draw a tensor whose shape ends so."""
        alike = [one for one in self.tensors if one[len(one) - len(shape) :] == shape]
        read = {name for node in self.nodes for name in node.input}
        unread = [one for one in alike if one[0] not in read]
        drawn = unread if unread and self.random.random() < 0.7 else alike
        return drawn[self.random.integers(len(drawn))]

    def _constant(self, values):
        self.names += 1
        self.weights.append(numpy_helper.from_array(np.asarray(values), f"k{self.names}"))
        return f"k{self.names}"

    def _weight(self, *shape):
        values = self.random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        return self._constant((values * self.random.choice([1, 1, 0.01, 30])).astype(np.float32))

    def _add(self, operator, inputs, *shapes, **attributes):
        made = []
        for shape in shapes:
            self.names += 1
            made.append(f"t{self.names}")
            self.tensors.append((made[-1], *shape))
        self.nodes.append(helper.make_node(operator, inputs, made, f"n_{made[0]}", **attributes))

    def _conv(self, name, channels, *size):
        kernel, is_grouped = int(self.random.choice([1, 3])), self.random.random() < 0.2
        made = channels if is_grouped else int(self.random.choice([2, 8, 16, 24, 32]))
        weight = self._weight(made, 1 if is_grouped else channels, kernel, kernel)
        bias = self._constant(self.random.standard_normal(made).astype(np.float32))
        inputs = [name, weight, bias][: int(self.random.choice([2, 3]))]
        group = channels if is_grouped else 1
        self._add("Conv", inputs, (made, *size), pads=[kernel // 2] * 4, group=group)

    def _conv_relu(self, *tensor):
        self._conv(*tensor)
        self._add("Relu", [self.tensors[-1][0]], self.tensors[-1][1:])

    def _unary(self, name, *shape):
        operators = ["Relu", "LeakyRelu", "Sigmoid", "HardSwish", "Neg", "Tanh"]
        self._add(str(self.random.choice(operators)), [name], shape)

    def _clip(self, name, *shape):
        bounds = CLIPS[self.random.integers(len(CLIPS))]
        ends = [self._constant(np.float32(b)) if np.isfinite(b) else "" for b in bounds]
        self._add("Clip", [name, *ends], shape)

    def _pool(self, name, channels, height, width):
        if height % 2 or width % 2:
            self._add("AveragePool", [name], (channels, height, width), kernel_shape=[1, 1])
            return
        shape = (channels, height // 2, width // 2)
        kind = str(self.random.choice(["MaxPool", "AveragePool"]))
        self._add(kind, [name], shape, kernel_shape=[2, 2], strides=[2, 2])

    def _join(self, name, *shape):
        other = self._pick(*shape)[0]
        self._add(str(self.random.choice(["Add", "Mul"])), [name, other], shape)

    def _concat(self, name, channels, *size):
        others = [self._pick(*size) for _ in range(self.random.integers(1, 4))]
        made = channels + sum(one[1] for one in others)
        if made <= 128:
            self._add("Concat", [name, *(one[0] for one in others)], (made, *size), axis=1)

    def _transpose(self, name, channels, height, width):
        self._add("Transpose", [name], (channels, width, height), perm=[0, 1, 3, 2])

    def _halve(self, name, channels, *size):
        if channels % 2:
            return
        half = (channels // 2, *size)
        if self.random.random() < 0.5:
            self._add("Split", [name], half, half, axis=1)
        else:
            ends = (self._constant(np.array([one], np.int64)) for one in (0, channels // 2, 1))
            self._add("Slice", [name, *ends], half)

    def _resize(self, name, channels, height, width):
        if height * width <= SIZE**2:
            scales = self._constant(np.array([1, 1, 2, 2], np.float32))
            self._add(
                "Resize", [name, "", scales], (channels, 2 * height, 2 * width), mode="nearest",
                coordinate_transformation_mode="asymmetric", nearest_mode="floor",
            )  # fmt: skip

    def _end(self, name, channels, *_):
        if self.random.random() < 0.5:
            self._add("GlobalAveragePool", [name], (channels, 1, 1))
            self._add("Flatten", [self.tensors.pop()[0]], (channels,))
            flat = self.tensors.pop()[0]
            self._add("Gemm", [flat, self._weight(5, channels)], (5,), transB=1)
        else:
            self._add("Conv", [name, self._weight(4, channels, 1, 1)], (4,))
        self.outputs.append(self.tensors.pop()[0])


OPERATORS = (
    "conv", "conv", "conv_relu", "unary", "clip", "pool", "join", "concat", "concat", "transpose",
    "halve", "resize",
)  # fmt: skip


def calibrated(prepared, rows, recipe, folder):
    np.save(folder / "x.npy", rows)
    (folder / "names.json").write_text(json.dumps([str(row) for row in range(ROWS)]))
    stored = StoredRows(
        inputs={"x": str(folder / "x.npy")},
        count_rows=ROWS,
        labels="",
        row_names=str(folder / "names.json"),
    )
    request = CalibrateRequest(
        model=prepared, rows=CalibrationSet(stored), threads=2, asked=(RangesAsked(recipe=recipe),)
    )
    return Path(calibrate(request, folder, tell_nobody).ranges[ranges_key(recipe)])


def clipping(quantized, prepared, ranges):
    """Put a Clip in the place of each pair; return the model and its Clips, by tensor."""
    constants = {one.name: one for one in quantized.graph.initializer}
    floats = {one.name: one for one in prepared.graph.initializer}
    model, nodes, clips = onnx.ModelProto(), [], {}
    model.CopyFrom(quantized)
    for node in quantized.graph.node:
        source = node.input[0]
        if node.op_type == "QuantizeLinear":
            tensor = node.input[1].removesuffix("_scale")
            one = covered(*(numpy_helper.to_array(constants[c]) for c in node.input[1:]))
            if ranges[tensor].high - ranges[tensor].low >= LEAST_WIDTH:
                step = (one.high - one.low) / 255
                is_known = ranges[tensor].high == 1.0  # a share, perhaps made symmetric
                assert is_known or one.low == pytest.approx(ranges[tensor].low, abs=step)
                one = ranges[tensor]
            ends = [f"{node.output[0]} {end}" for end in ("low", "high")]
            for name, value in zip(ends, (one.low, one.high), strict=True):
                model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
            nodes.append(helper.make_node("Clip", [source, *ends], node.output, node.name))
            clips.setdefault(tensor, []).append(node.output[0])
        elif node.op_type == "DequantizeLinear" and source in constants:
            weight = source.removesuffix("_quantized")
            model.graph.initializer.add().CopyFrom(floats[weight])
            model.graph.initializer[-1].name = f"{node.output[0]} float"
            nodes.append(helper.make_node("Identity", [f"{node.output[0]} float"], node.output))
        elif node.op_type == "DequantizeLinear":
            nodes.append(helper.make_node("Identity", [source], node.output))
        else:
            nodes.append(node)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    names = (name for made in clips.values() for name in made)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return model, clips


def covered(scale, zero_point):
    """Return what the integers of a tensor stand for."""
    limits = np.iinfo(zero_point.dtype)
    low, high = ((int(end) - int(zero_point)) * float(scale) for end in (limits.min, limits.max))
    return TensorRange(low, high)


def run(proto, rows):
    """Run node by node: nothing is fused, here least of all what stands between the Clips."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"x": rows}), strict=True))


@pytest.mark.parametrize(
    ("alias", "seed"),
    [*(("int8-minmax", seed) for seed in range(20)), *(("int16", seed) for seed in range(30, 36))],
)
def test_ranges_hold_what_is_quantized_and_nothing_more(alias, seed, tmp_path):
    recipe, net = ALIASES[alias], RandomNet(seed, steps=16)
    given, rows = write_proto(net.build(), tmp_path / "given.onnx"), net.rows()
    prepared = prepare(PrepareRequest(model=given), tmp_path, tell_nobody).model
    path = calibrated(prepared, rows, recipe, tmp_path)
    ranges = msgspec.json.decode(path.read_bytes(), type=TensorRanges).ranges
    plain = Tuning(skipped=tuple(one.slug for one in FOR_INTEGERS))
    request = QuantizeRequest(model=prepared, recipe=recipe, ranges=str(path), tuning=plain)
    try:
        result = quantize(request, tmp_path, tell_nobody)
    except QuantizationError as error:
        assert error.code == "OQ163"  # noqa: PT017 - nothing in it can be quantized
        return
    proto = load_proto(prepared.path)
    model, clips = clipping(load_proto(result.model.path), proto, ranges)
    expected, found = run(proto, rows), run(model, rows)
    for name, values in expected.items():
        size = max(1.0, float(np.abs(values).max(initial=0.0)))
        np.testing.assert_allclose(found[name], values, rtol=0, atol=2e-4 * size)
    for tensor in clips:
        one = ranges[tensor]
        if one.high == 1.0 and one.low in {0.0, -1.0, -1 / 254}:
            continue  # a share, whose range is known beforehand
        alike = [found[clip] for other in clips if ranges[other] == one for clip in clips[other]]
        values = np.concatenate([array.ravel() for array in alike])
        low, high = values.min(initial=0.0), values.max(initial=0.0)
        if recipe.activation == "int16":
            low, high = -max(-low, high), max(-low, high)
        tolerance = 1e-5 * max(1e-3, one.high - one.low)
        assert one.low == pytest.approx(low, abs=tolerance), tensor
        assert one.high == pytest.approx(high, abs=tolerance), tensor
