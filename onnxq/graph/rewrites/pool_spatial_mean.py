"""The mean over all spatial axes becomes GlobalAveragePool.

Pattern: ``ReduceMean(X, axes = 2 … rank-1)``. Replacement: ``GlobalAveragePool(X)``, behind it a
Squeeze where the axes are not kept. Condition: the rank of X is known and 3 to 5; axes are
constant; X is float32; the mean is not part of a normalization, that is neither taken off X nor a
mean of squares: onnxruntime fuses those into a LayerNormalization (128 x 512 values, sum in front
included: 56 us fused, 108 us with GlobalAveragePool). Real-exact (the order of the sum). Why:
ReduceMean has no quantized kernel and stays float between DequantizeLinear and QuantizeLinear,
GlobalAveragePool has one: 3.41x to 3.42x on ResNet-18, 0.90x to 0.98x on MobileNetV3 with its
squeeze-and-excite blocks (1 thread, AVX512-VNNI).
"""

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import (
    attribute_int,
    copy_of,
    element_types,
    fresh_name,
    inferred_ranks,
    initializers_of,
    taken_names,
)
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten
from onnxq.graph.tensor_flow import TensorFlow, trace_tensors

_RANKS = (3, 4, 5)


def pool_spatial_mean(proto: ModelProto) -> Rewritten:
    """Turn means over all spatial axes of the top graph into GlobalAveragePool.

    Args:
        proto: A model of opset 13 or above; not changed.

    Returns:
        The model, and the names of the nodes that changed.
    """
    if all(node.op_type != "ReduceMean" for node in proto.graph.node):
        return Rewritten(proto, ())
    pooled = copy_of(proto)
    ranks, types = inferred_ranks(proto), element_types(proto)
    taken, flow = taken_names(pooled.graph), trace_tensors(pooled.graph)
    subjects = []
    for node in list(pooled.graph.node):
        rank = ranks.get(node.input[0], 0) if node.op_type == "ReduceMean" else 0
        if rank not in _RANKS or types.get(node.input[0]) != TensorProto.FLOAT:
            continue
        if _normalizes(node, flow):
            continue
        axes = sorted(axis % rank for axis in _axes(node, initializers_of(pooled.graph)))
        if axes == list(range(2, rank)):
            _pool(pooled.graph, node, axes, taken)
            subjects.append(node.name)
    return Rewritten(pooled if subjects else proto, tuple(subjects))


def _normalizes(node: NodeProto, flow: TensorFlow) -> bool:
    """Whether a mean, or that of squares, is part of a normalization."""
    source, mean = node.input[0], node.output[0]
    squared = flow.producers.get(source)
    if squared is not None and squared.op_type in {"Pow", "Mul"}:
        return squared.op_type == "Pow" or squared.input[0] == squared.input[1]
    return any(
        reader.op_type == "Sub" and list(reader.input) == [source, mean]
        for reader in flow.read_by(mean)
    )


def _axes(node: NodeProto, initializers: dict[str, TensorProto]) -> list[int]:
    """Return constant axes, of the attribute (opset 13 to 17) or the input (18 and above)."""
    if len(node.input) > 1 and node.input[1] in initializers:
        return [int(a) for a in onnx.numpy_helper.to_array(initializers[node.input[1]]).ravel()]
    return [
        int(a) for attribute in node.attribute if attribute.name == "axes" for a in attribute.ints
    ]


def _pool(graph: GraphProto, node: NodeProto, axes: list[int], taken: set[str]) -> None:
    keeps = attribute_int(node, "keepdims", 1)
    output = node.output[0] if keeps else fresh_name(f"{node.output[0]}_pooled", taken)
    pool = onnx.helper.make_node("GlobalAveragePool", [node.input[0]], [output], node.name)
    at = list(graph.node).index(node)
    graph.node.remove(node)
    graph.node.insert(at, pool)
    if not keeps:
        name = fresh_name(f"{node.output[0]}_axes", taken)
        tensor = onnx.numpy_helper.from_array(np.array(axes, dtype=np.int64), name)
        graph.initializer.append(tensor)
        label = fresh_name(f"{node.name}_squeeze", taken)
        squeeze = onnx.helper.make_node("Squeeze", [output, name], [node.output[0]], label)
        graph.node.insert(at + 1, squeeze)


POOL_SPATIAL_MEAN = Rewrite(
    "pool spatial mean",
    "real-exact",
    "ReduceMean became GlobalAveragePool, because only that has a quantized kernel",
    pool_spatial_mean,
    why="ReduceMean stays float between pairs: 0.90x to 0.98x of float on MobileNetV3-Small",
)
