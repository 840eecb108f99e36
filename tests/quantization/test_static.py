from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.errors import QuantizationError, UsageError
from onnxq.graph.operator_kinds import ABSORBED
from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.graph.rewrites import FOR_INTEGERS
from onnxq.quantization.static import quantize_static_qdq
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipe_kinds import MinMax, StaticQdq
from onnxq.tunings import Tuning

RECIPE = StaticQdq(ranges=MinMax())
PLAIN = Tuning(skipped=tuple(rewrite.slug for rewrite in FOR_INTEGERS))  # as the quantizer wrote it
node = helper.make_node


class Builder:
    """A graph in the making: nodes in order, weights drawn with the scale that keeps variance."""

    def __init__(self, *shape):
        self.nodes = []
        self.weights = {}
        self.shape = shape
        self.generator = np.random.default_rng(11)

    def weight(self, name, *shape):
        fan_in = int(np.prod(shape[1:])) or 1
        values = self.generator.standard_normal(shape) * np.sqrt(2 / fan_in)
        self.weights[name] = values.astype(np.float32)
        return name

    def add(self, op, inputs, output, **attributes):
        self.nodes.append(node(op, inputs, [output], f"{op}_{output}", **attributes))
        return output

    def conv(self, source, output, size_in, size_out, kernel=3, **attributes):
        pads = [kernel // 2] * 4
        names = [
            self.weight(f"w_{output}", size_out, size_in, kernel, kernel),
            self.weight(f"b_{output}", size_out),
        ]
        return self.add("Conv", [source, *names], output, pads=pads, **attributes)

    def build(self, *outputs, opset=17):
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *self.shape])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(values, name) for name, values in self.weights.items()],
        )
        proto = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
        )
        return onnx.shape_inference.infer_shapes(proto)

    def rows(self, count=32):
        """Draw noise whose strength differs from row to row, as the contrast of photos does."""
        strength = self.generator.uniform(0.2, 3, (count, *[1] * len(self.shape)))
        return (strength * self.generator.standard_normal((count, *self.shape))).astype(np.float32)


def residual_cnn(builder):
    """Three residual blocks with one stride: every convolution shares its input or its output."""
    last = builder.add("Relu", [builder.conv("x", "stem", 3, 16)], "r")
    for index in range(3):
        first = builder.add("Relu", [builder.conv(last, f"p{index}", 16, 16)], f"q{index}")
        second = builder.conv(first, f"s{index}", 16, 16)
        joined = builder.add("Add", [last, second], f"t{index}")
        last = builder.add("Relu", [joined], f"u{index}")
    pooled = builder.add("GlobalAveragePool", [last], "pooled")
    flat = builder.add("Flatten", [pooled], "flat")
    builder.add("Gemm", [flat, builder.weight("w_y", 5, 16)], "y", transB=1)
    return builder.build("y")


def mlp(builder):
    last = "x"
    for index, (size_in, size_out) in enumerate([(24, 32), (32, 32), (32, 4)]):
        names = [
            builder.weight(f"w{index}", size_out, size_in), builder.weight(f"b{index}", size_out),
        ]  # fmt: skip
        last = builder.add("Gemm", [last, *names], f"g{index}", transB=1)
        if index < 2:
            last = builder.add("Relu", [last], f"r{index}")
    return builder.build("g2")


def fire_net(builder):
    """Two branches into a Concat, one of them through a pool, and a detection head's Sigmoid."""
    builder.add("Relu", [builder.conv("x", "a", 3, 8)], "ra")
    builder.add("MaxPool", ["ra"], "m", kernel_shape=[2, 2], strides=[2, 2])
    builder.add("Relu", [builder.conv("m", "e1", 8, 8, 1)], "r1")
    builder.add("Clip", [builder.conv("m", "e3", 8, 8), "low", "high"], "r3")
    builder.weights |= {"low": np.float32(0), "high": np.float32(6)}
    builder.add("Concat", ["r1", "r3"], "c", axis=1)
    builder.add("LeakyRelu", [builder.conv("c", "d", 16, 8)], "l", alpha=0.1)
    builder.add("Transpose", [builder.conv("l", "h", 8, 4, 1)], "t", perm=[0, 2, 3, 1])
    builder.add("Sigmoid", ["t"], "y")
    return builder.build("y")


