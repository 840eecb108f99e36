"""Gates: HardSwish, SiLU and squeeze-and-excite blocks become integer from end to end."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, version_converter

from onnxq.events import tell_nobody
from onnxq.graph import load_proto, write_proto
from onnxq.graph.gate_bounds import find_gate_bounds
from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.graph.rewrites import FOR_INTEGERS
from onnxq.graph.tensor_flow import trace_tensors
from onnxq.preparation import prepare
from onnxq.quantization.static import quantize_static_qdq
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipe_kinds import MinMax, StaticQdq
from onnxq.stages import PrepareRequest
from onnxq.tunings import USUAL, Tuning

RECIPE = StaticQdq(ranges=MinMax())
FLOATS = ("Sigmoid", "HardSigmoid", "Mul", "Conv", "GlobalAveragePool")


def network(gate, *, behind="Conv", extra=()):
    """Conv, ``x * gate(x)``, a squeeze-and-excite block on it, Conv; ``[N, 4, 8, 8]``."""
    generator = np.random.default_rng(3)
    attributes = {"alpha": 1 / 6} if gate == "HardSigmoid" else {}
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "first", pads=[1] * 4),
        helper.make_node(gate, ["a"], ["g"], "gate", **attributes),
        helper.make_node("Mul", ["a", "g"], ["h"], "product"),
        helper.make_node("GlobalAveragePool", ["h"], ["p"], "pool"),
        helper.make_node("Conv", ["p", "w2"], ["s"], "squeeze"),
        helper.make_node(gate, ["s"], ["e"], "excite", **attributes),
        helper.make_node("Mul", ["h", "e"], ["m"], "scaled"),
        helper.make_node(behind, ["m", "w3"] if behind == "Conv" else ["m"], ["y"], "last"),
        *extra,
    ]
    shapes = {"w1": (16, 4, 3, 3), "w2": (16, 16, 1, 1), "w3": (4, 16, 1, 1)}
    weights = [
        numpy_helper.from_array(generator.standard_normal(shape).astype(np.float32), name)
        for name, shape in shapes.items()
        if behind == "Conv" or name != "w3"
    ]
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", floats, ["N", 4, 8, 8])],
        [helper.make_tensor_value_info("y", floats, ["N", "c", 8, 8])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def rows():
    return np.random.default_rng(4).standard_normal((3, 4, 8, 8)).astype(np.float32)


def values_of(proto):
    visible = onnx.ModelProto()
    visible.CopyFrom(proto)
    names = [name for node in proto.graph.node for name in node.output]
    shown = {value.name for value in proto.graph.output}
    visible.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in shown)
    session = onnxruntime.InferenceSession(
        visible.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    order = [output.name for output in session.get_outputs()]
    return {"x": rows(), **dict(zip(order, session.run(order, {"x": rows()}), strict=True))}


def quantized(proto, folder, tuning=USUAL):
    edges = find_qdq_edges(proto.graph)
    values = values_of(proto)
    ranges = {
        name: edges.fixed.get(
            leader, TensorRange(float(values[leader].min()), float(values[leader].max()))
        )
        for name, leader in edges.leaders.items()
    }
    onnx.save(proto, folder / "float.onnx")
    path = folder / f"{len(list(folder.iterdir()))}.onnx"
    given = TensorRanges(method="minmax", ranges=ranges)
    quantize_static_qdq(folder / "float.onnx", path, RECIPE, given, tuning=tuning)
    return onnx.load(path)


def run(proto, feeds, optimized=""):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(optimized)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)[0]


@pytest.mark.parametrize("gate", ["HardSigmoid", "Sigmoid"])
def test_gates_leave_nothing_in_float(gate, tmp_path):
    proto = network(gate)
    expected = values_of(proto)["y"]
    made = quantized(proto, tmp_path)
    found = run(made, {"x": rows()}, tmp_path / "optimized.onnx")
    noise = np.square(found - expected).sum()
    assert 10 * np.log10(np.square(expected).sum() / noise) >= 30.0
    operators = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert not set(operators) & set(FLOATS)
    assert operators.count("DequantizeLinear") == 1  # of the output


def test_without_the_rewrite_a_hard_sigmoid_is_right_as_well(tmp_path):
    proto = network("HardSigmoid")
    plain = quantized(proto, tmp_path, Tuning(skipped=("requantize-hard-sigmoid",)))
    assert [node.op_type for node in plain.graph.node].count("HardSigmoid") == 2
    found, expected = run(plain, {"x": rows()}), run(quantized(proto, tmp_path), {"x": rows()})
    assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()


def test_gates_of_floats_stay_float():
    edges = find_qdq_edges(network("Sigmoid", behind="Identity").graph)
    assert not {"e", "m"} & edges.nodes  # nothing integer reads what they make
    assert edges.fixed.keys() == {"g"}


def test_ranges_of_gates_are_known():
    fixed = find_qdq_edges(network("HardSigmoid").graph).fixed
    assert fixed == {name: TensorRange(-1 / 254, 1.0) for name in ("g", "e")}
    fixed = find_qdq_edges(network("Sigmoid").graph).fixed
    assert fixed == {name: TensorRange(0.0, 1.0) for name in ("g", "e")}


def test_what_hard_sigmoids_cannot_tell_apart_is_bounded():
    proto = network("HardSigmoid")
    found = find_gate_bounds(trace_tensors(proto.graph), find_qdq_edges(proto.graph))
    assert found["a"] == (pytest.approx(-3.0), np.inf)
    assert found["s"] == (pytest.approx(-3.0), pytest.approx(3.0))
    assert found.keys() == {"a", "s"}


def test_what_others_read_is_not_bounded():
    reader = helper.make_node("Conv", ["a", "w2"], ["other"], "reader")
    proto = network("HardSigmoid", extra=[reader])
    found = find_gate_bounds(trace_tensors(proto.graph), find_qdq_edges(proto.graph))
    assert found.keys() == {"s"}


@pytest.mark.slow
def test_rewrites_keep_a_real_model_bit_for_bit(shared, tmp_path):
    """UltraFace: 240x320, stem of stride 2, depthwise convolutions; ranges do not matter here."""
    source = write_proto(
        version_converter.convert_version(
            load_proto(shared / "models/ultraface/version-RFB-320.onnx"), 17
        ),
        tmp_path / "s.onnx",
    )
    prepared = prepare(PrepareRequest(model=source), tmp_path, tell_nobody).model
    edges = find_qdq_edges(load_proto(prepared.path).graph)
    ranges = TensorRanges(
        method="minmax",
        ranges={
            name: edges.fixed.get(one, TensorRange(-3.0, 6.0))
            for name, one in edges.leaders.items()
        },
    )
    exact = [one.slug for one in FOR_INTEGERS if one.exactness == "bit-exact"]
    every = Tuning(added=tuple(one.slug for one in FOR_INTEGERS if one.is_optional))
    outputs = []
    for number, tuning in enumerate((USUAL, every, Tuning(skipped=tuple(exact)))):
        path = tmp_path / f"{number}.onnx"
        quantize_static_qdq(prepared.path, path, RECIPE, ranges, tuning=tuning)
        feeds = {
            "input": np.random.default_rng(2).standard_normal((1, 3, 240, 320)).astype(np.float32)
        }
        outputs.append(run(load_proto(path), feeds))
    assert len(onnx.load(tmp_path / "0.onnx").graph.node) > len(
        onnx.load(tmp_path / "2.onnx").graph.node
    )
    np.testing.assert_array_equal(outputs[0], outputs[2])
    np.testing.assert_array_equal(outputs[1], outputs[2])
