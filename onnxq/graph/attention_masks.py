"""Masks that are added to the scores of an attention: where they are, and how low they go."""

import math
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, numpy_helper

from onnxq.graph.edits import attribute_int, scalar_of
from onnxq.graph.tensor_flow import TensorFlow

FORBIDDING = -1e4
"""What masks put in the place of what may not be looked at is this or lower."""

_MOVING = frozenset({"Unsqueeze", "Squeeze", "Expand", "Reshape", "Slice", "Identity", "Tile"})
_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div"})
_STEPS = 8


@dataclass(frozen=True)
class AddedMask:
    """A mask, where it is added.

    Attributes:
        add: The node that adds it to the scores; a Softmax over the last axis alone reads it.
        slot: Which input of the node is the mask.
        softmax: What reads the sum.
        lowest: The lowest value that the mask takes; -inf is one, and stands for a multiple of
            what is computed, too, which nothing bounds.
    """

    add: NodeProto
    slot: int
    softmax: NodeProto
    lowest: float


def find_added_masks(flow: TensorFlow) -> list[AddedMask]:
    """Find every mask that is added in front of a Softmax.

    A mask is a choice between two constants (``Where``), a multiple of a very negative constant,
    or a constant itself, behind nodes that only move values. It is the only one: what one mask
    forbids may still be the least forbidden of a row where another forbids the rest.

    Args:
        flow: The edges of a graph.

    Returns:
        The masks that forbid anything, in the order of the graph.
    """
    found = []
    for softmax in flow.nodes:
        add = flow.producers.get(softmax.input[0]) if softmax.op_type == "Softmax" else None
        if add is None or add.op_type != "Add" or attribute_int(softmax, "axis", -1) != -1:
            continue
        if not flow.has_one_reader(add.output[0]):
            continue
        for slot, name in enumerate(add.input):
            lowest = _lowest(name, flow)
            if lowest <= FORBIDDING and not _is_masked(add.input[1 - slot], flow):
                found.append(AddedMask(add, slot, softmax, lowest))
                break
    return found


def _is_masked(name: str, flow: TensorFlow) -> bool:
    """Whether scores were forbidden already, by another mask that was added or by a Where."""
    node = flow.producers.get(name)
    kind = "" if node is None else node.op_type
    if kind == "Where" or _lowest(name, flow) <= FORBIDDING:
        return True
    if node is None or kind not in _ARITHMETIC | _MOVING:
        return False
    read = node.input if kind in _ARITHMETIC else node.input[:1]
    return any(_is_masked(one, flow) for one in read)


def _lowest(name: str, flow: TensorFlow) -> float:
    """Return the lowest value of a mask; inf for what is none."""
    for _ in range(_STEPS):
        node = flow.producers.get(name)
        if node is None or node.op_type not in _MOVING:
            break
        name = node.input[0]
    if name in flow.initializers:
        return _lowest_constant(flow.initializers[name])
    node = flow.producers.get(name)
    given = [] if node is None else [_float32(flow.initializers.get(i)) for i in node.input]
    match "" if node is None else node.op_type:
        case "Where" if given[1] is not None and given[2] is not None:
            return min(given[1], given[2])
        case "Mul":
            factor = min((value for value in given if value is not None), default=math.inf)
            return -math.inf if factor <= FORBIDDING else math.inf
    return math.inf


def _float32(tensor: TensorProto | None) -> float | None:
    is_float = tensor is not None and tensor.data_type == TensorProto.FLOAT
    return scalar_of(tensor) if is_float else None


def _lowest_constant(tensor: TensorProto) -> float:
    if tensor.data_type != TensorProto.FLOAT:
        return math.inf
    return float(np.min(numpy_helper.to_array(tensor), initial=math.inf))
