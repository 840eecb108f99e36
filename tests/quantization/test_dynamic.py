import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.errors import QuantizationError, SourceError
from onnxq.graph import load_proto
from onnxq.quantization.dynamic import quantize_dynamic_int8
from onnxq.recipe_kinds import DynamicInt8, QuantizationScope, Quantize, Rule
from onnxq.runtime import open_predict

F, I64 = TensorProto.FLOAT, TensorProto.INT64


def weight(name, *shape):
    values = np.random.default_rng(len(name) + sum(shape)).standard_normal(shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def save_model(folder, nodes, inputs, outputs, initializers=(), opset=17):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g",
        [info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        list(initializers),
    )  # fmt: skip
    imports = [helper.make_opsetid("", opset)]
    path = Path(folder, "float.onnx")
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), path)
    return path


def mlp(folder, opset=17, **attributes):
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Gemm", ["b", "w2", "b2"], ["y"], "second", transB=1, **attributes),
    ]
    weights = [weight("w1", 32, 64), weight("w2", 16, 64), weight("b2", 16)]
    return save_model(folder, nodes, {"x": (F, ["N", 32])}, {"y": (F, ["N", 16])}, weights, opset)


def sqnr_db(source, quantized, inputs):
    expected, found = (open_predict(path)(inputs) for path in (source, quantized))
    return {
        name: 10 * np.log10(np.sum(array**2) / max(np.sum((array - found[name]) ** 2), 1e-30))
        for name, array in expected.items()
    }


def rows(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("per_channel", [True, False])
def test_mlp_becomes_integer(tmp_path, per_channel, opset):
    source = mlp(tmp_path, opset)
    recipe = DynamicInt8(per_channel=per_channel)
    result = quantize_dynamic_int8(source, tmp_path / "int8.onnx", recipe)
    assert (result.count.quantized, result.count.quantizable) == (2, 2)
    assert result.count.left_float == {}
    assert result.model.operators["MatMulInteger"] == 2
    assert result.model.opset == opset
    assert result.size.initializer_bytes["int8"] >= 32 * 64 + 16 * 64
    assert min(sqnr_db(source, result.model.path, {"x": rows(50, 32)}).values()) > 30


def test_what_is_handed_over_is_portable(tmp_path):
    result = quantize_dynamic_int8(mlp(tmp_path), tmp_path / "int8.onnx", DynamicInt8())
    proto = load_proto(result.model.path)
    assert [entry.domain for entry in proto.opset_import] == [""]
    assert not proto.graph.value_info
    assert not proto.metadata_props
    assert (proto.producer_name, proto.ir_version) == ("onnxq", 8)
    assert result.model.min_runtime == "1.17"


def test_source_is_untouched_and_nothing_lies_about(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    source = mlp(tmp_path / "in")
    before = source.read_bytes()
    handlers = list(logging.getLogger().handlers)
    quantize_dynamic_int8(source, tmp_path / "out" / "int8.onnx", DynamicInt8())
    assert source.read_bytes() == before
    assert [path.name for path in sorted(tmp_path.rglob("*.onnx"))] == ["float.onnx", "int8.onnx"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["int8.onnx"]
    assert logging.getLogger().handlers == handlers
    assert not logging.root.manager.disable


def test_same_bytes_twice(tmp_path):
    source = mlp(tmp_path)
    first = quantize_dynamic_int8(source, tmp_path / "1.onnx", DynamicInt8())
    second = quantize_dynamic_int8(source, tmp_path / "2.onnx", DynamicInt8())
    assert first.model.sha256 == second.model.sha256


def test_shared_weights_are_right(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "mm"),
        helper.make_node("Gemm", ["a", "w"], ["b"], "g1", transB=1),
        helper.make_node("Gemm", ["b", "w"], ["y"], "g2", transB=1),
    ]
    source = save_model(
        tmp_path, nodes, {"x": (F, ["N", 48])}, {"y": (F, ["N", 48])}, [weight("w", 48, 48)]
    )
    result = quantize_dynamic_int8(source, tmp_path / "int8.onnx", DynamicInt8())
    assert result.count.quantized == 3
    assert min(sqnr_db(source, result.model.path, {"x": rows(20, 48)}).values()) > 30
    assert result.size.initializer_bytes["int8"] < 3 * 48 * 48


def test_tied_embedding_is_right(tmp_path):
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["a"], "embed"),
        helper.make_node("Gemm", ["a", "table"], ["y"], "head", transB=1),
    ]
    source = save_model(
        tmp_path, nodes, {"ids": (I64, ["N"])}, {"y": (F, ["N", 200])}, [weight("table", 200, 32)]
    )
    result = quantize_dynamic_int8(source, tmp_path / "int8.onnx", DynamicInt8())
    assert result.count.quantized == 2
    ids = np.arange(0, 200, 7)
    assert min(sqnr_db(source, result.model.path, {"ids": ids}).values()) > 30