def gated_net(builder):
    """A squeeze-and-excite gate and a HardSwish stay float between integer convolutions."""
    builder.add("HardSwish", [builder.conv("x", "a", 3, 8)], "h")
    builder.add("GlobalAveragePool", ["h"], "p")
    builder.add("Sigmoid", [builder.conv("p", "g", 8, 8, 1)], "s")
    builder.add("Mul", ["h", "s"], "m")
    builder.add("Add", [builder.conv("m", "b", 8, 8), "h"], "n")
    builder.add("Relu", [builder.conv("n", "d", 8, 8)], "y")
    return builder.build("y")


def two_readers_net(builder):
    """A Relu whose input is an output as well, and a graph input read twice."""
    builder.conv("x", "a", 3, 8)
    builder.add("Relu", ["a"], "b")
    builder.conv("b", "c", 8, 3)
    builder.add("Add", ["c", "x"], "d")
    builder.conv("d", "y", 3, 4)
    return builder.build("y", "a")


def attention_net(builder):
    for name in ("q", "k", "v"):
        builder.add("MatMul", ["x", builder.weight(f"w_{name}", 16, 16)], name)
    builder.add("Transpose", ["k"], "kt", perm=[0, 2, 1])
    builder.add("MatMul", ["q", "kt"], "s")
    builder.add("Softmax", ["s"], "p")
    builder.add("MatMul", ["p", "v"], "o")
    builder.add("MatMul", ["o", builder.weight("w_z", 16, 16)], "z")
    builder.add("Add", ["x", "z"], "y")
    return builder.build("y")


NETS = {
    "residual": (residual_cnn, (3, 16, 16)),
    "mlp": (mlp, (24,)),
    "fire": (fire_net, (3, 16, 16)),
    "gated": (gated_net, (3, 8, 8)),
    "two readers": (two_readers_net, (3, 8, 8)),
    "attention": (attention_net, (6, 16)),
}


@pytest.fixture(params=NETS)
def net(request):
    make, shape = NETS[request.param]
    builder = Builder(*shape)
    return make(builder), builder.rows()


def made(name):
    make, shape = NETS[name]
    builder = Builder(*shape)
    return make(builder), builder.rows()


def minmax(proto, rows):
    """Compute ranges with another implementation of the operators."""
    edges = find_qdq_edges(proto.graph)
    visible = onnx.ModelProto()
    visible.CopyFrom(proto)
    hidden = [name for name in edges.collected if name != "x"]
    outputs = {value.name for value in proto.graph.output}
    visible.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in hidden
        if name not in outputs
    )
    values = dict(
        zip(
            [value.name for value in visible.graph.output],
            ReferenceEvaluator(visible).run(None, {"x": rows}),
            strict=True,
        )
    )
    values["x"] = rows
    ranges = {
        name: TensorRange(
            min(0.0, float(values[leader].min())), max(0.0, float(values[leader].max()))
        )
        for name, leader in edges.leaders.items()
    }
    return TensorRanges("minmax", ranges)


def quantized(proto, rows, folder, recipe=RECIPE, **changes):
    onnx.save(proto, folder / "float.onnx")
    ranges = minmax(proto, rows)
    ranges = TensorRanges("minmax", ranges.ranges | changes)
    result = quantize_static_qdq(
        folder / "float.onnx", folder / "int8.onnx", recipe, ranges, tuning=PLAIN
    )
    return result, ranges, onnx.load(folder / "int8.onnx")


def constants_of(proto):
    return {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}


def scales_of(proto):
    """Return scale and zero point of each quantized activation, by its name in the float model."""
    constants = constants_of(proto)
    return {
        one.output[0].removesuffix("_QuantizeLinear_Output"): (
            constants[one.input[1]], constants[one.input[2]],
        )
        for one in proto.graph.node
        if one.op_type == "QuantizeLinear"
    }  # fmt: skip


