import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.weight_values import weight_values, zero_share

node = helper.make_node


def model(nodes, arrays, domains=()):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in arrays.items()],
    )
    imports = [helper.make_opsetid(domain, 1) for domain in domains]
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), *imports], ir_version=8
    )


INTEGERS = np.array([[0, 1, -2], [3, 0, 127]], np.int8)
SCALES = np.array([0.5, 0.25, 2.0], np.float32)
FLOATS = INTEGERS.astype(np.float32) * SCALES


def per_channel():
    nodes = [
        node("DequantizeLinear", ["w_quantized", "s", "z"], ["w"], "dq", axis=1),
        node("MatMul", ["x", "w"], ["y"], "mm"),
    ]
    arrays = {"w_quantized": INTEGERS, "s": SCALES, "z": np.zeros(3, np.int8)}
    return model(nodes, arrays)


def asymmetric():
    nodes = [
        node("DequantizeLinear", ["w_quantized", "s", "z"], ["w"], "dq"),
        node("MatMul", ["x", "w"], ["y"], "mm"),
    ]
    levels = np.array([[7, 8, 5], [10, 7, 134]], np.uint8)
    return model(nodes, {"w_quantized": levels, "s": np.float32(0.5), "z": np.uint8(7)})


def cast():
    nodes = [
        node("Cast", ["w_quantized"], ["c"], "cast", to=1),
        node("Mul", ["c", "s"], ["w"], "mul"),
        node("MatMul", ["x", "w"], ["y"], "mm"),
    ]
    return model(nodes, {"w_quantized": INTEGERS, "s": SCALES[np.newaxis]})


def test_each_form_is_decoded():
    for proto in (per_channel(), cast()):
        ((name, values),) = weight_values(proto)
        assert name == "w"
        np.testing.assert_array_equal(values, FLOATS)
    ((_, values),) = weight_values(asymmetric())
    np.testing.assert_array_equal(values, [[0, 0.5, -1], [1.5, 0, 63.5]])


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_blocks_with_zero_points_are_decoded(bits):
    levels = np.random.default_rng(0).integers(0, 1 << bits, (2, 1, 16)).astype(np.uint8)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    packed = np.bitwise_or.reduce(levels.reshape(2, 1, -1, 8 // bits) << shifts, axis=3).astype(
        np.uint8
    )
    scales = np.array([0.5, 2.0], np.float32)
    nbits = node(
        "MatMulNBits", ["x", "w_quantized", "s"], ["y"], "mm",
        domain="com.microsoft", K=10, N=2, bits=bits, block_size=16,
    )  # fmt: skip
    proto = model([nbits], {"w_quantized": packed, "s": scales}, ["com.microsoft"])
    ((_, values),) = weight_values(proto)
    middle = 1 << (bits - 1)
    expected = (levels[:, 0, :10].astype(np.float32) - middle) * scales[:, None]
    np.testing.assert_array_equal(values, expected.T)


def test_a_share_of_zeros_counts_weights_alone():
    nodes = [node("Gemm", ["x", "w", "b"], ["y"], "gemm")]
    proto = model(nodes, {"w": FLOATS, "b": np.zeros((1, 3), np.float32)})
    assert zero_share(proto) == pytest.approx(2 / 6)
    assert zero_share(per_channel()) == pytest.approx(2 / 6)
    assert zero_share(model([node("Relu", ["x"], ["y"], "relu")], {})) == 0.0


def test_a_float16_weight_behind_a_cast_is_a_weight():
    nodes = [
        node("Cast", ["w_half"], ["w_float"], "cast", to=1),
        node("MatMul", ["x", "w_float"], ["y"], "mm"),
    ]
    ((name, values),) = weight_values(model(nodes, {"w_half": FLOATS.astype(np.float16)}))
    assert name == "w"
    np.testing.assert_array_equal(values, FLOATS)


def test_scales_that_are_looked_up_are_no_weights():
    nodes = [
        node("Gather", ["t_quantized", "i"], ["r"], "rows"),
        node("Cast", ["r"], ["c"], "cast", to=1),
        node("Gather", ["t_scale", "i"], ["f"], "factors"),
        node("Mul", ["c", "f"], ["y"], "mul"),
    ]
    arrays = {
        "t_quantized": INTEGERS,
        "t_scale": np.array([[0.5], [2.0]], np.float32),
        "i": np.array([0], np.int64),
    }
    ((name, values),) = weight_values(model(nodes, arrays))
    assert name == "t"
    np.testing.assert_array_equal(values, INTEGERS * arrays["t_scale"])