def if_node(output, body):
    bodies = {"then_branch": body("t", "Neg"), "else_branch": body("e", "Relu")}
    return helper.make_node("If", ["flag"], [output], "if", **bodies)


def test_small_tables_stay_float_and_rows_for_subgraphs_are_right(tmp_path):
    def body(name, kind):
        output = helper.make_tensor_value_info(f"{name}_o", F, ["N", 32])
        return helper.make_graph([helper.make_node(kind, ["b"], [output.name])], name, [], [output])

    nodes = [
        helper.make_node("Gather", ["small", "ids"], ["a"], "small_table"),
        helper.make_node("Gather", ["large", "ids"], ["b"], "for_subgraph"),
        if_node("c", body),
        helper.make_node("Add", ["a", "c"], ["d"], "add"),
        helper.make_node("MatMul", ["d", "w"], ["y"], "mm"),
    ]
    source = save_model(
        tmp_path, nodes, {"ids": (I64, ["N"]), "flag": (TensorProto.BOOL, [])},
        {"y": (F, ["N", 8])},
        [weight("small", 10, 32), weight("large", 300, 32), weight("w", 32, 8)],
    )  # fmt: skip
    result = quantize_dynamic_int8(source, tmp_path / "int8.onnx", DynamicInt8())
    assert set(result.count.left_float) == {"small_table"}
    inputs = {"ids": np.arange(9), "flag": np.array(True)}
    assert min(sqnr_db(source, result.model.path, inputs).values()) > 30


def test_matmul_that_feeds_a_body_is_sorted(tmp_path):
    def body(name, kind):
        output = helper.make_tensor_value_info(f"{name}_o", F, ["N", 8])
        return helper.make_graph([helper.make_node(kind, ["a"], [output.name])], name, [], [output])

    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "mm"),
        if_node("y", body),
    ]
    source = save_model(
        tmp_path, nodes, {"x": (F, ["N", 16]), "flag": (TensorProto.BOOL, [])},
        {"y": (F, ["N", 8])}, [weight("w", 16, 8)],
    )  # fmt: skip
    result = quantize_dynamic_int8(source, tmp_path / "int8.onnx", DynamicInt8())
    inputs = {"x": rows(9, 16), "flag": np.array(False)}
    assert min(sqnr_db(source, result.model.path, inputs).values()) > 30


def lstm(folder, *, constant):
    inputs = {"x": (F, [5, "N", 16])}
    weights = [weight("W", 1, 32, 16), weight("R", 1, 32, 8), weight("B", 1, 64)]
    if not constant:
        inputs["W"] = (F, [1, 32, 16])
        weights = weights[1:]
    node = helper.make_node("LSTM", ["x", "W", "R", "B"], ["y"], "lstm", hidden_size=8)
    return save_model(folder, [node], inputs, {"y": (F, [5, 1, "N", 8])}, weights)


