import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.errors import QuantizationError
from onnxq.graph import load_proto
from onnxq.quantization.half import quantize_half
from onnxq.recipe_kinds import Float16
from onnxq.runtime import open_predict


def model(weight, *, nodes=None):
    nodes = nodes or [helper.make_node("MatMul", ["x", "w"], ["y"], "mm")]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(weight, np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def convert(proto, folder):
    onnx.save(proto, folder / "float.onnx")
    return quantize_half(folder / "float.onnx", folder / "half.onnx")


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_it_computes_in_float32_with_weights_rounded_to_float16(tmp_path):
    weight, rows = normal(16, 32), normal(5, 16)
    path = convert(model(weight), tmp_path).model.path
    expected = rows @ weight.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(open_predict(path)({"x": rows})["y"], expected, rtol=1e-5, atol=1e-5)
    reference = ReferenceEvaluator(load_proto(path)).run(None, {"x": rows})[0]
    np.testing.assert_allclose(reference, expected, rtol=1e-5, atol=1e-5)


def test_half_the_file(kit_of):
    kit = kit_of("lstm")
    result = kit.quantize(Float16())
    assert result.size.initializer_bytes["float16"] >= 0.9 * sum(
        result.size.initializer_bytes.values()
    )


def test_weights_that_vanish_are_told(tmp_path):
    weight = normal(16, 32)
    weight[0, :3] = [1e-8, -1e-9, 3e-6]
    (finding,) = convert(model(weight), tmp_path).findings
    assert finding.code == "OQ167"
    assert finding.message.startswith("2 of 512 weights are below 6e-8 and became zero")


def test_a_few_subnormal_weights_are_not_worth_a_word(tmp_path):
    weight = np.ones((16, 32), np.float32)
    weight[0, 0] = 1e-6
    assert convert(model(weight), tmp_path).findings == ()


def test_tensors_beyond_float16_stay_float32(tmp_path):
    weight = normal(16, 32)
    weight[3, 3] = 7e4
    with pytest.raises(QuantizationError, match="reach beyond float16"):
        convert(model(weight), tmp_path)


def test_some_tensors_beyond_float16_are_a_warning(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "mm"),
        helper.make_node("MatMul", ["h", "v"], ["y"], "mm2"),
    ]
    proto = model(normal(16, 32), nodes=nodes)
    proto.graph.initializer.append(numpy_helper.from_array(normal(32, 16) * 1e5, "v"))
    half = convert(proto, tmp_path)
    (finding,) = half.findings
    assert (finding.code, finding.severity) == ("OQ167", "warning")
    assert half.count.left_float == {"mm2": "its weights reach beyond float16"}
    assert half.size.initializer_bytes["float32"] == 32 * 16 * 4


def test_weights_of_a_body_are_stored_too(tmp_path):
    body = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["inner"], "mm")],
        "body",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    other = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["inner2"], "mm2")],
        "other",
        [],
        [helper.make_tensor_value_info("inner2", TensorProto.FLOAT, None)],
    )
    weight = normal(16, 32)
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"], "sum", keepdims=0),
        helper.make_node("Greater", ["s", "zero"], ["c"], "greater"),
        helper.make_node("If", ["c"], ["y"], "if", then_branch=body, else_branch=other),
    ]
    proto = model(weight, nodes=nodes)
    proto.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
    rows = normal(5, 16)
    found = open_predict(convert(proto, tmp_path).model.path)({"x": rows})["y"]
    np.testing.assert_allclose(found, rows @ weight, rtol=2e-2, atol=2e-2)


def left_float(nodes, *tensors, outputs=("y",)):
    """Why the nodes of a model stay float32, of which one, ``big``, does not."""
    nodes = [*nodes, helper.make_node("MatMul", ["x", "w"], ["big_y"], "big")]
    proto = model(normal(16, 32), nodes=nodes)
    proto.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in tensors)
    names = [value.name for value in proto.graph.output]
    proto.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in outputs
        if name not in names
    )
    return proto


@pytest.mark.parametrize(
    ("nodes", "tensors", "outputs", "reason"),
    [
        (
            [helper.make_node("Gemm", ["x", "v"], ["y"], "n", transB=1)],
            [("v", normal(5, 16))],
            (),
            "its weights are fewer than 128: a Cast would outweigh what it saves",
        ),
        (
            [helper.make_node("MatMul", ["x", "x"], ["y"], "n")],
            [],
            (),
            "its weights are not constant",
        ),
        (
            [helper.make_node("MatMul", ["x", "v"], ["y"], "n")],
            [("v", normal(16, 40))],
            ("v",),
            "a node or an output that stays float reads its weights too",
        ),
    ],
    ids=["few", "activations", "output"],
)
def test_what_stays_float_says_why(tmp_path, nodes, tensors, outputs, reason):
    proto = left_float(nodes, *tensors, outputs=outputs)
    assert convert(proto, tmp_path).count.left_float == {"n": reason}


def test_infinities_are_no_reason_to_stay_float(tmp_path):
    """A mask of -inf is a float16 too; -3.4e38 is not."""
    mask = np.where(np.tri(16, 16, dtype=bool), 0, -np.inf).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["s"], "mm"),
        helper.make_node("Add", ["s", "mask"], ["y"], "add"),
    ]
    proto = model(normal(16, 16), nodes=nodes)
    proto.graph.initializer.append(numpy_helper.from_array(mask, "mask"))
    half = convert(proto, tmp_path)
    assert half.findings == ()
    assert half.size.initializer_bytes["float16"] == 2 * 2 * 16 * 16
