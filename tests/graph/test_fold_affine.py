"""Scales and shifts that go into weights: against the same graph, run without optimizations."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.rewrites.fold_affine import fold_affine

node = helper.make_node
seeds = st.integers(0, 2**32 - 1)
CHANNELS = 6
LINEAR = {
    "Conv": ("x4", (CHANNELS, 4, 3, 3), {"pads": [1] * 4}),
    "Conv of groups": ("x4", (CHANNELS, 2, 3, 3), {"group": 2}),
    "ConvTranspose": ("x4", (4, CHANNELS, 2, 2), {"strides": [2, 2]}),
    "ConvTranspose of groups": ("x4", (4, CHANNELS // 2, 2, 2), {"group": 2}),
    "Gemm": ("x2", (4, CHANNELS), {}),
    "Gemm transposed": ("x2", (CHANNELS, 4), {"transB": 1}),
    "MatMul": ("x3", (4, CHANNELS), {}),
}
SHAPES = {"x4": (2, 4, 5, 5), "x2": (3, 4), "x3": (2, 3, 4)}


class Maker:
    """A graph of one linear node and what follows it."""

    def __init__(self, seed, name):
        self.generator = np.random.default_rng(seed)
        self.source, self.weights, attributes = LINEAR[name]
        self.rank = len(SHAPES[self.source])
        self.tensors = [self.constant("w", self.weights)]
        inputs = [self.source, "w"]
        if name.split()[0] != "MatMul" and self.generator.random() < 0.5:
            self.tensors.append(self.constant("b", (CHANNELS,)))
            inputs.append("b")
        self.nodes = [node(name.split()[0], inputs, ["t0"], "linear", **attributes)]

    def constant(self, name, shape):
        values = self.generator.standard_normal(shape).astype(np.float32)
        values = np.where(np.abs(values) < 0.1, np.float32(0.5), values)
        return numpy_helper.from_array(values, name)

    def affine(self, kind):
        """Add a node that scales or shifts."""
        source, target = self.nodes[-1].output[0], f"t{len(self.nodes)}"
        if kind == "BatchNormalization":
            names = [f"{target}_{part}" for part in ("gamma", "beta", "mean", "variance")]
            self.tensors += [self.constant(name, (CHANNELS,)) for name in names[:3]]
            variance = self.generator.uniform(0.1, 3.0, CHANNELS).astype(np.float32)
            self.tensors.append(numpy_helper.from_array(variance, names[3]))
            added = node(kind, [source, *names], [target], target, epsilon=1e-3)
        else:
            shape = [CHANNELS] + [1] * (2 if self.rank == 4 else 0)
            shape = self.generator.choice([0, 1, 2]) * [1] + shape
            if self.generator.random() < 0.2 or len(shape) > self.rank:
                shape = []
            self.tensors.append(self.constant(f"{target}_c", shape))
            operands = [source, f"{target}_c"]
            if kind != "Div" and self.generator.random() < 0.5:
                operands.reverse()
            added = node(kind, operands, [target], target)
        self.nodes.append(added)

    def build(self, *more):
        output = (more or self.nodes)[-1].output[0]
        graph = helper.make_graph(
            [*self.nodes, *more],
            "g",
            [helper.make_tensor_value_info(self.source, TensorProto.FLOAT, SHAPES[self.source])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self.tensors,
        )
        imports = [helper.make_opsetid("", 17)]
        proto = helper.make_model(graph, opset_imports=imports, ir_version=8)
        return onnx.shape_inference.infer_shapes(proto)


def run(proto):
    source = proto.graph.input[0].name
    rows = np.random.default_rng(3).standard_normal(SHAPES[source]).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, {source: rows})[0]


def check_same(proto):
    before = proto.SerializeToString(deterministic=True)
    result = fold_affine(proto)
    assert proto.SerializeToString(deterministic=True) == before
    onnx.checker.check_model(result.proto)
    expected, found = run(proto), run(result.proto)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert fold_affine(result.proto).subjects == ()
    return result


@pytest.mark.parametrize("name", [name for name in LINEAR if name != "MatMul"])
@given(seed=seeds, kinds=st.lists(st.sampled_from(["Mul", "Add", "Sub", "Div"]), max_size=4))
@settings(max_examples=12)
def test_arithmetic_is_folded(name, seed, kinds):
    maker = Maker(seed, name)
    for kind in kinds:
        maker.affine(kind)
    result = check_same(maker.build())
    assert [one.op_type for one in result.proto.graph.node] == [name.split()[0]]


@pytest.mark.parametrize("name", [name for name in LINEAR if "Conv" in name])
def test_normalization_is_folded(name):
    maker = Maker(1, name)
    maker.affine("BatchNormalization")
    maker.affine("Mul")
    assert len(check_same(maker.build()).proto.graph.node) == 1


def test_matmul_takes_scales_alone():
    maker = Maker(2, "MatMul")
    maker.tensors += [maker.constant("scale", (CHANNELS,)), maker.constant("shift", (CHANNELS,))]
    maker.nodes += [
        node("Mul", ["t0", "scale"], ["t1"], "mul"),
        node("Add", ["t1", "shift"], ["t2"], "add"),
    ]
    result = check_same(maker.build())
    assert [one.op_type for one in result.proto.graph.node] == ["MatMul", "Add"]


def test_matmul_is_not_normalized_along_rows():
    """A BatchNormalization normalizes axis 1, which is the last of a matrix alone."""
    shape = [2, CHANNELS, 3]
    ones = numpy_helper.from_array(np.arange(1, CHANNELS + 1, dtype=np.float32), "c")
    zeros = numpy_helper.from_array(np.zeros(CHANNELS, np.float32), "z")
    weights = numpy_helper.from_array(np.ones((3, CHANNELS), np.float32), "w")
    graph = helper.make_graph(
        [
            node("MatMul", ["x", "w"], ["t"], "linear"),
            node("BatchNormalization", ["t", "c", "z", "z", "c"], ["y"], "norm"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [ones, zeros, weights],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert fold_affine(proto).subjects == ()


def test_a_constant_that_adds_an_axis_to_a_vector_stays():
    maker = Maker(2, "MatMul")
    maker.tensors.append(maker.constant("row", (1, CHANNELS)))
    maker.nodes.append(node("Mul", ["t0", "row"], ["y"], "mul"))
    assert fold_affine(maker.build()).subjects == ()


def test_what_is_read_twice_stays():
    maker = Maker(3, "Conv")
    maker.affine("BatchNormalization")
    assert check_same(maker.build(node("Add", ["t0", "t1"], ["y"], "sum"))).subjects == ()


def test_shared_weights_stay_what_they_are_for_others():
    maker = Maker(4, "Conv")
    maker.affine("Mul")
    other = node("Conv", ["x4", "w"], ["other"], "other", pads=[1] * 4)
    result = check_same(maker.build(other, node("Add", ["t1", "other"], ["y"], "sum")))
    assert result.subjects == ("linear",)
    names = [one.input[1] for one in result.proto.graph.node if one.op_type == "Conv"]
    assert len(set(names)) == 2


@pytest.mark.parametrize("shape", [(5,), (1, 1, 5, 1), (2, 1, 1, 1), (1, 1, 1, 1, 1)])
def test_constants_along_other_axes_stay(shape):
    maker = Maker(5, "Conv")
    maker.tensors.append(maker.constant("c", shape))
    maker.nodes.append(node("Mul", ["t0", "c"], ["y"], "mul"))
    assert check_same(maker.build()).subjects == ()


@pytest.mark.parametrize("value", [0.0, np.inf, 3e38])
def test_scales_that_would_lose_the_weights_stay(value):
    maker = Maker(6, "Gemm")
    maker.tensors.append(numpy_helper.from_array(np.float32(value), "c"))
    maker.nodes.append(node("Mul", ["t0", "c"], ["y"], "mul"))
    assert fold_affine(maker.build()).subjects == ()


def test_a_result_that_is_an_output_stays():
    maker = Maker(7, "Conv")
    maker.affine("Mul")
    proto = maker.build()
    proto.graph.output.append(helper.make_tensor_value_info("t0", TensorProto.FLOAT, None))
    assert fold_affine(proto).subjects == ()


def test_a_bias_for_each_row_stays():
    maker = Maker(8, "Gemm")
    maker.tensors = [maker.tensors[0], maker.constant("b", (3, 1))]
    maker.nodes = [node("Gemm", ["x2", "w", "b"], ["t0"], "linear")]
    maker.affine("Mul")
    assert check_same(maker.build()).subjects == ()
