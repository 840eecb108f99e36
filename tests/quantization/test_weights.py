import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.errors import QuantizationError
from onnxq.graph import load_proto, read_model
from onnxq.graph.edits import attribute_int
from onnxq.graph.weight_values import weight_values
from onnxq.quantization.weights import quantize_weights, store_weights
from onnxq.recipe_kinds import EVERYTHING, WeightOnly
from onnxq.runtime import open_predict, open_session, session_options

INT8, INT4 = WeightOnly(8), WeightOnly(4)
node = helper.make_node


def weight(name, *shape):
    values = np.random.default_rng(len(name)).standard_normal(shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def model(nodes, weights, shape, dtype=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def save(proto, folder, recipe):
    onnx.save(proto, folder / "float.onnx")
    quantize_weights(folder / "float.onnx", folder / "small.onnx", recipe)
    return folder / "small.onnx"


GEMMS = {
    "plain": {},
    "transB": {"transB": 1},
    "alpha": {"alpha": 0.5},
    "beta": {"beta": 0.25},
    "transA": {"transA": 1},
}


@pytest.mark.parametrize("recipe", [INT8, INT4], ids=["int8", "int4"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", GEMMS)
def test_a_gemm_of_any_kind_computes_with_its_decoded_weights(tmp_path, kind, bias, recipe):
    shape = (24, 40) if kind == "transB" else (40, 24)
    inputs = ["x", "w", "b"] if bias else ["x", "w"]
    second = node("MatMul", ["h", "v"], ["y"], "second")
    proto = model(
        [node("Gemm", inputs, ["h"], "gemm", **GEMMS[kind]), second],
        [weight("w", *shape), weight("b", 24), weight("v", 24, 32)],
        [40, 5] if kind == "transA" else ["N", 40],
    )
    path = save(proto, tmp_path, recipe)
    decoded = dict(weight_values(load_proto(path)))
    assert decoded.keys() == {"w", "v"}
    for tensor in proto.graph.initializer:
        if tensor.name in decoded:
            values = decoded[tensor.name]
            values = values if values.shape == tuple(tensor.dims) else values.T
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
    rows = np.random.default_rng(1).standard_normal((40, 5) if kind == "transA" else (6, 40))
    rows = rows.astype(np.float32)
    expected = ReferenceEvaluator(proto).run(None, {"x": rows})[0]
    found = open_predict(path)({"x": rows})["y"]
    # The kernel rounds what it reads to 127 steps a block: well below two per cent of the result.
    assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["cnn", "lstm", "gru"])
def test_standard_operators_compute_the_same_in_the_reference(kit_of, name):
    kit = kit_of(name)
    small = load_proto(kit.quantize(INT8).model.path)
    head = next(n for n in small.graph.node if n.op_type == "MatMulNBits")
    keep = [n for n in small.graph.node if n.op_type == "MatMulNBits" or "y" not in n.output]
    cut = onnx.ModelProto()
    cut.CopyFrom(small)
    del cut.graph.node[:]
    cut.graph.node.extend(n for n in keep if n.name != head.name and head.output[0] not in n.input)
    del cut.graph.output[:]
    cut.graph.output.append(helper.make_tensor_value_info(head.input[0], TensorProto.FLOAT, None))
    rows = kit.rows(seed=5, count=4)
    expected = ReferenceEvaluator(cut).run(None, rows)[0]
    path = kit.folder / "cut.onnx"
    onnx.save(cut, path)
    for optimize in (True, False):
        found = open_predict(path, optimize=optimize)(rows)[head.input[0]]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_casts_are_folded_at_load(kit_of, tmp_path):
    options = session_options()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    open_session(kit_of("cnn").quantize(INT8).model.path, options)
    operators = {n.op_type for n in onnx.load(tmp_path / "optimized.onnx").graph.node}
    assert not operators & {"Cast", "Mul", "DequantizeLinear"}


def test_a_weight_that_two_nodes_share_is_stored_once(tmp_path):
    proto = model(
        [
            node("MatMul", ["x", "w"], ["a"], "first"),
            node("MatMul", ["a", "w"], ["b"], "second"),
            node("Conv", ["c4", "k"], ["d"], "conv1", pads=[1] * 4),
            node("Conv", ["d", "k"], ["e"], "conv2", pads=[1] * 4),
            node("Reshape", ["b", "shape"], ["c4"], "reshape"),
            node("ReduceMean", ["e"], ["y"], "mean", axes=[2, 3], keepdims=0),
        ],
        [
            weight("w", 64, 64),
            weight("k", 16, 16, 3, 3),
            numpy_helper.from_array(np.array([-1, 16, 2, 2], np.int64), "shape"),
        ],
        ["N", 64],
    )
    order = [0, 1, 4, 2, 3, 5]
    nodes = [onnx.NodeProto.FromString(proto.graph.node[i].SerializeToString()) for i in order]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    small = load_proto(save(proto, tmp_path, INT8))
    sizes = [np.prod(t.dims) for t in small.graph.initializer if t.data_type != TensorProto.FLOAT]
    assert sorted(sizes) == [4, 16 * 16 * 9, 64 * 64]


@pytest.mark.parametrize("block_size", [16, 64, 128])
def test_block_sizes_and_ragged_ends(tmp_path, block_size):
    proto = model([node("MatMul", ["x", "w"], ["y"], "mm")], [weight("w", 200, 48)], ["N", 200])
    path = save(proto, tmp_path, WeightOnly(8, block_size))
    (small,) = load_proto(path).graph.node
    assert attribute_int(small, "block_size", 0) == {16: 16, 64: 32, 128: 32}[block_size]
    rows = np.random.default_rng(1).standard_normal((5, 200)).astype(np.float32)
    expected = rows @ numpy_helper.to_array(proto.graph.initializer[0])
    found = open_predict(path)({"x": rows})["y"]
    assert np.abs(found - expected).max() <= 0.03 * np.abs(expected).max()


def test_int4_says_which_nodes_took_int8(kit_of):
    (finding,) = (f for f in kit_of("cnn").quantize(INT4).findings if f.code == "OQ169")
    assert "3 of 4 nodes took int8 weights" in finding.message
    assert "conv1" in finding.message


def test_int4_is_not_applicable_without_a_matrix(tmp_path):
    conv = node("Conv", ["x", "w"], ["y"], "conv")
    proto = model([conv], [weight("w", 16, 16, 3, 3)], ["N", 16, 8, 8])
    with pytest.raises(QuantizationError, match="-r int8-weights") as caught:
        save(proto, tmp_path, INT4)
    assert caught.value.code == "OQ163"
    (tmp_path / "float.onnx").unlink()
    assert read_model(save(proto, tmp_path, INT8)).min_runtime == "1.17"


@pytest.mark.parametrize(
    ("nodes", "weights", "reason"),
    [
        ([node("MatMul", ["x", "x"], ["y"], "n")], [], "both operands are activations"),
        ([node("Conv", ["x", "w"], ["y"], "n")], [weight("w", 2, 2, 1, 1)], "too few"),
        ([node("Gather", ["x", "i"], ["y"], "n")], [], "it looks up activations"),
        ([node("Gather", ["w", "x"], ["y"], "n", axis=1)], [weight("w", 99, 99)], "rows"),
        ([node("MatMul", ["w", "x"], ["y"], "n")], [weight("w", 999)], "a vector"),
    ],
)
def test_what_stays_float_says_why(nodes, weights, reason):
    proto = model(nodes, weights, None)
    _, widths, reasons = store_weights(proto, INT8, EVERYTHING)
    assert not widths
    assert reason in reasons["n"]


@pytest.mark.parametrize("slot", [0, 1])
def test_constant_operands_of_any_rank_take_a_scale_per_channel(tmp_path, slot):
    names = ["w", "x"] if slot == 0 else ["x", "w"]
    shape = (3, 64, 32) if slot else (64, 32)
    rows = ["N", 3, 8, 64] if slot else [32, 8]
    proto = model([node("MatMul", names, ["y"], "mm")], [weight("w", *shape)], rows)
    path = save(proto, tmp_path, INT8)
    values = np.random.default_rng(2).standard_normal((2, 3, 8, 64) if slot else (32, 8))
    feeds = {"x": values.astype(np.float32)}
    expected = ReferenceEvaluator(proto).run(None, feeds)[0]
    found = open_predict(path)(feeds)["y"]
    assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()


def small_of(proto, folder, recipe=INT8):
    return load_proto(save(proto, folder, recipe))


@pytest.mark.parametrize("recipe", [INT8, INT4], ids=["int8", "int4"])
def test_a_dead_channel_returns_zero(tmp_path, recipe):
    """MatMulNBits corrects for the zero point by sums that cancel to the scale's rounding only."""
    matrix = weight("w", 64, 48)
    values = numpy_helper.to_array(matrix).copy()
    values[:, 7] = 0.0
    proto = model(
        [node("MatMul", ["x", "w"], ["y"], "mm")], [numpy_helper.from_array(values, "w")], ["N", 64]
    )
    rows = np.random.default_rng(0).standard_normal((9, 64)).astype(np.float32)
    found = open_predict(save(proto, tmp_path, recipe))({"x": rows})["y"]
    assert np.abs(found[:, 7]).max() < 1e-30


def test_padding_is_counted_before_blocks_are_chosen(tmp_path):
    """Five rows fill a third of the smallest block: 8 bits in blocks would weigh what floats do."""
    proto = model([node("MatMul", ["x", "w"], ["y"], "mm")], [weight("w", 5, 1000)], ["N", 5])
    small = small_of(proto, tmp_path)
    assert small.ByteSize() < 0.5 * proto.ByteSize()
    assert "MatMulNBits" not in {n.op_type for n in small.graph.node}


def test_a_depthwise_transposed_convolution_takes_a_scale_per_channel(tmp_path):
    kernel = weight("w", 32, 1, 5, 5)
    values = numpy_helper.to_array(kernel) * np.logspace(-3, 0, 32).astype("f")[:, None, None, None]
    operator = node("ConvTranspose", ["x", "w"], ["y"], "up", group=32)
    proto = model([operator], [numpy_helper.from_array(values, "w")], ["N", 32, 6, 6])
    ((_, found),) = weight_values(small_of(proto, tmp_path))
    errors = np.abs(found - values).max(axis=(1, 2, 3))
    assert (errors <= 0.51 * np.abs(values).max(axis=(1, 2, 3)) / 127).all()


@pytest.mark.parametrize("turned", [0, 1])
def test_the_first_operand_of_a_gemm_may_be_the_weight(tmp_path, turned):
    shape = (40, 24) if turned else (24, 40)
    operator = node("Gemm", ["w", "x"], ["y"], "gemm", transA=turned)
    proto = model([operator], [weight("w", *shape)], [40, 5])
    feeds = {"x": np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)}
    expected = ReferenceEvaluator(proto).run(None, feeds)[0]
    found = open_predict(save(proto, tmp_path, INT8))(feeds)["y"]
    assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()


def branching(shared):
    """A MatMul, and an If whose branches read the same weight, or one of their own."""
    value = helper.make_tensor_value_info
    names = ("w", "v") if not shared else ("w", "w")
    bodies = [
        helper.make_graph(
            [node("MatMul", ["x", name], [f"t{at}"], f"inner{at}")],
            f"body{at}",
            [],
            [value(f"t{at}", TensorProto.FLOAT, None)],
            [weight("v", 64, 64)] if name == "v" else [],
        )
        for at, name in enumerate(names)
    ]
    nodes = [
        node("MatMul", ["x", "u"], ["a"], "outer"),
        node("MatMul", ["x", "w"], ["b"], "sharing"),
        node("ReduceSum", ["x"], ["s"], "sum", keepdims=0),
        node("Greater", ["s", "zero"], ["c"], "greater"),
        node("If", ["c"], ["d"], "if", then_branch=bodies[0], else_branch=bodies[1]),
        node("Sum", ["a", "b", "d"], ["y"], "add"),
    ]
    zero = numpy_helper.from_array(np.float32(0), "zero")
    return model(nodes, [weight("u", 64, 64), weight("w", 64, 64), zero], ["N", 64])


@pytest.mark.parametrize("shared", [True, False])
def test_what_a_body_reads_stays_float_and_is_not_stored_twice(tmp_path, shared):
    proto = branching(shared)
    onnx.save(proto, tmp_path / "float.onnx")
    small = quantize_weights(tmp_path / "float.onnx", tmp_path / "small.onnx", INT8)
    assert small.size.file_bytes < (tmp_path / "float.onnx").stat().st_size
    assert small.count.left_float == {
        "sharing": "a node or an output that stays float reads its weights too",
        "inner0": "it stands in the body of an If, Loop or Scan",
        "inner1": "it stands in the body of an If, Loop or Scan",
    }
    feeds = {"x": np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)}
    before, after = (open_predict(tmp_path / f"{n}.onnx")(feeds)["y"] for n in ("float", "small"))
    assert np.abs(before - after).max() <= 0.02 * np.abs(before).max()


def test_an_operator_without_a_rewrite_says_so(tmp_path):
    operator = node("Einsum", ["x", "w"], ["y"], "sum", equation="ij,jk->ik")
    proto = model([operator], [weight("w", 64, 64)], ["N", 64])
    with pytest.raises(QuantizationError, match="sum: the recipe has nothing for its type"):
        save(proto, tmp_path, INT8)
