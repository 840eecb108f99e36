"""Operators that hand integers on: their result has the scale of what they read, and onnxruntime
runs them on integers."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.graph.operator_kinds import COMMUTING, MOVING
from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.quantization.static import quantize_static_qdq
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipe_kinds import MinMax, StaticQdq
from onnxq.tunings import Tuning

ROWS = np.random.default_rng(4).standard_normal((1, 3, 8, 8)).astype(np.float32)

CASES = {  # constants, attributes, channels of the result
    "MaxPool": ({}, {"kernel_shape": [2, 2]}, 4),
    "Transpose": ({}, {"perm": [0, 2, 1, 3]}, 8),
    "Reshape": ({"shape": np.array([0, 8, 4, 8])}, {}, 8),
    "Flatten": ({}, {}, 256),
    "Squeeze": ({"axes": np.array([2])}, {}, 4),
    "Unsqueeze": ({"axes": np.array([2])}, {}, 4),
    "Slice": ({"begin": np.array([0]), "end": np.array([2]), "axis": np.array([1])}, {}, 2),
    "Split": ({"sizes": np.array([2, 2])}, {"axis": 1}, 2),
    "Resize": ({"roi": np.zeros(0, np.float32), "k": np.array([1, 1, 2, 2], np.float32)},
               {"mode": "nearest"}, 4),
    "Expand": ({"shape": np.array([2, 4, 8, 8])}, {}, 4),
    "Tile": ({"repeats": np.array([1, 1, 2, 2])}, {}, 4),
    "DepthToSpace": ({}, {"blocksize": 2}, 1),
    "ReduceMax": ({}, {"axes": [2]}, 4),
    "ReduceMin": ({}, {"axes": [2]}, 4),
    "Pad": ({"pads": np.array([0, 1, 1, 0, 0, 0, 2, 1])}, {}, 5),
}  # fmt: skip


def proto_of(op, *, behind=""):
    """A convolution, the operator, perhaps a Relu behind it, and a node that reads the result."""
    constants, attributes, channels = CASES[op]
    generator = np.random.default_rng(3)
    nodes = [helper.make_node("Conv", ["x", "w1"], ["a"], "first", pads=[1] * 4)]
    source = "a"
    if op == "Squeeze":
        nodes.append(helper.make_node("Unsqueeze", ["a", "axes"], ["a5"], "unsqueeze"))
        source = "a5"
    outputs = ["m", "m2"] if op == "Split" else ["m"]
    nodes.append(helper.make_node(op, [source, *constants], outputs, "moved", **attributes))
    last = "m"
    if behind:
        nodes.append(helper.make_node(behind, ["m"], ["r"], "behind"))
        last = "r"
    rank = {"Flatten": 0, "Unsqueeze": 3}.get(op, 2)
    kernel = (4, channels, *[1] * rank) if rank else (channels, 4)
    nodes.append(helper.make_node("Conv" if rank else "Gemm", [last, "w2"], ["y"], "last"))
    weights = {
        "w1": generator.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "w2": generator.standard_normal(kernel).astype(np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in (weights | constants).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def quantized(proto, folder):
    """Quantize with exact ranges; return both outputs and the operators that really run."""
    edges = find_qdq_edges(proto.graph)
    visible = onnx.ModelProto()
    visible.CopyFrom(proto)
    hidden = [name for name in edges.collected if name not in {"x", "y"}]
    visible.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in hidden
    )
    found = ReferenceEvaluator(visible).run(["y", *hidden], {"x": ROWS})
    values = {"x": ROWS, **dict(zip(["y", *hidden], found, strict=True))}
    ranges = {
        name: TensorRange(min(0.0, float(values[led].min())), max(0.0, float(values[led].max())))
        for name, led in edges.leaders.items()
    }
    onnx.save(proto, folder / "float.onnx")
    quantize_static_qdq(
        folder / "float.onnx", folder / "int8.onnx", StaticQdq(ranges=MinMax()),
        TensorRanges("minmax", ranges), tuning=Tuning(skipped=("fold-stem-columns",)),
    )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(folder / "int8.onnx", options)
    ran = [node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node]
    return edges, values["y"], session.run(None, {"x": ROWS})[0], ran


def scales_of(path):
    proto = onnx.load(path)
    constants = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    return {
        node.output[0].removesuffix(f"_{node.op_type}_Output"): float(constants[node.input[1]])
        for node in proto.graph.node
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"} and node.input[0] not in constants
    }


def test_every_moving_operator_is_here():
    assert CASES.keys() == MOVING


@pytest.mark.parametrize("op", CASES)
def test_the_result_has_the_scale_of_what_is_read(op, tmp_path):
    edges, expected, found, ran = quantized(proto_of(op), tmp_path)
    assert edges.leaders["m"] == "a"
    scales = scales_of(tmp_path / "int8.onnx")
    assert scales["m"] == scales["a"]
    # One pair at the ends is all: nothing in between is computed in float.
    assert ran.count("QuantizeLinear") == 1
    assert ran.count("DequantizeLinear") <= (2 if op == "Split" else 1)
    assert not {"Conv", "Gemm"} & set(ran)
    assert ((expected - found) ** 2).sum() < 10**-2.8 * (expected**2).sum()


@pytest.mark.parametrize("op", CASES)
def test_a_relu_behind_is_absorbed_where_the_two_commute(op, tmp_path):
    edges, expected, found, ran = quantized(proto_of(op, behind="Relu"), tmp_path)
    assert (edges.leaders["a"] == "r") is (op in COMMUTING)
    assert ("r" in edges.nodes) is (op in COMMUTING)
    assert (ran.count("QuantizeLinear") == 1) is (op in COMMUTING)
    assert ((expected - found) ** 2).sum() <= 10**-1.5 * (expected**2).sum()
