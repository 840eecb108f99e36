"""What replaces onnxruntime's loops over channels returns what they return, bit for bit."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QDQQuantizer, QuantType, quantize_dynamic
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.quant_utils import (
    add_infer_metadata,
    compute_data_quant_params,
    quantize_onnx_initializer,
)

from onnxq.quantization import edge_quantizer
from onnxq.quantization.channel_rounding import raise_for_biases, round_channels, usual_scales
from onnxq.quantization.dynamic_quantizer import quantize_weights_of
from onnxq.quantization.edge_quantizer import EdgePlan, EdgeQuantizer, quantize_edges
from onnxq.ranges import TensorRange

node = helper.make_node
seeds = st.integers(0, 2**32 - 1)


class StockQuantizer(EdgeQuantizer):
    """Ours, with onnxruntime's own loops."""

    def __init__(self, proto, plan, activation):
        super().__init__(proto, plan, activation)
        self.model = ONNXModel(proto)

    _calc_initializer_quant_params = QDQQuantizer._calc_initializer_quant_params  # noqa: SLF001 - what is replaced
    _adjust_weight_scale_for_int32_bias = QDQQuantizer._adjust_weight_scale_for_int32_bias  # noqa: SLF001 - what is replaced
    _add_qdq_nodes_for_initializer = QDQQuantizer._add_qdq_nodes_for_initializer  # noqa: SLF001 - what is replaced


def odd_weights(seed, rank):
    """Draw weights over many magnitudes, with channels of zeros, halves and subnormals."""
    generator = np.random.default_rng(seed)
    shape = generator.integers(1, 7, rank)
    weights = generator.standard_normal(shape) * 10.0 ** generator.integers(-44, 38)
    weights *= generator.choice([0.0, 1.0, 1e-3], shape[0]).reshape(-1, *[1] * (rank - 1))
    weights = weights.clip(-3e38, 3e38)
    if generator.random() < 0.3:
        weights = generator.integers(-254, 255, shape) / 2.0
    return weights.astype(np.float32), int(generator.integers(0, rank))


@given(seed=seeds, rank=st.integers(1, 4))
def test_scales_and_integers_are_those_of_onnxruntime(seed, rank):
    weights, axis = odd_weights(seed, rank)
    scales = usual_scales(weights, axis)
    expected = [
        compute_data_quant_params(one.ravel(), TensorProto.INT8, symmetric=True)
        for one in np.moveaxis(weights, axis, 0)
    ]
    assert scales.tobytes() == np.array([scale for _, scale in expected], np.float32).tobytes()
    stock = quantize_onnx_initializer(
        numpy_helper.from_array(weights, "w"),
        TensorProto.INT8,
        np.zeros(len(scales), np.int8),
        scales,
        axis,
    )
    assert np.array_equal(round_channels(weights, scales, axis), numpy_helper.to_array(stock))


@given(seed=seeds)
def test_biases_raise_scales_as_onnxruntime_does(seed):
    generator = np.random.default_rng(seed)
    scales = (10.0 ** generator.uniform(-12, 0, 8)).astype(np.float32)
    biases = (generator.standard_normal(8) * 10.0 ** generator.integers(-3, 6, 8)).astype(
        np.float32
    )
    input_scale = np.array(10.0 ** generator.uniform(-8, 0), np.float32)
    changed, expected = QDQQuantizer._adjust_weight_scale_for_int32_bias(  # noqa: SLF001 - what is replaced
        None, input_scale, scales.copy(), "w", numpy_helper.from_array(biases, "b"), True
    )
    raised = raise_for_biases(scales, float(input_scale), biases)
    assert raised.tobytes() == expected.tobytes()
    assert changed != np.array_equal(raised, scales)


