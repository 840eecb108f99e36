"""Scales of weights where the usual one does harm: zeros, large biases, tiny products, overflow.

The scale of a channel of symmetric int8 weights is its largest magnitude over 127. Its bias is
int32 in steps of that times the scale of what the node reads, ``s_x*s_w``. Four things go wrong:

* A channel of zeros has no scale. onnxruntime 1.31 takes 1, and the bias, which is all that the
  channel gives, is rounded to multiples of ``s_x``. Here it gets 2^24 steps.
* A bias beyond 2^31 steps does not fit. The weights' scale is raised until it does, which costs
  nothing that matters: so large a bias outweighs the sum (Jacob et al. 2018, §2.4, have the int32
  bias; TensorFlow Lite raises the scale in the same way).
* ``s_x*s_w`` below 2^-126 is not a normal float32. The weights' scale is raised here, too.
* Without VNNI, sums of two products are held in 16 bits, which they may exceed: see
  :mod:`onnxq.quantization.pair_overflow`. The scale is raised until they do not.

What is left to say is that channel, or that most of a channel's weights vanish beside few.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from onnxq.graph.edits import attribute_int, initializers_of
from onnxq.quantization.pair_overflow import (
    count_overflowing,
    packed_rows,
    round_rows,
    widen_for_pairs,
)

LEVELS = 127
_TINY = float(np.finfo(np.float32).tiny)
LEAST_WEIGHT = _TINY * LEVELS  # weights below have no scale
INT32_STEPS = float(np.iinfo(np.int32).max)
_MARGIN = 1.0001  # onnxruntime's, so that rounding to float32 does not undo it
_BIAS_STEPS = 2.0**24
_BIAS_SLOT = 2

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChannelScales:
    """The scales of one node's weights.

    Attributes:
        node: Name of the node.
        weight: Name of its weights.
        bias: Name of its bias; empty without one.
        axis: Along which the weights have scales; -1 where they have one.
        usual: What onnxruntime's quantizer would take, float64 ``[channels]``; 1 where a channel
            is zero or too small.
        scales: What they get, float64 ``[channels]``; one value where ``axis`` is -1.
        biases: Of the channels, float64 ``[channels]``; zero without a bias.
        largest: Largest magnitude of each channel, float64 ``[channels]``.
        lost_shares: Of each channel's weights besides zero, the share that the usual scale makes
            zero, float64 ``[channels]``.
        input_scale: Of what the node reads.
        widened: By how much the scale of each channel was multiplied so that sums of two
            products fit int16, float64 ``[channels]``; 1 where they do anyway, or need not.
        overflowing: Pairs of each channel's weights that would not fit without, ``[channels]``.
    """

    node: str
    weight: str
    bias: str
    axis: int
    usual: _Floats
    scales: _Floats
    biases: _Floats
    largest: _Floats
    lost_shares: _Floats
    input_scale: float
    widened: _Floats
    overflowing: NDArray[np.int64]

    @property
    def is_usual(self) -> bool:
        """Whether onnxruntime's own scales do."""
        return bool(np.array_equal(self.usual, self.scales))


def settle_channel_scales(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    *,
    input_scale: float,
    per_channel: bool,
    saturates: bool = False,
) -> ChannelScales:
    """Choose the scales of a node's weights.

    Args:
        graph: Of the float model.
        node: A Conv, Gemm or MatMul with constant weights.
        input_scale: Of what it reads; positive.
        per_channel: Whether each output channel has a scale.
        saturates: Whether the CPU adds two products in 16 bits.

    Returns:
        The scales: the usual ones but for the channels where they do harm.
    """
    constants = initializers_of(graph)
    weights = numpy_helper.to_array(constants[node.input[1]])
    axis = _channel_axis(node)
    rows = np.abs(np.moveaxis(weights, axis, 0)).reshape(weights.shape[axis], -1)
    name = node.input[_BIAS_SLOT] if len(node.input) > _BIAS_SLOT else ""
    biases = numpy_helper.to_array(constants[name]).astype(np.float64) if name else np.zeros(1)
    biases = np.broadcast_to(biases, len(rows))
    largest = rows.max(axis=1, initial=0.0).astype(np.float64)
    tops, reach = largest, np.abs(biases)
    if not per_channel:
        tops, reach = (one.max(initial=0.0, keepdims=True) for one in (largest, reach))
    usual = np.where(tops < LEAST_WEIGHT, 1.0, tops / LEVELS)
    scales = np.where(
        tops < LEAST_WEIGHT,
        _for_bias_alone(reach, input_scale),
        np.maximum(usual, _MARGIN * reach / INT32_STEPS / input_scale),
    )
    scales = np.maximum(scales, max(_TINY, _TINY / input_scale))
    packed = packed_rows(node, weights.astype(np.float32, copy=False), axis)
    packed = packed if saturates else packed[:, :0]
    fitting = widen_for_pairs(packed, scales)
    return ChannelScales(
        node=node.name,
        weight=node.input[1],
        bias=name,
        axis=axis if per_channel else -1,
        usual=usual,
        scales=fitting,
        biases=biases,
        largest=largest,
        lost_shares=_lost_shares(rows, usual),
        input_scale=input_scale,
        widened=np.broadcast_to(fitting / scales, len(rows)),
        overflowing=count_overflowing(round_rows(packed, np.broadcast_to(scales, len(rows)))),
    )


def _channel_axis(node: onnx.NodeProto) -> int:
    if node.op_type == "Conv":
        return 0
    is_transposed = node.op_type == "Gemm" and attribute_int(node, "transB", 0)
    return 0 if is_transposed else 1


def _lost_shares(rows: NDArray[np.float32], usual: _Floats) -> _Floats:
    present = np.count_nonzero(rows, axis=1)
    kept = np.count_nonzero(rows >= (usual / 2.0)[:, np.newaxis], axis=1)
    shares: _Floats = 1.0 - kept / np.maximum(present, 1)
    return np.where(present > 0, shares, 0.0)


def _for_bias_alone(biases: _Floats, input_scale: float) -> _Floats:
    return np.where(biases > 0.0, biases / _BIAS_STEPS / input_scale, 1.0)


def scale_overrides(chosen: ChannelScales) -> list[dict[str, Any]]:
    """Write scales as the ``TensorQuantOverrides`` of onnxruntime's quantizer has them.

    Args:
        chosen: Of one node.

    Returns:
        A dictionary for each channel.
    """
    zero = np.array(0, np.int8)
    if chosen.axis < 0:
        return [{"scale": np.array(chosen.scales[0], np.float32), "zero_point": zero}]
    return [
        {"axis": chosen.axis, "scale": np.array(scale, np.float32), "zero_point": zero}
        for scale in chosen.scales
    ]
