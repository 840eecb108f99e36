"""The model that a quantized one stands for: it saturates where that does, and rounds nothing.

``DequantizeLinear(QuantizeLinear(x))`` is ``x``, clipped to what the grid reaches and rounded to
its points. Without the rounding, what is left is what the grids were made for, Relu and Clip that
saturation replaces included; how far a quantized model is from it is its own rounding noise.
"""

import numpy as np
import onnx
from onnx import ModelProto, NodeProto

from onnxq.graph.edits import copy_of
from onnxq.graph.grid_writing import GridWriter
from onnxq.graph.qdq_pairs import DEQUANTIZE, QUANTIZE, Grid, Pairs, index_pairs


def without_rounding(proto: ModelProto) -> ModelProto:
    """Replace pairs of activations by what they clip.

    Args:
        proto: A model with pairs; not changed.

    Returns:
        A copy. Pairs with a scale for each channel are dropped: their clipping is not kept.
        Weights stay the integers that they are.
    """
    copy = copy_of(proto)
    pairs, writer = index_pairs(copy.graph), GridWriter(copy.graph)
    renamed: dict[str, str] = {}
    nodes = list[NodeProto]()
    for node in copy.graph.node:
        grid = _grid(node, pairs)
        if grid is not None:
            clipped = _clip(node.input[0], grid, nodes, writer)
            outputs = [reader.output[0] for reader in pairs.readers(node.output[0])]
            renamed |= dict.fromkeys(outputs, clipped)
            nodes += [
                onnx.helper.make_node("Identity", [clipped], [name])
                for name in outputs
                if name in pairs.kept
            ]
        elif node.output[0] not in renamed:
            nodes.append(node)
    _replace_nodes(copy, nodes, renamed)
    return copy


def _clip(name: str, grid: Grid, nodes: list[NodeProto], writer: GridWriter) -> str:
    """Append a Clip to what a grid reaches, and return what it writes."""
    if not grid.is_per_tensor:
        return name
    clipped = writer.name(f"{name}_clipped")
    bounds = (np.array(bound, np.float32) for bound in (grid.low, grid.high))
    inputs = [name, *(writer.constant(bound, clipped) for bound in bounds)]
    nodes.append(onnx.helper.make_node("Clip", inputs, [clipped]))
    return clipped


def _replace_nodes(proto: ModelProto, nodes: list[NodeProto], renamed: dict[str, str]) -> None:
    kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    for node in kept:
        for slot, name in enumerate(node.input):
            now = name
            while now in renamed:
                now = renamed[now]
            node.input[slot] = now
    del proto.graph.node[:]
    proto.graph.node.extend(kept)


def _grid(node: NodeProto, pairs: Pairs) -> Grid | None:
    """Return the grid of an activation's QuantizeLinear whose integers are read on that grid."""
    grid = pairs.grid(node) if node.op_type == QUANTIZE else None
    name = node.output[0]
    if grid is None or node.input[0] in pairs.constants or name in pairs.kept:
        return None
    readers = pairs.readers(name)
    grids = [pairs.grid(reader) if reader.op_type == DEQUANTIZE else None for reader in readers]
    same = all(other is not None and other.equals(grid) for other in grids)
    seen = any(reader.output[0] in pairs.captured for reader in readers)
    return grid if readers and same and not seen else None
