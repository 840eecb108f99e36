"""Heads: the last products of a model, where they are a small part of its work."""

import math

from onnx import ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import captured_by, inferred_shapes, initializers_of

_WEIGHT_SLOTS = {"MatMul": (1,), "Gemm": (1,), "LSTM": (1, 2)}
_LARGEST_SHARE = 0.01
_ROWS_OF_FREE_AXIS = 32


def find_heads(proto: ModelProto) -> frozenset[str]:
    """Name the matrices behind which no other comes, if they do little of the work.

    What rounds there reaches the outputs as it is: in a BERT of four layers the pooler does 0.02 %
    of the multiply-adds and makes half of the noise.

    Args:
        proto: A prepared float model, whose nodes have names of their own; not changed.

    Returns:
        Names of MatMul and Gemm nodes with constant weights; nothing where together they do more
        than 1 % of the multiply-adds of all such nodes and LSTMs.
    """
    weights = initializers_of(proto.graph)
    last, others = _split(proto, weights)
    if not last or not others:
        return frozenset()
    shapes = inferred_shapes(proto)
    small, large = (
        sum(_multiply_adds(node, weights, shapes) for node in nodes) for nodes in (last, others)
    )
    heads = {node.name for node in last if node.op_type != "LSTM"}
    return frozenset(heads) if small <= _LARGEST_SHARE * (small + large) else frozenset()


def _split(
    proto: ModelProto, weights: dict[str, TensorProto]
) -> tuple[list[NodeProto], list[NodeProto]]:
    """Split the products into those behind which none comes, and the others."""
    last: list[NodeProto] = []
    others: list[NodeProto] = []
    leading: set[str] = set()
    for node in reversed(proto.graph.node):
        leads = any(name in leading for name in node.output)
        slots = _WEIGHT_SLOTS.get(node.op_type, ())
        is_product = bool(slots) and all(node.input[slot] in weights for slot in slots)
        if is_product:
            (others if leads else last).append(node)
        if leads or is_product:
            leading |= {*node.input, *captured_by(node)} - weights.keys()
    return last, others


def _multiply_adds(
    node: NodeProto, weights: dict[str, TensorProto], shapes: dict[str, tuple[int | str, ...]]
) -> int:
    """Estimate the multiply-adds of a product for one row of the batch."""
    elements = sum(math.prod(weights[node.input[s]].dims) for s in _WEIGHT_SLOTS[node.op_type])
    given = shapes.get(node.input[0], ())[:-1]
    known = math.prod(dim for dim in given if isinstance(dim, int))
    free = sum(isinstance(dim, str) for dim in given)
    unknown = max(free - 1, 0)
    return elements * known * int(_ROWS_OF_FREE_AXIS**unknown)
