"""Which nodes become integer and which activations need a range; the quantizer's own behaviour
beside it is tested in tests/quantization/test_static.py."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.qdq_edges import find_qdq_edges

node = helper.make_node


def conv(source, result, **attributes):
    return node("Conv", [source, f"w_{result}"], [result], f"conv_{result}", **attributes)


def edges_of(nodes, *, outputs=("y",), inputs=("x",), weights=None):
    """Analyse a graph; weights that are not given are 1x1 kernels or square matrices."""
    weights = dict(weights or {})
    for one in nodes:
        if one.op_type in {"Conv", "Gemm", "MatMul"} and one.input[1].startswith("w_"):
            shape = (4, 4, 1, 1) if one.op_type == "Conv" else (4, 4)
            weights.setdefault(one.input[1], np.ones(shape, np.float32))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    return find_qdq_edges(graph)


def test_what_relu_absorbs_is_not_collected():
    found = edges_of([conv("x", "a"), node("Relu", ["a"], ["b"]), conv("b", "y")])
    assert found.collected == ("x", "b", "y")
    assert found.leaders["a"] == "b"
    assert found.nodes == {"a", "b", "y"}


def test_a_residual_sum_between_convolutions_is_integer():
    found = edges_of([
        conv("x", "a"), conv("a", "b"), node("Add", ["a", "b"], ["c"]), node("Relu", ["c"], ["d"]),
        conv("d", "y"),
    ])  # fmt: skip
    assert found.nodes == {"a", "b", "c", "d", "y"}
    assert found.collected == ("x", "a", "b", "d", "y")


def test_a_sum_may_read_a_float_tensor_that_is_quantized_anyway():
    found = edges_of([
        conv("x", "s"), node("HardSwish", ["s"], ["h"]), conv("h", "b"),
        node("Add", ["h", "b"], ["c"]), conv("c", "y"),
    ])  # fmt: skip
    assert "c" in found.nodes
    assert "h" not in found.nodes
    assert found.collected == ("x", "s", "h", "b", "c", "y")


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [2, 2]}),
        ("Transpose", {"perm": [0, 1, 3, 2]}),
        ("Slice", {}),
    ],
)
def test_moving_operators_share_a_range(op, attributes):
    found = edges_of([conv("x", "a"), node(op, ["a"], ["b"], **attributes), conv("b", "y")])
    assert found.leaders["b"] == "a"
    assert "b" not in found.collected


def test_relu_behind_a_pool_is_absorbed_through_it():
    found = edges_of([
        conv("x", "a"), node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2]),
        node("Relu", ["b"], ["c"]), conv("c", "y"),
    ])  # fmt: skip
    assert {found.leaders[name] for name in "abc"} == {"c"}


def test_relu_behind_an_average_is_absorbed_by_it_alone():
    found = edges_of([
        conv("x", "a"), node("AveragePool", ["a"], ["b"], kernel_shape=[2, 2]),
        node("Relu", ["b"], ["c"]), conv("c", "y"),
    ])  # fmt: skip
    assert {name: found.leaders[name] for name in "abc"} == {"a": "a", "b": "c", "c": "c"}


def test_relu_behind_one_half_of_a_split_is_not_absorbed():
    found = edges_of([
        conv("x", "a"), node("Split", ["a"], ["b1", "b2"], axis=1, num_outputs=2),
        node("Relu", ["b1"], ["c"]), node("Add", ["c", "b2"], ["d"]), conv("d", "y"),
    ])  # fmt: skip
    assert "c" not in found.nodes
    assert found.leaders["b1"] == found.leaders["b2"] == "a"


@pytest.mark.parametrize("outputs", [("y",), ("y", "a")])
def test_relu_stays_where_its_input_is_read_elsewhere(outputs):
    nodes = [conv("x", "a"), node("Relu", ["a"], ["b"]), conv("b", "y")]
    if len(outputs) == 1:
        nodes.insert(2, conv("a", "z"))
    found = edges_of(nodes, outputs=outputs)
    assert "b" not in found.nodes
    assert found.leaders["a"] == "a"
    assert found.leaders["b"] == "b"


@pytest.mark.parametrize(
    ("low", "high", "absorbed"),
    [(0.0, 6.0, True), (-1.0, 1.0, True), (0.5, 6.0, False), (-6.0, -1.0, False)],
)
def test_clip_is_absorbed_where_its_bounds_include_zero(low, high, absorbed):
    found = edges_of(
        [conv("x", "a"), node("Clip", ["a", "low", "high"], ["b"]), conv("b", "y")],
        weights={"low": np.float32(low), "high": np.float32(high)},
    )
    assert ("b" in found.nodes) is absorbed


def test_clip_with_one_bound():
    nodes = [conv("x", "a"), node("Clip", ["a", "", "high"], ["b"]), conv("b", "y")]
    assert "b" in edges_of(nodes, weights={"high": np.float32(6)}).nodes


def test_what_a_concat_alone_reads_takes_its_range():
    found = edges_of([
        conv("x", "a"), node("LeakyRelu", ["a"], ["ra"]), conv("x", "b"),
        node("MaxPool", ["b"], ["pb"], kernel_shape=[1, 1]),
        node("Concat", ["ra", "pb"], ["c"], axis=1), conv("c", "y"),
    ])  # fmt: skip
    assert {found.leaders[name] for name in ("ra", "b", "pb", "c")} == {"c"}
    assert found.collected == ("x", "a", "c", "y")


def test_what_others_read_too_keeps_its_own_range():
    found = edges_of([
        conv("x", "a"), conv("a", "b"), node("Concat", ["a", "b"], ["c"], axis=1), conv("c", "y")
    ])  # fmt: skip
    assert found.leaders["a"] == "a"
    assert found.leaders["b"] == "c"


def test_a_range_that_does_the_clipping_is_not_widened():
    """An absorbed Relu or Clip lives in the range: sharing a wider one would undo it."""
    head = [conv("x", "a"), node("Relu", ["a"], ["ra"]), conv("x", "b")]
    mixed = edges_of([*head, node("Concat", ["ra", "b"], ["c"], axis=1), conv("c", "y")])
    assert mixed.leaders["ra"] == "ra"
    assert mixed.leaders["b"] == "c"
    relus = [*head, node("Relu", ["b"], ["rb"]), node("Concat", ["ra", "rb"], ["c"], axis=1)]
    assert edges_of([*relus, conv("c", "y")]).leaders["ra"] == "c"
    clip = [*head, node("Clip", ["b", "zero", "six"], ["rb"])]
    clipped = edges_of(
        [*clip, node("Concat", ["ra", "rb"], ["c"], axis=1), conv("c", "y")],
        weights={"zero": np.float32(0), "six": np.float32(6)},
    )
    assert clipped.leaders["ra"] == "c"
    assert clipped.leaders["rb"] == "rb"


def test_concats_of_concats_share_the_last_range():
    found = edges_of([
        conv("x", "a"), conv("x", "b"), conv("x", "d"),
        node("Concat", ["a", "b"], ["c"], axis=1), node("Concat", ["c", "d"], ["e"], axis=1),
        conv("e", "y"),
    ])  # fmt: skip
    assert {found.leaders[name] for name in "abcde"} == {"e"}


def test_gemm_in_front_of_an_output_returns_float():
    found = edges_of([conv("x", "a"), node("Flatten", ["a"], ["f"]),
                      node("Gemm", ["f", "w_y"], ["y"])])  # fmt: skip
    assert found.nodes == {"a", "f", "y"}
    assert "y" not in found.leaders


def test_mlp_keeps_integers_between_its_layers():
    found = edges_of([
        node("Gemm", ["x", "w_a"], ["a"]), node("Relu", ["a"], ["b"]),
        node("Gemm", ["b", "w_c"], ["c"]), node("Relu", ["c"], ["y"]),
    ])  # fmt: skip
    assert found.collected == ("x", "b")
    assert found.nodes == {"a", "b", "c"}


def test_attention_quantizes_its_projections_alone():
    nodes = [
        node("LayerNormalization", ["x", "g"], ["n"]),
        node("MatMul", ["n", "w_q"], ["q"]),
        node("MatMul", ["n", "w_k"], ["k"]),
        node("MatMul", ["n", "w_v"], ["v"]),
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["s"], "scores"),
        node("Add", ["s", "mask"], ["m"]),
        node("Softmax", ["m"], ["p"]),
        node("MatMul", ["p", "v"], ["o"], "values"),
        node("MatMul", ["o", "w_o"], ["z"]),
        node("Add", ["z", "bias"], ["zb"]),
        node("Add", ["x", "zb"], ["r"]),
        node("LayerNormalization", ["r", "g"], ["l"]),
        node("MatMul", ["l", "w_y"], ["y"]),
    ]
    found = edges_of(
        nodes,
        inputs=("x", "mask"),
        weights={"g": np.ones(4, np.float32), "bias": np.ones(4, np.float32)},
    )
    assert found.nodes == {"q", "k", "v", "z", "y"}
    assert found.collected == ("n", "o", "l")
    assert found.left_float["s"] == found.left_float["o"] == "both operands are activations"


@pytest.mark.parametrize(
    ("one", "weights", "reason"),
    [
        (node("Conv", ["x", "v"], ["y"]), {}, "its weights are not constant"),
        (node("MatMul", ["k", "x"], ["y"]), {"k": np.ones((4, 4), np.float32)},
         "both operands are activations"),
        (node("MatMul", ["x", "k"], ["y"]), {"k": np.ones((2, 4, 4), np.float32)},
         "its weights are not a matrix"),
        (node("Gemm", ["x", "w_y"], ["y"], alpha=0.5), {}, "alpha or beta is not 1"),
        (node("Gemm", ["x", "w_y", "b"], ["y"]), {"b": np.ones((1, 4), np.float32)},
         "its bias is not a vector"),
        (node("Gemm", ["x", "w_y", "v"], ["y"]), {}, "its bias is not constant"),
        (node("Conv", ["x", "k"], ["y"]), {"k": np.full((4, 4, 1, 1), np.nan, np.float32)},
         "its weights hold values that are not finite"),
        (node("Conv", ["x", "k"], ["y"]), {"k": np.ones((4, 4, 1, 1), np.float16)},
         "its weights are not float32"),
        (node("ConvTranspose", ["x", "k"], ["y"]), {"k": np.ones((4, 4, 1, 1), np.float32)},
         "onnxruntime has no integer kernel for it that pays"),
        (node("Add", ["x", "v"], ["y"]), {}, "it reads float tensors"),
    ],
)  # fmt: skip
def test_what_stays_float_says_why(one, weights, reason):
    found = edges_of([one], inputs=("x", "v"), weights=weights)
    assert found.nodes == frozenset()
    assert found.leaders == {}
    assert found.left_float == {"y": reason}


def test_constant_operands_and_float_readers_keep_joining_nodes_float():
    found = edges_of(
        [
            conv("x", "a"), node("Mul", ["a", "k"], ["m"]), conv("m", "b"),
            node("GlobalAveragePool", ["b"], ["y"]),
        ],
        weights={"k": np.ones((4, 1, 1), np.float32)},
    )  # fmt: skip
    assert found.left_float == {
        "m": "one operand is constant",
        "y": "nothing integer reads its result",
    }


def test_only_nearest_resizing_moves_integers():
    def nodes(mode):
        return [conv("x", "a"), node("Resize", ["a", "", "k"], ["b"], mode=mode), conv("b", "y")]

    weights = {"k": np.array([1, 1, 2, 2], np.float32)}
    assert "b" in edges_of(nodes("nearest"), weights=weights).nodes
    assert "b" not in edges_of(nodes("linear"), weights=weights).nodes


def test_what_a_subgraph_captures_is_not_absorbed():
    branch = helper.make_graph(
        [node("Identity", ["a"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    found = edges_of(
        [
            conv("x", "a"), node("Relu", ["a"], ["b"]), conv("b", "y"),
            node("If", ["flag"], ["z"], then_branch=branch, else_branch=branch),
        ],
        outputs=("y", "z"),
        weights={"flag": np.array(True)},
    )  # fmt: skip
    assert "b" not in found.nodes


def test_a_relu_whose_result_a_subgraph_captures_is_not_absorbed():
    """The subgraph reads no DequantizeLinear, so it would get the values in front of the Relu."""
    branch = helper.make_graph(
        [node("Identity", ["b"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    nodes = [
        conv("x", "a"), node("Relu", ["a"], ["b"]), conv("b", "y"),
        node("If", ["flag"], ["z"], then_branch=branch, else_branch=branch),
    ]  # fmt: skip
    found = edges_of(nodes, outputs=("y", "z"), weights={"flag": np.array(True)})
    assert "b" not in found.nodes
    assert {"a", "b"} <= set(found.collected)
