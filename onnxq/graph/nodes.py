"""The nodes of a model, wherever they stand, and the operator set that they come from."""

from collections.abc import Iterator

import onnx

_QUANTIZING = ("uantize", "QLinear", "Integer", "NBits", "QGemm", "QAttention", "QMoE")
"""What the names of integer operators of ``ai.onnx`` and ``com.microsoft`` have in them."""


def is_quantizing(operator: str) -> bool:
    """Tell whether nodes of a type quantize, dequantize or compute with quantized integers."""
    return any(sign in operator for sign in _QUANTIZING)


def default_opset(proto: onnx.ModelProto) -> int:
    """Return the version of the standard operator set that a model imports; 0 if none."""
    return next((o.version for o in proto.opset_import if o.domain in {"", "ai.onnx"}), 0)


def walk_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield every node, those of subgraphs (If, Loop, Scan) included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from walk_nodes(attribute.g)
            for subgraph in attribute.graphs:
                yield from walk_nodes(subgraph)
