"""Every rewrite: what it changes, what it leaves alone, and that the outputs stay."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.errors import QuantizationError
from onnxq.graph.rewrites import FIRST, FOR_QUANTIZERS, REWRITES
from onnxq.graph.rewrites.avoid_reserved_names import avoid_reserved_names
from onnxq.graph.rewrites.detach_passed_inputs import detach_passed_inputs
from onnxq.graph.rewrites.flatten_gemm_bias import flatten_gemm_bias
from onnxq.graph.rewrites.fold_gemm_scales import fold_gemm_scales
from onnxq.graph.rewrites.inline_functions import inline_functions
from onnxq.graph.rewrites.lift_constants import lift_constants
from onnxq.graph.rewrites.name_nodes import name_nodes
from onnxq.graph.rewrites.pool_spatial_mean import pool_spatial_mean
from onnxq.graph.rewrites.split_shared_weights import split_shared_weights

F = TensorProto.FLOAT
ROWS, WIDE = 4, 6


def weight(name, *shape):
    values = np.random.default_rng(len(name) + sum(shape)).standard_normal(shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def make_model(nodes, inputs, outputs, initializers=(), opset=17):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, F, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, F, shape) for name, shape in outputs.items()],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(proto):
    generator = np.random.default_rng(1)
    inputs = {
        value.name: generator.standard_normal(
            [dim.dim_value or ROWS for dim in value.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for value in proto.graph.input
    }
    names = [output.name for output in proto.graph.output]
    return dict(zip(names, ReferenceEvaluator(proto).run(None, inputs), strict=True))


def check_same(rewrite, proto, *, exact=True):
    """Apply a rewrite; check outputs, that the proto was not edited and that it settles."""
    before = proto.SerializeToString(deterministic=True)
    result = rewrite(proto)
    assert proto.SerializeToString(deterministic=True) == before
    onnx.checker.check_model(result.proto)
    expected, found = run(proto), run(result.proto)
    assert list(expected) == list(found)
    for name, array in expected.items():
        tolerance = 0 if exact else 1e-5
        np.testing.assert_allclose(found[name], array, rtol=tolerance, atol=tolerance)
    assert rewrite(result.proto).subjects == ()
    return result


def gemm(bias, **attributes):
    return make_model(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], "fc", **attributes)],
        {"x": [ROWS, WIDE]},
        {"y": [ROWS, WIDE]},
        [weight("w", WIDE, WIDE), bias],
    )


def mean(axes, rank=4, *, keepdims=1, opset=17):
    given = ([], {"axes": axes}) if opset < 18 else (["axes"], {})
    sizes = ["N", 3, 5, 5, 5][:rank]
    output = [1 if axis % rank in [a % rank for a in axes] else s for axis, s in enumerate(sizes)]
    kept = output if keepdims else [s for s in output if s != 1]
    axes_tensor = numpy_helper.from_array(np.array(axes, dtype=np.int64), "axes")
    return make_model(
        [
            helper.make_node(
                "ReduceMean", ["x", *given[0]], ["y"], "m", keepdims=keepdims, **given[1]
            )
        ],
        {"x": sizes},
        {"y": kept},
        [axes_tensor] if given[0] else [],
        opset,
    )


def test_every_rewrite_leaves_a_clean_model_alone():
    proto = gemm(weight("b", WIDE))
    for rewrite in (*FIRST, *REWRITES, *FOR_QUANTIZERS):
        assert rewrite.apply(proto).proto is proto, rewrite.name
    usual = [rewrite for rewrite in (*FIRST, *REWRITES) if not rewrite.is_optional]
    assert all(rewrite.exactness != "approximate" for rewrite in usual)


@pytest.mark.parametrize("scales", [{"alpha": 0.5}, {"beta": 0.3}, {"alpha": 3.0, "beta": -2.0}])
def test_gemm_scales_are_folded(scales):
    result = check_same(fold_gemm_scales, gemm(weight("b", WIDE), **scales), exact=False)
    assert result.subjects == ("fc",)
    assert not result.proto.graph.node[0].attribute


def test_gemm_scales_of_activations_stay():
    node = helper.make_node("Gemm", ["x", "z", "b"], ["y"], "fc", alpha=0.5, beta=0.5)
    proto = make_model([node], {"x": [4, 6], "z": [6, 6], "b": [6]}, {"y": [4, 6]})
    assert fold_gemm_scales(proto).subjects == ()


@pytest.mark.parametrize("shape", [(1, WIDE), (), (1,), (1, 1)])
@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_bias_becomes_a_row(shape, transposed):
    result = check_same(flatten_gemm_bias, gemm(weight("b", *shape), transB=transposed))
    bias = result.proto.graph.node[0].input[2]
    assert [t.dims for t in result.proto.graph.initializer if t.name == bias] == [[WIDE]]


@pytest.mark.parametrize("shape", [(ROWS, 1), (ROWS, WIDE)])
def test_gemm_bias_of_rows_becomes_an_add(shape):
    result = check_same(flatten_gemm_bias, gemm(weight("b", *shape)), exact=False)
    assert [node.op_type for node in result.proto.graph.node] == ["Gemm", "Add"]


@pytest.mark.parametrize("attributes", [{}, {"transB": 1}, {"alpha": 0.5}])
def test_gemm_bias_that_is_computed_becomes_an_add(attributes):
    """What onnxruntime's fusion makes of a residual connection has no integer kernel."""
    nodes = [
        helper.make_node("Softmax", ["x"], ["s"], "softmax"),
        helper.make_node("Gemm", ["x", "w", "s"], ["y"], "fc", **attributes),
    ]
    shape = [ROWS, WIDE]
    proto = make_model(nodes, {"x": shape}, {"y": shape}, [weight("w", WIDE, WIDE)])
    result = check_same(flatten_gemm_bias, proto, exact=False)
    assert [node.op_type for node in result.proto.graph.node] == ["Softmax", "Gemm", "Add"]