def optimized(folder):
    """Return the operators that onnxruntime really runs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(folder / "int8.onnx", options)
    return [one.op_type for one in onnx.load(folder / "optimized.onnx").graph.node]


def run(path, rows):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    return session.run(None, {"x": rows})


def sqnr_db(reference, found):
    signal = ((reference - reference.mean(axis=0)) ** 2).sum()
    return 10 * np.log10(signal / ((reference - found) ** 2).sum())


def test_exactly_our_edges_are_quantized(net, tmp_path):
    proto, rows = net
    _, ranges, result = quantized(proto, rows, tmp_path)
    edges = find_qdq_edges(proto.graph)
    absorbed = {
        one.input[0]
        for one in proto.graph.node
        if one.op_type in ABSORBED and one.output[0] in edges.nodes
    }
    assert scales_of(result).keys() == ranges.ranges.keys() - absorbed


def test_each_scale_is_that_of_the_given_range(net, tmp_path):
    proto, rows = net
    _, ranges, result = quantized(proto, rows, tmp_path)
    for name, (scale, zero_point) in scales_of(result).items():
        one = ranges.ranges[name]
        assert scale == pytest.approx((one.high - one.low) / 255, rel=1e-6)
        assert zero_point == np.rint(-one.low / scale)
        assert zero_point.dtype == np.uint8


def test_ranges_are_used_as_they_are_given(tmp_path):
    proto, rows = made("residual")
    given = {"q0": TensorRange(0.0, 1.25), "p0": TensorRange(0.0, 1.25)}
    _, _, result = quantized(proto, rows, tmp_path, **given)
    scale, zero_point = scales_of(result)["q0"]
    assert scale == pytest.approx(1.25 / 255, rel=1e-6)
    assert zero_point == 0


@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_are_within_half_a_step(net, tmp_path, per_channel):
    proto, rows = net
    recipe = StaticQdq(ranges=MinMax(), per_channel=per_channel)
    _, _, result = quantized(proto, rows, tmp_path, recipe)
    weights, constants = constants_of(proto), constants_of(result)
    seen = 0
    for one in result.graph.node:
        if one.op_type != "DequantizeLinear" or one.input[0] not in constants:
            continue
        if constants[one.input[0]].dtype != np.int8:  # a bias
            continue
        name = one.output[0].removesuffix("_DequantizeLinear_Output")
        integers, scale = constants[one.input[0]], constants[one.input[1]]
        axis = next((a.i for a in one.attribute if a.name == "axis"), 0)
        assert (scale.ndim == 1) is per_channel
        if per_channel:
            scale = scale.reshape([-1 if a == axis else 1 for a in range(integers.ndim)])
        kept = tuple(slice(size) for size in weights[name].shape)  # a stem's channels are padded
        error = np.abs((integers * scale)[kept] - weights[name])
        assert (error <= scale / 2 * (1 + 1e-5)).all()
        assert not constants[one.input[2]].any()
        seen += 1
    assert seen == sum(one.op_type in {"Conv", "Gemm"} for one in proto.graph.node) + sum(
        one.op_type == "MatMul" and one.input[1] in weights for one in proto.graph.node
    )


@pytest.mark.parametrize("name", ["residual", "mlp", "fire", "attention"])
def test_is_near_the_float_model(name, tmp_path):
    proto, rows = made(name)
    quantized(proto, rows, tmp_path)
    (reference,) = run(tmp_path / "float.onnx", rows)
    (found,) = run(tmp_path / "int8.onnx", rows)
    assert sqnr_db(reference, found) >= 25


def test_an_output_in_front_of_a_relu_keeps_its_negative_values(tmp_path):
    """onnxruntime alone gives it the Relu's range: 2 dB."""
    proto, rows = made("two readers")
    quantized(proto, rows, tmp_path)
    _, reference = run(tmp_path / "float.onnx", rows)
    _, found = run(tmp_path / "int8.onnx", rows)
    assert found.min() < 0.9 * reference.min() < 0
    assert sqnr_db(reference, found) >= 25


def test_every_convolution_of_a_residual_net_runs_on_integers(tmp_path):
    proto, rows = made("residual")
    result, _, _ = quantized(proto, rows, tmp_path)
    found = optimized(tmp_path)
    assert found.count("QLinearConv") == 7
    assert found.count("QLinearAdd") == 3
    assert found.count("QGemm") == 1
    assert found.count("QuantizeLinear") == 1
    assert not {"Conv", "Add", "Relu", "Gemm", "DequantizeLinear"} & set(found)
    assert (result.count.quantized, result.count.quantizable) == (8, 8)
    assert result.count.left_float == {}


def test_branches_and_pools_run_on_integers(tmp_path):
    proto, rows = made("fire")
    quantized(proto, rows, tmp_path)
    found = optimized(tmp_path)
    assert found.count("QLinearConv") == 5
    assert found.count("QLinearConcat") == 1
    assert found.count("QLinearLeakyRelu") == 1
    assert found.count("QuantizeLinear") == found.count("DequantizeLinear") == 1
    assert not {"Conv", "MaxPool", "Concat", "Clip", "Relu", "QLinearSigmoid"} & set(found)