@pytest.mark.parametrize("per_channel", [True, False])
def test_lstm_becomes_integer(tmp_path, per_channel):
    source = lstm(tmp_path, constant=True)
    result = quantize_dynamic_int8(
        source, tmp_path / "q.onnx", DynamicInt8(per_channel=per_channel)
    )
    assert result.count.quantized == 1
    assert "DynamicQuantizeLSTM" in result.model.operators
    assert sqnr_db(source, result.model.path, {"x": rows(5, 3, 16)})["y"] > 25


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [((2, 16, 8), {"x": [2, 4, 16], "y": [2, 4, 8]}), ((16,), {"x": [4, 16], "y": [4]})],
)
def test_weights_that_are_no_matrix_stay_float(tmp_path, shape, sizes):
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "odd")
    source = save_model(
        tmp_path, [node], {"x": (F, sizes["x"])}, {"y": (F, sizes["y"])}, [weight("w", *shape)]
    )
    with pytest.raises(QuantizationError, match="odd: its weights are no matrix") as caught:
        quantize_dynamic_int8(source, tmp_path / "int8.onnx", DynamicInt8())
    assert caught.value.code == "OQ163"


def test_nothing_to_quantize_says_why(tmp_path):
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv")
    source = save_model(
        tmp_path,
        [node],
        {"x": (F, [1, 3, 8, 8])},
        {"y": (F, [1, 4, 6, 6])},
        [weight("w", 4, 3, 3, 3)],
    )
    with pytest.raises(
        QuantizationError, match=r"nothing to do in 1 node: conv: ConvInteger is slower"
    ) as caught:
        quantize_dynamic_int8(source, tmp_path / "int8.onnx", DynamicInt8())
    assert caught.value.code == "OQ163"
    assert [path.name for path in tmp_path.iterdir()] == ["float.onnx"]


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda folder: lstm(folder, constant=False), "its weights are not constant"),
        (
            lambda folder: save_model(
                folder, [helper.make_node("MatMul", ["x", "z"], ["y"], "qk")],
                {"x": (F, [4, 4]), "z": (F, [4, 4])}, {"y": (F, [4, 4])},
            ),
            "both operands are activations",
        ),
        (
            lambda folder: save_model(
                folder, [helper.make_node("MatMul", ["w", "x"], ["y"], "left")],
                {"x": (F, [4, 4])}, {"y": (F, [4, 4])}, [weight("w", 4, 4)],
            ),
            "its first operand is the constant one",
        ),
        (
            lambda folder: save_model(
                folder, [helper.make_node("Relu", ["x"], ["y"], "relu")],
                {"x": (F, [4])}, {"y": (F, [4])},
            ),
            "it has no node that multiplies",
        ),
        (
            lambda folder: save_model(
                folder, [helper.make_node("Attention", ["q", "k", "v"], ["y"], "attention")],
                {name: (F, [1, 2, 4, 8]) for name in "qkv"}, {"y": (F, [1, 2, 4, 8])}, opset=23,
            ),
            "invalid QAttention",
        ),
    ],
)  # fmt: skip
def test_reasons(tmp_path, build, reason):
    source = build(tmp_path)
    with pytest.raises(QuantizationError, match=reason):
        quantize_dynamic_int8(source, tmp_path / "int8.onnx", DynamicInt8())


def test_source_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "float.onnx").write_bytes(b"no")
    with pytest.raises(SourceError):
        quantize_dynamic_int8(tmp_path / "float.onnx", tmp_path / "int8.onnx", DynamicInt8())


