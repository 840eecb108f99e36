"""What tf2onnx returns becomes a file that can be handed over, or an error that says why not."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.conversion.tf2onnx_graphs import (
    Port,
    finish_graph,
    loop_findings,
    rename_tensors,
)
from onnxq.errors import ConversionError

INPUTS = (Port(name="b", shape=("N", 2)), Port(name="a", shape=("N", 2)))
OUTPUTS = (Port(name="sum", shape=("N", "sum_1")),)


def returned(operator="Add", domain=""):
    """As tf2onnx returns it: inputs sorted, a captured constant as an input, unnamed axes."""
    names = ["a", "b", "captured:0"]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["unk__1", 2]) for n in names]
    nodes = [
        helper.make_node("Add", ["a", "b"], ["both"]),
        helper.make_node(operator, ["both", "captured:0"], ["sum"], domain=domain),
    ]
    outputs = [helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["unk__2", 2])]
    graph = helper.make_graph(nodes, "converted from b'__inference_call_7'", infos, outputs)
    graph.value_info.append(helper.make_tensor_value_info("both", TensorProto.FLOAT, [9, 9]))
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def finish(proto, inputs=INPUTS, outputs=OUTPUTS):
    constants = {"captured:0": np.array([[10, 20]], np.float32), "not an input": np.zeros(1)}
    return finish_graph(
        proto, name="net", inputs=inputs, outputs=outputs, constants=constants, hint="do so"
    )


def test_interface_is_the_declared_one():
    proto = returned()
    finished = finish(proto)
    assert [value.name for value in finished.graph.input] == ["b", "a"]
    (output,) = finished.graph.output
    dims = [d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim]
    assert dims == ["N", 2], "what only tf2onnx found out is kept"
    assert finished.graph.name == "net"
    assert proto.graph.name != "net", "the argument stays as it was"


def test_constants_are_part_of_the_model():
    feed = {name: np.full((3, 2), 1, np.float32) for name in "ab"}
    (total,) = ReferenceEvaluator(finish(returned())).run(None, feed)
    np.testing.assert_array_equal(total, [[12, 22]] * 3)


def test_nothing_stale_is_left():
    finished = finish(returned())
    assert not finished.graph.value_info
    assert [(o.domain, o.version) for o in finished.opset_import] == [("", 17)]
    assert finished.ir_version == 8


@pytest.mark.parametrize(
    ("operator", "domain"), [("Erfc", ""), ("Gelu", ""), ("Scatter", ""), ("Add", "com.example")]
)
def test_operator_outside_the_opset_is_named(operator, domain):
    with pytest.raises(ConversionError, match=rf"opset 17: {operator} \(1x\)") as raised:
        finish(returned(operator, domain))
    assert raised.value.code == "OQ151"


def test_operator_inside_a_subgraph_is_found():
    proto = returned()
    body = helper.make_graph(
        [helper.make_node("Erfc", ["sum"], ["inner"])],
        "body",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    proto.graph.node.append(
        helper.make_node("If", ["flag"], ["unused"], then_branch=body, else_branch=body)
    )
    with pytest.raises(ConversionError, match=r"Erfc \(2x\)"):
        finish(proto)


@pytest.mark.parametrize(
    ("inputs", "outputs"), [(INPUTS[:1], OUTPUTS), (INPUTS, (Port(name="y", shape=("N",)),))]
)
def test_lost_input_or_output(inputs, outputs):
    with pytest.raises(ConversionError, match="tf2onnx changed the") as raised:
        finish(returned(), inputs, outputs)
    assert raised.value.code == "OQ151"


def test_model_of_the_standard_machine_learning_domain():
    proto = returned()
    proto.graph.node[1].CopyFrom(
        helper.make_node("Binarizer", ["both"], ["sum"], domain="ai.onnx.ml", threshold=0.5)
    )
    finished = finish(proto)
    assert {o.domain for o in finished.opset_import} == {"", "ai.onnx.ml"}
    onnx.checker.check_model(finished)


def test_renamed_tensors_push_others_aside():
    """The name that an output gets is that of a tensor inside."""
    nodes = [helper.make_node("Relu", ["x:0"], ["y"]), helper.make_node("Abs", ["y"], ["out:0"])]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N"]) for n in ("x:0", "out:0")]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    renamed = rename_tensors(proto, {"x:0": "x", "out:0": "y"})
    onnx.checker.check_model(renamed)
    assert [value.name for value in renamed.graph.input] == ["x"]
    assert [value.name for value in renamed.graph.output] == ["y"]
    (found,) = ReferenceEvaluator(renamed).run(None, {"x": np.array([-1, 2], np.float32)})
    np.testing.assert_array_equal(found, [0, 2])
    assert [value.name for value in proto.graph.input] == ["x:0"], "the argument stays"


def test_loops_are_counted():
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )
    graph = helper.make_graph([helper.make_node("Loop", ["n", "c"], [], body=body)], "g", [], [])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (finding,) = loop_findings(proto, "net", "unroll it")
    assert (finding.code, finding.fix) == ("OQ159", "unroll it")
    assert finding.message.startswith("1 loop of")
    assert loop_findings(returned(), "net", "") == ()


def test_a_padding_of_zeros_is_not_mistaken_for_that_of_the_pool():
    """onnxruntime 1.31 would, of ZeroPadding2D in front of MaxPooling2D, with its optimizations."""
    graph = helper.make_graph(
        [
            helper.make_node("Pad", ["a", "pads"], ["padded"]),
            helper.make_node("MaxPool", ["padded"], ["most"], kernel_shape=[2, 2], strides=[2, 2]),
        ],
        "g",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 1, 2, 2])],
        [helper.make_tensor_value_info("most", TensorProto.FLOAT, [1, 1, 2, 2])],
        [numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    shape = (1, 1, 2, 2)
    finished = finish(proto, (Port(name="a", shape=shape),), (Port(name="most", shape=shape),))
    session = onnxruntime.InferenceSession(finished.SerializeToString())
    (most,) = session.run(None, {"a": np.full(shape, -1.0, np.float32)})
    np.testing.assert_array_equal(most, np.zeros(shape))