def test_an_average_has_a_scale_of_its_own(tmp_path):
    """onnxruntime alone gives it the scale of what it reads, which is several times wider."""
    builder = Builder(3, 16, 16)
    builder.add("Relu", [builder.conv("x", "a", 3, 8)], "b")
    builder.add("AveragePool", ["b"], "p", kernel_shape=[16, 16])
    builder.add("Flatten", ["p"], "f")
    builder.add("Gemm", ["f", builder.weight("w_y", 4, 8)], "y", transB=1)
    proto, rows = builder.build("y"), builder.rows()
    _, _, result = quantized(proto, rows, tmp_path)
    scales = scales_of(result)
    assert scales["p"][0] < scales["b"][0] / 2
    assert scales["f"] == scales["p"]
    found = optimized(tmp_path)
    assert "QLinearAveragePool" in found
    assert "AveragePool" not in found
    (reference,), (found,) = (run(tmp_path / f"{kind}.onnx", rows) for kind in ("float", "int8"))
    assert sqnr_db(reference, found) >= 30


def test_what_does_not_pay_stays_float(tmp_path):
    proto, rows = made("gated")
    result, _, _ = quantized(proto, rows, tmp_path)
    found = optimized(tmp_path)
    assert found.count("QLinearConv") == 4
    assert "QLinearMul" not in found
    assert "QLinearSigmoid" not in found
    assert result.count.quantized == 4


def test_attention_stays_float(tmp_path):
    proto, rows = made("attention")
    result, _, _ = quantized(proto, rows, tmp_path)
    assert result.count.left_float == {
        "MatMul_s": "both operands are activations",
        "MatMul_o": "both operands are activations",
    }
    assert (result.count.quantized, result.count.quantizable) == (4, 6)
    found = optimized(tmp_path)
    assert "QLinearSoftmax" not in found
    assert found.count("MatMulIntegerToFloat") == 4


def test_gemm_returns_float_scores(tmp_path):
    proto, rows = made("mlp")
    quantized(proto, rows, tmp_path)
    assert optimized(tmp_path) == ["QuantizeLinear", "QGemm", "QGemm", "QGemm"]
    (found,) = run(tmp_path / "int8.onnx", rows)
    assert len(np.unique(found)) > 100


@pytest.mark.parametrize("opset", range(13, 22))
def test_every_opset(opset, tmp_path):
    builder = Builder(3, 8, 8)
    builder.add("Relu", [builder.conv("x", "a", 3, 8)], "b")
    builder.add("MaxPool", ["b"], "m", kernel_shape=[2, 2], strides=[2, 2])
    builder.add("Add", [builder.conv("m", "c", 8, 8), "m"], "d")
    builder.conv("d", "y", 8, 4)
    proto, rows = builder.build("y", opset=opset), builder.rows()
    quantized(proto, rows, tmp_path)
    assert optimized(tmp_path).count("QLinearConv") == 3
    (reference,), (found,) = (run(tmp_path / f"{kind}.onnx", rows) for kind in ("float", "int8"))
    assert sqnr_db(reference, found) >= 25
    assert [one.domain for one in onnx.load(tmp_path / "int8.onnx").opset_import] == [""]


def random_net(seed):
    """Draw a graph of operators that become integer, disappear, move values or stay float."""
    builder = Builder(8, 8, 8)
    builder.generator = generator = np.random.default_rng(seed)
    tensors = ["x", builder.conv("x", "first", 8, 8)]
    for index in range(int(generator.integers(4, 14))):
        result = f"t{index}"
        near, far = (str(generator.choice(names)) for names in (tensors[-4:], tensors))
        op = str(generator.choice([*RANDOM_STEPS, *["Conv"] * 3]))
        if op == "Conv":
            builder.conv(near, result, 8, 8, int(generator.choice([1, 3])))
        elif op in {"Add", "Mul"}:
            builder.add(op, [near, far], result)
        elif op == "Concat":
            joined = builder.add(op, [near, far], f"joined{index}", axis=1)
            builder.conv(joined, result, 16, 8, 1)
        else:
            constants, attributes = RANDOM_STEPS[op]
            builder.weights |= constants
            builder.add(op, [near, *constants], result, **attributes)
        tensors.append(result)
    read = {name for one in builder.nodes for name in one.input}
    outputs = {name for name in tensors[1:] if name not in read}
    return builder.build(*sorted(outputs | {str(generator.choice(tensors[1:]))})), builder.rows(8)


