"""Integer, scalar, several and empty inputs; bodies of If and Loop that read quantized tensors."""

from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.graph.qdq_edges import find_qdq_edges
from onnxq.quantization.static import quantize_static_qdq
from onnxq.ranges import TensorRange, TensorRanges
from onnxq.recipe_kinds import MinMax, StaticQdq
from onnxq.runtime import open_predict

node = helper.make_node
info = helper.make_tensor_value_info
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
GENERATOR = np.random.default_rng(5)


@dataclass(frozen=True)
class Net:
    """A model and feeds for it."""

    proto: onnx.ModelProto
    feeds: tuple[dict[str, np.ndarray], ...]


def weight(name, *shape):
    values = np.random.default_rng(len(name)).standard_normal(shape)
    return numpy_helper.from_array((values * np.sqrt(2 / shape[0])).astype(np.float32), name)


def build(nodes, inputs, outputs, *weights):
    graph = helper.make_graph(
        nodes,
        "g",
        [info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [info(name, FLOAT, None) for name in outputs],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def floats(*shape):
    return GENERATOR.standard_normal(shape).astype(np.float32)


def with_if():
    """Branches read the result of a Relu, one of them what stands in front of another Relu."""

    def branch(name, source):
        inner = node("MatMul", [source, "w_i"], [name], f"inner_{name}")
        return helper.make_graph([inner], name, [], [info(name, FLOAT, None)])

    nodes = [
        node("Gemm", ["x", "w1"], ["a"], "gemm1"),
        node("Relu", ["a"], ["r"], "relu1"),
        node("Gemm", ["r", "w2"], ["b"], "gemm2"),
        node("Relu", ["b"], ["s"], "relu2"),
        node("If", ["flag"], ["z"], "choose",
             then_branch=branch("p", "r"), else_branch=branch("q", "b")),
        node("Gemm", ["s", "w3"], ["y"], "gemm3"),
    ]  # fmt: skip
    inputs = {"x": (FLOAT, ["N", 8]), "flag": (BOOL, [])}
    proto = build(
        nodes, inputs, ("y", "z"),
        *(weight(name, 8, 8) for name in ("w1", "w2", "w3", "w_i")),
    )  # fmt: skip
    return Net(proto, tuple({"x": floats(2, 8), "flag": np.array(i % 2 == 0)} for i in range(6)))


def with_loop():
    """A Loop carries a quantized tensor and captures it, too."""
    body = helper.make_graph(
        [
            node("Gemm", ["state", "w_l"], ["next"], "inner_gemm"),
            node("Add", ["next", "r"], ["new_state"], "inner_add"),
            node("Identity", ["keep"], ["keep_on"], "inner_keep"),
        ],
        "body",
        [info("step", INT64, []), info("keep", BOOL, []), info("state", FLOAT, None)],
        [info("keep_on", BOOL, []), info("new_state", FLOAT, None)],
    )
    nodes = [
        node("Gemm", ["x", "w1"], ["a"], "gemm1"),
        node("Relu", ["a"], ["r"], "relu1"),
        node("Loop", ["times", "go", "r"], ["last"], "loop", body=body),
        node("Gemm", ["last", "w2"], ["y"], "gemm2"),
    ]
    inputs = {"x": (FLOAT, ["N", 8]), "times": (INT64, [])}
    weights = (weight(name, 8, 8) for name in ("w1", "w2", "w_l"))
    go = numpy_helper.from_array(np.array(True), "go")
    proto = build(nodes, inputs, ("y",), go, *weights)
    return Net(proto, tuple({"x": floats(2, 8), "times": np.array(2)} for _ in range(6)))


def tokens():
    """Integer tokens of any number, a scalar that scales, and a float input."""
    nodes = [
        node("Gather", ["table", "ids"], ["e"], "embedding"),
        node("Add", ["e", "extra"], ["x"], "add"),
        node("MatMul", ["x", "w1"], ["m"], "matmul1"),
        node("Mul", ["m", "scale"], ["s"], "mul"),
        node("Relu", ["s"], ["r"], "relu"),
        node("MatMul", ["r", "w2"], ["y"], "matmul2"),
    ]
    inputs = {"ids": (INT64, ["N", "L"]), "extra": (FLOAT, ["N", 1, 8]), "scale": (FLOAT, [])}
    proto = build(
        nodes, inputs, ("y",), weight("table", 20, 8), weight("w1", 8, 8), weight("w2", 8, 4)
    )
    feeds = (
        {
            "ids": GENERATOR.integers(0, 20, (1, length)),
            "extra": floats(1, 1, 8),
            "scale": np.array(1 + length / 10, np.float32),
        }
        for length in (5, 0, 3, 1, 0, 7)
    )
    return Net(proto, tuple(feeds))


NETS = {"if": with_if, "loop": with_loop, "tokens": tokens}


def exact_ranges(net):
    edges = find_qdq_edges(net.proto.graph)
    visible = onnx.ModelProto()
    visible.CopyFrom(net.proto)
    inputs = {value.name for value in net.proto.graph.input}
    outputs = [value.name for value in net.proto.graph.output]
    hidden = [name for name in edges.collected if name not in inputs | set(outputs)]
    visible.graph.output.extend(info(name, FLOAT, None) for name in hidden)
    evaluator = ReferenceEvaluator(visible)
    runs = [
        feed | dict(zip([*outputs, *hidden], evaluator.run(None, feed), strict=True))
        for feed in net.feeds
    ]
    ranges = {}
    for name, leader in edges.leaders.items():
        values = np.concatenate([np.ravel(run[leader]) for run in runs])
        ranges[name] = TensorRange(min(0.0, float(values.min())), max(0.0, float(values.max())))
    return TensorRanges("minmax", ranges)


@pytest.mark.parametrize("name", NETS)
def test_it_is_quantized_and_computes_the_same(name, tmp_path):
    net = NETS[name]()
    onnx.save(net.proto, tmp_path / "float.onnx")
    result = quantize_static_qdq(
        tmp_path / "float.onnx", tmp_path / "int8.onnx", StaticQdq(ranges=MinMax()),
        exact_ranges(net),
    )  # fmt: skip
    assert result.count.quantized >= 2
    evaluator, predict = ReferenceEvaluator(net.proto), open_predict(tmp_path / "int8.onnx")
    signal, noise = {}, {}
    for feed in net.feeds:
        found = predict(feed)
        for output, expected in zip(evaluator.output_names, evaluator.run(None, feed), strict=True):
            assert found[output].shape == expected.shape
            signal[output] = signal.get(output, 0) + (expected**2).sum()
            noise[output] = noise.get(output, 0) + ((found[output] - expected) ** 2).sum()
    assert all(noise[output] < 10**-2.5 * power for output, power in signal.items())


@pytest.mark.parametrize(("name", "subject", "counted"), [("if", "choose", 2), ("loop", "loop", 1)])
def test_bodies_are_told_and_counted(name, subject, counted, tmp_path):
    net = NETS[name]()
    onnx.save(net.proto, tmp_path / "float.onnx")
    result = quantize_static_qdq(
        tmp_path / "float.onnx", tmp_path / "int8.onnx", StaticQdq(ranges=MinMax()),
        exact_ranges(net),
    )  # fmt: skip
    (finding,) = result.findings
    assert (finding.code, finding.subject) == ("OQ404", subject)
    assert finding.evidence["counted"] == counted
    inside = [reason for reason in result.count.left_float.values() if "body" in reason]
    assert len(inside) == counted