def random_net(seed):
    """Make Convs and Gemms of random shapes, some with biases that do not fit int32."""
    generator = np.random.default_rng(seed)
    nodes, tensors, source, channels = [], [], "x", 3
    for number in range(int(generator.integers(1, 5))):
        out = int(generator.integers(1, 9))
        group = channels if generator.random() < 0.3 else 1
        out = out if group == 1 else channels * int(generator.integers(1, 3))
        weights = generator.standard_normal((out, channels // group, 3, 3)).astype(np.float32)
        weights *= 10.0 ** generator.uniform(-9, 0, (out, 1, 1, 1)).astype(np.float32)
        bias = generator.standard_normal(out).astype(np.float32)
        tensors += [
            numpy_helper.from_array(weights, f"w{number}"),
            numpy_helper.from_array(bias, f"b{number}"),
        ]
        nodes.append(
            node(
                "Conv",
                [source, f"w{number}", f"b{number}"],
                [f"c{number}"],
                f"conv{number}",
                pads=[1] * 4,
                group=group,
            )
        )
        nodes.append(node("Relu", [f"c{number}"], [f"r{number}"], f"relu{number}"))
        source, channels = f"r{number}", out
    tensors.append(
        numpy_helper.from_array(generator.standard_normal((channels * 64, 5)).astype("f"), "wg")
    )
    tensors.append(numpy_helper.from_array(generator.standard_normal(5).astype("f"), "bg"))
    nodes += [
        node("Flatten", [source], ["f"], "flatten"),
        node("Gemm", ["f", "wg", "bg"], ["y"], "gemm"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def plan_of(proto):
    names = ["x", *(one.output[0] for one in proto.graph.node if one.op_type != "Gemm")]
    generator = np.random.default_rng(5)
    ranges = {
        name: TensorRange(-float(generator.random()), float(1 + generator.random()))
        for name in names
    }
    return EdgePlan(
        nodes=tuple(one.name for one in proto.graph.node),
        ranges=ranges,
        per_tensor=frozenset({"w0"}) if len(names) % 2 else frozenset(),
        fused=frozenset(),
        scales={},
    )


@pytest.mark.parametrize("activation", ["uint8", "int16"])
@pytest.mark.parametrize("seed", range(12))
def test_the_static_quantizer_writes_the_same_model(seed, activation, monkeypatch):
    proto = random_net(seed)
    if activation == "int16":
        proto.opset_import[0].version = 21
    again = onnx.ModelProto.FromString(proto.SerializeToString())
    plan = plan_of(proto)
    ours = quantize_edges(proto, plan, activation)
    monkeypatch.setattr(edge_quantizer, "EdgeQuantizer", StockQuantizer)
    assert quantize_edges(again, plan, activation) == ours


def test_the_stock_loops_are_still_called_by_these_names():
    """Else the test above compares ours with ours."""
    for name in (
        "_calc_initializer_quant_params",
        "_adjust_weight_scale_for_int32_bias",
        "_add_qdq_nodes_for_initializer",
    ):
        assert name in QDQQuantizer.__dict__
        assert name in EdgeQuantizer.__dict__


def recurrent_net(seed):
    generator = np.random.default_rng(seed)

    def tensor(name, *shape):
        values = generator.standard_normal(shape) * 10.0 ** generator.uniform(-3, 1)
        return numpy_helper.from_array(values.astype(np.float32), name)

    tensors = [
        tensor("table", 600, 8),
        tensor("w", 1, 24, 8),
        tensor("r", 1, 24, 6),
        tensor("m", 6, 9),
        tensor("g", 4, 9),
        tensor("bias", 4),
        numpy_helper.from_array(np.array([1]), "one"),
        numpy_helper.from_array(np.array([-1, 9]), "flat"),
    ]
    nodes = [
        node("Gather", ["table", "x"], ["e"], "gather"),
        node("LSTM", ["e", "w", "r"], ["h"], "lstm", hidden_size=6),
        node("Squeeze", ["h", "one"], ["s"], "squeeze"),
        node("MatMul", ["s", "m"], ["z"], "matmul"),
        node("Reshape", ["z", "flat"], ["q"], "reshape"),
        node("Gemm", ["q", "g", "bias"], ["y"], "gemm", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["T", "N"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_the_dynamic_quantizer_writes_the_same_model(seed, per_channel, tmp_path):
    proto = recurrent_net(seed)
    operators, left_out = ["MatMul", "LSTM", "Gather"], ["matmul"] if seed % 2 else []
    onnx.save(proto, tmp_path / "float.onnx")
    quantize_dynamic(
        tmp_path / "float.onnx",
        tmp_path / "int8.onnx",
        op_types_to_quantize=operators,
        per_channel=per_channel,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=left_out,
    )
    stock = onnx.load(tmp_path / "int8.onnx")
    ours = quantize_weights_of(proto, operators, left_out, per_channel=per_channel)
    assert list(ours.graph.node) == list(stock.graph.node)
    assert [told(t) for t in ours.graph.initializer] == [told(t) for t in stock.graph.initializer]


def told(tensor):
    return tensor.name, tensor.data_type, numpy_helper.to_array(tensor).tobytes(), *tensor.dims


def test_a_model_without_metadata_is_not_written_to_disk(monkeypatch):
    """onnxruntime 1.31 would, once for each of its constructors."""
    monkeypatch.setattr(onnx, "save_model", lambda *_, **__: pytest.fail("it was written"))
    proto = recurrent_net(0)
    add_infer_metadata(proto)
    quantize_weights_of(proto, ["MatMul"], [], per_channel=True)