def encoder(folder, tokens=64):
    """A table, a wide layer for each token, the mean over tokens, a head."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["a"], "embed"),
        helper.make_node("MatMul", ["a", "w1"], ["b"], "wide"),
        helper.make_node("Tanh", ["b"], ["c"], "tanh"),
        helper.make_node("ReduceMean", ["c"], ["d"], "mean", axes=[1], keepdims=0),
        helper.make_node("Gemm", ["d", "w2"], ["y"], "head"),
    ]
    table = (
        np.random.default_rng(0).standard_normal((300, 32)) * np.geomspace(0.01, 1, 300)[:, None]
    )
    weights = [
        numpy_helper.from_array(table.astype(np.float32), "table"),
        weight("w1", 32, 64),
        weight("w2", 64, 8),
    ]
    return save_model(folder, nodes, {"ids": (I64, ["N", tokens])}, {"y": (F, ["N", 8])}, weights)


def test_a_head_of_little_work_stays_float(tmp_path):
    result = quantize_dynamic_int8(encoder(tmp_path), tmp_path / "int8.onnx", DynamicInt8())
    assert result.count.left_float == {
        "head": "it is the last, with 1 % of the work at most, and its rounding reaches the "
        "outputs as it is"
    }


@pytest.mark.parametrize(
    "scope",
    [
        QuantizationScope(strict=True),
        QuantizationScope(operators=("MatMul", "Gemm", "Gather")),
        QuantizationScope(rules=(Rule(Quantize(), nodes="head"),)),
    ],
    ids=["strict", "operators", "rule"],
)
def test_a_head_that_is_asked_for_becomes_integer(tmp_path, scope):
    source = encoder(tmp_path)
    result = quantize_dynamic_int8(source, tmp_path / "int8.onnx", DynamicInt8(), scope)
    assert result.count.left_float == {}


def test_a_head_of_much_work_becomes_integer(tmp_path):
    source = encoder(tmp_path, tokens=1)
    result = quantize_dynamic_int8(source, tmp_path / "int8.onnx", DynamicInt8())
    assert result.count.left_float == {}


def test_each_row_of_a_table_has_a_scale(tmp_path):
    source = encoder(tmp_path)
    result = quantize_dynamic_int8(source, tmp_path / "int8.onnx", DynamicInt8())
    proto = load_proto(result.model.path)
    stored = {one.name: numpy_helper.to_array(one) for one in proto.graph.initializer}
    floats = numpy_helper.to_array(
        next(one for one in load_proto(source).graph.initializer if one.name == "table")
    )
    integers = next(v for n, v in stored.items() if n.startswith("table") and v.dtype == np.int8)
    scales = next(v for n, v in stored.items() if n.startswith("table") and v.dtype == np.float32)
    assert scales.shape == (300, 1)
    errors = np.abs(integers * scales - floats) / np.abs(floats).max(axis=1, keepdims=True)
    assert errors.max() <= 0.5 / 127 + 1e-6


def test_an_lstm_has_one_scale_a_direction(tmp_path):
    source = lstm(tmp_path, constant=True)
    result = quantize_dynamic_int8(source, tmp_path / "q.onnx", DynamicInt8())
    proto = load_proto(result.model.path)
    node = next(one for one in proto.graph.node if one.op_type == "DynamicQuantizeLSTM")
    stored = {one.name: list(one.dims) for one in proto.graph.initializer}
    assert [stored[node.input[slot]] for slot in (8, 10)] == [[1], [1]]


def test_rows_that_are_moved_into_a_loop_load(tmp_path):
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["goes"]),
            helper.make_node("Add", ["sum", "moved"], ["sums"]),
        ],
        "body",
        [info("step", I64, []), info("go", TensorProto.BOOL, []), info("sum", F, [32, 9])],
        [info("goes", TensorProto.BOOL, []), info("sums", F, [32, 9])],
    )
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"], "embed"),
        helper.make_node("Transpose", ["rows"], ["moved"], "move", perm=[1, 0]),
        helper.make_node("Loop", ["steps", "", "zeros"], ["y"], "loop", body=body),
    ]
    constants = [
        weight("table", 300, 32),
        numpy_helper.from_array(np.int64(3), "steps"),
        numpy_helper.from_array(np.zeros((32, 9), np.float32), "zeros"),
    ]
    source = save_model(tmp_path, nodes, {"ids": (I64, [9])}, {"y": (F, [32, 9])}, constants)
    result = quantize_dynamic_int8(source, tmp_path / "int8.onnx", DynamicInt8())
    assert min(sqnr_db(source, result.model.path, {"ids": np.arange(9)}).values()) > 30
