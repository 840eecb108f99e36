import numpy as np
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.bodies import describe_bodies

node = helper.make_node


def body(*nodes, output):
    value = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    return helper.make_graph(list(nodes), output, [], [value])


def graph_of(*nodes):
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_graph(list(nodes), "g", [], [value], [numpy_helper.from_array(np.ones(1))])


def test_nodes_in_bodies_are_counted_by_type():
    inner = node(
        "If", ["flag"], ["z"], "inner",
        then_branch=body(node("Conv", ["x", "w"], ["p"]), output="p"),
        else_branch=body(node("Relu", ["x"], ["q"]), output="q"),
    )  # fmt: skip
    outer = node(
        "If", ["flag"], ["y"], "choose",
        then_branch=body(node("Conv", ["x", "w"], ["a"]), node("MatMul", ["a", "v"], ["b"]),
                         output="b"),
        else_branch=body(inner, output="z"),
    )  # fmt: skip
    (finding,) = describe_bodies(graph_of(outer))
    assert (finding.code, finding.subject) == ("OQ404", "choose")
    assert finding.evidence == {"node": "choose", "type": "If", "counted": 3, "nodes": 5}
    assert finding.message == (
        "3 nodes that could matter (2 Conv, 1 MatMul) in the body of this If stay float, as do "
        "its tensors."
    )


def test_bodies_without_multiplications_are_not_told():
    relu = body(node("Relu", ["x"], ["a"]), output="a")
    outer = node("If", ["flag"], ["y"], "choose", then_branch=relu, else_branch=relu)
    assert describe_bodies(graph_of(outer)) == ()
