"""A padding of zeros in front of a MaxPool, as onnxruntime runs it with all optimizations."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxq.graph.rewrites.settle_padded_pools import settle_padded_pools

node = helper.make_node


def padded_pool(*front, pads=(0, 0, 1, 0, 0, 0, 1, 1), value=0.0, **attributes):
    nodes = [
        *(node(kind, [f"t{n}", *more], [f"t{n + 1}"]) for n, (kind, *more) in enumerate(front)),
        node("Pad", [f"t{len(front)}", "pads", "value"], ["padded"], "pad"),
        node("MaxPool", ["padded"], ["y"], "pool", **({"kernel_shape": [3, 3]} | attributes)),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("t0", TensorProto.FLOAT, [1, 2, 7, 7])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.array(pads, np.int64), "pads"),
            numpy_helper.from_array(np.float32(value), "value"),
            numpy_helper.from_array(np.float32(0.5), "half"),
            numpy_helper.from_array(np.float32(-0.5), "minus"),
        ],
    )
    imports = [helper.make_opsetid("", 17)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=8)
    return onnx.shape_inference.infer_shapes(proto)


def check_same(proto):
    """Compare the reference with onnxruntime's optimized run of what was rewritten."""
    result = settle_padded_pools(proto)
    onnx.checker.check_model(result.proto)
    rows = (np.random.default_rng(1).standard_normal((1, 2, 7, 7)) - 1).astype(np.float32)
    expected = ReferenceEvaluator(proto).run(None, {"t0": rows})[0]
    session = onnxruntime.InferenceSession(result.proto.SerializeToString())
    assert np.array_equal(session.run(None, {"t0": rows})[0], expected)
    assert settle_padded_pools(result.proto).subjects == ()
    return [one.op_type for one in result.proto.graph.node], result.subjects


@pytest.mark.parametrize("strides", [[1, 1], [2, 2]])
@pytest.mark.parametrize("front", [(), (("Neg",),), (("Clip", "minus"),)])
def test_borders_stay_zero_where_values_may_be_negative(front, strides):
    operators, subjects = check_same(padded_pool(*front, strides=strides))
    assert operators[-2:] == ["Pad", "MaxPool"]
    assert subjects == ("y",)


@pytest.mark.parametrize("front", [("Relu",), ("Clip", "half")])
def test_a_pool_of_what_is_never_negative_pads_by_itself(front):
    operators, subjects = check_same(padded_pool(front, strides=[2, 2]))
    assert operators == [front[0], "MaxPool"]
    assert subjects == ("y",)


def test_a_padding_as_wide_as_the_window_stays():
    wide = padded_pool(("Relu",), pads=(0, 0, 3, 0, 0, 0, 0, 0))
    assert check_same(wide)[0] == ["Relu", "Pad", "MaxPool"]


@pytest.mark.parametrize("front", [(), (("Relu",),)])
@pytest.mark.parametrize(("name", "value"), [("ceil_mode", 1), ("pads", [0, 1, 0, 0])])
def test_pools_that_pad_or_round_up_return_places(front, name, value):
    proto = padded_pool(*front, strides=[2, 2])
    proto.graph.node[-1].attribute.append(helper.make_attribute(name, value))
    operators, subjects = check_same(proto)
    assert operators[-2:] == ["Pad", "MaxPool"]
    assert subjects == ("y",)


def test_a_window_that_may_step_over_everything_does_not_pad_by_itself():
    pads = (0, 0, 1, 1, 0, 0, 1, 1)
    proto = padded_pool(("Relu",), pads=pads, kernel_shape=[2, 2], dilations=[8, 8])
    assert check_same(proto)[0] == ["Relu", "Pad", "MaxPool"]


@pytest.mark.parametrize(
    "changes",
    [
        {"value": -1.0},
        {"pads": (0, 1, 1, 0, 0, 0, 1, 1)},
        {"pads": (0, 0, -1, 0, 0, 0, 1, 1)},
        {"auto_pad": "SAME_UPPER"},
    ],
)
def test_others_stay(changes):
    assert settle_padded_pools(padded_pool(("Relu",), **changes)).subjects == ()
