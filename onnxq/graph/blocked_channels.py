"""Multiply-adds of convolutions that onnxruntime computes in blocks of channels.

Its float convolutions pad channels to whole blocks of 8 or 16 (NCHWc), and what is multiplied with
padding is no work of the model's: the same model counts as much as integer as it does as float.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from onnx import GraphProto, TensorProto

from onnxq.graph.edits import walk_graphs
from onnxq.graph.kernel_origins import Origins
from onnxq.graph.running_graph import Kernel, RunningGraph

_BLOCKED_DOMAIN = "com.microsoft.nchwc"
_WEIGHT = 1


def count_unpadded(
    graph: RunningGraph, origins: Origins, source: GraphProto
) -> tuple[RunningGraph, Origins]:
    """Count multiply-adds without those of padded channels.

    Args:
        graph: What onnxruntime runs.
        origins: What each of its kernels stands for.
        source: The graph of the model as it was given.

    Returns:
        The same with other kernels, and their origins.
    """
    padded, given = _stored(graph.graph), _stored(source)
    kernels = tuple(_unpadded(one, origins, padded, given) for one in graph.kernels)
    nodes = {id(new): origins.of(old) for old, new in zip(graph.kernels, kernels, strict=True)}
    return replace(graph, kernels=kernels), Origins(nodes)


def _stored(graph: GraphProto) -> dict[str, TensorProto]:
    return {one.name: one for inner in walk_graphs(graph) for one in inner.initializer}


def _unpadded(
    kernel: Kernel,
    origins: Origins,
    padded: Mapping[str, TensorProto],
    given: Mapping[str, TensorProto],
) -> Kernel:
    """Scale by the sizes of the weights: each of them is multiplied once for a place."""
    node = kernel.node
    if node.domain != _BLOCKED_DOMAIN or node.op_type != "Conv":
        return kernel
    convolutions = [one for one in origins.of(kernel) if one.op_type == "Conv"]
    own = [given[one.input[_WEIGHT]] for one in convolutions if one.input[_WEIGHT] in given]
    blocks = padded.get(node.input[_WEIGHT])
    if len(own) != 1 or blocks is None:
        return kernel
    size = math.prod(own[0].dims)
    return replace(kernel, macs=kernel.macs * size // math.prod(blocks.dims))
