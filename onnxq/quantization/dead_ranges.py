"""Ranges of activations that were zero throughout calibration, or too small to have a scale.

Any scale represents zero. It still matters, because the bias of what reads the tensor is int32 in
steps of ``s_x*s_w``: onnxruntime 1.31 takes ``s_x = 1``, and small biases are rounded away. Here
the range is [0, 1], or so much narrower that the largest bias of each reader has 2^10 steps.
"""

import numpy as np
import onnx
from onnx import numpy_helper

from onnxq.graph.edits import initializers_of
from onnxq.graph.operator_kinds import WEIGHTED
from onnxq.ranges import LEAST_WIDTH, TensorRange

_STEPS = 2.0**10
_GRID = 255 * 127
_BIAS_SLOT = 2


def widen_dead_ranges(
    graph: onnx.GraphProto, ranges: dict[str, TensorRange], *, is_symmetric: bool
) -> dict[str, TensorRange]:
    """Give ranges without width one that serves the biases behind them.

    Args:
        graph: Of the float model.
        ranges: By activation.
        is_symmetric: Whether ranges are symmetric about zero.

    Returns:
        The same, each of at least :data:`~onnxq.ranges.LEAST_WIDTH`.
    """
    dead = {name for name, one in ranges.items() if one.high - one.low < LEAST_WIDTH}
    if not dead:
        return ranges
    width = _width(graph, dead)
    stand_in = TensorRange(-width if is_symmetric else 0.0, width)
    return {name: stand_in if name in dead else one for name, one in ranges.items()}


def _width(graph: onnx.GraphProto, dead: set[str]) -> float:
    """Return one width for all: ranges that are shared must stay equal."""
    constants = initializers_of(graph)
    width = 1.0
    for node in graph.node:
        reads = node.op_type in WEIGHTED and node.input[0] in dead
        if not reads or len(node.input) <= _BIAS_SLOT or node.input[_BIAS_SLOT] not in constants:
            continue
        weight, bias = (
            float(np.abs(numpy_helper.to_array(constants[node.input[slot]])).max(initial=0.0))
            for slot in (1, _BIAS_SLOT)
        )
        if weight > 0.0 and bias > 0.0:
            width = min(width, bias / weight * _GRID / _STEPS)
    return max(width, LEAST_WIDTH)
