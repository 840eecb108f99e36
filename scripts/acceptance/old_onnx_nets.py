"""One small network, written by hand in the ONNX of opsets 7 to 12, each in its own idioms.

Between these opsets attributes became inputs: Pad, Clip, Upsample and Resize, Slice, Dropout.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

OPSETS = range(7, 13)
_INPUTS_OF_PAD_AND_CLIP = 11
_RESIZE, _RESIZE_WITH_ROI = 10, 11
_INPUTS_OF_SLICE = 10
_SCALES_INPUT = 9
_RATIO_INPUT = 12
_SCALES = [1.0, 1.0, 2.0, 2.0]
_FILTERS, _CLASSES = 8, 5


@dataclass
class _Graph:
    opset: int
    nodes: list[NodeProto] = field(default_factory=list)
    weights: dict[str, NDArray[np.generic]] = field(default_factory=dict)

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.weights[name] = values
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> None:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))  # type: ignore[arg-type]


def make(opset: int) -> onnx.ModelProto:
    """Make the network.

    Args:
        opset: 7 to 12.

    Returns:
        A model from ``image`` ``[N, 3, 12, 12]`` to ``scores`` ``[N, 5]``, the same for each.
    """
    graph = _Graph(opset)
    generator = np.random.default_rng(3)
    for step in (_convolve, _clip_and_drop, _enlarge, _cut, _classify):
        step(graph, generator)
    made = helper.make_graph(
        graph.nodes,
        f"opset {opset}",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 12, 12])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", _CLASSES])],
        list(_initializers(graph)),
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)


def compute(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the network by numpy alone, from what the operators' documents say.

    Args:
        image: ``[N, 3, 12, 12]``.

    Returns:
        ``[N, 5]``.
    """
    weights = {w.name: numpy_helper.to_array(w) for w in make(OPSETS[0]).graph.initializer}
    x = np.pad(image.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    windows = sliding_window_view(x, (3, 3), (2, 3))
    x = np.einsum("nchwij,ocij->nohw", windows, weights["kernel"])
    gamma, beta, mean, variance = (
        weights[name].reshape(-1, 1, 1) for name in ("gamma", "beta", "mean", "variance")
    )
    x = np.clip(gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta, 0, 6)
    x = sliding_window_view(x, (2, 2), (2, 3))[:, :, ::2, ::2].max((4, 5))
    x = x.repeat(2, 2).repeat(2, 3)[:, :, 1:-1, 1:-1].mean((2, 3))
    scores = np.exp(x @ weights["weights"].T + weights["bias"])
    return np.asarray(scores / scores.sum(1, keepdims=True))


def _initializers(graph: _Graph) -> Iterator[TensorProto]:
    for name, values in graph.weights.items():
        yield numpy_helper.from_array(values, name)


def _convolve(graph: _Graph, generator: np.random.Generator) -> None:
    pads = [0, 0, 1, 1, 0, 0, 1, 1]
    if graph.opset < _INPUTS_OF_PAD_AND_CLIP:
        graph.add("Pad", ["image"], "padded", pads=pads, mode="reflect")
    else:
        given = graph.constant("pads", np.asarray(pads, np.int64))
        graph.add("Pad", ["image", given], "padded", mode="reflect")
    kernel = generator.normal(0, 0.3, (_FILTERS, 3, 3, 3)).astype(np.float32)
    graph.add("Conv", ["padded", graph.constant("kernel", kernel)], "convolved")
    parts = [
        graph.constant(name, generator.uniform(0.5, 1.5, _FILTERS).astype(np.float32))
        for name in ("gamma", "beta", "mean", "variance")
    ]
    graph.add("BatchNormalization", ["convolved", *parts], "normal")


def _clip_and_drop(graph: _Graph, generator: np.random.Generator) -> None:
    del generator
    if graph.opset < _INPUTS_OF_PAD_AND_CLIP:
        graph.add("Clip", ["normal"], "clipped", min=0.0, max=6.0)
    else:
        ends = [graph.constant(n, np.asarray(v, np.float32)) for n, v in (("lo", 0), ("hi", 6))]
        graph.add("Clip", ["normal", *ends], "clipped")
    if graph.opset < _RATIO_INPUT:
        graph.add("Dropout", ["clipped"], "kept", ratio=0.5)
    else:
        ratio = graph.constant("ratio", np.asarray(0.5, np.float32))
        graph.add("Dropout", ["clipped", ratio], "kept")


def _enlarge(graph: _Graph, generator: np.random.Generator) -> None:
    del generator
    graph.add("MaxPool", ["kept"], "pooled", kernel_shape=[2, 2], strides=[2, 2])
    if graph.opset < _SCALES_INPUT:
        graph.add("Upsample", ["pooled"], "large", scales=_SCALES, mode="nearest")
        return
    scales = graph.constant("scales", np.asarray(_SCALES, np.float32))
    if graph.opset < _RESIZE:
        graph.add("Upsample", ["pooled", scales], "large", mode="nearest")
    elif graph.opset < _RESIZE_WITH_ROI:
        graph.add("Resize", ["pooled", scales], "large", mode="nearest")
    else:
        roi = graph.constant("roi", np.zeros(0, np.float32))
        graph.add(
            "Resize",
            ["pooled", roi, scales],
            "large",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )


def _cut(graph: _Graph, generator: np.random.Generator) -> None:
    del generator
    ends = {"starts": [1, 1], "ends": [-1, -1], "axes": [2, 3]}
    if graph.opset < _INPUTS_OF_SLICE:
        graph.add("Slice", ["large"], "cut", **ends)
    else:
        given = [graph.constant(name, np.asarray(v, np.int64)) for name, v in ends.items()]
        graph.add("Slice", ["large", *given], "cut")
    graph.add("ReduceMean", ["cut"], "means", axes=[2, 3], keepdims=1)
    graph.add("Squeeze", ["means"], "flat", axes=[2, 3])


def _classify(graph: _Graph, generator: np.random.Generator) -> None:
    weights = generator.normal(0, 0.5, (_CLASSES, _FILTERS)).astype(np.float32)
    bias = generator.normal(0, 0.5, _CLASSES).astype(np.float32)
    names = [graph.constant("weights", weights), graph.constant("bias", bias)]
    graph.add("Gemm", ["flat", *names], "logits", transB=1)
    graph.add("Softmax", ["logits"], "scores")