POOL = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
RANDOM_STEPS = {
    "Relu": ({}, {}),
    "Clip": ({"low": np.float32(-1), "high": np.float32(2)}, {}),
    "LeakyRelu": ({}, {"alpha": 0.1}),
    "MaxPool": ({}, POOL),
    "AveragePool": ({}, POOL),
    "Transpose": ({}, {"perm": [0, 1, 3, 2]}),
    "Reshape": ({"shape": np.array([0, 8, 8, 8])}, {}),
    "Slice": ({"begin": np.array([0]), "end": np.array([8]), "axis": np.array([1])}, {}),
    "HardSwish": ({}, {}),
    "Tanh": ({}, {}),
    "Add": ({}, {}),
    "Mul": ({}, {}),
    "Concat": ({}, {}),
}


@pytest.mark.parametrize("seed", range(40))
def test_any_graph_of_these_operators_is_quantized_as_foreseen(seed, tmp_path):
    proto, rows = random_net(seed)
    edges = find_qdq_edges(proto.graph)
    _, ranges, result = quantized(proto, rows, tmp_path)
    absorbed = {
        one.input[0]
        for one in proto.graph.node
        if one.op_type in ABSORBED and one.output[0] in edges.nodes
    }
    assert scales_of(result).keys() == ranges.ranges.keys() - absorbed
    convolutions = sum(one.op_type == "Conv" for one in proto.graph.node)
    assert optimized(tmp_path).count("QLinearConv") == convolutions
    pairs = zip(*(run(tmp_path / f"{kind}.onnx", rows) for kind in ("float", "int8")), strict=True)
    for reference, found in pairs:
        assert ((reference - found) ** 2).sum() <= 10**-1.8 * (reference**2).sum()  # 18 dB


def test_a_dead_activation_does_no_harm(tmp_path):
    builder = Builder(3, 8, 8)
    builder.add("Relu", [builder.conv("x", "a", 3, 8)], "b")
    builder.weights["b_a"] -= 1000
    builder.conv("b", "y", 8, 4)
    proto, rows = builder.build("y"), builder.rows()
    quantized(proto, rows, tmp_path)
    (reference,), (found,) = (run(tmp_path / f"{kind}.onnx", rows) for kind in ("float", "int8"))
    np.testing.assert_allclose(found, reference, atol=0.02 * np.abs(reference).max())


def test_nothing_to_quantize_says_why(tmp_path):
    builder = Builder(6, 16)
    builder.add("Transpose", ["x"], "t", perm=[0, 2, 1])
    builder.add("MatMul", ["x", "t"], "y")
    with pytest.raises(QuantizationError, match="both operands are activations") as caught:
        quantized(builder.build("y"), builder.rows(), tmp_path)
    assert caught.value.code == "OQ163"
    assert not (tmp_path / "int8.onnx").exists()


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_ranges_of_another_model_are_refused(change, tmp_path):
    proto, rows = made("residual")
    onnx.save(proto, tmp_path / "float.onnx")
    ranges = minmax(proto, rows).ranges
    if change == "missing":
        del ranges["q1"]
    else:
        ranges["elsewhere"] = TensorRange(0.0, 1.0)
    with pytest.raises(UsageError, match=r"'q1'|'elsewhere'") as caught:
        quantize_static_qdq(
            tmp_path / "float.onnx", tmp_path / "int8.onnx", RECIPE, TensorRanges("minmax", ranges)
        )
    assert caught.value.code == "OQ147"


def test_the_source_is_not_touched(tmp_path):
    proto, rows = made("mlp")
    (tmp_path / "given").mkdir()
    onnx.save(proto, tmp_path / "given" / "float.onnx")
    before = (tmp_path / "given" / "float.onnx").read_bytes()
    quantize_static_qdq(
        tmp_path / "given" / "float.onnx", tmp_path / "int8.onnx", RECIPE, minmax(proto, rows)
    )
    assert [path.name for path in (tmp_path / "given").iterdir()] == ["float.onnx"]
    assert (tmp_path / "given" / "float.onnx").read_bytes() == before


def test_metadata_of_the_quantizer_is_not_handed_over(tmp_path):
    proto, rows = made("mlp")
    _, _, result = quantized(proto, rows, tmp_path)
    assert "onnx.infer" not in {entry.key for entry in result.metadata_props}


def test_a_written_file_is_never_replaced(tmp_path):
    proto, rows = made("mlp")
    Path(tmp_path / "int8.onnx").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        quantized(proto, rows, tmp_path)
    assert (tmp_path / "int8.onnx").read_bytes() == b"mine"
