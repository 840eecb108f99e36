import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.cleaning import clean, is_sorted, merge_equal_initializers

F = TensorProto.FLOAT


def info(name, shape=(2,)):
    return helper.make_tensor_value_info(name, F, list(shape))


def make_model(nodes, initializers=(), outputs=("y",)):
    graph = helper.make_graph(
        nodes, "g", [info("x")], [info(name) for name in outputs], initializers
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def tensor(name, *shape):
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def if_node(reads):
    body = helper.make_graph([helper.make_node("Neg", [reads], ["o"], "neg")], "b", [], [info("o")])
    return helper.make_node("If", ["c"], ["y"], "if", then_branch=body, else_branch=body)


def test_nothing_stale_is_handed_over():
    proto = make_model(
        [helper.make_node("Add", ["x", "w"], ["y"], "a", doc_string="/home/me")],
        [tensor("w", 2), tensor("unused", 9)],
    )
    for entry in (proto, proto.graph, proto.graph.node[0], proto.graph.input[0]):
        entry.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/me/train.py")
    proto.producer_name, proto.producer_version, proto.doc_string = "onnx.quantize", "0.1.0", "mine"
    proto.graph.value_info.append(info("w", (5,)))
    proto.opset_import.extend(
        [helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("ai.onnx.ml", 5)]
    )
    cleaned = clean(proto, proto.graph)
    assert [entry.domain for entry in cleaned.opset_import] == [""]
    assert [tensor.name for tensor in cleaned.graph.initializer] == ["w"]
    assert not cleaned.graph.value_info
    assert cleaned.ir_version == 8
    assert b"/home/me" not in cleaned.SerializeToString()
    assert b"onnx.quantize" not in cleaned.SerializeToString()
    assert proto.ir_version == 10


def test_an_empty_bias_is_dropped():
    nodes = [
        helper.make_node("Gemm", ["x", "w", ""], ["a"], "g"),
        helper.make_node("Clip", ["a", "", ""], ["y"], "c"),
    ]
    cleaned = clean(make_model(nodes, [tensor("w", 2, 2)]), make_model([]).graph)
    assert [list(node.input) for node in cleaned.graph.node] == [["x", "w"], ["a", "", ""]]


def test_used_domains_stay_imported_once():
    proto = make_model([helper.make_node("QGemm", ["x"], ["y"], "q", domain="com.microsoft")])
    proto.opset_import.extend(
        [helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("ai.onnx", 17)]
    )
    imports = clean(proto, proto.graph).opset_import
    assert [(entry.domain, entry.version) for entry in imports] == [("", 17), ("com.microsoft", 1)]


def test_interface_is_restored():
    original = make_model([helper.make_node("Neg", ["x"], ["y"], "n")], outputs=("y", "x"))
    original.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    original.graph.input.append(info("w"))
    original.graph.initializer.append(tensor("w", 2))
    changed = make_model([helper.make_node("Neg", ["x"], ["y"], "n")])
    cleaned = clean(changed, original.graph)
    assert [value.name for value in cleaned.graph.output] == ["y", "x"]
    assert [value.name for value in cleaned.graph.input] == ["x"]
    assert cleaned.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_nodes_are_sorted_behind_what_their_bodies_read():
    flag = numpy_helper.from_array(np.array(True), "c")
    proto = make_model([if_node("a"), helper.make_node("Relu", ["x"], ["a"], "r")], [flag])
    assert not is_sorted(proto.graph)
    cleaned = clean(proto, proto.graph)
    assert [node.op_type for node in cleaned.graph.node] == ["Relu", "If"]
    assert is_sorted(cleaned.graph)


@given(st.permutations(range(12)))
def test_sorting_any_order_of_a_chain_gives_the_chain(order):
    names = ["x", *(f"t{i}" for i in range(11)), "y"]
    nodes = [helper.make_node("Neg", [names[i]], [names[i + 1]], f"n{i}") for i in range(12)]
    proto = make_model([nodes[i] for i in order])
    assert [node.name for node in clean(proto, proto.graph).graph.node] == [
        f"n{i}" for i in range(12)
    ]


def test_sorting_is_stable_and_leaves_cycles_to_the_gate():
    nodes = [helper.make_node("Neg", ["x"], [f"t{i}"], f"n{i}") for i in range(4)]
    proto = make_model([*nodes, helper.make_node("Sum", ["t0", "t3"], ["y"], "s")])
    assert [n.name for n in clean(proto, proto.graph).graph.node] == ["n0", "n1", "n2", "n3", "s"]
    cycle = make_model(
        [helper.make_node("Add", ["x", "y"], ["a"]), helper.make_node("Neg", ["a"], ["y"])]
    )
    assert not is_sorted(clean(cycle, cycle.graph).graph)


def test_equal_weights_are_stored_once():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("MatMul", ["a", "w_copy"], ["b"]),
        helper.make_node("MatMul", ["b", "other"], ["y"]),
        helper.make_node("Add", ["s", "s_copy"], ["z"]),
    ]
    others = numpy_helper.from_array(np.zeros((20, 20), np.float32), "other")
    weights = [
        tensor("w", 20, 20),
        tensor("w_copy", 20, 20),
        others,
        tensor("s", 2),
        tensor("s_copy", 2),
    ]
    merged = merge_equal_initializers(make_model(nodes, weights, outputs=("y", "z")))
    assert [t.name for t in merged.graph.initializer] == ["w", "other", "s", "s_copy"]
    assert merged.graph.node[1].input[1] == "w"


def test_name_that_nothing_writes_is_not_sorted():
    assert not is_sorted(make_model([helper.make_node("Add", ["x", "ghost"], ["y"])]).graph)
    assert not is_sorted(make_model([helper.make_node("Neg", ["x"], ["a"])]).graph)
