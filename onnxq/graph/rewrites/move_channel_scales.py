"""Activations with a scale for each channel get one scale: the weights on both sides take the rest.

Pattern: ``Conv -> (Relu or Clip that saturation absorbs) -> QuantizeLinear along axis 1 ->
DequantizeLinear -> depthwise Conv``, weights of both dequantized from constants. Replacement: with
``r = scale / max(scale)``, the scales of the first Conv's weights and its bias are divided by ``r``
channel by channel, those of the second one's weights are multiplied by ``r``, and the activation
has the one scale ``max(scale)``. Condition: zero points are equal and the lowest integer, so that
the integers stay the same. Real-exact: ``(sum / r) / max(scale)`` is ``sum / scale``. Why:
onnxruntime has no kernel for such activations, which NNCF writes in front of depthwise
convolutions: MobileNetV2 runs at 0.5x of float.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

from onnxq.graph.edits import attribute_int, copy_of
from onnxq.graph.grid_writing import GridWriter
from onnxq.graph.qdq_pairs import DEQUANTIZE, QUANTIZE, Grid, Pairs, index_pairs
from onnxq.graph.rewrites.absorb_rectifiers import RECTIFIERS, rectifier_bounds, saturates_at
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_CHANNEL_AXIS = 1
_WEIGHT, _BIAS = 1, 2


def move_channel_scales(proto: ModelProto) -> Rewritten:
    """Make channelwise activations of the top graph tensorwise.

    Args:
        proto: A model with pairs; not changed.

    Returns:
        The model, and the names of the activations.
    """
    copy, subjects = copy_of(proto), list[str]()
    pairs, writer = index_pairs(copy.graph), GridWriter(copy.graph)
    for node in list(copy.graph.node):
        grid = pairs.grid(node) if node.op_type == QUANTIZE else None
        if grid is None or grid.is_per_tensor or not _applies(node, grid, pairs):
            continue
        _move(copy, node, grid, pairs, writer)
        subjects.append(node.input[0])
        pairs = index_pairs(copy.graph)
    return Rewritten(copy if subjects else proto, tuple(subjects))


def _applies(node: NodeProto, grid: Grid, pairs: Pairs) -> bool:
    behind = pairs.readers(node.output[0])
    if grid.axis != _CHANNEL_AXIS or np.unique(grid.zero_point).size != 1 or not behind:
        return False
    if node.output[0] in pairs.kept or any(d.op_type != DEQUANTIZE for d in behind):
        return False
    uses = [use for d in behind for use in pairs.uses.get(d.output[0], [])]
    channels = grid.scale.size
    below = all(u.slot == 0 and _is_depthwise(u.node, channels, pairs) for u in uses)
    same = all(o is not None and o.equals(grid) for d in behind for o in [pairs.grid(d)])
    above = _first(node, grid, pairs)
    return below and same and above is not None and _is_scalable(above, channels, pairs)


def _first(node: NodeProto, grid: Grid, pairs: Pairs) -> NodeProto | None:
    """Return the Conv in front of a QuantizeLinear, a rectifier that can go in between or not."""
    name = node.input[0]
    producer = pairs.producers.get(name)
    if producer is not None and producer.op_type in RECTIFIERS:
        is_absorbed = saturates_at(grid, *rectifier_bounds(producer, pairs))
        alone = len(pairs.readers(name)) == 1 and name not in pairs.kept
        if not is_absorbed or not alone:
            return None
        name = producer.input[0]
        producer = pairs.producers.get(name)
    is_conv = producer is not None and producer.op_type == "Conv"
    alone = len(pairs.readers(name)) == 1 and name not in pairs.kept
    return producer if is_conv and alone else None


def _is_depthwise(node: NodeProto, channels: int, pairs: Pairs) -> bool:
    weight = _constant_behind(node, _WEIGHT, pairs)
    is_grouped = node.op_type == "Conv" and attribute_int(node, "group", 1) == channels
    return is_grouped and weight is not None and weight.shape[1] == 1


def _is_scalable(node: NodeProto, channels: int, pairs: Pairs) -> bool:
    weight = _constant_behind(node, _WEIGHT, pairs)
    has_bias = len(node.input) > _BIAS and node.input[_BIAS]
    bias_known = not has_bias or (
        pairs.constant(node.input[_BIAS]) is not None
        or _constant_behind(node, _BIAS, pairs) is not None
    )
    return weight is not None and weight.shape[0] == channels and bias_known


def _constant_behind(node: NodeProto, slot: int, pairs: Pairs) -> NDArray[np.generic] | None:
    """Return the integers behind an input whose DequantizeLinear nobody else reads."""
    dequantizer = pairs.producer(node.input[slot], DEQUANTIZE)
    alone = dequantizer is not None and len(pairs.readers(dequantizer.output[0])) == 1
    grid = pairs.grid(dequantizer) if dequantizer is not None and alone else None
    if dequantizer is None or grid is None or not (grid.is_per_tensor or grid.axis == 0):
        return None
    return pairs.constant(dequantizer.input[0])


def _move(proto: ModelProto, node: NodeProto, grid: Grid, pairs: Pairs, writer: GridWriter) -> None:
    whole = grid.scale.max()
    ratio = (grid.scale / whole).astype(np.float64)
    first = _first(node, grid, pairs)
    if first is None:
        return
    behind = pairs.readers(node.output[0])
    for depthwise in (use.node for d in behind for use in pairs.uses[d.output[0]]):
        per_channel = pairs.producers[depthwise.input[_WEIGHT]]
        outputs = _outputs(depthwise, pairs)
        _scale(per_channel, np.repeat(ratio, outputs // ratio.size), pairs, writer)
    _scale(pairs.producers[first.input[_WEIGHT]], 1 / ratio, pairs, writer)
    if len(first.input) > _BIAS and first.input[_BIAS]:
        _scale_bias(first, 1 / ratio, pairs, writer)
    if pairs.producers[node.input[0]] is not first:
        proto.graph.node.remove(pairs.producers[node.input[0]])
        node.input[0] = first.output[0]
    for one in (node, *behind):
        writer.assign(one, Grid(whole, grid.zero_point.ravel()[0], grid.dtype, -1))


def _outputs(node: NodeProto, pairs: Pairs) -> int:
    weight = pairs.constant(pairs.producers[node.input[_WEIGHT]].input[0])
    return 0 if weight is None else int(weight.shape[0])


def _scale(
    dequantizer: NodeProto, by: NDArray[np.float64], pairs: Pairs, writer: GridWriter
) -> None:
    grid = pairs.grid(dequantizer)
    if grid is not None:
        scale = (grid.scale * by).astype(np.float32)
        point = np.broadcast_to(grid.zero_point, scale.shape)
        writer.assign(dequantizer, Grid(scale, point, grid.dtype, 0))


def _scale_bias(node: NodeProto, by: NDArray[np.float64], pairs: Pairs, writer: GridWriter) -> None:
    values = pairs.constant(node.input[_BIAS])
    if values is None:
        _scale(pairs.producers[node.input[_BIAS]], by, pairs, writer)
        return
    scaled = (values.astype(np.float64) * by).astype(np.float32)
    node.input[_BIAS] = writer.constant(scaled, f"{node.input[_BIAS]}_scaled")


MOVE_CHANNEL_SCALES = Rewrite(
    "move channel scales",
    "real-exact",
    "scales of single channels of activations moved into the weights on both sides",
    move_channel_scales,
    why="activations with a scale for each channel have no kernel: 0.5x on MobileNetV2 by NNCF",
)
