"""Saturation in whole models: found, counted against plain integer arithmetic, told."""

import itertools

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.quantization.conv_windows import conv_windows
from onnxq.quantization.observing_saturation import look_for_saturation
from onnxq.quantization.saturation import find_products, observe_saturation

INT16 = np.iinfo(np.int16)
CONVS = {
    "plain": ((6, 5, 3, 3), {}),
    "padded": ((4, 3, 3, 3), {"pads": [1, 2, 0, 1]}),
    "strided": ((4, 4, 3, 2), {"strides": [2, 3], "pads": [1, 1, 1, 1]}),
    "dilated": ((4, 3, 3, 3), {"dilations": [2, 1]}),
    "grouped": ((6, 3, 3, 3), {"group": 2}),
    "same": ((4, 2, 3, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((4, 2, 2, 3), {"auto_pad": "SAME_LOWER"}),
    "one axis": ((4, 3, 3), {"pads": [1, 1]}),
}


def model_of(nodes, weights, inputs, dtype=TensorProto.UINT8, output=TensorProto.INT32):
    """A graph from ``x`` to ``y``; its constants by name."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, inputs)],
        [helper.make_tensor_value_info("y", output, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def conv_of(name, generator):
    shape, attributes = CONVS[name]
    weights = generator.integers(-127, 128, shape, np.int8)
    channels = shape[1] * attributes.get("group", 1)
    activation = generator.integers(0, 256, (2, channels, *((7, 8)[: len(shape) - 2])), np.uint8)
    node = helper.make_node("ConvInteger", ["x", "w", "z"], ["y"], "conv", **attributes)
    proto = model_of([node], {"w": weights, "z": np.uint8(9)}, list(activation.shape))
    return proto, weights, activation


@pytest.mark.parametrize("name", CONVS)
def test_windows_are_those_of_a_conv(name):
    """Summed up over all products they are what the reference computes, in floats."""
    proto, weights, activation = conv_of(name, np.random.default_rng(0))
    node = helper.make_node("Conv", ["x", "w"], ["y"], **CONVS[name][1])
    shape = list(activation.shape)
    constants = {"w": weights.astype(np.float32)}
    floats = model_of([node], constants, shape, TensorProto.FLOAT, TensorProto.FLOAT)
    feeds = {"x": activation.astype(np.float32) - 9}
    (expected,) = ReferenceEvaluator(floats).run(None, feeds)
    (product,) = find_products(proto)
    windows = conv_windows(product.node, product.kernel, activation, 9)
    found = np.stack(
        [
            sum(
                (windows.take(k, channel).astype(np.int64) - 9) * int(weight)
                for k, weight in enumerate(row)
            )
            for channel, row in enumerate(product.rows)
        ],
        axis=1,
    )
    np.testing.assert_array_equal(found, expected)
    assert weights.size == product.rows.size


@pytest.mark.parametrize("name", CONVS)
def test_saturations_are_counted(name):
    """Against all sums of two, one after the other."""
    proto, _, activation = conv_of(name, np.random.default_rng(1))
    (product,) = find_products(proto)
    windows = conv_windows(product.node, product.kernel, activation, 9)
    saturated = computed = 0
    for channel, row in enumerate(product.rows):
        for pair in range(0, len(row), 2):
            total = sum(
                windows.take(k, channel).astype(np.int64) * int(row[k])
                for k in range(pair, min(pair + 2, len(row)))
            )
            saturated += int(((total < INT16.min) | (total > INT16.max)).sum())
            computed += total.size
    found = observe_saturation(product, activation)
    assert (found.saturated, found.computed) == (saturated, computed)
    assert saturated > 0


@pytest.mark.parametrize("rank", [2, 3])
def test_matrices_are_counted(rank):
    generator = np.random.default_rng(2)
    weights = generator.integers(-127, 128, (7, 5), np.int8)
    activation = generator.integers(0, 256, (3, 7) if rank == 2 else (2, 3, 7), np.uint8)
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"], "matmul")
    proto = model_of([node], {"w": weights}, list(activation.shape))
    (product,) = find_products(proto)
    found = observe_saturation(product, activation)
    flat = activation.reshape(-1, 7).astype(np.int64)
    padded = np.pad(flat, ((0, 0), (0, 1))), np.pad(weights.astype(np.int64), ((0, 1), (0, 0)))
    sums = np.stack([padded[0][:, k : k + 2] @ padded[1][k : k + 2] for k in range(0, 8, 2)])
    assert found.saturated == int(((sums < INT16.min) | (sums > INT16.max)).sum()) > 0
    assert found.computed == sums.size


def between_pairs(weights, *, op="Gemm", **attributes):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "s"], ["wd"]),
        helper.make_node(op, ["xd", "wd"], ["y"], "node", **attributes),
    ]
    constants = {"s": np.float32(1), "z": np.uint8(0), "w": weights}
    return model_of(nodes, constants, [2, 2], TensorProto.FLOAT, TensorProto.FLOAT)


def test_pairs_round_a_node_are_read():
    weights = np.array([[100, 10], [100, -100]], np.int8)
    (upright,) = find_products(between_pairs(weights))
    (turned,) = find_products(between_pairs(weights, transB=1))
    np.testing.assert_array_equal(upright.overflowing, [[0, 0]])
    np.testing.assert_array_equal(turned.overflowing, np.zeros((0, 2)))
    assert upright.activation == "xq"


def test_other_weights_are_left_alone():
    assert not find_products(between_pairs(np.full((2, 2), 200, np.uint8)))


def test_what_rows_see_is_told(tmp_path):
    proto = between_pairs(np.array([[100, 10], [100, -100]], np.int8))
    for value, severity in ((255, "warning"), (100, "note")):
        feeds = {"x": np.full((2, 2), value, np.float32)}
        (finding,) = look_for_saturation(proto, feeds, tmp_path)
        assert finding.code == "OQ409"
        assert finding.severity == severity
        assert finding.evidence["pairs"] == 1
        assert finding.evidence["saturated"] == (2 if severity == "warning" else 0)
        assert "--target x86" in finding.fix
    assert not list(tmp_path.iterdir())


def test_nothing_is_run_where_no_weights_allow_it(tmp_path):
    proto = between_pairs(np.array([[64, 64], [64, -64]], np.int8))
    assert look_for_saturation(proto, {}, tmp_path) == ()


def test_emulated_sums_are_those_of_the_definition():
    """The definition of ``vpmaddubsw``, on every pair of ends."""
    ends = (-128, -127, -1, 0, 1, 127)
    for first, second in itertools.product(ends, ends):
        proto = between_pairs(np.array([[first], [second]], np.int8))
        (product,) = find_products(proto)
        activation = np.array([[255, 255], [255, 0], [0, 255], [1, 2]], np.uint8)
        totals = activation.astype(int) @ np.array([first, second])
        expected = int(((totals < INT16.min) | (totals > INT16.max)).sum())
        assert observe_saturation(product, activation).saturated == expected
