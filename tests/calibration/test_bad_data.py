"""Bad rows and bad weights, through the public interface: said, and the model is right anyway.

Each case names the code, the tensor and the row or channel that a reader must be told, and what
the quantized model computes is compared with onnx's reference implementation of the float one.
"""

import importlib
from dataclasses import dataclass, field

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import onnxq
from onnxq.runtime import open_predict

LOWEST = float(np.finfo(np.float32).min)
node = helper.make_node


@dataclass(frozen=True)
class Case:
    """A model, rows, and what must be said.

    Attributes:
        proto: From x to y.
        rows: To calibrate on.
        code: Of the finding.
        tensor: That it is about.
        row: Index of the row that it names; -1 where it is not about a row.
        channel: That it names; -1 where it is not about a channel.
        sound: Rows to compare on; those of ``rows`` that are sound where empty.
        steps: How many 255ths of the output's range it may be off.
    """

    proto: onnx.ModelProto
    rows: np.ndarray
    code: str
    tensor: str
    row: int = -1
    channel: int = -1
    sound: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    steps: float = 8.0


def generator():
    return np.random.default_rng(5)


def weights_of(*shape):
    values = generator().standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return values.astype(np.float32)


def rows_of(count=16):
    return generator().standard_normal((count, 3, 6, 6)).astype(np.float32)


def build(nodes, **constants):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", None, None, None])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def chain(w1=None, b1=None, first=()):
    """Two convolutions with a Relu between, behind whatever comes first."""
    w1 = weights_of(4, 3, 3, 3) if w1 is None else w1
    b1 = np.linspace(-0.2, 0.2, 4) if b1 is None else b1
    return build(
        [
            *first,
            node("Conv", [first[-1].output[0] if first else "x", "w1", "b1"], ["a"], "conv1"),
            node("Relu", ["a"], ["r"], "relu1"),
            node("Conv", ["r", "w2"], ["y"], "conv2"),
        ],
        w1=np.asarray(w1, np.float32),
        b1=np.asarray(b1, np.float32),
        w2=weights_of(5, 4, 1, 1),
    )


def with_row(row, change):
    rows = rows_of()
    rows[row] = change(rows[row])
    return rows


def masked(row):
    row[0, 2, 3] = LOWEST
    return row


def zeroed(channel, size=0.0):
    weights = weights_of(4, 3, 3, 3)
    weights[channel] *= np.float32(size)
    return weights


def uneven():
    weights = weights_of(4, 3, 3, 3)
    weights[3] *= 1e-3
    weights[3, 0, 0, 0] = 2.0
    return weights


def head():
    """Boxes beside scores, decoded by one convolution."""
    decode = np.zeros((6, 6, 1, 1), np.float32)
    decode[:4, :4, 0, 0] = [[1, 0, -0.5, 0], [0, 1, 0, -0.5], [1, 0, 0.5, 0], [0, 1, 0, 0.5]]
    decode[4:, 4:, 0, 0] = np.eye(2)
    return build(
        [
            node("Conv", ["x", "w_b"], ["b"], "conv_b"),
            node("Relu", ["b"], ["boxes"], "relu_b"),
            node("Conv", ["x", "w_s"], ["s"], "conv_s"),
            node("Clip", ["s", "zero", "one"], ["scores"], "clip_s"),
            node("Concat", ["boxes", "scores"], ["joined"], "join", axis=1),
            node("Conv", ["joined", "decode"], ["y"], "decode_conv"),
        ],
        w_b=np.abs(weights_of(4, 3, 1, 1)) * 150,
        w_s=weights_of(2, 3, 1, 1),
        decode=decode,
        zero=np.float32(0),
        one=np.float32(1),
    )


def with_body():
    """A convolution in each branch of an If that reads what a Relu of the main graph makes."""

    def branch(name, weight):
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        inner = node("Conv", ["r", weight], [name], f"conv_{name}")
        return helper.make_graph([inner], name, [], [value])

    return build(
        [
            node("Conv", ["x", "w1"], ["a"], "conv1"),
            node("Relu", ["a"], ["r"], "relu1"),
            node("ReduceMean", ["r"], ["mean"], "mean", keepdims=0),
            node("Greater", ["mean", "half"], ["flag"], "greater"),
            node("If", ["flag"], ["z"], "choose",
                 then_branch=branch("p", "w_p"), else_branch=branch("q", "w_q")),
            node("Conv", ["r", "w2"], ["c"], "conv2"),
            node("Add", ["z", "c"], ["y"], "add"),
        ],
        w1=weights_of(4, 3, 3, 3), w2=weights_of(5, 4, 1, 1),
        w_p=weights_of(5, 4, 1, 1), w_q=-weights_of(5, 4, 1, 1), half=np.float32(0.4),
    )  # fmt: skip


