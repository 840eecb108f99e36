"""Each operator whose form changed between opset 7 and 13, in every form that it had."""

from dataclasses import dataclass, field

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.conversion import opset_lifting
from onnxq.conversion.opset_lifting import lift_opset
from onnxq.errors import SourceError
from onnxq.runtime import open_predict

GENERATOR = np.random.default_rng(0)
IR_VERSIONS = {7: 3, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7}
node = helper.make_node


def normal(*shape):
    return GENERATOR.standard_normal(shape).astype(np.float32)


def whole(*values):
    return np.array(values, np.int64)


@dataclass(frozen=True)
class Case:
    nodes: list[onnx.NodeProto]
    opsets: tuple[int, ...] = (7, 8, 9, 10, 11, 12)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    shape: tuple[int | str, ...] = ("N", 3, 8, 8)


def scales(*values):
    return {"s": np.array(values, np.float32)}


def branch(name, operator, **attributes):
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return helper.make_graph([node(operator, ["x"], [name], **attributes)], name, [], [output])


UP, DOWN, LINEAR = scales(1, 1, 2, 1.5), scales(1, 1, 0.6, 0.5), {"mode": "linear"}
CASES = {
    "conv net": Case(
        [
            node("Conv", ["x", "w", "b"], ["a"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
            node("BatchNormalization", ["a", "s", "t", "m", "v"], ["c"]),
            node("Relu", ["c"], ["d"]),
            node("MaxPool", ["d"], ["e"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Flatten", ["e"], ["f"]),
            node("Gemm", ["f", "g", "h"], ["i"], transB=1),
            node("Softmax", ["i"], ["y"], axis=1),
        ],
        weights={
            "w": normal(4, 3, 3, 3), "b": normal(4), "s": normal(4), "t": normal(4),
            "m": normal(4), "v": np.abs(normal(4)), "g": normal(5, 64), "h": normal(5),
        },
    ),
    "BatchNormalization spatial": Case(
        [node("BatchNormalization", ["x", "s", "t", "m", "v"], ["y"], spatial=1)],
        (7, 8),
        {"s": normal(3), "t": normal(3), "m": normal(3), "v": np.abs(normal(3))},
    ),
    "Upsample attributes": Case(
        [node("Upsample", ["x"], ["y"], mode="nearest", scales=[1.0, 1.0, 2.0, 1.5])], (7, 8)
    ),
    "Upsample attributes linear": Case(
        [node("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 1.5], **LINEAR)], (7, 8)
    ),
    "Upsample": Case([node("Upsample", ["x", "s"], ["y"])], (9,), UP),
    "Upsample linear": Case([node("Upsample", ["x", "s"], ["y"], **LINEAR)], (9,), UP),
    "Resize up": Case([node("Resize", ["x", "s"], ["y"])], (10,), UP),
    "Resize down": Case([node("Resize", ["x", "s"], ["y"])], (10,), DOWN),
    "Resize up linear": Case([node("Resize", ["x", "s"], ["y"], **LINEAR)], (10,), UP),
    "Resize down linear": Case([node("Resize", ["x", "s"], ["y"], **LINEAR)], (10,), DOWN),
    "Resize of today": Case(
        [node("Resize", ["x", "r", "s"], ["y"], **LINEAR)], (11, 12), UP | {"r": normal(0)}
    ),
    "Slice attributes": Case(
        [node("Slice", ["x"], ["y"], starts=[1, 0], ends=[3, -1], axes=[2, 3])], (7, 8, 9)
    ),
    "Slice": Case(
        [node("Slice", ["x", "a", "b", "c"], ["y"])],
        (10, 11, 12),
        {"a": whole(1, 0), "b": whole(3, -1), "c": whole(2, 3)},
    ),
    "Dropout": Case([node("Dropout", ["x"], ["y"], ratio=0.5)], (7, 8, 9, 10, 11)),
    "Dropout mask": Case([node("Dropout", ["x"], ["y", "mask"])], (7, 8, 9, 10, 11)),
    "Dropout ratio": Case(
        [node("Dropout", ["x", "r"], ["y", "mask"])], (12,), {"r": np.array(0.5, np.float32)}
    ),
    "Pad attributes": Case(
        [node("Pad", ["x"], ["y"], pads=[0, 0, 1, 1, 0, 0, 2, 1], value=1.5)], (7, 8, 9, 10)
    ),
    "Pad reflect": Case(
        [node("Pad", ["x"], ["y"], mode="reflect", pads=[0, 0, 1, 1, 0, 0, 2, 1])], (7, 8, 9, 10)
    ),
    "Pad": Case([node("Pad", ["x", "p"], ["y"])], (11, 12), {"p": whole(0, 0, 1, 1, 0, 0, 1, 1)}),
    "Clip attributes": Case([node("Clip", ["x"], ["y"], min=0.0, max=0.5)], (7, 8, 9, 10)),
    "Clip one side": Case([node("Clip", ["x"], ["y"], min=0.0)], (7, 8, 9, 10)),
    "Clip": Case([node("Clip", ["x", "", "h"], ["y"])], (11, 12), {"h": np.array(0.5, np.float32)}),
    "TopK attribute": Case([node("TopK", ["x"], ["y", "i"], k=2, axis=3)], (7, 8, 9)),
    "TopK": Case([node("TopK", ["x", "k"], ["y", "i"], axis=3)], (10, 11, 12), {"k": whole(2)}),
    "Split": Case(
        [
            node("Split", ["x"], ["a", "b"], axis=2, split=[3, 5]),
            node("Concat", ["b", "a"], ["y"], axis=2),
        ]
    ),
    "Split equal": Case(
        [node("Split", ["x"], ["a", "b"], axis=2), node("Add", ["b", "a"], ["y"])]
    ),
    "Squeeze and Unsqueeze": Case(
        [
            node("GlobalAveragePool", ["x"], ["a"]),
            node("Squeeze", ["a"], ["b"], axes=[2, 3]),
            node("Unsqueeze", ["b"], ["y"], axes=[1]),
        ]
    ),
    "ReduceSum": Case([node("ReduceSum", ["x"], ["y"], axes=[2, 3], keepdims=0)]),
    "ReduceSum all": Case([node("ReduceSum", ["x"], ["y"])]),
    "Softmax over all that follows": Case([node("Softmax", ["x"], ["y"], axis=1)]),
    "LogSoftmax": Case([node("LogSoftmax", ["x"], ["y"])]),
    "LSTM": Case(
        [
            node("LSTM", ["x", "w", "r"], ["a", "h", "c"], hidden_size=5),
            node("Squeeze", ["a"], ["y"], axes=[1]),
        ],
        weights={"w": normal(1, 20, 4), "r": normal(1, 20, 5)},
        shape=(6, "N", 4),
    ),
    "Scatter": Case(
        [node("Scatter", ["x", "i", "u"], ["y"], axis=3)],
        (9, 10),
        {"i": np.zeros((2, 3, 8, 1), np.int64), "u": normal(2, 3, 8, 1)},
        (2, 3, 8, 8),
    ),
    "inside If": Case(
        [
            node("ReduceMax", ["x"], ["m"], keepdims=0),
            node("Cast", ["m"], ["c"], to=TensorProto.BOOL),
            node(
                "If",
                ["c"],
                ["y"],
                then_branch=branch("t", "Squeeze", axes=[1]),
                else_branch=branch("u", "Squeeze", axes=[1]),
            ),
        ],
        shape=("N", 1, 4),
    ),
}  # fmt: skip


def model(case, opset):
    value = helper.make_tensor_value_info
    weights = [numpy_helper.from_array(array, name) for name, array in case.weights.items()]
    listed = [value(w.name, w.data_type, list(w.dims)) for w in weights] if opset < 9 else []
    graph = helper.make_graph(
        case.nodes,
        "g",
        [value("x", TensorProto.FLOAT, list(case.shape)), *listed],
        [value("y", TensorProto.FLOAT, None)],
        weights,
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSIONS[opset])


@pytest.mark.parametrize(
    ("name", "opset"), [(name, opset) for name, case in CASES.items() for opset in case.opsets]
)
def test_the_lifted_model_computes_the_same(name, opset, tmp_path):
    given = model(CASES[name], opset)
    lifted = lift_opset(given, "m.onnx")
    onnx.save(given, tmp_path / "given.onnx")
    onnx.save(lifted, tmp_path / "lifted.onnx")
    x = normal(*[2 if isinstance(dim, str) else dim for dim in CASES[name].shape])
    (expected,) = open_predict(tmp_path / "given.onnx")({"x": x}).values()
    (found,) = open_predict(tmp_path / "lifted.onnx")({"x": x}).values()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [1, 6])
def test_what_is_too_old_is_said(opset):
    given = model(CASES["ReduceSum"], 7)
    given.opset_import[0].version = opset
    with pytest.raises(SourceError, match=f"opset {opset}: below 7") as caught:
        lift_opset(given, "m.onnx")
    assert caught.value.code == "OQ111"
    assert "opset 13 or above" in caught.value.hint


def test_what_onnx_cannot_convert_is_said(monkeypatch):
    def refuse(_proto, _opset):
        message = "No adapter for Scan\nand a page of C++"
        raise RuntimeError(message)

    monkeypatch.setattr(opset_lifting.version_converter, "convert_version", refuse)
    with pytest.raises(SourceError) as caught:
        lift_opset(model(CASES["ReduceSum"], 8), "m.onnx")
    assert caught.value.code == "OQ111"
    assert "opset 8" in caught.value.message
    assert caught.value.message.endswith("No adapter for Scan")
