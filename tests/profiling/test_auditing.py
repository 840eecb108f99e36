"""Audits of tiny models: it is known what onnxruntime 1.31 makes of each; the audit must see it."""

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.audits import NotAudited, RuntimeAudit
from onnxq.events import tell_nobody
from onnxq.graph import read_model
from onnxq.profiling import operators
from onnxq.profiling.operators import profile_operators
from onnxq.stages import ProfileOperatorsRequest
from onnxq.targets import ARM64_DOT, X86_VNNI

F, U8, I8 = TensorProto.FLOAT, np.uint8, np.int8
SIDE = 8


class Graph:
    """A graph that grows node by node; tensors are names."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, operator, *inputs, **attributes):
        name = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def quantize(self, tensor, scale=0.1, zero_point=128, dtype=U8):
        return self.add("QuantizeLinear", tensor, *self.grid(scale, zero_point, dtype))

    def dequantize(self, tensor, scale=0.1, zero_point=128, dtype=U8):
        return self.add("DequantizeLinear", tensor, *self.grid(scale, zero_point, dtype))

    def grid(self, scale, zero_point, dtype):
        return self.constant(np.float32(scale)), self.constant(np.array(zero_point, dtype))

    def pair(self, tensor, scale=0.1, zero_point=128, dtype=U8):
        return self.dequantize(
            self.quantize(tensor, scale, zero_point, dtype), scale, zero_point, dtype
        )

    def conv(self, tensor, *, bias="int32", dtype=I8):
        weight = np.random.default_rng(len(self.nodes)).integers(1, 90, (4, 4, 3, 3)).astype(dtype)
        name = self.add("DequantizeLinear", self.constant(weight), *self.grid(0.01, 0, dtype))
        biases = []
        if bias == "float":
            biases = [self.constant(np.ones(4, np.float32))]
        elif bias == "int32":
            ints = self.constant(np.full(4, 7, np.int32))
            biases = [self.add("DequantizeLinear", ints, *self.grid(0.001, 0, np.int32))]
        return self.add("Conv", tensor, name, *biases, pads=[1] * 4, kernel_shape=[3, 3])


@pytest.fixture
def audit(tmp_path):
    def run(graph, output, shape=(1, 4, SIDE, SIDE), runs=2):
        model = helper.make_model(
            helper.make_graph(
                graph.nodes, "g",
                [helper.make_tensor_value_info("x", F, shape)],
                [helper.make_tensor_value_info(output, F, None)],
                graph.constants,
            ),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        )  # fmt: skip
        onnx.save(model, tmp_path / "m.onnx")
        values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        np.save(tmp_path / "x.npy", values)
        (tmp_path / "stage").mkdir()
        request = ProfileOperatorsRequest(
            model=read_model(tmp_path / "m.onnx"), inputs={"x": str(tmp_path / "x.npy")}, runs=runs
        )
        return profile_operators(request, tmp_path / "stage", tell_nobody)

    return run


def checked(result):
    """Return an audit that is consistent with itself and with the profile."""
    found = result.audit
    assert isinstance(found, RuntimeAudit)
    assert found.unmatched == ()
    assert found.kernels == len(result.nodes) == sum(one.count for one in result.operators)
    assert Counter(node.operator for node in result.nodes) == {
        one.operator: one.count for one in result.operators
    }
    assert found.macs == sum(node.macs for node in result.nodes)
    assert found.integer_macs == sum(n.macs for n in result.nodes if n.arithmetic == "integer")
    assert found.ns == pytest.approx(sum(node.ns for node in result.nodes))
    return found


CONV_MACS = 4 * SIDE * SIDE * 4 * 9


def test_quantized_convolution_is_all_integer(audit):
    graph = Graph()
    result = audit(graph, graph.pair(graph.conv(graph.pair("x"))))
    found = checked(result)
    assert (found.macs, found.integer_macs, found.integer_ratio) == (CONV_MACS, CONV_MACS, 1.0)
    assert found.islands == found.slow == ()
    assert {one.operator for one in found.added} == {"Transpose"}
    assert {one.reason for one in found.added} == {
        "integer convolutions and pools run with the channels last"
    }
    (conv,) = (node for node in result.nodes if node.operator == "QLinearConv")
    assert conv.arithmetic == "integer"
    assert conv.covers == ("conv4",)


def test_float_model_has_no_islands_and_no_integers(audit):
    graph = Graph()
    weight = graph.constant(np.ones((4, 4, 3, 3), np.float32))
    relu = graph.add("Relu", graph.add("Conv", "x", weight, pads=[1] * 4))
    result = audit(graph, graph.add("Softmax", relu))
    found = checked(result)
    assert (found.integer_macs, found.islands, found.slow) == (0, (), ())
    assert found.macs == CONV_MACS  # although onnxruntime fills up blocks of channels
    covered = [name for node in result.nodes for name in node.covers]
    assert sorted(covered) == ["conv0", "relu1", "softmax2"]


def only(islands):
    (island,) = islands
    return island


def test_operator_without_integer_kernel_is_an_island(audit):
    graph = Graph()
    result = audit(graph, graph.conv(graph.pair(graph.add("Tanh", graph.pair("x", 0.05)))))
    tanh = next(one for one in checked(result).islands if one.operators == ("Tanh",))
    assert tanh.place == "between"
    assert tanh.reason == "onnxruntime has no integer kernel for Tanh"
    assert (tanh.nodes, tanh.macs) == (("tanh2",), 0)
    assert 0 < tanh.ns < result.audit.ns


def test_signed_activations_with_two_readers_stay_float_on_x86(audit, monkeypatch):
    monkeypatch.setattr(operators, "own_target", lambda: X86_VNNI)
    graph = Graph()
    shared = graph.pair("x", dtype=I8, zero_point=3)
    left = graph.pair(graph.conv(shared), dtype=I8, zero_point=1, scale=0.3)
    result = audit(graph, graph.pair(graph.add("Add", left, shared), dtype=I8, zero_point=0))
    found = checked(result)
    conv = next(one for one in found.islands if "Conv" in one.operators)
    assert conv.reason.startswith("the activations of Conv are int8")
    assert "onnxq repair" in conv.fix
    assert conv.macs == CONV_MACS
    assert found.integer_macs == 0


@pytest.mark.parametrize(("target", "slow"), [(X86_VNNI, 1), (ARM64_DOT, 0)])
def test_signed_qoperator_convolution_is_slow_on_x86_alone(audit, monkeypatch, target, slow):
    monkeypatch.setattr(operators, "own_target", lambda: target)
    graph = Graph()
    weight = graph.constant(np.ones((4, 4, 1, 1), I8))
    x = graph.grid(0.1, 0, I8)
    conv = graph.add("QLinearConv", graph.add("QuantizeLinear", "x", *x), *x, weight, *x, *x)
    found = checked(audit(graph, graph.add("DequantizeLinear", conv, *x)))
    assert found.integer_ratio == 1
    assert len(found.slow) == slow
    assert all(
        one.reason.startswith("the activations of QLinearConv are int8") for one in found.slow
    )


def test_unsigned_weights_are_slow(audit, monkeypatch):
    monkeypatch.setattr(operators, "own_target", lambda: X86_VNNI)
    graph = Graph()
    result = audit(graph, graph.pair(graph.conv(graph.pair("x"), dtype=U8, bias="none")))
    (slow,) = checked(result).slow
    assert slow.reason.startswith("the weights of QLinearConv are uint8")
    assert slow.macs == CONV_MACS


def test_requantization_is_an_island_without_kernels(audit):
    graph = Graph()
    first = graph.pair(graph.conv(graph.pair("x")))
    second = graph.pair(graph.conv(graph.pair(first, 0.2)))
    result = audit(graph, graph.pair(graph.add("Add", first, second)))
    island = only(one for one in checked(result).islands if not one.operators)
    assert (island.nodes, island.macs) == ((), 0)
    assert island.reason == "integers are only brought from one scale to another"


def test_convolution_whose_result_is_given_out_as_floats(audit):
    graph = Graph()
    result = audit(graph, graph.conv(graph.pair("x")))
    island = only(checked(result).islands)
    assert (island.place, island.macs) == ("end", CONV_MACS)
    assert island.reason == "the model gives out the result of Conv as floats"


def test_clip_that_no_pair_absorbs(audit):
    graph = Graph()
    bounds = graph.constant(np.float32(0)), graph.constant(np.float32(6))
    clip = graph.add("Clip", graph.conv(graph.pair("x")), *bounds)
    found = checked(audit(graph, graph.pair(clip, 0.3, 100)))
    reasons = " ".join(one.reason for one in found.islands)
    assert "does not absorb" in reasons


def test_dynamic_quantization_is_counted(audit):
    graph = Graph()
    quantized = "DynamicQuantizeLinear"
    graph.nodes.append(helper.make_node(quantized, ["x"], ["q", "s", "z"], "dynamic"))
    weight = graph.constant(np.random.default_rng(0).integers(-90, 90, (6, 5)).astype(I8))
    product = graph.add("MatMulInteger", "q", weight, "z", graph.constant(np.array(0, I8)))
    scale = graph.add("Mul", "s", graph.constant(np.float32(0.1)))
    y = graph.add("Mul", graph.add("Cast", product, to=F), scale)
    result = audit(graph, y, shape=(3, 6))
    found = checked(result)
    assert (found.macs, found.integer_ratio) == (3 * 6 * 5, 1)
    assert [node.operator for node in result.nodes] == ["DynamicQuantizeMatMul"]
    assert found.islands == ()


def test_nodes_without_names_and_bodies_are_matched(audit):
    """A Loop of three rounds around a product; every node is unnamed, and two types occur twice."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["s", "w"], ["p"]),
            helper.make_node("Relu", ["p"], ["t"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "body",
        [info("i", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("s", F, [1, 4])],
        [info("on", TensorProto.BOOL, []), info("t", F, [1, 4])],
    )
    graph = Graph()
    graph.constants += [
        numpy_helper.from_array(np.full((4, 4), 0.1, np.float32), "w"),
        numpy_helper.from_array(np.int64(3), "n"),
    ]
    graph.nodes += [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Tanh", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w"], ["c"]),
        helper.make_node("Loop", ["n", "", "c"], ["y"], body=body),
    ]
    result = audit(graph, "y", shape=(1, 4))
    assert result.audit.unmatched == ()
    assert result.audit.macs == (2 + 3) * 16
    assert Counter(node.operator for node in result.nodes)["Tanh"] == 1


