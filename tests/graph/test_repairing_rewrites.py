"""Rewrites of other tools' quantized models: what each claims, on tiny graphs."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.cleaning import clean
from onnxq.graph.qdq_pairs import Grid, index_pairs
from onnxq.graph.rewrites import FOR_REPAIR
from onnxq.graph.rewrites.absorb_rectifiers import absorb_rectifiers
from onnxq.graph.rewrites.center_weights import center_weights
from onnxq.graph.rewrites.complete_sums import complete_sums
from onnxq.graph.rewrites.drop_identities import drop_identities
from onnxq.graph.rewrites.drop_inner_pairs import drop_inner_pairs
from onnxq.graph.rewrites.flatten_grids import flatten_grids
from onnxq.graph.rewrites.fold_channel_factors import fold_channel_factors
from onnxq.graph.rewrites.fold_constants import fold_constants
from onnxq.graph.rewrites.fold_weight_quantizers import fold_weight_quantizers, quantize_constant
from onnxq.graph.rewrites.gather_integers import gather_integers
from onnxq.graph.rewrites.lift_quantized_floats import lift_quantized_floats
from onnxq.graph.rewrites.merge_equal_pairs import merge_equal_pairs
from onnxq.graph.rewrites.move_channel_scales import move_channel_scales
from onnxq.graph.rewrites.settle_biases import settle_biases
from onnxq.graph.rewrites.shift_activations_to_uint8 import shift_activations_to_uint8
from onnxq.graph.rewrites.shift_weights_to_int8 import shift_weights_to_int8
from onnxq.graph.rewrites.standardize_pairs import standardize_pairs
from onnxq.graph.rewrites.unfold_integer_operators import unfold_integer_operators
from onnxq.graph.rewrites.unsign_rectified import unsign_rectified
from onnxq.runtime import open_predict

CHANNELS, SIZE = 4, 6


class Sketch:
    """A graph in the making: every method appends a node and returns the name that it writes."""

    def __init__(self, opset=17):
        self.nodes, self.initializers, self.opset = [], [], opset
        self.random = np.random.default_rng(7)

    def constant(self, values, name=""):
        name = name or f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, operator, *inputs, output="", domain="", **attributes):
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(
                operator, inputs, [output], f"n{len(self.nodes)}", domain=domain, **attributes
            )
        )
        return output

    def quantize(self, name, scale, point, dtype=np.int8, **attributes):
        scale = self.constant(np.asarray(scale, np.float32))
        return self.node(
            "QuantizeLinear", name, scale, self.constant(np.asarray(point, dtype)), **attributes
        )

    def dequantize(self, name, scale, point, dtype=np.int8, **attributes):
        scale = self.constant(np.asarray(scale, np.float32))
        return self.node(
            "DequantizeLinear", name, scale, self.constant(np.asarray(point, dtype)), **attributes
        )

    def pair(self, name, scale=0.05, point=0, dtype=np.int8, **attributes):
        integers = self.quantize(name, scale, point, dtype, **attributes)
        return self.dequantize(integers, scale, point, dtype, **attributes)

    def weight(self, *shape, dtype=np.int8, scale=0.02, point=0, **attributes):
        limits = np.iinfo(dtype)
        values = self.random.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)
        return self.dequantize(self.constant(values), scale, point, dtype, **attributes)

    def conv(self, name, *, weight="", bias="", outputs=CHANNELS, **attributes):
        weight = weight or self.weight(outputs, CHANNELS, 3, 3)
        attributes = {"pads": [1, 1, 1, 1]} | attributes
        return self.node("Conv", name, weight, *([bias] if bias else []), **attributes)

    def model(self, *outputs, inputs=None, rank=4):
        inputs = inputs or {"x": [2, CHANNELS, SIZE, SIZE]}
        values = [helper.make_tensor_value_info(n, 1, shape) for n, shape in inputs.items()]
        shape = [f"d{axis}" for axis in range(rank)]
        results = [helper.make_tensor_value_info(name, 1, shape) for name in outputs]
        graph = helper.make_graph(self.nodes, "g", values, results, self.initializers)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return onnx.shape_inference.infer_shapes(
            helper.make_model(graph, opset_imports=imports, ir_version=8)
        )


def run(proto, folder, *, optimize=False, scale=1.0):
    path = folder / "model.onnx"
    onnx.save(clean(proto, proto.graph), path)
    random = np.random.default_rng(3)
    feeds = {
        value.name: (
            scale * random.standard_normal([d.dim_value for d in value.type.tensor_type.shape.dim])
        ).astype(np.float32)
        for value in proto.graph.input
    }
    return open_predict(path, optimize=optimize)(feeds)


def check_equal(rewrite, proto, folder):
    """Apply a rewrite; outputs must stay bit-identical, it must settle and edit nothing given."""
    before = proto.SerializeToString(deterministic=True)
    result = rewrite(proto)
    assert proto.SerializeToString(deterministic=True) == before
    onnx.checker.check_model(clean(result.proto, proto.graph))
    for scale in (0.3, 1.0, 20.0):
        expected, found = run(proto, folder, scale=scale), run(result.proto, folder, scale=scale)
        assert all(expected[name].tobytes() == found[name].tobytes() for name in expected)
    assert rewrite(result.proto).subjects == ()
    return result


def dtypes(proto, operator="QuantizeLinear"):
    pairs = index_pairs(proto.graph)
    return {pairs.grid(node).dtype for node in proto.graph.node if node.op_type == operator}


def operators(proto):
    return [node.op_type for node in proto.graph.node]


def test_int8_activations_become_uint8_and_the_bits_stay(tmp_path):
    sketch = Sketch()
    first = sketch.conv(sketch.pair("x", 0.04, -3))
    shared = sketch.pair(first, 0.3, 5)
    total = sketch.node("Add", sketch.pair(sketch.conv(shared), 1.5, 0), shared)
    proto = sketch.model(sketch.pair(total, 1.4, -128))
    result = check_equal(shift_activations_to_uint8, proto, tmp_path)
    assert len(result.subjects) == 4
    assert dtypes(result.proto) == {TensorProto.UINT8}


def test_a_zero_point_that_was_left_out_or_is_shared_is_written_plainly(tmp_path):
    sketch = Sketch()
    zero, scale = sketch.constant(np.int8(0), "zero"), sketch.constant(np.float32(0.1), "scale")
    integers = sketch.node("QuantizeLinear", "x", scale, zero)
    floats = sketch.node("DequantizeLinear", integers, scale)
    weight = sketch.constant(np.ones((CHANNELS, CHANNELS, 1, 1), np.int8))
    other = sketch.node("DequantizeLinear", weight, scale, zero)
    proto = sketch.model(sketch.node("Conv", floats, other))
    result = check_equal(shift_activations_to_uint8, proto, tmp_path)
    assert "zero" in {tensor.name for tensor in result.proto.graph.initializer}
    quantizers = [n for n in result.proto.graph.node if n.op_type == "QuantizeLinear"]
    assert all(len(node.input) == 3 for node in quantizers)


def test_integers_that_leave_the_graph_are_left_alone():
    sketch = Sketch()
    integers = sketch.quantize("x", 0.1, 0)
    proto = sketch.model(sketch.dequantize(integers, 0.1, 0))
    output = proto.graph.output.add()
    output.CopyFrom(helper.make_tensor_value_info(integers, TensorProto.INT8, None))
    assert shift_activations_to_uint8(proto).subjects == ()


def test_constants_that_are_added_move_along(tmp_path):
    sketch = Sketch()
    constant = sketch.dequantize(sketch.constant(np.arange(-3, 3, dtype=np.int8)), 0.1, 0)
    proto = sketch.model(sketch.pair(sketch.node("Add", sketch.pair("x"), constant)))
    result = check_equal(shift_activations_to_uint8, proto, tmp_path)
    assert dtypes(result.proto, "DequantizeLinear") == {TensorProto.UINT8}


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_constants_are_quantized_as_onnxruntime_does(tmp_path_factory, dtype, data):
    limits = np.iinfo(dtype)
    scale = data.draw(st.floats(2.0**-10, 100, width=32))
    point = data.draw(st.integers(limits.min, limits.max))
    halves = st.integers(-600, 600).map(lambda n: n / 2 * scale)
    values = np.array(data.draw(st.lists(halves, min_size=1, max_size=20)), np.float32)
    sketch = Sketch()
    sketch.quantize("x", scale, point, dtype)
    proto = sketch.model("t0", inputs={"x": [values.size]}, rank=1)
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("t0", 2, [values.size]))
    proto.graph.output[0].type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(
        np.dtype(dtype)
    )
    path = tmp_path_factory.mktemp("quantize") / "model.onnx"
    onnx.save(proto, path)
    expected = open_predict(path)({"x": values})["t0"]
    grid = index_pairs(proto.graph).grid(proto.graph.node[0])
    np.testing.assert_array_equal(quantize_constant(values, grid), expected)


def test_float_weights_behind_quantizers_are_stored_as_integers(tmp_path):
    sketch = Sketch()
    values = sketch.random.standard_normal((CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
    scales = np.abs(values).max(axis=(1, 2, 3)) / 127
    zeros = np.zeros(CHANNELS)
    weight = sketch.pair(sketch.constant(values, "w"), scales, zeros, axis=0)
    proto = sketch.model(sketch.conv(sketch.pair("x"), weight=weight))
    result = check_equal(fold_weight_quantizers, proto, tmp_path)
    assert result.subjects == ("w",)
    stored = {t.name: t.data_type for t in clean(result.proto, proto.graph).graph.initializer}
    assert stored["w_quantized"] == TensorProto.INT8
    assert "w" not in stored


@pytest.mark.parametrize("scales", [0.02, [0.01, 0.02, 0.03, 0.04]], ids=["tensor", "channel"])
def test_uint8_weights_become_int8(tmp_path, scales):
    sketch = Sketch()
    axis = {} if np.isscalar(scales) else {"axis": 0}
    points = 128 if np.isscalar(scales) else [128, 3, 250, 128]
    weight = sketch.weight(
        CHANNELS, CHANNELS, 3, 3, dtype=np.uint8, scale=scales, point=points, **axis
    )
    proto = sketch.model(sketch.conv(sketch.pair("x"), weight=weight))
    result = check_equal(shift_weights_to_int8, proto, tmp_path)
    assert len(result.subjects) == 1


def test_weights_of_small_convolutions_become_symmetric(tmp_path):
    sketch = Sketch()
    weight = sketch.weight(CHANNELS, 1, 3, 3, point=-20)
    proto = sketch.model(sketch.conv(sketch.pair("x"), weight=weight, group=CHANNELS))
    result = center_weights(proto)
    assert len(result.subjects) == 1
    pairs = index_pairs(result.proto.graph)
    grids = [pairs.grid(n) for n in result.proto.graph.node if n.input[0] in pairs.constants]
    assert [grid.zero_point.any() for grid in grids] == [False]
    before, after = run(proto, tmp_path), run(result.proto, tmp_path)
    most = 9 * 4 * 148 * 0.02 / 127 / 2  # products, activation, half a step of the largest weight
    assert all(np.abs(after[name] - before[name]).max() <= most for name in before)
    assert center_weights(result.proto).subjects == ()


def test_a_pair_behind_an_equal_one_goes(tmp_path):
    sketch = Sketch()
    once = sketch.pair(sketch.pair("x", 0.1, 2), 0.1, 2)
    proto = sketch.model(sketch.conv(once))
    result = check_equal(merge_equal_pairs, proto, tmp_path)
    assert operators(result.proto).count("QuantizeLinear") == 1


def test_quantizers_of_one_tensor_and_one_grid_become_one(tmp_path):
    sketch = Sketch()
    made = sketch.conv(sketch.pair("x"))
    total = sketch.node("Add", sketch.pair(made, 0.3, 1), sketch.conv(sketch.pair(made, 0.3, 1)))
    result = check_equal(merge_equal_pairs, sketch.model(total), tmp_path)
    assert operators(result.proto).count("QuantizeLinear") == 2


@settings(max_examples=200, deadline=None)
@given(scale=st.floats(2.0**-30, 2.0**30, width=32), point=st.integers(-128, 127))
def test_dequantizing_and_quantizing_on_one_grid_gives_every_integer_back(scale, point):
    integers = np.arange(-128, 128, dtype=np.int8)
    grid = Grid(np.array(scale, np.float32), np.array(point, np.int8), TensorProto.INT8, -1)
    floats = (integers.astype(np.float32) - np.float32(point)) * np.float32(scale)
    np.testing.assert_array_equal(quantize_constant(floats, grid), integers)


def test_other_grids_are_not_merged():
    sketch = Sketch()
    proto = sketch.model(sketch.conv(sketch.pair(sketch.pair("x", 0.1, 2), 0.2, 2)))
    assert merge_equal_pairs(proto).subjects == ()


@pytest.mark.parametrize(("dtype", "point"), [(np.int8, -128), (np.uint8, 0)])
def test_a_relu_that_saturation_replaces_goes(tmp_path, dtype, point):
    sketch = Sketch()
    relu = sketch.node("Relu", sketch.conv(sketch.pair("x")))
    proto = sketch.model(sketch.pair(relu, 0.3, point, dtype))
    assert "Relu" not in operators(check_equal(absorb_rectifiers, proto, tmp_path).proto)


def test_a_relu_in_front_of_a_grid_with_negative_numbers_stays():
    sketch = Sketch()
    relu = sketch.node("Relu", sketch.conv(sketch.pair("x")))
    assert absorb_rectifiers(sketch.model(sketch.pair(relu, 0.3, 0))).subjects == ()


@pytest.mark.parametrize(("top", "goes"), [(6.0, True), (2.99, False)])
def test_a_clip_goes_where_its_bound_is_the_highest_integer(tmp_path, top, goes):
    sketch = Sketch()
    bounds = [sketch.constant(np.float32(bound)) for bound in (0.0, top)]
    clip = sketch.node("Clip", sketch.conv(sketch.pair("x")), *bounds)
    proto = sketch.model(sketch.pair(clip, 3.0 / 255, 0, np.uint8))
    result = check_equal(absorb_rectifiers, proto, tmp_path)
    assert ("Clip" not in operators(result.proto)) == goes


def test_an_inner_pair_of_the_same_scale_goes_without_a_trace(tmp_path):
    sketch = Sketch()
    inner = sketch.pair(sketch.conv(sketch.pair("x")), 0.3, 0)
    proto = sketch.model(sketch.pair(sketch.node("Relu", inner), 0.3, 0))
    result = check_equal(drop_inner_pairs, proto, tmp_path)
    assert operators(result.proto).count("QuantizeLinear") == 2


def test_rectified_numbers_that_did_not_saturate_keep_their_bits(tmp_path):
    sketch = Sketch()
    relu = sketch.node("Relu", sketch.conv(sketch.pair("x")))
    proto = sketch.model(sketch.conv(sketch.pair(relu, 10.0, 0)))
    result = unsign_rectified(proto)
    assert len(result.subjects) == 1
    before, after = run(proto, tmp_path), run(result.proto, tmp_path)
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    assert absorb_rectifiers(result.proto).subjects


def test_a_clip_gets_a_grid_that_absorbs_it(tmp_path):
    sketch = Sketch()
    bounds = [sketch.constant(np.float32(bound)) for bound in (0.0, 6.0)]
    clip = sketch.node("Clip", sketch.conv(sketch.pair("x")), *bounds)
    result = unsign_rectified(sketch.model(sketch.pair(clip, 6.0 / 127, 0)))
    grids = [index_pairs(result.proto.graph).grid(n) for n in result.proto.graph.node]
    assert any(g is not None and np.isclose(g.scale.max(), 6 / 255) for g in grids[-2:])
    assert absorb_rectifiers(result.proto).subjects
    error = run(sketch.model(clip), tmp_path)[clip]
    found = run(result.proto, tmp_path)[sketch.nodes[-1].output[0]]
    assert np.abs(found - error).max() <= 6 / 255 / 2 + 1e-5


@pytest.mark.parametrize("rectified", [False, True])
def test_channelwise_activations_become_tensorwise(tmp_path, rectified):
    sketch = Sketch()
    bias = sketch.constant(np.linspace(-1, 1, CHANNELS, dtype=np.float32))
    first = sketch.conv(sketch.pair("x"), bias=bias)
    first = sketch.node("Relu", first) if rectified else first
    scales = np.array([0.02, 0.05, 0.11, 0.3], np.float32)
    points = np.zeros(CHANNELS) if rectified else np.full(CHANNELS, 100)
    middle = sketch.pair(first, scales, points, np.uint8, axis=1)
    weight = sketch.weight(CHANNELS, 1, 3, 3)
    proto = sketch.model(sketch.conv(middle, weight=weight, group=CHANNELS))
    result = move_channel_scales(proto)
    assert len(result.subjects) == 1
    pairs = index_pairs(result.proto.graph)
    assert all(pairs.grid(n).is_per_tensor for n in result.proto.graph.node if n.op_type[0] == "Q")
    before, after = run(proto, tmp_path), run(result.proto, tmp_path)
    for name, expected in before.items():
        np.testing.assert_allclose(after[name], expected, atol=0.02 * np.abs(expected).max())
        assert (
            np.isclose(after[name], expected, rtol=1e-4, atol=1e-4).mean() > 0.95
        )  # the rest are ties


def test_channelwise_activations_of_a_full_convolution_stay():
    sketch = Sketch()
    middle = sketch.pair(sketch.conv(sketch.pair("x")), [0.1, 0.2, 0.3, 0.4], [0] * 4, axis=1)
    assert move_channel_scales(sketch.model(sketch.conv(middle))).subjects == ()


def test_the_float_operand_of_a_sum_gets_the_range_that_shows(tmp_path):
    sketch = Sketch()
    start = sketch.node("Relu", sketch.conv(sketch.pair("x")))
    left = sketch.pair(start, 0.2, 0)
    total = sketch.node("Relu", sketch.node("Add", sketch.conv(left), left))
    proto = sketch.model(sketch.pair(total, 0.25, 0))
    result = complete_sums(proto)
    assert len(result.subjects) == 1
    before, after = run(proto, tmp_path), run(result.proto, tmp_path)
    step = (127 * 0.25 + 127 * 0.2) / 255
    for name, expected in before.items():
        assert np.abs(after[name] - expected).max() <= 0.25 + step


def test_a_bias_takes_the_scale_of_its_sums(tmp_path):
    sketch = Sketch()
    values = np.array([300, -200, 100, 7], np.int32)
    wrong = sketch.dequantize(sketch.constant(values), 0.01, 0, np.int32)
    proto = sketch.model(sketch.pair(sketch.conv(sketch.pair("x"), bias=wrong), 0.3, 0))
    result = settle_biases(proto)
    assert len(result.subjects) == 1
    shifted = shift_activations_to_uint8(result.proto).proto
    expected, found = run(proto, tmp_path), run(shifted, tmp_path, optimize=True)
    for name, array in expected.items():
        assert np.abs(found[name] - array).max() <= 0.3 + 1e-5  # one step of the output's grid
    assert settle_biases(result.proto).subjects == ()


def test_a_float_bias_becomes_integers(tmp_path):
    sketch = Sketch()
    bias = sketch.constant(np.linspace(-2, 2, CHANNELS, dtype=np.float32))
    proto = sketch.model(sketch.pair(sketch.conv(sketch.pair("x"), bias=bias), 0.3, 0))
    result = settle_biases(proto)
    assert len(result.subjects) == 1
    expected, found = run(proto, tmp_path), run(result.proto, tmp_path)
    assert all(np.abs(found[name] - expected[name]).max() <= 0.3 + 1e-5 for name in expected)


def test_rows_are_looked_up_before_they_are_dequantized(tmp_path):
    sketch = Sketch()
    table = sketch.weight(50, CHANNELS)
    rows = sketch.node("Gather", table, sketch.constant(np.array([[3, 7, 7]])))
    proto = sketch.model(sketch.node("Add", rows, "x"), inputs={"x": [1, 3, CHANNELS]}, rank=3)
    result = check_equal(gather_integers, proto, tmp_path)
    assert operators(result.proto)[:2] == ["Gather", "DequantizeLinear"]


def test_pairs_of_the_contrib_domain_become_standard(tmp_path):
    sketch = Sketch()
    middle = sketch.pair("x", 0.1, 3, domain="com.microsoft")
    result = check_equal(standardize_pairs, sketch.model(sketch.conv(middle)), tmp_path)
    assert {node.domain for node in result.proto.graph.node} == {""}


def test_nodes_that_change_nothing_go(tmp_path):
    sketch = Sketch()
    integers = sketch.quantize("x", 0.1, 3, np.uint8)
    cast = sketch.node("Cast", integers, to=TensorProto.UINT8)
    point = sketch.node("Identity", sketch.constant(np.uint8(3)))
    scale = sketch.constant(np.float32(0.1))
    floats = sketch.node("DequantizeLinear", sketch.node("Identity", cast), scale, point)
    proto = sketch.model(sketch.conv(floats))
    result = check_equal(drop_identities, proto, tmp_path)
    assert len(result.subjects) == 3
    assert not {"Cast", "Identity"} & {*operators(result.proto)}


def test_a_cast_to_another_type_stays():
    sketch = Sketch()
    proto = sketch.model(sketch.node("Cast", sketch.node("Cast", "x", to=11), to=1))
    assert drop_identities(proto).subjects == ()


def test_what_constants_make_is_stored(tmp_path):
    sketch = Sketch()
    shape = sketch.constant(np.array([CHANNELS]))
    value = numpy_helper.from_array(np.array([0], np.int32), "value")
    points = sketch.node("ConstantOfShape", shape, value=value)
    bias = sketch.constant(np.arange(CHANNELS, dtype=np.int32))
    scales = sketch.constant(np.full(CHANNELS, 0.1, np.float32))
    floats = sketch.node("DequantizeLinear", bias, scales, points, axis=0)
    result = check_equal(fold_constants, sketch.model(sketch.conv("x", bias=floats)), tmp_path)
    assert result.subjects == (points,)


def test_scales_of_one_element_become_scalars(tmp_path):
    sketch = Sketch()
    proto = sketch.model(sketch.conv(sketch.pair("x", [0.1], [3])))
    result = check_equal(flatten_grids, proto, tmp_path)
    assert result.subjects == ("x", "t0")


@pytest.mark.parametrize("signs", [1, -1])
def test_factors_of_channels_move_into_the_scales_of_weights(tmp_path, signs):
    sketch = Sketch()
    made = sketch.conv(sketch.pair("x"), bias=sketch.constant(np.ones(CHANNELS, np.float32)))
    factor = np.array([0.5, 2.0, 3.0, signs * 7.0], np.float32).reshape(1, CHANNELS, 1, 1)
    made = sketch.node("Div", made, sketch.constant(factor))
    made = sketch.node("Add", made, sketch.constant(np.full((CHANNELS, 1, 1), 2, np.float32)))
    statistics = [
        sketch.constant(np.linspace(low, 2, CHANNELS, dtype=np.float32))
        for low in (0.5, -1.0, -2.0, 0.1)
    ]
    proto = sketch.model(sketch.node("BatchNormalization", made, *statistics))
    result = fold_channel_factors(proto)
    assert len(result.subjects) == (3 if signs > 0 else 0)
    expected, found = run(proto, tmp_path), run(result.proto, tmp_path)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-4)


def test_float16_between_pairs_becomes_float32(tmp_path):
    sketch = Sketch()
    half = sketch.node("Cast", "x", to=TensorProto.FLOAT16)
    scale = sketch.constant(np.float16(0.1))
    grid = (scale, sketch.constant(np.int8(0)))
    floats = sketch.node("DequantizeLinear", sketch.node("QuantizeLinear", half, *grid), *grid)
    weight = sketch.constant(np.full((CHANNELS, CHANNELS, 3, 3), 0.25, np.float16))
    made = sketch.node("Cast", sketch.node("Conv", floats, weight), to=TensorProto.FLOAT)
    sketch.opset = 19
    proto = sketch.model(made)
    result = lift_quantized_floats(proto)
    assert result.subjects == ("float16",)
    expected, found = run(proto, tmp_path), run(result.proto, tmp_path)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=5e-3, atol=5e-2)


def integer_chain(kind, dtype=np.uint8):
    """Build ``x -> Q -> MaxPool on integers -> an integer operator -> DQ``."""
    sketch = Sketch()
    point = sketch.constant(dtype(4), "z")
    scale, wide = sketch.constant(np.float32(0.05), "s"), sketch.constant(np.float32(0.2), "w")
    start = sketch.node("QuantizeLinear", "x", scale, point)
    pooled = sketch.node("MaxPool", start, kernel_shape=[2, 2])
    given = (pooled, scale, point)
    weight = sketch.random.integers(-90, 90, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8)
    scales = sketch.constant(np.linspace(0.01, 0.04, CHANNELS, dtype=np.float32))
    zeros = sketch.constant(np.zeros(CHANNELS, np.int8))
    bias = sketch.constant(np.arange(-50, 50, 25, dtype=np.int32))
    forms = {
        "QLinearConv": (*given, sketch.constant(weight), scales, zeros, wide, point, bias),
        "QLinearAdd": (*given, *given, wide, point),
        "QLinearMul": (*given, *given, wide, point),
        "QLinearSigmoid": (*given, wide, point),
        "QLinearLeakyRelu": (*given, wide, point),
        "QLinearConcat": (wide, point, *given, *given),
        "QLinearGlobalAveragePool": (*given, wide, point),
        "QLinearAveragePool": (*given, wide, point),
    }
    attributes = {
        "QLinearConcat": {"axis": 1},
        "QLinearLeakyRelu": {"alpha": 0.1},
        "QLinearGlobalAveragePool": {"channels_last": 0},
        "QLinearAveragePool": {"kernel_shape": [2, 2]},
    }
    domain = "" if kind == "QLinearConv" else "com.microsoft"
    made = sketch.node(kind, *forms[kind], domain=domain, **attributes.get(kind, {}))
    return sketch.model(sketch.node("DequantizeLinear", made, wide, point))


@pytest.mark.parametrize(
    "kind",
    [
        "QLinearConv",
        "QLinearAdd",
        "QLinearMul",
        "QLinearSigmoid",
        "QLinearLeakyRelu",
        "QLinearConcat",
        "QLinearGlobalAveragePool",
        "QLinearAveragePool",
    ],
)
def test_integer_operators_become_float_ones_between_pairs(tmp_path, kind):
    proto = integer_chain(kind)
    result = unfold_integer_operators(proto)
    assert len(result.subjects) == 1
    assert kind not in operators(result.proto)
    assert {node.domain for node in result.proto.graph.node} == {""}
    expected, found = run(proto, tmp_path), run(result.proto, tmp_path)
    fused = run(result.proto, tmp_path, optimize=True)
    for name, array in expected.items():
        assert np.abs(found[name] - array).max() <= 0.2 + 1e-6  # one step of the result's grid
        np.testing.assert_allclose(fused[name], array, atol=0.2 + 1e-6)


def test_integer_operators_on_int8_can_move_to_uint8_afterwards(tmp_path):
    unfolded = unfold_integer_operators(integer_chain("QLinearAdd", np.int8)).proto
    result = check_equal(shift_activations_to_uint8, unfolded, tmp_path)
    assert dtypes(result.proto) == {TensorProto.UINT8}


def test_every_rewrite_leaves_a_float_model_alone():
    sketch = Sketch()
    weight = sketch.constant(np.ones((CHANNELS, CHANNELS, 3, 3), np.float32))
    proto = sketch.model(sketch.node("Relu", sketch.node("Conv", "x", weight)))
    changed = [rewrite.slug for rewrite in FOR_REPAIR if rewrite.apply(proto).subjects]
    assert changed == []
