import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.graph.uses import find_uses
from onnxq.tensor_uses import TensorUse

WEIGHTS = {"w": np.ones((3, 3, 3, 3), np.float32), "p": np.ones((3, 3, 1, 1), np.float32),
           "low": np.float32(0), "high": np.float32(6), "shape": np.array([1, -1])}  # fmt: skip


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs, outputs, **attributes)


def uses_of(*nodes, outputs=("y",)):
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in WEIGHTS.items()],
    )
    return find_uses(graph, find_qdq_edges(graph))


def conv(read, made, weights="p"):
    return node("Conv", [read, weights], [made], name=made)


def test_gains_and_bounds_are_those_of_each_leader():
    found = uses_of(
        conv("x", "a", "w"), node("Clip", ["a", "low", "high"], ["b"]), conv("b", "y"),
    )  # fmt: skip
    assert found["x"] == TensorUse(clipping_gain=9.0)
    assert found["b"] == TensorUse(low=0.0, high=6.0)
    assert found["y"].tail == "ranked"


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        ([node("Sigmoid", ["a"], ["y"])], "sigmoid"),
        ([node("Reshape", ["a", "shape"], ["r"]), node("Sigmoid", ["r"], ["y"])], "sigmoid"),
        ([node("Softmax", ["a"], ["y"])], "ranked"),
        ([node("LogSoftmax", ["a"], ["y"])], "ranked"),
        ([node("Reshape", ["a", "shape"], ["r"]), node("Softmax", ["r"], ["y"])], "ranked"),
        ([node("Identity", ["a"], ["y"])], "ranked"),
        ([node("Sigmoid", ["a"], ["s"]), node("Concat", ["s", "a"], ["y"], axis=1)], "ranked"),
        ([node("Sigmoid", ["a"], ["s"]), node("Softmax", ["a"], ["t"]),
          node("Add", ["s", "t"], ["y"])], "ranked"),
        ([node("Sigmoid", ["a"], ["y"]), conv("a", "c"), node("Tanh", ["c"], ["z"])], "ranked"),
        ([node("Sigmoid", ["a"], ["s"]), node("Mul", ["a", "s"], ["m"]), conv("m", "c"),
          node("Tanh", ["c"], ["y"])], "inner"),
        ([node("Tanh", ["a"], ["y"])], "inner"),
    ],
)  # fmt: skip
def test_tails_are_told_apart(tail, kind):
    made = {name for one in tail for name in one.output}
    outputs = tuple(name for name in ("y", "z") if name in made)
    assert uses_of(conv("x", "a"), *tail, outputs=outputs)["a"].tail == kind


def test_a_leader_ranks_where_what_it_leads_does():
    relu = (node("Relu", ["a"], ["b"]), node("Flatten", ["b"], ["y"]))
    assert uses_of(conv("x", "a"), *relu)["b"].tail == "ranked"


def test_bounds_survive_moving_and_joining():
    found = uses_of(
        conv("x", "a"), node("Clip", ["a", "low", "high"], ["b"]),
        conv("x", "c"), node("Clip", ["c", "low", "high"], ["d"]),
        node("Concat", ["b", "d"], ["e"], axis=1),
        node("MaxPool", ["e"], ["f"], kernel_shape=[2, 2]),
        node("Slice", ["f", "shape", "shape"], ["g"]), conv("g", "y"),
    )  # fmt: skip
    assert (found["e"].low, found["e"].high) == (0.0, 6.0)


def test_shares_are_known_beforehand():
    found = uses_of(node("Sigmoid", ["x"], ["s"]), conv("s", "y"))
    assert found["s"].is_share
    assert not found["y"].is_share
