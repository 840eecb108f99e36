"""Scales of weights where the usual one does harm: zero channels, large biases, tiny products.

The scale of a channel of symmetric int8 weights is its largest magnitude over 127. Its bias is
int32 in steps of that times the scale of what the node reads, ``s_x*s_w``. Three things go wrong:

* A channel of zeros has no scale. onnxruntime 1.31 takes 1, and the bias, which is all that the
  channel gives, is rounded to multiples of ``s_x``. Here it gets 2^24 steps.
* A bias beyond 2^31 steps does not fit. The weights' scale is raised until it does, which costs
  nothing that matters: so large a bias outweighs the sum (Jacob et al. 2018, §2.4, have the int32
  bias; TensorFlow Lite raises the scale in the same way).
* ``s_x*s_w`` below 2^-126 is not a normal float32. The weights' scale is raised here, too.

What is left to say is that channel, or that most of a channel's weights vanish beside few.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from onnxq.findings import Finding
from onnxq.graph.edits import attribute_int, initializers_of
from onnxq.wording import count_noun

_LEVELS = 127
_TINY = float(np.finfo(np.float32).tiny)
_LEAST = _TINY * _LEVELS  # weights below have no scale
_INT32 = float(np.iinfo(np.int32).max)
_MARGIN = 1.0001  # onnxruntime's, so that rounding to float32 does not undo it
_BIAS_STEPS = 2.0**24
_BIAS_SLOT = 2
_MOST = 0.5  # of a channel's weights

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
) -> ChannelScales:
    """Choose the scales of a node's weights.

    Args:
        graph: Of the float model.
        node: A Conv, Gemm or MatMul with constant weights.
        input_scale: Of what it reads; positive.
        per_channel: Whether each output channel has a scale.

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
    usual = np.where(tops < _LEAST, 1.0, tops / _LEVELS)
    scales = np.where(
        tops < _LEAST,
        _for_bias_alone(reach, input_scale),
        np.maximum(usual, _MARGIN * reach / _INT32 / input_scale),
    )
    return ChannelScales(
        node=node.name,
        weight=node.input[1],
        bias=name,
        axis=axis if per_channel else -1,
        usual=usual,
        scales=np.maximum(scales, max(_TINY, _TINY / input_scale)),
        biases=biases,
        largest=largest,
        lost_shares=_lost_shares(rows, usual),
        input_scale=input_scale,
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


def describe_channels(chosen: ChannelScales) -> tuple[Finding, ...]:
    """Say which channels of a node's weights are odd.

    Args:
        chosen: Of one node.

    Returns:
        OQ405 for zero channels, OQ406 for biases that did not fit, OQ407 for uneven channels.
    """
    found = (_zero_finding(chosen), _bias_finding(chosen), _uneven_finding(chosen))
    return tuple(finding for finding in found if finding is not None)


def _zero_finding(chosen: ChannelScales) -> Finding | None:
    channels = np.flatnonzero(chosen.largest < _LEAST)
    if not channels.size:
        return None
    first = int(channels[0])
    gives = f"its bias of {chosen.biases[first]:.4g}" if chosen.bias else "zeros"
    return Finding(
        code="OQ405",
        subject=chosen.weight,
        message=(
            f"{len(channels)} of {count_noun(len(chosen.largest), 'channel')} in {chosen.weight} "
            f"{_be(channels.size)} all zero, or too small for a scale: "
            f"channel {first} gives {gives} alone."
        ),
        evidence={
            "tensor": chosen.weight,
            "node": chosen.node,
            "channel": first,
            "channels": len(channels),
        },
        fix="Take these channels out of the model: it gets smaller and faster.",
    )


def _bias_finding(chosen: ChannelScales) -> Finding | None:
    usual = np.broadcast_to(chosen.usual, len(chosen.biases))
    steps = np.abs(chosen.biases) / (usual * chosen.input_scale)
    channels = np.flatnonzero((steps > _INT32) & (chosen.largest >= _LEAST))
    if not channels.size:
        return None
    worst = int(channels[np.argmax(steps[channels])])
    scale = float(np.broadcast_to(chosen.scales, len(usual))[worst])
    kept = int(usual[worst] * _LEVELS / scale)
    return Finding(
        code="OQ406",
        subject=chosen.bias,
        message=(
            f"{chosen.bias} is {chosen.biases[worst]:.4g} in channel {worst}, "
            f"{steps[worst] / _INT32:.2g} times what int32 holds at the scale of its weights; "
            f"their scale was raised to fit, which leaves them {kept} steps of {_LEVELS}."
        ),
        evidence={
            "tensor": chosen.bias,
            "node": chosen.node,
            "channel": worst,
            "channels": len(channels),
            "bias": float(chosen.biases[worst]),
            "scale": scale,
        },
        fix=f"Leave it in float if the channel matters: --keep-float {chosen.node!r}",
        severity="warning",
    )


def _uneven_finding(chosen: ChannelScales) -> Finding | None:
    uneven = (chosen.largest >= _LEAST) & (chosen.lost_shares > _MOST)
    channels = np.flatnonzero(uneven)
    if not channels.size:
        return None
    worst = int(channels[np.argmax(chosen.lost_shares[channels])])
    lost = float(chosen.lost_shares[worst])
    within = chosen.axis >= 0
    largest = float(chosen.largest[worst] if within else chosen.largest.max())
    whose = "its largest" if within else "the largest of all channels"
    return Finding(
        code="OQ407",
        subject=chosen.weight,
        message=(
            f"{len(channels)} of {count_noun(len(chosen.largest), 'channel')} in {chosen.weight} "
            f"{_be(channels.size)} so uneven that most weights become zero: {lost:.0%} of channel "
            f"{worst}, beside {whose}, {largest:.3g}."
        ),
        evidence={
            "tensor": chosen.weight,
            "node": chosen.node,
            "channel": worst,
            "channels": len(channels),
            "share": round(lost, 4),
            "largest": largest,
        },
        fix=f"Leave it in float if accuracy suffers: --keep-float {chosen.node!r}",
        severity="warning",
    )


def _be(count: int) -> str:
    return "is" if count == 1 else "are"
