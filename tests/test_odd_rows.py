"""Rows that differ in shape, and inputs without a batch axis, through the verbs."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxq

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
CODE = """
import numpy as np

def rows():
    generator = np.random.default_rng(0)
    for number in range(60):
        ids = generator.integers(0, 20, generator.integers(1, 9))
        yield {"ids": ids, "mask": ids > 6, "labels": number % 3}
"""


def weight(name, *shape):
    values = np.random.default_rng(len(name)).standard_normal(shape) * 0.4
    return numpy_helper.from_array(values.astype(np.float32), name)


def save(path, nodes, inputs, weights):
    graph = helper.make_graph(
        [helper.make_node(kind, ins, outs, outs[0], **more) for kind, ins, outs, more in nodes],
        "odd",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info("y", FLOAT, ["N", 3])],
        weights,
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return str(path)


def image_model(folder):
    nodes = [
        ("Conv", ["x", "w"], ["a"], {"pads": [1, 1, 1, 1]}),
        ("Relu", ["a"], ["b"], {}),
        ("Conv", ["b", "w2"], ["c"], {"pads": [1, 1, 1, 1]}),
        ("GlobalAveragePool", ["c"], ["d"], {}),
        ("Flatten", ["d"], ["e"], {}),
        ("Gemm", ["e", "w3"], ["y"], {}),
    ]
    weights = [weight("w", 8, 3, 3, 3), weight("w2", 8, 8, 3, 3), weight("w3", 8, 3)]
    return save(folder / "images.onnx", nodes, [("x", FLOAT, ["N", 3, "H", "W"])], weights)


def token_model(folder):
    nodes = [
        ("Gather", ["table", "ids"], ["embedded"], {}),
        ("MatMul", ["embedded", "w"], ["hidden"], {}),
        ("Cast", ["mask"], ["weights"], {"to": FLOAT}),
        ("Unsqueeze", ["weights", "last"], ["wide"], {}),
        ("Mul", ["hidden", "wide"], ["masked"], {}),
        ("ReduceMean", ["masked"], ["mean"], {"axes": [1], "keepdims": 0}),
        ("MatMul", ["mean", "w2"], ["y"], {}),
    ]
    weights = [weight("table", 20, 8), weight("w", 8, 8), weight("w2", 8, 3)]
    weights.append(numpy_helper.from_array(np.int64([2]), "last"))
    inputs = [("ids", INT64, ["N", "L"]), ("mask", BOOL, ["N", "L"])]
    return save(folder / "tokens.onnx", nodes, inputs, weights)


def scalar_model(folder):
    nodes = [
        ("MatMul", ["x", "w"], ["a"], {}),
        ("Mul", ["a", "threshold"], ["b"], {}),
        ("MatMul", ["b", "w2"], ["y"], {}),
    ]
    inputs = [("x", FLOAT, ["N", 6]), ("threshold", FLOAT, [])]
    weights = [weight("w", 6, 6), weight("w2", 6, 3)]
    return save(folder / "scalars.onnx", nodes, inputs, weights)


def image_rows(folder):
    generator = np.random.default_rng(0)
    for number in range(60):
        height, width = generator.integers(4, 9, 2)
        path = folder / "rows" / f"class{number % 3}" / f"{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, generator.standard_normal((3, height, width)).astype(np.float32))
    return str(folder / "rows")


def token_rows(folder):
    (folder / "token_rows.py").write_text(CODE)
    return f"{folder / 'token_rows.py'}:rows"


def scalar_rows(folder):
    x = np.random.default_rng(0).standard_normal((60, 6)).astype(np.float32)
    threshold = np.repeat(np.linspace(0.5, 2, 6, dtype=np.float32), 10)
    np.savez(folder / "rows.npz", x=x, threshold=threshold, y=np.arange(60) % 3)
    return str(folder / "rows.npz")


CASES = {
    "images": (image_model, image_rows, {"x": np.ones((2, 3, 5, 9), np.float32)}),
    "tokens": (
        token_model,
        token_rows,
        {"ids": np.ones((2, 5), int), "mask": np.ones((2, 5), bool)},
    ),
    "scalars": (
        scalar_model,
        scalar_rows,
        {"x": np.ones((2, 6), np.float32), "threshold": np.array(1.5, np.float32)},
    ),
}


def answers(path, inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


@pytest.mark.parametrize("case", CASES)
def test_a_model_is_quantized_on_them(tmp_path, case):
    make_model, make_rows, inputs = CASES[case]
    model = make_model(tmp_path)
    done = onnxq.quantize(
        model,
        calib=make_rows(tmp_path),
        recipe=("int8",),
        out=str(tmp_path / "q.onnx"),
        cache=False,
    )
    codes = {finding.code for finding in done.findings}
    assert codes & {"OQ136", "OQ137"}
    expected = answers(model, inputs)
    noise = np.abs(answers(str(tmp_path / "q.onnx"), inputs) - expected).max()
    assert noise <= 0.1 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_model_is_judged_on_them(tmp_path, case):
    make_model, make_rows, _ = CASES[case]
    rows = make_rows(tmp_path)
    report = onnxq.run(
        make_model(tmp_path),
        data=rows,
        calib=rows,
        recipe=("int8",),
        seconds=2,
        allow_chance_accuracy=True,
        cache=False,
        out=str(tmp_path / "out"),
    )
    assert {finding.code for finding in report.findings} & {"OQ136", "OQ137"}
    agreement = report.variants[1].quality.agreement
    assert agreement.rows == 60
    assert agreement.outputs[0].sqnr_db > 20
