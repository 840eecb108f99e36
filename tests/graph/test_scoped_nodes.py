import pytest
from onnx import TensorProto, helper

from onnxq.errors import RecipeError
from onnxq.graph.scoped_nodes import check_scope, why_kept_float, wish_for
from onnxq.scopes import EVERYTHING, KeepFloat, QuantizationScope, Quantize, Rule


def model():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "stem/conv"),
        helper.make_node("Relu", ["a"], ["b"], "stem/relu"),
        helper.make_node("MatMul", ["b", "v"], ["y"], "head/matmul"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, None)],
        [value("y", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


CONV, RELU, MATMUL = model().graph.node


def test_a_list_of_operators_does_not_speak_of_what_follows():
    scope = QuantizationScope(operators=("Conv",))
    assert why_kept_float(CONV, scope) == ""
    assert why_kept_float(RELU, scope) == ""
    assert why_kept_float(MATMUL, scope) == "only operator Conv was asked for"


def test_what_follows_can_be_named():
    assert "Relu" in why_kept_float(RELU, QuantizationScope(skip_operators=("Relu",)))
    assert wish_for(RELU, QuantizationScope(operators=("Relu",))) == Quantize()
    assert wish_for(CONV, QuantizationScope(operators=("Relu",))) == KeepFloat()


@pytest.mark.parametrize(
    "scope",
    [
        EVERYTHING,
        QuantizationScope(operators=("Conv",), skip_operators=("Relu",), keep_float=("head/*",)),
        QuantizationScope(rules=(Rule(KeepFloat(), nodes="stem/*", operator="Conv"),)),
    ],
)
def test_wishes_that_speak_of_the_model_pass(scope):
    check_scope(model(), scope)


@pytest.mark.parametrize(
    ("scope", "message", "hint"),
    [
        (QuantizationScope(operators=("conv",)), "no operator 'conv'", "'Conv'"),
        (QuantizationScope(skip_operators=("Matmul",)), "no operator 'Matmul'", "'MatMul'"),
        (QuantizationScope(skip_operators=("LSTM",)), "no operator 'LSTM'", "Conv, MatMul, Relu"),
        (QuantizationScope(keep_float=("head/matmull",)), "no node like", "'head/matmul'"),
        (QuantizationScope(keep_float=("Head/*",)), "no node like 'Head/*'", "stem/conv"),
        (
            QuantizationScope(rules=(Rule(KeepFloat(), nodes="stem/*", operator="MatMul"),)),
            "no node for rule 1 (MatMul, stem/*)",
            "Its nodes",
        ),
        (
            QuantizationScope(rules=(Rule(KeepFloat(), operator="Cnov"),)),
            "no node for rule 1 (Cnov, *)",
            "'Conv'",
        ),
    ],
)
def test_wishes_that_speak_of_nothing_are_refused(scope, message, hint):
    with pytest.raises(RecipeError) as caught:
        check_scope(model(), scope)
    assert caught.value.code == "OQ164"
    assert caught.value.exit_code == 2
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_where_there_are_many_nodes_it_is_said_how_to_see_all():
    many = model()
    for place in range(9):
        many.graph.node.append(helper.make_node("Relu", ["y"], [f"r{place}"], f"relu{place}"))
    scope = QuantizationScope(keep_float=("nix*",))
    with pytest.raises(RecipeError) as caught:
        check_scope(many, scope)
    assert "quantize MODEL -r fp32 -o fp32.onnx" in caught.value.hint
    assert "inspect fp32.onnx -v" in caught.value.hint
    with pytest.raises(RecipeError) as caught:
        check_scope(model(), scope)
    assert "inspect" not in caught.value.hint