LOG = (node("Log", ["x"], ["l"], "log"),)
EXP = (node("Exp", ["x"], ["l"], "exp"),)
POSITIVE = np.abs(rows_of()) + np.float32(0.1)

CASES = {
    "mask": Case(
        chain(weights_of(4, 3, 3, 3) * 0.1), with_row(5, masked), "OQ144", "x", row=5
    ),
    "stray row": Case(chain(), with_row(9, lambda row: row * 1e6), "OQ144", "x", row=9),
    "NaN": Case(
        chain(first=LOG), np.concatenate([POSITIVE[:7], -POSITIVE[:1], POSITIVE[7:]]),
        "OQ143", "l", row=7, sound=POSITIVE,
    ),
    "infinity": Case(
        chain(first=EXP), with_row(3, lambda row: row + 300), "OQ143", "l", row=3,
    ),
    "all zero": Case(chain(b1=[-1e3] * 4), rows_of(), "OQ145", "r"),
    "zero input": Case(chain(), rows_of() * 0, "OQ145", "x"),
    "constant input": Case(chain(), rows_of() * 0 + np.float32(2.5), "OQ145", "x"),
    "denormal range": Case(
        chain(), with_row(2, lambda row: row * 2) * np.float32(1e-40), "OQ149", "x", row=2
    ),
    "zero channel": Case(chain(zeroed(1)), rows_of(), "OQ405", "w1", channel=1),
    "denormal channel": Case(chain(zeroed(1, 1e-40)), rows_of(), "OQ405", "w1", channel=1),
    "bias beyond int32": Case(
        chain(zeroed(2, 1e-8), [0.1, 0.2, 3.0, 0.4]), rows_of(), "OQ406", "b1", channel=2
    ),
    "uneven channel": Case(chain(uneven()), rows_of(), "OQ407", "w1", channel=3),
    "unlike Concat": Case(head(), rows_of(), "OQ403", "join"),
    "body of an If": Case(with_body(), rows_of(), "OQ404", "choose"),
}  # fmt: skip


@pytest.fixture
def in_this_process(monkeypatch):
    """Run stages without children: seven seconds become one."""

    def run_stage(stage, request, place):
        module, name = stage.target.split(":")
        entry = getattr(importlib.import_module(module), name)
        result = entry(request, place.new_folder(stage.name), lambda _: None)
        return msgspec.json.decode(msgspec.json.encode(result), type=stage.result)

    monkeypatch.setattr("onnxq.pipeline.bench.run_stage", run_stage)
    monkeypatch.setattr("onnxq.pipeline.private_copies.run_stage", run_stage)


def quantized(case, folder):
    onnx.save(case.proto, folder / "m.onnx")
    np.savez(folder / "rows.npz", x=case.rows)
    return onnxq.quantize(
        str(folder / "m.onnx"),
        calib=str(folder / "rows.npz"),
        recipe=("int8",),
        out=str(folder / "out"),
    )


def check(case, document, folder):
    findings = [one for one in document.findings if one.code == case.code]
    found = [one for one in findings if one.subject == case.tensor]
    assert found, [(one.code, one.subject) for one in document.findings]
    evidence = found[0].evidence
    if case.row >= 0:
        assert evidence["row"] == str(case.row)
        assert f"row {case.row}" in found[0].message
    if case.channel >= 0:
        assert evidence["channel"] == case.channel
    (variant,) = document.variants
    rows = case.sound if case.sound.size else np.delete(case.rows, [case.row], axis=0)
    (expected,) = ReferenceEvaluator(case.proto).run(None, {"x": rows})
    (path,) = (folder / "out").glob("*.onnx")
    actual = open_predict(path)({"x": rows})["y"]
    assert np.isfinite(actual).all()
    for channel in range(expected.shape[1] if case.code == "OQ403" else 1):
        pick = slice(channel, channel + 1) if case.code == "OQ403" else slice(None)
        width = np.ptp(np.append(expected[:, pick], 0.0))
        np.testing.assert_allclose(
            actual[:, pick], expected[:, pick], atol=case.steps * width / 255 + 1e-38
        )
    assert variant.artefact.quantized_nodes >= 1


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("in_this_process")
def test_it_is_said_and_the_model_is_right(name, tmp_path):
    case = CASES[name]
    check(case, quantized(case, tmp_path), tmp_path)


@pytest.mark.slow
def test_children_say_the_same(tmp_path):
    case = CASES["bias beyond int32"]
    check(case, quantized(case, tmp_path), tmp_path)
