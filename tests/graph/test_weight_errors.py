"""Oracles: onnx's own implementation for DequantizeLinear, onnxruntime for its own operators."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import QuantType, quantize_dynamic

from onnxq.graph.dequantized_weights import list_dequantized
from onnxq.graph.weight_errors import compare_weights
from onnxq.runtime import open_predict

node = helper.make_node
F = TensorProto.FLOAT


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def model(nodes, weights, shape=("N", 8), opset=17):
    info = helper.make_tensor_value_info
    tensors = [
        array if isinstance(array, TensorProto) else numpy_helper.from_array(array, name)
        for name, array in weights.items()
    ]
    graph = helper.make_graph(
        nodes, "g", [info("x", F, list(shape))], [info("y", F, None)], tensors
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


SCALES, POINTS = np.array([0.5, 0.25, 2.0], np.float32), np.array([3, 0, 250], np.uint8)
INTEGERS = np.random.default_rng(0).integers(0, 256, (5, 3)).astype(np.uint8)
BLOCKS = np.abs(normal(3, 3)) + 0.1


@pytest.mark.parametrize(
    ("integers", "scales", "points", "attributes"),
    [
        (INTEGERS, np.float32(0.5), np.uint8(7), {}),
        (INTEGERS, SCALES, POINTS, {"axis": 1}),
        (INTEGERS, SCALES, POINTS, {"axis": -1}),
        (INTEGERS.T.astype(np.int8), SCALES, np.zeros(3, np.int8), {"axis": 0}),
        (INTEGERS, BLOCKS, np.full((3, 3), 9, np.uint8), {"axis": 0, "block_size": 2}),
        (INTEGERS.T, BLOCKS, np.full((3, 3), 9, np.uint8), {"axis": 1, "block_size": 2}),
    ],
    ids=["tensor", "axis", "from the end", "int8", "blocks of rows", "blocks of columns"],
)
def test_dequantize_linear_as_specified(integers, scales, points, attributes):
    weights = {"w": integers, "s": np.asarray(scales), "z": np.asarray(points)}
    linear = node("DequantizeLinear", ["w", "s", "z"], ["d"], **attributes)
    proto = model([linear, node("MatMul", ["x", "d"], ["y"])], weights, opset=21)
    (found,) = list_dequantized(proto)
    if "block_size" in attributes:  # written out: the reference takes whole blocks only
        block, axis = attributes["block_size"], attributes["axis"]
        whole = [np.repeat(a, block, axis).take(range(5), axis) for a in (scales, points)]
        expected = (integers.astype(np.float64) - whole[1]) * whole[0]
    else:
        alone = helper.make_graph(
            [linear],
            "g",
            [],
            [helper.make_tensor_value_info("d", F, None)],
            proto.graph.initializer,
        )
        only = helper.make_model(alone, opset_imports=proto.opset_import, ir_version=10)
        (expected,) = ReferenceEvaluator(only).run(None, {})
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("with_points", [True, False])
def test_blocks_of_matmul_nbits(bits, with_points, tmp_path):
    """A run on the identity gives the matrix; K is no multiple of the block size."""
    columns, rows, block = 40, 3, 16
    generator = np.random.default_rng(bits)
    weights = {
        "B": generator.integers(0, 256, (rows, 3, block * bits // 8)).astype(np.uint8),
        "s": np.abs(normal(rows, 3)).ravel() + 0.1,
    }
    if with_points:
        packed = generator.integers(0, 256, (rows, -(-3 * bits // 8))).astype(np.uint8)
        weights["z"] = packed.ravel()
    product = node(
        "MatMulNBits", ["x", "B", "s", *(["z"] if with_points else [])], ["y"],
        domain="com.microsoft", K=columns, N=rows, bits=bits, block_size=block,
    )  # fmt: skip
    proto = model([product], weights, ("N", columns))
    (found,) = list_dequantized(proto)
    onnx.save(proto, tmp_path / "m.onnx")
    (matrix,) = open_predict(tmp_path / "m.onnx")({"x": np.eye(columns, dtype="f")}).values()
    np.testing.assert_allclose(found.values, matrix, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize(
    ("operator", "weights", "shape"),
    [
        (node("MatMul", ["x", "w"], ["y"], "n"), {"w": normal(8, 6)}, ("N", 8)),
        (node("Gemm", ["x", "w"], ["y"], "n", transB=1), {"w": normal(6, 8)}, ("N", 8)),
        (node("Conv", ["x", "w"], ["y"], "n"), {"w": normal(6, 3, 3, 3)}, ("N", 3, 8, 8)),
        (
            node("LSTM", ["x", "w", "r"], ["y"], "n", hidden_size=5, direction="bidirectional"),
            {"w": normal(2, 20, 4), "r": normal(2, 20, 5, seed=1)},
            (6, "N", 4),
        ),
    ],
    ids=["MatMul", "Gemm", "Conv", "LSTM"],
)
@pytest.mark.filterwarnings("ignore")
def test_what_onnxruntime_quantized_was_only_rounded(
    operator, weights, shape, per_channel, tmp_path
):
    given = model([operator], weights, shape)
    onnx.save(given, tmp_path / "m.onnx")
    quantize_dynamic(
        str(tmp_path / "m.onnx"),
        str(tmp_path / "q.onnx"),
        per_channel=per_channel,
        weight_type=QuantType.QInt8,
    )
    found = compare_weights(onnx.load(tmp_path / "q.onnx"), given)
    assert {name: error.original for name, error in found.items()} == {n: n for n in weights}
    for name, error in found.items():
        assert 0.15 < error.mean_error_scales < 0.35
        assert 0 < error.mean_abs_error < error.max_abs_error < np.abs(weights[name]).max() / 100


def quantized(weight):
    """Quantize a matrix as one weight behind DequantizeLinear, called ``q``."""
    scale = np.float32(np.abs(weight).max() / 127)
    weights = {"q": np.rint(weight / scale).astype(np.int8), "s": np.asarray(scale)}
    nodes = [node("DequantizeLinear", ["q", "s"], ["d"]), node("MatMul", ["x", "d"], ["y"])]
    return model(nodes, weights)


def floats(**weights):
    return model([node("MatMul", ["x", next(iter(weights))], ["y"])], weights)


def test_renamed_weights_are_found_by_their_values():
    weight = normal(8, 6)
    reference = floats(other=normal(8, 6, seed=1), same=weight, small=np.zeros((8, 6), np.float32))
    assert compare_weights(quantized(weight), reference)["q"].original == "same"


def test_renamed_and_transposed():
    weight = normal(8, 6)
    error = compare_weights(quantized(weight), floats(turned=weight.T.copy()))["q"]
    assert error.original == "turned"
    assert 0.15 < error.mean_error_scales < 0.35


def test_a_square_weight_is_the_way_round_that_is_nearer():
    weight = normal(8, 8)
    error = compare_weights(quantized(weight), floats(q=weight.T.copy()))["q"]
    assert error.original == "q"
    assert error.max_abs_error < 0.02


def test_unrelated_weights_have_no_original():
    error = compare_weights(quantized(normal(8, 6)), floats(other=normal(8, 6, seed=1)))["q"]
    assert error.original == ""


def test_a_weight_of_its_name_is_believed_however_far():
    error = compare_weights(quantized(normal(8, 6)), floats(q=normal(8, 6, seed=1)))["q"]
    assert error.original == "q"
    assert error.mean_abs_error > 0.5


def test_weights_that_training_left_in_float():
    weight = normal(8, 6)
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["i"], axis=1),
        node("DequantizeLinear", ["i", "s", "z"], ["d"], axis=1),
        node("MatMul", ["x", "d"], ["y"]),
    ]
    scales = np.abs(weight).max(axis=0) / 127
    proto = model(nodes, {"w": weight, "s": scales, "z": np.zeros(6, np.int8)})
    error = compare_weights(proto, floats(w=weight))["w"]
    assert 0.15 < error.mean_error_scales < 0.35
    assert error.max_abs_error <= scales.max() * 0.5001


def test_scales_that_fit_no_axis_are_left_alone():
    weights = {"q": np.zeros((8, 6), np.int8), "s": np.ones(5, np.float32)}
    nodes = [node("DequantizeLinear", ["q", "s"], ["d"]), node("MatMul", ["x", "d"], ["y"])]
    assert list(list_dequantized(model(nodes, weights))) == []


def behind_a_transpose(stored, scales, axis):
    nodes = [
        node("Transpose", ["q"], ["t"], perm=[1, 0]),
        node("DequantizeLinear", ["t", "s"], ["d"], axis=axis),
        node("MatMul", ["x", "d"], ["y"]),
    ]
    return model(nodes, {"q": stored, "s": scales}, ("N", stored.shape[1]))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_axis_of_a_transposed_weight_is_followed_back(axis):
    stored = np.random.default_rng(0).integers(-127, 128, (6, 6)).astype(np.int8)
    scales = np.arange(1, 7, dtype=np.float32)
    (found,) = list_dequantized(behind_a_transpose(stored, scales, axis))
    along = scales[:, None] if axis == 0 else scales
    np.testing.assert_allclose(found.values, (stored.T * along).T)


def test_what_was_reshaped_before_its_scales_is_left_alone():
    nodes = [
        node("Reshape", ["q", "to"], ["t"]),
        node("DequantizeLinear", ["t", "s"], ["d"], axis=1),
        node("MatMul", ["x", "d"], ["y"]),
    ]
    weights = {
        "q": np.ones((8, 8), np.int8),
        "to": np.array([8, 8]),
        "s": np.ones(8, np.float32),
    }
    assert list(list_dequantized(model(nodes, weights))) == []


@pytest.mark.filterwarnings("ignore")
def test_a_table_that_is_also_a_matrix_keeps_its_own_scale(tmp_path):
    """onnxruntime 1.31.1 multiplies looked up rows as the integers that they are."""
    weight = normal(300, 64)
    nodes = [
        node("Gather", ["w", "i"], ["e"], "rows"),
        node("Gemm", ["e", "v"], ["y"], "head", transB=1),
    ]
    weights = {"w": weight, "v": 5 * weight[::-1].copy(), "i": np.array([1, -2])}
    given = model([*nodes, node("Identity", ["x"], ["z"])], weights)
    onnx.save(given, tmp_path / "m.onnx")
    quantize_dynamic(
        str(tmp_path / "m.onnx"), str(tmp_path / "q.onnx"), per_channel=True,
        weight_type=QuantType.QInt8, op_types_to_quantize=["Gather", "MatMul"],
    )  # fmt: skip
    found = compare_weights(onnx.load(tmp_path / "q.onnx"), given)
    assert {name: error.original for name, error in found.items()} == {"w": "w", "v": "v"}
    assert all(0.15 < error.mean_error_scales < 0.35 for error in found.values())
