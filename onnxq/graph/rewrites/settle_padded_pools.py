"""A padding of zeros in front of a MaxPool is kept from onnxruntime, or becomes the pool's own.

Pattern: ``Pad(X, 0) → MaxPool``, as Keras' ZeroPadding2D leaves it. Replacement: where X is the
result of a Relu, or of a Clip whose bounds are not below zero, the MaxPool pads by itself: no
negative infinity of its padding can win against what is never negative. Elsewhere the MaxPool
says ``auto_pad = VALID``, which is what it does without pads of its own; one that has some, or
rounds its sizes up, returns the places of its maxima, too, for nobody. Condition: spatial pads that
are constant and not negative; a MaxPool with one output and no auto_pad; to pad by itself, also no
dilation, for a window could step over all that is not padding. Bit-exact.

Why: onnxruntime 1.31's offline ORT_ENABLE_BASIC level moves such a Pad into the MaxPool whatever X
is, so that zeros become negative infinities: the model computes something else wherever X is
negative at a border (ResNet50V2 of Keras does not rectify in front of its pool); with ceil_mode
sizes change as well, and pads as wide as the window do not load. An auto_pad stops it, and so does
a second output. And a Pad between integer nodes stays float.
"""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnxq.graph.edits import (
    captured_names,
    copy_of,
    drop_attributes,
    fresh_name,
    initializers_of,
    interface_names,
    producers_of,
    scalar_of,
    taken_names,
    uses_of,
)
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_SPATIAL = 2
_PADS_SLOT, _VALUE_SLOT, _AXES_SLOT = 1, 2, 3


def settle_padded_pools(proto: ModelProto) -> Rewritten:
    """Settle every MaxPool of the top graph that reads a padding of zeros.

    Args:
        proto: Any model of opset 11 or above; not changed.

    Returns:
        The model, and the names of the pools that changed.
    """
    if not _find(proto):
        return Rewritten(proto, ())
    settled = copy_of(proto)
    pools = _find(settled)
    constants, producers = initializers_of(settled.graph), producers_of(settled.graph)
    taken = taken_names(settled.graph)
    for pool, pad, pads in pools:
        if not _is_plain(pool):
            pool.output.append(fresh_name(f"{pool.output[0]}_places", taken))
            continue
        drop_attributes(pool, ["auto_pad", "pads"])
        if _is_never_negative(producers.get(pad.input[0]), constants) and _fits(pool, pads):
            pool.attribute.append(helper.make_attribute("pads", pads))
            pool.input[0] = pad.input[0]
            settled.graph.node.remove(pad)
        else:
            pool.attribute.append(helper.make_attribute("auto_pad", "VALID"))
    return Rewritten(settled, tuple(pool.output[0] for pool, _, _ in pools))


def _find(proto: ModelProto) -> list[tuple[NodeProto, NodeProto, list[int]]]:
    """Find MaxPools, the Pad in front of each, and how far that pads each side."""
    graph = proto.graph
    constants, producers, uses = initializers_of(graph), producers_of(graph), uses_of(graph)
    kept = interface_names(graph) | captured_names(graph)
    found = []
    for pool in graph.node:
        pad = producers.get(pool.input[0]) if pool.op_type == "MaxPool" else None
        if pad is None or pad.op_type != "Pad" or pad.output[0] in kept:
            continue
        pads = _zero_pads(pad, constants)
        if pads and _is_merged(pool) and len(uses[pad.output[0]]) == 1:
            found.append((pool, pad, pads))
    return found


def _zero_pads(pad: NodeProto, constants: dict[str, TensorProto]) -> list[int]:
    """Return pads of the spatial axes, begins first; nothing for any other padding."""
    if any(attribute.name == "mode" and attribute.s != b"constant" for attribute in pad.attribute):
        return []
    if len(pad.input) > _AXES_SLOT and pad.input[_AXES_SLOT]:
        return []
    tensor = constants.get(pad.input[_PADS_SLOT]) if len(pad.input) > _PADS_SLOT else None
    if tensor is None:
        return []
    if len(pad.input) > _VALUE_SLOT and pad.input[_VALUE_SLOT]:
        value = scalar_of(constants.get(pad.input[_VALUE_SLOT]))
        if value is None or value != 0.0:
            return []
    pads = numpy_helper.to_array(tensor).reshape(2, -1)
    if pads[:, :_SPATIAL].any() or np.any(pads < 0):
        return []
    return [int(size) for size in pads[:, _SPATIAL:].ravel()]


def _is_merged(pool: NodeProto) -> bool:
    """Whether onnxruntime would move a Pad into a pool."""
    given = {attribute.name: attribute for attribute in pool.attribute}
    automatic = given["auto_pad"].s if "auto_pad" in given else b"NOTSET"
    return len(pool.output) == 1 and automatic == b"NOTSET"


def _is_plain(pool: NodeProto) -> bool:
    """Whether a pool pads nothing by itself and rounds its sizes down."""
    given = {attribute.name: attribute for attribute in pool.attribute}
    has_pads = "pads" in given and any(given["pads"].ints)
    return not has_pads and not ("ceil_mode" in given and given["ceil_mode"].i)


def _fits(pool: NodeProto, pads: list[int]) -> bool:
    """Whether each window reaches beyond the padding, as the specification asks for, and stays."""
    given = {attribute.name: tuple(attribute.ints) for attribute in pool.attribute}
    sizes = given["kernel_shape"]
    is_dilated = any(step != 1 for step in given.get("dilations", ()))
    fits = all(pad < size for pad, size in zip(pads, (*sizes, *sizes), strict=True))
    return fits and not is_dilated


def _is_never_negative(node: NodeProto | None, constants: dict[str, TensorProto]) -> bool:
    if node is None:
        return False
    if node.op_type == "Clip" and len(node.input) > 1:
        low = scalar_of(constants.get(node.input[1]))
        return low is not None and low >= 0.0
    return node.op_type == "Relu"


SETTLE_PADDED_POOLS = Rewrite(
    "settle padded pools",
    "bit-exact",
    "a padding of zeros in front of a MaxPool was kept from onnxruntime, which moves it into the "
    "pool and gets negative values at borders wrong",
    settle_padded_pools,
    why="onnxruntime computes something else otherwise, wherever a border is negative",
)