def test_gemm_bias_waits_for_beta():
    assert flatten_gemm_bias(gemm(weight("b", 1, WIDE), beta=0.5)).subjects == ()


@pytest.mark.parametrize("opset", [13, 17, 18, 20])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize(("axes", "rank"), [([2, 3], 4), ([-1, -2], 4), ([2], 3), ([2, 3, 4], 5)])
def test_spatial_mean_becomes_pooling(axes, rank, keepdims, opset):
    proto = mean(axes, rank, keepdims=keepdims, opset=opset)
    result = check_same(pool_spatial_mean, proto, exact=False)
    kinds = [node.op_type for node in result.proto.graph.node]
    assert kinds == ["GlobalAveragePool"] + ["Squeeze"] * (not keepdims)


@pytest.mark.parametrize(("axes", "rank"), [([1], 4), ([2], 4), ([1, 2, 3], 4), ([0, 1], 2)])
def test_other_means_stay(axes, rank):
    assert pool_spatial_mean(mean(axes, rank)).subjects == ()


@pytest.mark.parametrize("square", ["Pow", "Mul"])
def test_means_of_a_normalization_stay(square):
    """Each is over all spatial axes of rank 3, as a LayerNormalization before opset 17 has it."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], "mean", axes=[-1]),
        helper.make_node("Sub", ["x", "m"], ["d"], "off"),
        helper.make_node(square, ["d", "two" if square == "Pow" else "d"], ["s"], "square"),
        helper.make_node("ReduceMean", ["s"], ["v"], "variance", axes=[-1]),
        helper.make_node("Div", ["d", "v"], ["y"], "norm"),
    ]
    shape = [ROWS, WIDE, WIDE]
    two = numpy_helper.from_array(np.float32(2), "two")
    proto = make_model(nodes, {"x": shape}, {"y": shape}, [two], opset=13)
    assert pool_spatial_mean(proto).subjects == ()


def test_mean_of_unknown_rank_stays():
    proto = mean([2, 3])
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    assert pool_spatial_mean(proto).subjects == ()


def test_shared_weight_gets_a_copy_for_each_reader_but_the_first():
    proto = make_model(
        [
            helper.make_node("MatMul", ["x", "w"], ["a"], "mm"),
            helper.make_node("Gemm", ["a", "w", "b"], ["c"], "g1", transB=1),
            helper.make_node("Add", ["c", "b"], ["y"], "add"),
        ],
        {"x": [ROWS, WIDE]},
        {"y": [ROWS, WIDE]},
        [weight("w", WIDE, WIDE), weight("b", WIDE)],
    )
    result = check_same(split_shared_weights, proto)
    assert set(result.subjects) == {"w", "b"}
    read = [name for node in result.proto.graph.node for name in node.input]
    assert len(set(read)) == len(read)
    assert {"w", "b"} <= set(read)


def test_shared_weight_that_is_an_output_stays_an_output():
    proto = make_model(
        [helper.make_node("Gemm", ["x", "w"], ["y"], "g", transB=1)],
        {"x": [ROWS, WIDE]},
        {"y": [ROWS, WIDE], "w": [WIDE, WIDE]},
        [weight("w", WIDE, WIDE)],
    )
    result = check_same(split_shared_weights, proto)
    assert result.proto.graph.node[0].input[1] != "w"


def test_constants_without_weights_may_be_shared():
    nodes = [
        helper.make_node("Add", ["x", "c"], ["a"], "a1"),
        helper.make_node("Mul", ["a", "c"], ["y"], "m1"),
    ]
    proto = make_model(nodes, {"x": [ROWS, WIDE]}, {"y": [ROWS, WIDE]}, [weight("c", WIDE)])
    assert split_shared_weights(proto).subjects == ()


def branch(name, op_type, reads):
    output = helper.make_tensor_value_info(f"{name}_out", F, [ROWS, WIDE])
    constant = helper.make_node(
        "Constant", [], [f"{name}_c"], value=weight(f"{name}_c", WIDE, WIDE)
    )
    node = helper.make_node(op_type, [reads, f"{name}_c"], [output.name])
    return helper.make_graph([constant, node], name, [], [output])


def test_constants_become_initializers_in_subgraphs_too():
    given = {
        "value_float": 2.0,
        "value_floats": [1.0] * WIDE,
        "value": weight("anything", WIDE),
    }
    nodes = [helper.make_node("Constant", [], [name], **{name: v}) for name, v in given.items()]
    nodes.append(helper.make_node("Sum", ["x", *given], ["s"], "sum"))
    nodes.append(
        helper.make_node("Constant", [], ["truth"], value=numpy_helper.from_array(np.array(True)))
    )
    nodes.append(
        helper.make_node(
            "If", ["truth"], ["y"], "if",
            then_branch=branch("then", "MatMul", "s"), else_branch=branch("else", "Add", "s"),
        )
    )  # fmt: skip
    proto = make_model(nodes, {"x": [ROWS, WIDE]}, {"y": [ROWS, WIDE]})
    result = check_same(lift_constants, proto)
    assert len(result.subjects) == 6
    assert "Constant" not in {node.op_type for node in result.proto.graph.node}


def test_constant_that_is_an_output_stays():
    node = helper.make_node("Constant", [], ["y"], value=weight("y", 3))
    proto = make_model([node], {"x": [1]}, {"y": [3]})
    assert lift_constants(proto).subjects == ()


def test_nodes_get_names_of_their_own():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"], "same"),
        helper.make_node("Relu", ["b"], ["c"], "same"),
        helper.make_node("Relu", ["c"], ["y"], "Relu"),
    ]
    result = check_same(name_nodes, make_model(nodes, {"x": [2]}, {"y": [2]}))
    names = [node.name for node in result.proto.graph.node]
    assert names == ["Relu_1", "same", "same_1", "Relu"]


@pytest.mark.parametrize(
    "name",
    ["x_scale", "x_zero_point", "x_quantized", "x_QuantizeLinear_Output", "fixed_zero",
     "x_DequantizeLinear_Output", "x_scale_Div", "y_MatMul", "z_scale_scale"],
)  # fmt: skip
def test_reserved_names_move(name):
    nodes = [
        helper.make_node("Relu", ["x"], [name], "r"),
        helper.make_node("Neg", [name], ["z_scale"], f"{name}_DequantizeLinear"),
        helper.make_node("Neg", ["z_scale"], ["y"], "x_QuantizeLinear"),
    ]
    result = check_same(avoid_reserved_names, make_model(nodes, {"x": [2]}, {"y": [2]}))
    assert set(result.subjects) == {name, f"{name}_DequantizeLinear", "x_QuantizeLinear"}
    assert result.proto.graph.node[0].output[0] == f"own_{name}".replace("_", ".")
    again = avoid_reserved_names(result.proto)
    assert again.proto is result.proto


def test_reserved_names_move_in_subgraphs():
    inner = helper.make_graph(
        [helper.make_node("Neg", ["x_scale"], ["inner"], "n")],
        "then", [], [helper.make_tensor_value_info("inner", F, [2])],
    )  # fmt: skip
    nodes = [
        helper.make_node("Relu", ["x"], ["x_scale"], "r"),
        helper.make_node("Constant", [], ["truth"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("If", ["truth"], ["y"], "if", then_branch=inner, else_branch=inner),
    ]
    result = avoid_reserved_names(make_model(nodes, {"x": [2]}, {"y": [2]}))
    assert run(result.proto)["y"].shape == (2,)


def test_what_an_output_is_named_after_moves_instead():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "r"),
        helper.make_node("Neg", ["a"], ["a_scale"], "n"),
    ]
    result = check_same(avoid_reserved_names, make_model(nodes, {"x": [2]}, {"a_scale": [2]}))
    assert result.subjects == ("a",)


def test_two_names_of_the_interface_are_refused():
    proto = make_model(
        [helper.make_node("Neg", ["x"], ["x_scale"], "n")], {"x": [2]}, {"x_scale": [2]}
    )
    with pytest.raises(QuantizationError, match="'x' and 'x_scale' cannot both stay") as caught:
        avoid_reserved_names(proto)
    assert caught.value.code == "OQ111"


def test_names_that_only_look_alike_stay():
    nodes = [
        helper.make_node("Relu", ["x"], ["layer_scale"], "r_MatMul"),
        helper.make_node("Neg", ["layer_scale"], ["y"], "n"),
    ]
    assert avoid_reserved_names(make_model(nodes, {"x": [2]}, {"y": [2]})).subjects == ()


def test_input_that_is_an_output_is_taken_off():
    proto = make_model(
        [helper.make_node("Neg", ["x"], ["y"], "n")], {"x": [2]}, {"y": [2], "x": [2]}
    )
    result = detach_passed_inputs(proto)
    assert result.subjects == ("x",)
    assert [output.name for output in result.proto.graph.output] == ["y"]
    np.testing.assert_array_equal(run(result.proto)["y"], run(proto)["y"])


def test_local_functions_are_inlined():
    function = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    proto = make_model(
        [helper.make_node("Twice", ["x"], ["y"], "t", domain="own")], {"x": [2]}, {"y": [2]}
    )
    proto.opset_import.append(helper.make_opsetid("own", 1))
    proto.functions.append(function)
    result = inline_functions(proto)
    assert result.subjects == ("Twice",)
    assert [node.op_type for node in result.proto.graph.node] == ["Add"]
    np.testing.assert_array_equal(run(result.proto)["y"], run(proto)["y"])
