"""Rewrites between pairs: stems, aligned channels, gates; each against an oracle in integers."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.integer_stems import find_stems
from onnxq.graph.qdq_pairs import index_pairs
from onnxq.graph.rewrites import FOR_INTEGERS
from onnxq.graph.rewrites.align_channels import align_channels
from onnxq.graph.rewrites.multiply_in_tiles import multiply_in_tiles
from onnxq.graph.rewrites.pad_stem_channels import pad_stems
from onnxq.graph.rewrites.requantize_hard_sigmoid import requantize_hard_sigmoids
from onnxq.graph.rewrites.space_to_depth_stem import Blocks, fold_stems, regroup
from onnxq.graph.rewrites.spread_gates import spread_gates

ZERO_POINT = 117
STEP = 0.02


class Net:
    """A graph of pairs in the making: nodes in their order, constants, one input ``x``."""

    def __init__(self, *shape, dtype=TensorProto.FLOAT):
        self.inputs = [helper.make_tensor_value_info("x", dtype, shape)]
        self.nodes, self.constants = [], {}
        self.generator = np.random.default_rng(8)

    def store(self, name, values):
        self.constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def add(self, op, *read, **attributes):
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [*read], [name], f"node_{name}", **attributes))
        return name

    def pair(self, read, step=STEP, zero_point=ZERO_POINT):
        grid = (
            self.store(f"{read}_scale", np.float32(step)),
            self.store(f"{read}_zero_point", np.uint8(zero_point)),
        )
        return self.add("DequantizeLinear", self.add("QuantizeLinear", read, *grid), *grid)

    def conv(self, read, shape, group=1, **attributes):
        """A Conv on integer weights of a scale per output, with a bias."""
        base = f"w{len(self.nodes)}"
        scales = self.generator.uniform(0.5, 1.0, shape[0]).astype(np.float32)
        scales /= 127 * np.sqrt(np.prod(shape[1:]))
        weights = self.generator.integers(-127, 128, shape).astype(np.int8)
        bias = self.generator.integers(-2000, 2000, shape[0]).astype(np.int32)
        parameters = [
            self.add(
                "DequantizeLinear",
                self.store(f"{base}{suffix}", values),
                self.store(f"{base}{suffix}_scale", steps),
                self.store(f"{base}{suffix}_zero_point", np.zeros(shape[0], values.dtype)),
                axis=0,
            )
            for suffix, values, steps in (
                ("", weights, scales),
                ("_bias", bias, (scales * STEP).astype(np.float32)),
            )
        ]
        return self.add("Conv", read, *parameters, group=group, **attributes)

    def model(self, *outputs):
        values = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [*"abcd"]) for name in outputs
        ]
        graph = helper.make_graph(
            self.nodes, "g", self.inputs, values, list(self.constants.values())
        )
        opsets = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def run(proto, *, optimize=True):
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (given_,) = session.get_inputs()
    shape = [size if isinstance(size, int) else 2 for size in given_.shape]
    rows = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    if given_.type == "tensor(uint8)":
        rows = np.random.default_rng(5).integers(0, 256, shape).astype(np.uint8)
    return session.run(None, {"x": rows})


def check_exact(rewrite, proto):
    """Apply; check that integers stay, that nothing is left over and that it settles."""
    before = proto.SerializeToString(deterministic=True)
    result = rewrite(proto)
    assert proto.SerializeToString(deterministic=True) == before
    onnx.checker.check_model(result.proto, full_check=True)
    for expected, found in zip(run(proto), run(result.proto), strict=True):
        np.testing.assert_array_equal(expected, found)
    read = {name for node in result.proto.graph.node for name in node.input}
    read |= {value.name for value in result.proto.graph.output}
    assert {tensor.name for tensor in result.proto.graph.initializer} <= read
    assert all(node.output[0] in read for node in result.proto.graph.node)
    again = rewrite(result.proto)
    assert again.proto is result.proto
    assert again.subjects == ()
    return result


def stem(shape=(16, 3, 3, 3), size=(12, 12), *, rows="N", **attributes):
    net = Net(rows, shape[1], *size)
    return net.model(net.pair(net.conv(net.pair("x"), shape, **attributes)))


def operators(proto):
    return [node.op_type for node in proto.graph.node]


WINDOWS = st.tuples(st.integers(2, 8), st.integers(2, 4)).flatmap(
    lambda both: st.tuples(
        st.just(both[0]), st.just(both[1]), *[st.integers(0, both[0] - 1)] * 2, st.integers(4, 21)
    )
)


@given(rows=WINDOWS, columns=WINDOWS, channels=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_blocks_hold_the_same_products(rows, columns, channels):
    """The oracle: a convolution of integers by numpy, plain and on blocks."""
    axes = tuple(
        Blocks(stride, max(size, kernel), kernel, begin, end)
        for kernel, stride, begin, end, size in (rows, columns)
    )
    if min(axis.after for axis in axes) < 0:
        return
    generator = np.random.default_rng(channels)
    kernels = [axis.kernel for axis in axes]
    weights = generator.integers(-127, 128, (4, channels, *kernels)).astype(np.int8)
    image = generator.integers(-128, 128, (channels, *[axis.size for axis in axes]))
    pads = [(axis.begin, axis.end) for axis in axes]
    expected = convolved(np.pad(image, [(0, 0), *pads]), weights, [a.stride for a in axes])
    counts = [(axis.count, axis.stride) for axis in axes]
    filled = [(0, axis.count * axis.stride - axis.size) for axis in axes]
    parted = (
        np.pad(image, [(0, 0), *filled])
        .reshape(channels, *counts[0], *counts[1])
        .transpose(4, 2, 0, 1, 3)
    )
    blocks = parted.reshape(-1, counts[0][0], counts[1][0])
    pads = [(axis.before, axis.after) for axis in axes]
    found = convolved(np.pad(blocks, [(0, 0), *pads]), regroup(weights, axes), [1, 1])
    np.testing.assert_array_equal(found, expected)


def convolved(image, weights, strides):
    _, rows, columns = image.shape
    height, width = weights.shape[2:]
    return np.array(
        [
            [
                np.tensordot(weights.astype(np.int64), image[:, r : r + height, c : c + width], 3)
                for c in range(0, columns - width + 1, strides[1])
            ]
            for r in range(0, rows - height + 1, strides[0])
        ]
    )


@pytest.mark.parametrize(
    ("shape", "size", "attributes"),
    [
        ((16, 3, 3, 3), (12, 16), {"strides": [2, 2], "pads": [1] * 4}),
        ((24, 3, 7, 7), (16, 16), {"strides": [2, 2], "pads": [3] * 4}),
        ((16, 1, 4, 4), (16, 8), {"strides": [4, 4]}),
        ((16, 3, 3, 3), (13, 12), {"strides": [2, 2], "pads": [1] * 4}),
        ((16, 3, 7, 7), (19, 19), {"strides": [2, 2]}),
        ((16, 2, 3, 5), (12, 12), {"strides": [2, 2], "pads": [0, 1, 1, 2]}),
        ((16, 3, 3, 3), (12, 12), {"strides": [2, 2], "auto_pad": "VALID"}),
    ],
    ids=["3x3", "7x7", "patches", "odd rows", "odd", "uneven", "valid"],
)
@pytest.mark.parametrize("rows", ["N", 1])
def test_strided_stems_are_folded(shape, size, attributes, rows):
    proto = stem(shape, size, rows=rows, **attributes)
    result = check_exact(fold_stems, proto)
    assert result.subjects == ("node_Conv_4",)
    (conv,) = (node for node in result.proto.graph.node if node.op_type == "Conv")
    assert list(next(a.ints for a in conv.attribute if a.name == "strides")) == [1, 1]
    names = {tensor.name for tensor in result.proto.graph.initializer}
    assert "w2" in names  # the weights keep their name, for reports


@pytest.mark.parametrize(
    ("shape", "size", "attributes"),
    [
        ((16, 3, 3, 3), ("H", "W"), {"strides": [2, 2]}),
        ((16, 3, 3, 3), (12, 12), {"strides": [2, 1]}),
        ((16, 3, 3, 3), (12, 12), {"strides": [2, 2], "dilations": [2, 2]}),
        ((16, 3, 3, 3), (12, 12), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
        ((8, 3, 3, 3), (12, 12), {"strides": [2, 2]}),
        ((16, 4, 3, 3), (12, 12), {"strides": [2, 2]}),
        ((16, 3, 1, 1), (12, 12), {"strides": [2, 2]}),
        ((16, 3, 11, 11), (32, 32), {"strides": [4, 4], "pads": [2] * 4}),
    ],
    ids=["dynamic", "one axis", "dilated", "implied pads", "few outputs", "four channels",
         "wasteful", "larger than twice"],
)  # fmt: skip
def test_other_stems_are_not_folded(shape, size, attributes):
    proto = stem(shape, size, **attributes)
    assert fold_stems(proto).proto is proto


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("size", [(9, 11), ("H", "W")], ids=["static", "dynamic"])
def test_channels_of_stems_are_padded(channels, size):
    net = Net("N", channels, *size)
    proto = net.model(net.pair(net.conv(net.pair("x"), (16, channels, 3, 3), pads=[1] * 4)))
    before = proto.SerializeToString()
    result = pad_stems(proto)
    assert proto.SerializeToString() == before
    assert operators(result.proto).count("Pad") == 1
    rows = np.random.default_rng(2).standard_normal((2, channels, 9, 11)).astype(np.float32)
    expected, found = (
        onnxruntime.InferenceSession(
            one.SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(None, {"x": rows})[0]
        for one in (proto, result.proto)
    )
    np.testing.assert_array_equal(expected, found)
    assert pad_stems(result.proto).proto is result.proto


@pytest.mark.parametrize("shape", [(16, 4, 3, 3), (16, 8, 3, 3), (8, 3, 3, 3), (16, 3, 7, 7)])
def test_channels_of_other_stems_are_not_padded(shape):
    proto = stem(shape)
    assert pad_stems(proto).proto is proto


def test_an_integer_input_is_a_stem_too():
    net = Net("N", 3, 8, 8, dtype=TensorProto.UINT8)
    grid = net.store("s", np.float32(STEP)), net.store("z", np.uint8(ZERO_POINT))
    read = net.add("DequantizeLinear", "x", *grid)
    proto = net.model(net.pair(net.conv(read, (16, 3, 3, 3))))
    assert check_exact(pad_stems, proto).subjects
    assert find_stems(index_pairs(proto.graph))


def test_images_with_channels_last_are_stems_too():
    net = Net("N", 8, 8, 3)
    turned = net.add("Transpose", net.pair("x"), perm=[0, 3, 1, 2])
    proto = net.model(net.pair(net.conv(net.pair(turned), (16, 3, 2, 2), strides=[2, 2])))
    assert not find_stems(index_pairs(proto.graph))  # a pair between: left as it is
    net = Net("N", 8, 8, 3)
    turned = net.add("Transpose", "x", perm=[0, 3, 1, 2])
    proto = net.model(net.pair(net.conv(net.pair(turned), (16, 3, 2, 2), strides=[2, 2])))
    assert check_exact(fold_stems, proto).subjects


def test_a_convolution_that_does_not_read_the_input_is_no_stem():
    net = Net("N", 16, 8, 8)
    first = net.pair(net.conv(net.pair("x"), (3, 16, 1, 1)))
    proto = net.model(net.pair(net.conv(first, (16, 3, 3, 3))))
    for rewrite in (pad_stems, fold_stems):
        assert rewrite(proto).proto is proto


def test_what_others_read_stays():
    """Two stems read one image, and the image is an output besides."""
    net = Net("N", 3, 8, 8)
    read = net.pair("x")
    first = net.pair(net.conv(read, (16, 3, 3, 3), pads=[1] * 4))
    second = net.pair(net.conv(read, (16, 3, 2, 2), strides=[2, 2]))
    proto = net.model(first, second, read)
    assert len(check_exact(pad_stems, proto).subjects) == 2
    assert len(check_exact(fold_stems, proto).subjects) == 1


def inverted_residual(channels=24, *, with_gate=True, also_returns=False, size=6):
    """Widen, convolve each channel alone, gate, narrow; a residual connection round it."""
    net = Net("N", 8, size, size)
    x = net.pair("x")
    wide = net.pair(net.conv(x, (channels, 8, 1, 1)))
    deep = net.pair(net.conv(wide, (channels, 1, 3, 3), group=channels, pads=[1] * 4), zero_point=0)
    gated = deep
    if with_gate:
        pooled = net.pair(net.add("GlobalAveragePool", deep))
        small = net.pair(net.conv(pooled, (4, channels, 1, 1)), zero_point=0)
        gate = net.pair(net.conv(small, (channels, 4, 1, 1)))
        gate = net.pair(net.add("Sigmoid", gate), step=1 / 255, zero_point=0)
        gated = net.pair(net.add("Mul", deep, gate))
    narrow = net.pair(net.conv(gated, (8, channels, 1, 1)))
    y = net.pair(net.add("Add", x, narrow))
    return net.model(y, deep) if also_returns else net.model(y)


@pytest.mark.parametrize("channels", [4, 9, 15, 17, 24, 40])
@pytest.mark.parametrize("with_gate", [True, False])
def test_channels_are_aligned(channels, with_gate):
    proto = inverted_residual(channels, with_gate=with_gate)
    result = check_exact(align_channels, proto)
    assert len(result.subjects) == (5 if with_gate else 3)
    changed = [node for node in result.proto.graph.node if node.name in result.subjects]
    groups = {next(a.i for a in node.attribute if a.name == "group") for node in changed}
    assert groups == {1, -(-channels // 16) * 16}
    (expected,), (found,) = (run(one, optimize=False) for one in (proto, result.proto))
    np.testing.assert_allclose(found, expected, atol=STEP * 1.01)  # floats add up otherwise


@pytest.mark.parametrize(
    "proto",
    [
        inverted_residual(32, with_gate=False),
        inverted_residual(24, with_gate=False, also_returns=True),
    ],
    ids=["aligned", "an output"],
)
def test_other_channels_are_not_aligned(proto):
    assert align_channels(proto).proto is proto


def chain(channels, *, size=6):
    """A dense convolution that makes few channels, a sum of them, and a dense one that reads it."""
    net = Net("N", 8, size, size)
    few = net.pair(net.conv(net.pair("x"), (channels, 8, 3, 3), pads=[1] * 4))
    again = net.pair(net.conv(few, (channels, channels, 1, 1)))
    wide = net.pair(net.conv(net.pair(net.add("Add", few, again)), (16, channels, 3, 3)))
    return net.model(wide)


@pytest.mark.parametrize(("channels", "wide"), [(1, 16), (5, 16), (12, 16), (17, 20), (22, 24)])
def test_dense_channels_are_aligned(channels, wide):
    result = check_exact(align_channels, chain(channels))
    assert len(result.subjects) == 3
    shapes = [list(tensor.dims) for tensor in result.proto.graph.initializer]
    assert shapes.count([wide, wide, 1, 1]) == 1


@pytest.mark.parametrize("channels", [16, 20, 64])
def test_channels_by_fours_stay(channels):
    assert align_channels(chain(channels)).proto.graph == chain(channels).graph


def test_weights_around_another_zero_point_stay():
    proto = chain(5)
    for tensor in proto.graph.initializer:
        if tensor.name.endswith("zero_point") and tensor.name.startswith("w"):
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(values + values.dtype.type(3), tensor.name))
    assert align_channels(proto).proto is proto


def gated(channels, size, *, rank=4):
    net = Net("N", channels, *[size] * 2)
    x = net.pair("x")
    opened = net.pair(net.add("Sigmoid", net.pair(net.add("GlobalAveragePool", x))), 1 / 255, 0)
    return net.model(net.pair(net.add("Mul", *((x, opened) if rank == 4 else (opened, x)))))


@pytest.mark.parametrize("rank", [4, 1], ids=["plane first", "gate first"])
def test_gates_are_spread(rank):
    result = check_exact(spread_gates, gated(5, 28, rank=rank))
    assert result.subjects == ("node_Mul_8",)
    assert operators(result.proto).count("Tile") == 1


@pytest.mark.parametrize("proto", [gated(5, 27), gated(129, 28), gated(5, "H")])
def test_other_gates_are_not_spread(proto):
    assert spread_gates(proto).proto is proto


@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_are_shifted_for_tiles(per_channel):
    proto = tiled(per_channel=per_channel)
    result = check_exact(multiply_in_tiles, proto)
    assert result.subjects == ("node_Conv_4",)
    stored = {one.name: numpy_helper.to_array(one) for one in result.proto.graph.initializer}
    before = {one.name: numpy_helper.to_array(one) for one in proto.graph.initializer}
    np.testing.assert_array_equal(stored["w2"].astype(int), before["w2"].astype(int) - 1)
    (zero_points,) = (values for name, values in stored.items() if "below_zero" in name)
    assert (zero_points == -1).all()
    assert zero_points.shape == before["w2_scale"].shape
    (expected,), (found,) = (run(one, optimize=False) for one in (proto, result.proto))
    np.testing.assert_array_equal(expected, found)  # the same float weights


def tiled(shape=(96, 64, 3, 3), *, per_channel=True, size=6, lowest=-127):
    net = Net("N", shape[1], size, size)
    conv = net.conv(net.pair("x"), shape, pads=[shape[2] // 2] * 4)
    weights = numpy_helper.to_array(net.constants["w2"]).copy()
    weights[0, 0, 0, 0] = lowest
    net.store("w2", weights)
    if not per_channel:
        net.store("w2_scale", np.float32(0.0004))
        net.store("w2_zero_point", np.int8(0))
        net.store("w2_bias_scale", np.float32(0.0004 * STEP))
        net.store("w2_bias_zero_point", np.int32(0))
    return net.model(net.pair(conv))


@pytest.mark.parametrize(
    "proto",
    [tiled((95, 64, 3, 3)), tiled((96, 56, 3, 3)), tiled(size=5), tiled(lowest=-128)],
    ids=["few outputs", "few products", "few pixels", "no room"],
)
def test_other_weights_are_not_shifted(proto):
    assert multiply_in_tiles(proto).proto is proto


def gate(alpha=1 / 6, beta=0.5, *, step=1 / 254, first=1, top=4.0):
    """A HardSwish on a grid that begins where the gate closes."""
    net = Net("N", 4, 3, 64)
    low = -beta / alpha
    x = net.pair("x", step=(top - low) / 255, zero_point=round(-low * 255 / (top - low)))
    opened = net.pair(net.add("HardSigmoid", x, alpha=alpha, beta=beta), step, first)
    return net.model(net.pair(net.add("Mul", x, opened), step=top / 250, zero_point=20))


@pytest.mark.parametrize(
    "proto",
    [gate(), gate(alpha=0.2, top=9.0), gate(step=1 / 256, first=0), gate(beta=0.25, step=1 / 256)],
    ids=["hard swish", "Keras", "256 steps", "uneven"],
)
def test_hard_sigmoids_change_grids(proto):
    result = requantize_hard_sigmoids(proto)
    assert result.subjects == ("node_HardSigmoid_2",)
    onnx.checker.check_model(result.proto, full_check=True)
    for optimize in (True, False):
        (expected,), (found,) = (run(one, optimize=optimize) for one in (proto, result.proto))
        assert np.abs(found - expected).max() <= 1.01 * 9.0 / 250  # one step of the result
        assert (found == expected).mean() >= 0.98
    assert requantize_hard_sigmoids(result.proto).proto is result.proto


def test_a_requantized_gate_runs_on_integers(tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    proto = requantize_hard_sigmoids(gate()).proto
    onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found = operators(onnx.load(options.optimized_model_filepath))
    assert sorted(found) == ["DequantizeLinear", "QLinearAdd", "QLinearMul", "QuantizeLinear"]


@pytest.mark.parametrize(
    "proto",
    [gate(step=1 / 255), gate(step=1 / 100), gate(first=2), gate(step=1 / 128, first=0)],
    ids=["no half", "beyond 1", "far below 0", "twice"],
)
def test_other_hard_sigmoids_stay(proto):
    assert requantize_hard_sigmoids(proto).proto is proto


def test_they_leave_a_float_model_alone():
    net = Net("N", 3, 8, 8)
    net.store("w", np.ones((16, 3, 3, 3), np.float32))
    proto = net.model(net.add("HardSigmoid", net.add("Conv", "x", "w", strides=[2, 2])))
    for rewrite in FOR_INTEGERS:
        assert rewrite.apply(proto).proto is proto
