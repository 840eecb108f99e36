"""Columns folded into channels: against a convolution of integers, and against onnxruntime."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxq.graph.column_folds import Fold
from onnxq.graph.rewrites.fold_stem_columns import fold_columns

node = helper.make_node


def convolved(image, weights, strides):
    """Convolve integers ``[channels, rows, columns]`` without padding."""
    _, rows, columns = image.shape
    height, width = weights.shape[2:]
    return np.array([
        [
            np.tensordot(weights.astype(np.int64), image[:, r : r + height, c : c + width], 3)
            for c in range(0, columns - width + 1, strides[1])
        ]
        for r in range(0, rows - height + 1, strides[0])
    ])  # fmt: skip


@given(
    stride=st.sampled_from([1, 2, 4]),
    kernel=st.integers(1, 9),
    channels=st.integers(1, 3),
    groups=st.integers(3, 5),
    pads=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    by_channel=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_groups_hold_the_same_products(stride, kernel, channels, groups, pads, by_channel):
    begin, end = (min(pad, kernel - 1) for pad in pads)
    fold, columns = Fold(4, stride, kernel, begin), groups * 4
    generator = np.random.default_rng(kernel)
    weights = generator.integers(-127, 128, (2, channels, 2, kernel)).astype(np.int8)
    image = generator.integers(-128, 128, (channels, 3, columns))
    padded = np.pad(image, ((0, 0), (0, 0), (begin, end)))
    expected = convolved(padded, weights, (1, stride))
    made = expected.shape[1]
    axes = (0, 3, 1, 2) if by_channel else (3, 0, 1, 2)
    folded = image.reshape(channels, 3, groups, 4).transpose(axes).reshape(-1, 3, groups)
    behind = fold.groups(columns, made) + fold.window - 1 - groups - fold.before
    assert behind >= 0
    folded = np.pad(folded, ((0, 0), (0, 0), (fold.before, behind)))
    found = convolved(folded, fold.spread(weights, by_channel=by_channel), (1, 1))
    found = found.reshape(found.shape[0], -1, 2)[:, :made]
    np.testing.assert_array_equal(found, expected)


def stem(shape, size, *, last, reads="float", also=(), **attributes):
    """A convolution of an image, with a bias and a scale for each output."""
    generator = np.random.default_rng(2)
    scales = generator.uniform(0.5, 1, shape[0]).astype(np.float32) / 500
    constants = {
        "scale": np.float32(0.02), "zero_point": np.uint8(117),
        "made_scale": np.float32(0.03), "made_zero_point": np.uint8(90),
        "w": generator.integers(-127, 128, shape).astype(np.int8), "w_scale": scales,
        "w_zero_point": np.zeros(shape[0], np.int8),
        "b": generator.integers(-900, 900, shape[0]).astype(np.int32),
        "b_scale": (scales * np.float32(0.02)).astype(np.float32),
        "b_zero_point": np.zeros(shape[0], np.int32),
    }  # fmt: skip
    grid, made = ["scale", "zero_point"], ["made_scale", "made_zero_point"]
    turn = {"perm": [0, 3, 1, 2]}
    front = [node("QuantizeLinear", ["x", *grid], ["q"])]
    if last and reads == "float":
        front = [node("Transpose", ["x"], ["t"], **turn)]
        front += [node("QuantizeLinear", ["t", *grid], ["q"])]
    elif last:
        front = [
            node("QuantizeLinear", ["x", *grid], ["t"]),
            node("Transpose", ["t"], ["q"], **turn),
        ]
    nodes = [
        *front,
        node("DequantizeLinear", ["q", *grid], ["i"]),
        node("DequantizeLinear", ["w", "w_scale", "w_zero_point"], ["wf"], axis=0),
        node("DequantizeLinear", ["b", "b_scale", "b_zero_point"], ["bf"], axis=0),
        node("Conv", ["i", "wf", "bf"], ["c"], "stem", **attributes),
        node("QuantizeLinear", ["c", *made], ["cq"]),
        node("DequantizeLinear", ["cq", *made], ["y"]),
    ]
    image = ["N", *size, shape[1]] if last else ["N", shape[1], *size]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [*"abcd"])
            for name in ("y", *also)
        ],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(proto):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    shape = [size if isinstance(size, int) else 2 for size in session.get_inputs()[0].shape]
    rows = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    return session.run(None, {"x": rows})


def check_exact(proto):
    before = proto.SerializeToString(deterministic=True)
    result = fold_columns(proto)
    assert proto.SerializeToString(deterministic=True) == before
    onnx.checker.check_model(result.proto, full_check=True)
    for expected, found in zip(run(proto), run(result.proto), strict=True):
        np.testing.assert_array_equal(expected, found)
    read = {name for one in result.proto.graph.node for name in one.input}
    read |= {value.name for value in result.proto.graph.output}
    assert {tensor.name for tensor in result.proto.graph.initializer} <= read
    assert all(one.output[0] in read for one in result.proto.graph.node)
    assert fold_columns(result.proto).proto is result.proto
    return result


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(
    ("shape", "size", "attributes"),
    [
        ((16, 3, 3, 3), (8, 8), {"pads": [1] * 4}),
        ((16, 3, 3, 3), (8, 12), {"pads": [0, 0, 1, 1], "strides": [2, 2]}),
        ((20, 1, 5, 5), (7, 12), {"pads": [2] * 4}),
        ((16, 2, 3, 3), (9, 8), {}),
        ((16, 1, 1, 1), (4, 4), {}),
        ((16, 3, 7, 7), (16, 16), {"pads": [3] * 4, "strides": [2, 2]}),
        ((16, 3, 3, 5), (8, 16), {"pads": [1, 2, 0, 1], "strides": [1, 2], "dilations": [1, 1]}),
    ],
    ids=["3x3", "stride", "5x5", "valid", "1x1", "7x7", "uneven"],
)
def test_stems_are_folded(shape, size, attributes, last):
    result = check_exact(stem(shape, size, last=last, **attributes))
    assert result.subjects == ("stem",)
    names = {tensor.name for tensor in result.proto.graph.initializer}
    assert {"w", "b"} <= names  # for reports


def test_patches_are_folded_where_channels_are_last():
    attributes = {"strides": [4, 4]}
    assert check_exact(stem((16, 3, 4, 4), (16, 16), last=True, **attributes)).subjects
    assert not check_exact(stem((16, 3, 4, 4), (16, 16), last=False, **attributes)).subjects


def test_integers_may_be_turned():
    assert check_exact(stem((16, 3, 3, 3), (8, 8), last=True, reads="integers")).subjects


@pytest.mark.parametrize(
    "proto",
    [
        stem((16, 3, 3, 3), (8, 10), last=True),
        stem((16, 3, 3, 3), ("H", 8), last=True),
        stem((16, 3, 3, 3), (8, 8), last=True, dilations=[1, 2]),
        stem((8, 3, 3, 3), (8, 8), last=True),
        stem((16, 3, 3, 3), (8, 8), last=True, also=["c"]),
        stem((16, 3, 3, 4), (8, 12), last=True, strides=[1, 3]),
        stem((16, 3, 16, 16), (32, 32), last=True, strides=[16, 16]),
    ],
    ids=["columns", "dynamic", "dilated", "few outputs", "an output", "wasteful", "large patches"],
)
def test_others_stay(proto):
    assert fold_columns(proto).proto is proto
