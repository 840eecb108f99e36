"""Rewrites of attention and recurrent layers: what changes, what stays, and that outputs do."""

import collections
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxslim
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxq.conversion.converting import convert
from onnxq.events import tell_nobody
from onnxq.graph import load_proto
from onnxq.graph.attention_masks import find_added_masks
from onnxq.graph.cleaning import clean
from onnxq.graph.rewrites.bound_attention_masks import (
    BOUND_ATTENTION_MASKS,
    DEPTH,
    bound_attention_masks,
)
from onnxq.graph.rewrites.drop_nan_guards import DROP_NAN_GUARDS, drop_nan_guards
from onnxq.graph.rewrites.drop_zero_states import drop_zero_states
from onnxq.graph.rewrites.fuse_attention import FUSE_ATTENTION, fuse_attention
from onnxq.graph.rewrites.order_gelu import ORDER_GELU, order_gelu
from onnxq.graph.rewrites.read_floats_directly import read_floats_directly
from onnxq.graph.rewrites.sum_before_layer_norm import SUM_BEFORE_LAYER_NORM, sum_before_layer_norm
from onnxq.graph.rewrites.transpose_keys_once import TRANSPOSE_KEYS_ONCE, transpose_keys_once
from onnxq.graph.tensor_flow import trace_tensors
from onnxq.sources import Factory, WeightsFile, parse_input
from onnxq.stages import ConvertRequest, NoDataRequest
from onnxq.tunings import USUAL

F, I64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
TOKENS, HEADS, WIDTH = 5, 2, 3
LOWEST = float(np.finfo(np.float32).min)


def constant(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.array(values, dtype), name)


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs, [output], f"n_{output}", **attributes)


