"""Fixtures that many tests share: tiny models in which every weight is known, and rows for them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator


@dataclass(frozen=True)
class TinyTask:
    """A model file and rows that it labels itself, so that it is right on all of them."""

    model: Path
    rows: Path


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory) -> Iterator[Path]:
    """A cache of the tests' own: they neither read nor fill the one of whoever runs them."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNXQ_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real models and data outside the project; skips where they are absent."""
    folder = Path(os.environ.get("ONNXQ_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("needs the real models and data: set ONNXQ_SHARED")
    return folder


@pytest.fixture(scope="session")
def tiny_task(tmp_path_factory) -> TinyTask:
    """A CNN with a residual edge (x float32 [N, 3, 12, 12] to five logits) and 400 rows."""
    folder = tmp_path_factory.mktemp("tiny")
    model = tiny_cnn()
    onnx.save(model, folder / "tiny.onnx")
    generator = np.random.default_rng(7)
    x = generator.standard_normal((400, 3, 12, 12)).astype(np.float32)
    (scores,) = ReferenceEvaluator(model).run(None, {"x": x})
    np.savez(folder / "rows.npz", x=x, y=np.asarray(scores).argmax(axis=1))
    return TinyTask(folder / "tiny.onnx", folder / "rows.npz")


def tiny_cnn() -> onnx.ModelProto:
    generator = np.random.default_rng(3)

    def weight(name, *shape):
        fan_in = int(np.prod(shape[1:]))
        values = generator.standard_normal(shape) * np.sqrt(2 / fan_in)
        return numpy_helper.from_array(values.astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu1"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["b", "c"], ["d"], "add"),
        helper.make_node("Relu", ["d"], ["e"], "relu2"),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], "pool"),
        helper.make_node("Flatten", ["f"], ["g"], "flatten"),
        helper.make_node("Gemm", ["g", "w3", "b3"], ["scores"], "head", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 12, 12])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 5])],
        [
            weight("w1", 16, 3, 3, 3),
            weight("w2", 16, 16, 3, 3),
            weight("w3", 5, 16),
            numpy_helper.from_array(np.zeros(5, np.float32), "b3"),
        ],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)