def test_nodes_that_were_fused_are_those_of_one_kernel(audit):
    """GELU by its error function becomes one kernel, and so do a convolution and its Relu."""
    graph = Graph()
    weight = graph.constant(np.ones((4, 4, 3, 3), np.float32))
    relu = graph.add("Relu", graph.add("Conv", "x", weight, pads=[1] * 4))
    erf = graph.add("Erf", graph.add("Div", relu, graph.constant(np.float32(2**0.5))))
    added = graph.add("Add", erf, graph.constant(np.float32(1)))
    half = graph.add("Mul", graph.add("Mul", relu, added), graph.constant(np.float32(0.5)))
    result = audit(graph, half)
    checked(result)
    by_operator = {node.operator: node.covers for node in result.nodes}
    assert by_operator["Gelu"] == ("div2", "erf3", "add4", "mul5", "mul6")
    assert by_operator["Conv"] == ("conv0", "relu1")


def test_parts_of_a_function_stand_for_it(audit):
    """onnxruntime writes HardSwish as two operators without names."""
    graph = Graph()
    result = audit(graph, graph.pair(graph.add("HardSwish", graph.pair("x"))))
    found = checked(result)
    covers = {node.operator: node.covers for node in result.nodes if node.arithmetic == "float"}
    assert covers == {"HardSigmoid": ("hardswish2",), "Mul": ("hardswish2",)}
    assert only(found.islands).reason == "onnxruntime has no integer kernel for HardSigmoid"


def test_other_providers_are_not_audited(monkeypatch, tmp_path):
    monkeypatch.setattr(operators, "_profile", lambda *_: ())
    monkeypatch.setattr(operators, "fallback_share", lambda *_: 0.0)
    model = read_model_of_nothing(tmp_path)
    request = ProfileOperatorsRequest(model=model, inputs={}, runs=1, provider="openvino")
    found = profile_operators(request, tmp_path, tell_nobody)
    assert found.audit == NotAudited(reason="openvino does not tell what it runs")


def read_model_of_nothing(folder):
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", F, [1])], [helper.make_tensor_value_info("y", F, [1])],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, folder / "relu.onnx")
    return read_model(folder / "relu.onnx")


def test_no_file_is_left(audit, tmp_path):
    graph = Graph()
    audit(graph, graph.pair(graph.conv(graph.pair("x"))))
    assert list((tmp_path / "stage").iterdir()) == []