def make_model(nodes, inputs, outputs, constants, opset=18):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g",
        [info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [info(name, F, [f"d{axis}" for axis in range(rank)]) for name, rank in outputs.items()],
        list(constants),
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run(proto, feeds, *, optimized=False):
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    )
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def operators_run(proto, tmp_path):
    """Count the operators of the graph that onnxruntime makes of a model."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    kinds = (one.op_type for one in onnx.load(tmp_path / "run.onnx").graph.node)
    return collections.Counter(kinds)


def apply(rewrite, proto):
    """Apply a rewrite; check that the proto was not edited, that it is valid and settles."""
    before = proto.SerializeToString(deterministic=True)
    result = rewrite(proto)
    assert proto.SerializeToString(deterministic=True) == before
    onnx.checker.check_model(result.proto)
    assert rewrite(result.proto).subjects == ()
    return result


def attention(lowest=LOWEST, *, opset=18, guard=True, mask=None):
    """Scaled dot-product attention with a mask of booleans, as torch 2.13 exports it."""
    constants = [
        constant("zero", 0.0),
        constant("lowest", lowest),
        constant("scale", [0.7]),
        constant("heads", [-1, TOKENS, HEADS, WIDTH], np.int64),
        constant("flat", [-1, TOKENS, WIDTH], np.int64),
        constant("perm", [0, 2, 1, 3], np.int64),
        constant("start", [-9223372036854775808], np.int64),
        constant("end", [-2], np.int64),
        constant("width", [WIDTH], np.int64),
        constant("tokens", [TOKENS], np.int64),
    ]
    nodes = [
        node("Reshape", ["k", "heads"], "k1"),
        node("Shape", ["k1"], "s1"),
        node("Gather", ["s1", "perm"], "s2", axis=0),
        node("Slice", ["s2", "start", "end"], "s3"),
        node("Concat", ["s3", "width", "tokens"], "s4", axis=0),
        node("Transpose", ["k1"], "k2", perm=[0, 2, 1, 3]),
        node("Reshape", ["k2", "flat"], "k3"),
        node("Transpose", ["k3"], "k4", perm=[0, 2, 1]),
        node("Reshape", ["k4", "s4"], "k5"),
        node("Mul", ["k5", "scale"], "k6"),
        node("Reshape", ["q", "heads"], "q1"),
        node("Transpose", ["q1"], "q2", perm=[0, 2, 1, 3]),
        node("MatMul", ["q2", "k6"], "scores"),
    ]
    inputs = {name: (F, ["N", TOKENS, HEADS * WIDTH]) for name in "qk"}
    if mask is None:
        inputs["may"] = (BOOL, ["N", 1, 1, TOKENS])
        nodes.append(node("Where", ["may", "zero", "lowest"], "mask"))
    else:
        constants.append(constant("mask", mask))
    nodes += [
        node("Add", ["scores", "mask"], "masked"),
        node("Softmax", ["masked"], "shares", axis=-1),
    ]
    if guard:
        nodes += [
            node("IsNaN", ["shares"], "odd"),
            node("Where", ["odd", "zero", "shares"], "guarded"),
        ]
    nodes.append(node("Neg", ["guarded" if guard else "shares"], "y"))
    return make_model(nodes, inputs, {"y": 4}, constants, opset)


def feeds_of(seed, rows=2, *, size=1.0, with_mask=True):
    generator = np.random.default_rng(seed)
    shape = (rows, TOKENS, HEADS * WIDTH)
    feeds = {name: (size * generator.standard_normal(shape)).astype(np.float32) for name in "qk"}
    if with_mask:
        feeds["may"] = generator.random((rows, 1, 1, TOKENS)) < 0.6
    return feeds


@pytest.mark.parametrize("rows", [1, 3])
def test_keys_are_transposed_once(rows):
    proto = attention()
    result = apply(transpose_keys_once, proto)
    kinds = collections.Counter(one.op_type for one in result.proto.graph.node)
    assert kinds["Transpose"] == 2
    assert kinds["Reshape"] == 2
    assert not {"Shape", "Gather", "Slice", "Concat"} & kinds.keys()
    feeds = feeds_of(rows, rows)
    np.testing.assert_array_equal(run(result.proto, feeds)[0], run(proto, feeds)[0])


def test_keys_whose_heads_are_split_otherwise_stay():
    proto = attention()
    for one in proto.graph.initializer:
        if one.name == "perm":  # [N, heads] becomes [heads, N]: another result, the same elements
            one.CopyFrom(constant("perm", [2, 0, 1, 3], np.int64))
    assert transpose_keys_once(proto).subjects == ()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.01, 1.0, 3.0]))
def test_a_finite_mask_needs_no_guard(seed, size):
    proto = attention()
    result = apply(drop_nan_guards, proto)
    assert {"IsNaN", "Where"} & {one.op_type for one in result.proto.graph.node} == {"Where"}
    feeds = feeds_of(seed, size=size)
    np.testing.assert_array_equal(run(result.proto, feeds)[0], run(proto, feeds)[0])


def test_a_mask_with_infinity_keeps_its_guard():
    proto = attention(-np.inf)
    assert drop_nan_guards(proto).proto is proto


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([0.01, 1.0, 2.0]),
    lowest=st.sampled_from([LOWEST, -1e4, -1e9, -np.inf]),
    opset=st.sampled_from([17, 18]),
)
def test_bounded_masks_are_not_told_apart(seed, size, lowest, opset):
    proto = attention(lowest, opset=opset)
    result = apply(bound_attention_masks, proto)
    assert result.subjects == ("n_masked",)
    feeds = feeds_of(seed, size=size)
    feeds["may"][0] = False  # a row in which all is forbidden stays what it was
    np.testing.assert_allclose(
        run(result.proto, feeds)[0], run(proto, feeds)[0], rtol=1e-6, atol=1e-9
    )


def test_nothing_that_is_forbidden_leaks_and_nothing_is_subnormal():
    proto = bound_attention_masks(attention(guard=False)).proto
    feeds = feeds_of(0)
    feeds["may"][...] = np.arange(TOKENS) < 3
    shares = -run(proto, feeds)[0]
    assert 0 < shares[..., 3:].max() < 1e-20
    assert shares[..., 3:].min() > np.finfo(np.float32).tiny


def test_a_constant_mask_is_bounded_in_place():
    causal = np.where(np.tri(TOKENS, dtype=bool), 0.0, LOWEST)[None, None]
    causal[..., 0, :] = LOWEST  # a row in which all is forbidden
    proto = attention(mask=causal)
    result = apply(bound_attention_masks, proto)
    assert len(result.proto.graph.node) == len(proto.graph.node)
    bounded = next(t for t in result.proto.graph.initializer if t.name == "mask_bounded")
    found = numpy_helper.to_array(bounded)
    assert found[..., 1:, :].min() == -DEPTH
    assert (found[..., 0, :] == LOWEST).all()
    feeds = feeds_of(3, with_mask=False)
    np.testing.assert_allclose(
        run(result.proto, feeds)[0], run(proto, feeds)[0], rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("first", ["added", "chosen"])
def test_the_second_of_two_masks_stays(first):
    """Where one forbids all that the other allows, the least forbidden of a row gets all."""
    nodes = [
        node("Where", ["may", "zero", "lowest"], "padding"),
        node("Add", ["x", "padding"], "kept")
        if first == "added"
        else node("Where", ["may", "x", "lowest"], "kept"),
        node("Add", ["kept", "causal"], "masked"),
        node("Softmax", ["masked"], "shares", axis=-1),
        node("IsNaN", ["shares"], "gone"),
        node("Where", ["gone", "zero", "shares"], "y"),
    ]
    causal = np.where(np.tri(TOKENS, dtype=bool), 0.0, -1e9)
    constants = [constant("zero", 0.0), constant("lowest", -np.inf), constant("causal", causal)]
    shape = [1, TOKENS, TOKENS]
    proto = make_model(nodes, {"x": (F, shape), "may": (BOOL, shape)}, {"y": 3}, constants)
    assert find_added_masks(trace_tensors(proto.graph)) == []
    assert bound_attention_masks(proto).proto is proto
    assert drop_nan_guards(proto).proto is proto


def test_a_multiple_of_what_is_computed_keeps_its_guard():
    nodes = [
        node("Mul", ["m", "lowest"], "forbidden"),
        node("Add", ["x", "forbidden"], "masked"),
        node("Softmax", ["masked"], "shares", axis=-1),
        node("IsNaN", ["shares"], "gone"),
        node("Where", ["gone", "zero", "shares"], "y"),
    ]
    inputs = dict.fromkeys(("x", "m"), (F, [1, TOKENS, TOKENS]))
    constants = [constant("zero", 0.0), constant("lowest", -1e9)]
    proto = make_model(nodes, inputs, {"y": 3}, constants)
    assert drop_nan_guards(proto).proto is proto
    assert apply(bound_attention_masks, proto).subjects == ("n_masked",)


@pytest.mark.parametrize("lowest", [-1.0, -100.0])
def test_a_mild_bias_is_no_mask(lowest):
    proto = attention(lowest)
    assert find_added_masks(trace_tensors(proto.graph)) == []
    assert bound_attention_masks(proto).proto is proto
    assert drop_nan_guards(proto).proto is proto


def gelu(*, half_first, by="Div", reads_gate=False, one=1.0):
    root = 2**0.5 if by == "Div" else 0.5**0.5
    products = (
        [node("Mul", ["half", "gate"], "h"), node("Mul", ["x", "h"], "y")]
        if half_first
        else [node("Mul", ["x", "gate"], "h"), node("Mul", ["h", "half"], "y")]
    )
    nodes = [
        node(by, ["x", "root"], "a"),
        node("Erf", ["a"], "b"),
        node("Add", ["b", "one"], "gate"),
        *products,
    ]
    outputs = {"y": 2}
    if reads_gate:
        nodes.append(node("Neg", ["gate"], "z"))
        outputs["z"] = 2
    constants = [constant("root", root), constant("one", one), constant("half", 0.5)]
    return make_model(nodes, {"x": (F, ["N", 7])}, outputs, constants)


@pytest.mark.parametrize("by", ["Div", "Mul"])
def test_gelu_is_ordered_as_onnxruntime_fuses_it(tmp_path, by):
    proto = gelu(half_first=True, by=by)
    result = apply(order_gelu, proto)
    assert result.subjects == ("n_y",)
    x = np.random.default_rng(0).normal(0, 3, (50, 7)).astype(np.float32)
    np.testing.assert_array_equal(run(result.proto, {"x": x})[0], run(proto, {"x": x})[0])
    if by == "Div":
        assert operators_run(result.proto, tmp_path) == {"Gelu": 1}


@pytest.mark.parametrize(
    "proto",
    [
        gelu(half_first=False),
        gelu(half_first=True, reads_gate=True),
        gelu(half_first=True, one=2.0),
    ],
    ids=["in order", "gate is read elsewhere", "another constant"],
)
def test_what_is_no_gelu_out_of_order_stays(proto):
    assert order_gelu(proto).proto is proto


def block(operator="Add", *, is_output=False):
    nodes = [
        node("MatMul", ["x", "w"], "m"),
        node(operator, ["x", "m"], "s"),
        node("LayerNormalization", ["s", "gain", "bias"], "y", axis=-1),
    ]
    weights = np.random.default_rng(0).standard_normal((8, 8))
    constants = [
        constant("w", weights), constant("gain", np.ones(8)), constant("bias", np.zeros(8)),
    ]  # fmt: skip
    outputs = {"y": 3, "s": 3} if is_output else {"y": 3}
    return make_model(nodes, {"x": (F, ["N", 4, 8])}, outputs, constants)


def test_a_sum_in_front_of_a_norm_is_not_fused(tmp_path):
    proto = block()
    result = apply(sum_before_layer_norm, proto)
    assert result.subjects == ("n_s",)
    feeds = {"x": np.random.default_rng(1).standard_normal((2, 4, 8)).astype(np.float32)}
    np.testing.assert_array_equal(run(result.proto, feeds)[0], run(proto, feeds)[0])
    assert "SkipLayerNormalization" not in operators_run(result.proto, tmp_path)


def test_a_sum_that_is_read_elsewhere_stays():
    proto = block(is_output=True)
    assert sum_before_layer_norm(proto).proto is proto


def recurrent(kind, state):
    gates = {"LSTM": 4, "GRU": 3}[kind]
    generator = np.random.default_rng(0)
    constants = [
        constant("w", generator.standard_normal((1, gates * 4, 3))),
        constant("r", generator.standard_normal((1, gates * 4, 4))),
        constant("zero", 0.0),
        constant("one", 1.0),
        constant("ends", [1, 4], np.int64),
        constant("start", [0], np.int64),
        constant("end", [1], np.int64),
    ]
    nodes = [
        node("Shape", ["x"], "rows", start=1, end=2),
        node("Concat", ["start1", "rows", "width"], "shape", axis=0),
        node("Expand", [state, "shape"], "state"),
        node("Slice", ["state", "start", "end", "start"], "h"),
        node(
            kind,
            ["x", "w", "r", "", "", "h", *(["h"] if kind == "LSTM" else [])],
            "y",
            hidden_size=4,
        ),
    ]
    constants += [constant("start1", [1], np.int64), constant("width", [4], np.int64)]
    return make_model(nodes, {"x": (F, [6, "N", 3])}, {"y": 4}, constants)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_layer_that_starts_from_zeros_is_not_given_them(kind):
    proto = recurrent(kind, "zero")
    result = apply(drop_zero_states, proto)
    assert [one.op_type for one in result.proto.graph.node] == [kind]
    feeds = {"x": np.random.default_rng(1).standard_normal((6, 2, 3)).astype(np.float32)}
    np.testing.assert_array_equal(run(result.proto, feeds)[0], run(proto, feeds)[0])


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_layer_that_starts_from_something_keeps_it(kind):
    proto = recurrent(kind, "one")
    assert drop_zero_states(proto).proto is proto


def pair(source, name, scale=0.05):
    return [
        node("QuantizeLinear", [source, f"{name}_s", f"{name}_z"], f"{name}_q"),
        node("DequantizeLinear", [f"{name}_q", f"{name}_s", f"{name}_z"], name),
    ], [constant(f"{name}_s", scale), constant(f"{name}_z", 128, np.uint8)]


def branch(*, rectified=False, closed=False):
    """A branch with a product of int8, and the sum beside it, which computes in float."""
    first, constants = pair("n", "a")
    nodes = [node("LayerNormalization", ["x", "gain", "bias"], "n", axis=-1), *first]
    if rectified:  # what is read twice comes out of integers
        nodes = [*pair("x", "c")[0], node("MatMul", ["c", "w"], "m0"), node("Relu", ["m0"], "n")]
        nodes += first
        constants += pair("x", "c")[1]
    nodes += [node("MatMul", ["a", "w"], "m"), node("Add", ["a", "m"], "s")]
    if closed:  # the sum is made on integers, too
        last, more = pair("s", "y")
        second, others = pair("m", "mq")
        nodes[-1:] = [*second, node("Add", ["a", "mq"], "s"), *last]
        constants += more + others
    else:
        nodes.append(node("Erf", ["s"], "y"))
    stored = np.random.default_rng(0).integers(-127, 128, (8, 8))
    constants += [
        constant("wq", stored, np.int8),
        constant("ws", 0.01),
        constant("gain", np.ones(8)),
        constant("bias", np.zeros(8)),
    ]
    nodes.insert(0, node("DequantizeLinear", ["wq", "ws"], "w"))
    return make_model(nodes, {"x": (F, ["N", 4, 8])}, {"y": 3}, constants)


def test_the_sum_beside_a_branch_reads_floats(tmp_path):
    proto = branch()
    result = apply(read_floats_directly, proto)
    assert result.subjects == ("n_s",)
    found = next(one for one in result.proto.graph.node if one.name == "n_s")
    assert list(found.input) == ["n", "m"]
    assert operators_run(result.proto, tmp_path)["MatMulIntegerToFloat"] == 1
    feeds = {"x": np.random.default_rng(1).standard_normal((2, 4, 8)).astype(np.float32)}
    before, after = (run(one, feeds)[0] for one in (proto, result.proto))
    np.testing.assert_allclose(after, before, atol=0.05)


@pytest.mark.parametrize(("maker", "reads"), [("Neg", False), ("Relu", True), ("Softmax", True)])
def test_a_pair_that_may_stand_for_a_relu_is_read(maker, reads):
    proto = branch()
    proto.graph.node[1].CopyFrom(node(maker, ["x"], "n"))
    (point,) = (one for one in proto.graph.initializer if one.name == "a_z")
    point.CopyFrom(constant("a_z", 0, np.uint8))
    assert bool(apply(read_floats_directly, proto).subjects) is reads


@pytest.mark.parametrize("proto", [branch(rectified=True), branch(closed=True)])
def test_what_is_computed_on_integers_keeps_its_pairs(proto):
    assert read_floats_directly(proto).proto is proto


def whole_attention(*, mask, scale="keys", joins=True):
    """Attention with projections left out: queries, keys and values are inputs."""
    constants = [
        constant("heads", [0, TOKENS, HEADS, WIDTH], np.int64),
        constant("flat", [0, TOKENS, HEADS * WIDTH], np.int64),
        constant("number", [0.3]),
    ]
    nodes = [node("Reshape", [name, "heads"], f"{name}1") for name in "qkv"]
    nodes += [
        node("Transpose", ["q1"], "q2", perm=[0, 2, 1, 3]),
        node("Transpose", ["k1"], "k2", perm=[0, 2, 3, 1]),
        node("Transpose", ["v1"], "v2", perm=[0, 2, 1, 3]),
    ]
    keys, scores = "k2", "scores"
    if scale == "keys":
        nodes.append(node("Mul", ["k2", "number"], "k3"))
        keys = "k3"
    nodes.append(node("MatMul", ["q2", keys], "scores"))
    if scale == "scores":
        nodes.append(node("Div", ["scores", "number"], "scaled"))
        scores = "scaled"
    inputs = {name: (F, ["N", TOKENS, HEADS * WIDTH]) for name in "qkv"}
    if mask:
        inputs["mask"] = (F, mask)
        nodes.append(node("Add", [scores, "mask"], "masked"))
        scores = "masked"
    nodes += [
        node("Softmax", [scores], "shares", axis=-1),
        node("MatMul", ["shares", "v2"], "o"),
        node("Transpose", ["o"], "o1", perm=[0, 2, 1, 3] if joins else [0, 1, 2, 3]),
        node("Reshape", ["o1", "flat"], "y"),
    ]
    return make_model(nodes, inputs, {"y": 3}, constants)


@pytest.mark.parametrize("mask", [[], ["N", 1, 1, TOKENS], [1, 1, TOKENS, TOKENS]])
@pytest.mark.parametrize("scale", ["keys", "scores", "none"])
def test_an_attention_becomes_one_node(mask, scale):
    proto = whole_attention(mask=mask, scale=scale)
    before = proto.SerializeToString(deterministic=True)
    result = fuse_attention(proto)
    assert proto.SerializeToString(deterministic=True) == before
    assert result.subjects == ("n_y_attention",)
    kinds = {one.op_type for one in result.proto.graph.node}
    assert kinds == ({"Expand", "MultiHeadAttention"} if mask else {"MultiHeadAttention"})
    assert fuse_attention(result.proto).subjects == ()
    generator = np.random.default_rng(0)
    feeds = {
        name: generator.standard_normal((2, TOKENS, HEADS * WIDTH)).astype(np.float32)
        for name in "qkv"
    }
    if mask:
        sizes = [2 if size == "N" else size for size in mask]
        feeds["mask"] = np.where(generator.random(sizes) < 0.3, -1e4, 0).astype(np.float32)
    np.testing.assert_allclose(
        run(result.proto, feeds)[0], run(proto, feeds)[0], rtol=1e-5, atol=1e-6
    )


def test_heads_that_are_not_joined_stay():
    proto = whole_attention(mask=[], joins=False)
    assert fuse_attention(proto).proto is proto


@pytest.mark.parametrize(("mask", "axis"), [([1, 1, TOKENS, 1], -1), ([], 2)])
def test_an_attention_of_another_kind_stays(mask, axis):
    """A mask without a value for each key, and shares that add up to 1 along the queries."""
    proto = whole_attention(mask=mask)
    (softmax,) = (one for one in proto.graph.node if one.op_type == "Softmax")
    del softmax.attribute[:]
    softmax.attribute.append(helper.make_attribute("axis", axis))
    assert fuse_attention(proto).proto is proto


def test_what_leaves_the_standard_is_asked_for():
    assert FUSE_ATTENTION.is_optional
    assert FUSE_ATTENTION.domains == {"com.microsoft"}
    assert not FUSE_ATTENTION.is_taken(USUAL)


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("seed", [0, 1])
def test_an_encoder_as_torch_exports_it(tmp_path, seed):
    """The encoder of models/, on rows with many paddings: same outputs, fewer operators."""
    folder = Path(__file__).parents[2] / "models" / "banking77_encoder_torch"
    source = Factory(str(folder / "net.py"), "build", WeightsFile(str(folder / "weights.pt")))
    request = ConvertRequest(
        source=source,
        declared=(parse_input("tokens:Nx32:int64:0..2047"),),
        data=NoDataRequest(),
        check=False,
        seed=0,
        trusted_folders=(str(folder),),
    )
    exported = load_proto(convert(request, tmp_path, tell_nobody).model.path)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "basic.onnx")
    onnxruntime.InferenceSession(
        onnxslim.slim(exported).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    proto = clean(load_proto(tmp_path / "basic.onnx"), exported.graph)
    tokens = np.random.default_rng(seed).integers(0, 2048, (20, 32))
    tokens[:, :20] = 0
    expected = run(proto, {"tokens": tokens})[0]
    changed = {}
    for rewrite in (
        ORDER_GELU, TRANSPOSE_KEYS_ONCE, DROP_NAN_GUARDS, BOUND_ATTENTION_MASKS,
        SUM_BEFORE_LAYER_NORM,
    ):  # fmt: skip
        result = rewrite.apply(proto)
        changed[rewrite.slug] = len(result.subjects)
        found = run(result.proto, {"tokens": tokens})[0]
        if rewrite.exactness == "bit-exact":
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        proto, expected = result.proto, found
    assert changed == {
        "order-gelu": 2,
        "transpose-keys-once": 2,
        "drop-nan-guards": 2,
        "bound-attention-masks": 2,
        "sum-before-layer-norm": 1,
    }
