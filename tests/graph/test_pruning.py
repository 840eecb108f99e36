import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.graph.pruning import count_elements_of, in_graph_order, prune_to
from onnxq.graph.tensor_sizes import infer_sizes

ROWS = np.random.default_rng(0).standard_normal((2, 4, 6)).astype(np.float32)


def weight(name, *shape):
    return numpy_helper.from_array(np.full(shape, 0.5, np.float32), name)


def model(nodes, initializers=(), outputs=("y",)):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g",
        [info("x", TensorProto.FLOAT, ["N", 4, "W"])],
        [info(name, TensorProto.FLOAT, None) for name in outputs],
        initializers,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def branches():
    node = helper.make_node
    nodes = [
        node("Mul", ["x", "w1"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("MatMul", ["b", "w2"], ["c"]),
        node("Add", ["a", "w1"], ["d"]),
        node("Concat", ["c", "d"], ["y"], axis=2),
    ]
    return model(nodes, [weight("w1", 1), weight("w2", 6, 3)])


def capturing():
    """An If whose branch reads ``a`` and a weight from outside."""
    node = helper.make_node
    info = helper.make_tensor_value_info
    then = helper.make_graph(
        [node("MatMul", ["a", "w"], ["t"])], "then", [], [info("t", TensorProto.FLOAT, None)]
    )
    other = helper.make_graph(
        [node("Neg", ["a"], ["e"])], "else", [], [info("e", TensorProto.FLOAT, None)]
    )
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("ReduceMax", ["x"], ["m"], keepdims=0),
        node("Greater", ["m", "zero"], ["p"]),
        node("If", ["p"], ["i"], then_branch=then, else_branch=other),
        node("Exp", ["i"], ["y"]),
    ]
    zero = numpy_helper.from_array(np.float32(0), "zero")
    return model(nodes, [weight("w", 6, 6), weight("unused", 9, 9), zero])


def test_what_makes_a_tensor_is_kept_and_nothing_else():
    part = prune_to(branches(), ["b"])
    assert [node.output[0] for node in part.graph.node] == ["a", "b"]
    assert [one.name for one in part.graph.initializer] == ["w1"]
    assert [one.name for one in part.graph.output] == ["b"]


def test_values_are_those_of_the_whole():
    whole = branches()
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in "abcd")
    expected = ReferenceEvaluator(whole).run(list("abcd"), {"x": ROWS})
    for name, array in zip("abcd", expected, strict=True):
        (found,) = ReferenceEvaluator(prune_to(branches(), [name])).run([name], {"x": ROWS})
        np.testing.assert_array_equal(found, array)


def test_what_a_subgraph_reads_is_kept():
    part = prune_to(capturing(), ["i"])
    assert {one.name for one in part.graph.initializer} == {"w", "zero"}
    (found,) = ReferenceEvaluator(part).run(["i"], {"x": ROWS})
    np.testing.assert_allclose(found, np.maximum(ROWS, 0) @ np.full((6, 6), 0.5, np.float32))


def test_a_constant_may_be_asked_for():
    part = prune_to(branches(), ["w2"])
    assert [one.name for one in part.graph.initializer] == ["w2"]


def test_a_constant_that_is_an_input_too_need_not_be_fed():
    proto = branches()
    for one in proto.graph.initializer:
        proto.graph.input.append(
            helper.make_tensor_value_info(one.name, TensorProto.FLOAT, one.dims)
        )
    assert [one.name for one in prune_to(proto, ["b"]).graph.input] == ["x", "w1"]
    assert infer_sizes(proto, {"x": ROWS.shape})["y"] == 72


def test_the_model_is_left_as_it_was():
    proto = capturing()
    before = proto.SerializeToString(deterministic=True)
    prune_to(proto, ["a"])
    count_elements_of(proto, ["a", "i"])
    infer_sizes(proto, {"x": ROWS.shape})
    assert proto.SerializeToString(deterministic=True) == before


def test_elements_are_counted():
    part, names = count_elements_of(branches(), ["c", "y"])
    assert ReferenceEvaluator(part).run(names, {"x": ROWS}) == [2 * 4 * 3, 2 * 4 * 9]


def test_the_order_is_that_of_the_graph():
    assert in_graph_order(branches().graph, ["y", "c", "x", "a"]) == ["x", "a", "c", "y"]


def test_sizes_are_inferred():
    found = infer_sizes(branches(), {"x": ROWS.shape})
    assert {name: found[name] for name in "abcdy"} == {"a": 48, "b": 48, "c": 24, "d": 48, "y": 72}


def test_a_shape_that_is_computed_from_shapes_is_known():
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Expand", ["w", "s"], ["big"]),
        node("Relu", ["big"], ["y"]),
    ]
    found = infer_sizes(model(nodes, [weight("w", 1)]), {"x": (2, 4, 6)})
    assert (found["big"], found["y"]) == (48, 48)


def test_a_shape_that_depends_on_values_is_not_known():
    nodes = [helper.make_node("NonZero", ["x"], ["n"]), helper.make_node("Relu", ["x"], ["r"])]
    found = infer_sizes(model(nodes, outputs=("r",)), {"x": (2, 4, 6)})
    assert "n" not in found
    assert found["r"] == 48


def test_declared_symbols_do_not_stand_against_real_shapes():
    proto = branches()
    proto.graph.value_info.append(
        helper.make_tensor_value_info("a", TensorProto.FLOAT, ["N", 4, "W"])
    )
    assert infer_sizes(proto, {"x": ROWS.shape})["a"] == 48
