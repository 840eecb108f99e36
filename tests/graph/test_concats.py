"""What a Concat joins, what its leader is, and which nodes stay float with it."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.scopes import QuantizationScope

node = helper.make_node


def conv(source, result, shape=(4, 4, 1, 1)):
    return node("Conv", [source, f"w_{result}"], [result], f"conv_{result}"), shape


def edges_of(*nodes, scope=None, kept_float=(), weights=None, outputs=("y",)):
    """Analyse a graph from x; a node with a shape gets weights of ones."""
    plain = [one[0] if isinstance(one, tuple) else one for one in nodes]
    shapes = {one[0].input[1]: one[1] for one in nodes if isinstance(one, tuple)}
    constants = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    graph = helper.make_graph(
        plain,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(v, k) for k, v in (constants | (weights or {})).items()],
    )
    return find_qdq_edges(graph, scope or QuantizationScope(), kept_float=kept_float)


HEAD = (
    conv("x", "a"),
    node("Relu", ["a"], ["ra"]),
    conv("x", "b"),
    node("Relu", ["b"], ["rb"]),
    node("Concat", ["ra", "rb"], ["c"], "join", axis=1),
)


def test_the_parts_are_observed_in_the_place_of_the_whole():
    found = edges_of(*HEAD, conv("c", "y", (3, 8, 1, 1)))
    assert found.collected == ("x", "c", "y")
    assert found.observed == ("x", "ra", "rb", "y")
    (join,) = found.joins
    assert (join.output, join.node, join.leader) == ("c", "join", "c")
    assert join.parts == ("ra", "rb")
    assert join.is_sum
    assert join.tail == ("y",)


def test_a_relu_behind_the_concat_bounds_the_sum():
    found = edges_of(
        conv("x", "a"), conv("x", "b"), node("Concat", ["a", "b"], ["c"], "join", axis=1),
        node("Relu", ["c"], ["r"]), conv("r", "y", (3, 8, 1, 1)),
    )  # fmt: skip
    (join,) = found.joins
    assert (join.leader, join.bounds, join.is_sum) == ("r", (0.0, np.inf), True)
    assert found.observed == ("x", "a", "b", "y")


def test_a_pool_between_concat_and_relu_is_no_sum():
    found = edges_of(
        conv("x", "a"), conv("x", "b"), node("Concat", ["a", "b"], ["c"], "join", axis=1),
        node("MaxPool", ["c"], ["m"], kernel_shape=[2, 2]), node("Relu", ["m"], ["r"]),
        conv("r", "y", (3, 8, 1, 1)),
    )  # fmt: skip
    (join,) = found.joins
    assert (join.leader, join.is_sum) == ("r", False)
    assert found.observed == ("x", "a", "b", "r", "y")


def test_concats_of_concats_are_one():
    found = edges_of(
        *HEAD, conv("x", "d0"), node("Relu", ["d0"], ["d"]),
        node("Concat", ["c", "d", "d"], ["e"], "outer", axis=1),
        conv("e", "y", (3, 16, 1, 1)),
    )  # fmt: skip
    outer, inner = found.joins
    assert (outer.node, outer.parts) == ("outer", ("ra", "rb", "d", "d"))
    assert (inner.node, inner.parts) == ("join", ("ra", "rb"))
    assert found.leaders["c"] == "e"


def test_gains_are_squared_weights_by_part():
    found = edges_of(*HEAD, conv("c", "y", (3, 8, 2, 2)))
    (join,) = found.joins
    (gains,) = join.gains
    np.testing.assert_array_equal(gains, np.full((3, 2), 4 * 2 * 2.0))


@pytest.mark.parametrize(
    "tail",
    [
        (node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]), conv("t", "y")),
        (conv("c", "y", (8, 1, 1, 1)),),
        (node("Flatten", ["c"], ["f"]), (node("Gemm", ["f", "w_y"], ["y"]), (8, 4))),
        (conv("c", "d", (3, 8, 1, 1)), conv("d", "y"), node("Sigmoid", ["c"], ["s"])),
    ],
)
def test_gains_are_left_out_where_channels_cannot_be_told(tail):
    (join,) = edges_of(*HEAD, *tail, outputs=("y", "s")).joins
    assert join.gains == ()


def test_the_tail_is_what_reads_it_with_moving_nodes_between():
    found = edges_of(
        *HEAD, node("MaxPool", ["c"], ["m"], kernel_shape=[2, 2]), conv("m", "d", (4, 8, 1, 1)),
        node("AveragePool", ["c"], ["p"], kernel_shape=[2, 2]), conv("p", "e", (4, 8, 1, 1)),
        node("Add", ["d", "e"], ["s"]), conv("s", "y"),
    )  # fmt: skip
    (join,) = found.joins
    assert join.tail == ("d", "e")


def test_kept_float_frees_the_parts_and_the_nodes_behind():
    tail = (conv("c", "d", (4, 8, 1, 1)), conv("d", "y"))
    found = edges_of(*HEAD, *tail, kept_float=("c", "d"))
    assert found.nodes == {"a", "ra", "b", "rb", "y"}
    assert found.collected == ("x", "ra", "rb", "d", "y")
    assert found.joins == ()
    assert "no one scale" in found.left_float["c"]
    assert "no one scale" in found.left_float["d"]


def test_an_integer_output_of_a_float_concat_is_a_join_of_the_interface():
    head = (
        conv("x", "a"), node("Sigmoid", ["a"], ["s"]), conv("x", "b"),
        node("Concat", ["s", "k"], ["one"], "one", axis=1),
        node("Concat", ["one", "b"], ["c"], "join", axis=1),
        node("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1]),
    )  # fmt: skip
    weights = {"k": np.ones((1, 1, 1, 1), np.float32)}
    found = edges_of(*head, scope=QuantizationScope(io="uint8"), weights=weights)
    (join,) = found.joins
    assert (join.output, join.node, join.parts) == ("y", "join", ("s", "b"))
    assert join.is_border
    assert set(found.observed) == {"x", "a", "b", "s", "y"}
    kept = edges_of(*head, scope=QuantizationScope(io="uint8"), weights=weights, kept_float=("y",))
    assert kept.interface == {"x"}
    assert "y" not in kept.leaders
    assert edges_of(*head, weights=weights).joins == ()
