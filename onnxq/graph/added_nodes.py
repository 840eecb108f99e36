"""Casts, transposes and changes of layout that onnxruntime put into a graph for itself."""

from collections.abc import Iterable

from onnxq.graph.float_islands import Edges
from onnxq.graph.kernel_origins import Origins
from onnxq.graph.running_graph import Kernel, RunningGraph

_ADDED = frozenset({"Cast", "Transpose", "ReorderInput", "ReorderOutput"})
_HALVES = frozenset({"float16", "bfloat16"})
_CHANNELS_LAST = frozenset({"QLinearConv", "NhwcMaxPool", "NhwcFusedConv"})


def find_added(running: RunningGraph, origins: Origins) -> tuple[Kernel, ...]:
    """Find the nodes that only convert, and that the model has none of at their place.

    Args:
        running: The graph that is run.
        origins: From :func:`onnxq.graph.kernel_origins.find_origins`.

    Returns:
        Such kernels, in running order. A Transpose that was moved is one of them.
    """
    return tuple(
        kernel
        for kernel in running.kernels
        if kernel.node.op_type in _ADDED
        and all(one.op_type != kernel.node.op_type for one in origins.of(kernel))
    )


def why_added(kernel: Kernel, edges: Edges) -> str:
    """Say what onnxruntime put a node in for.

    Args:
        kernel: From :func:`find_added`.
        edges: Of the graph that is run.

    Returns:
        A sentence without a full stop.
    """
    operator = kernel.node.op_type
    if operator.startswith("Reorder"):
        return "float convolutions and pools run in blocks of channels"
    if operator == "Cast":
        return _why_cast(kernel, edges)
    beside = {one.node.op_type for one in _neighbours(kernel, edges)}
    if beside & _CHANNELS_LAST:
        return "integer convolutions and pools run with the channels last"
    return "it was moved here, to meet another one or to shrink"


def _why_cast(kernel: Kernel, edges: Edges) -> str:
    before = edges.dtypes.get(kernel.node.input[0], "what it reads")
    after = edges.dtypes.get(kernel.node.output[0], "")
    readers = edges.readers.get(kernel.node.output[0], [])
    if after in _HALVES or not readers:
        return f"the model goes on in {after} behind an operator that has no kernel for it"
    return f"{readers[0].node.op_type} has no kernel for {before}"


def _neighbours(kernel: Kernel, edges: Edges) -> Iterable[Kernel]:
    """Yield the kernels around one, through QuantizeLinear and DequantizeLinear."""
    before = edges.makers.get(kernel.node.input[0])
    while before is not None and "uantizeLinear" in before.node.op_type:
        before = edges.makers.get(before.node.input[0])
    yield from () if before is None else (before,)
    for reader in edges.readers.get(kernel.node.output[0], ()):
        yield reader
        if "uantizeLinear" in reader.node.op_type:
            yield from edges.readers.get(reader.node.output[0], ())
