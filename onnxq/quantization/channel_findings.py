"""What there is to say of the channels of weights: zeros, large biases, unevenness, overflow."""

from collections.abc import Sequence

import numpy as np

from onnxq.findings import Finding
from onnxq.quantization.channel_scales import (
    INT32_STEPS,
    LEAST_WEIGHT,
    LEVELS,
    ChannelScales,
)
from onnxq.wording import count_noun

_MOST = 0.5  # of a channel's weights


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
    channels = np.flatnonzero(chosen.largest < LEAST_WEIGHT)
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
    channels = np.flatnonzero((steps > INT32_STEPS) & (chosen.largest >= LEAST_WEIGHT))
    if not channels.size:
        return None
    worst = int(channels[np.argmax(steps[channels])])
    scale = float(np.broadcast_to(chosen.scales, len(usual))[worst])
    kept = int(usual[worst] * LEVELS / scale)
    return Finding(
        code="OQ406",
        subject=chosen.bias,
        message=(
            f"{chosen.bias} is {chosen.biases[worst]:.4g} in channel {worst}, "
            f"{steps[worst] / INT32_STEPS:.2g} times what int32 holds at the scale of its weights; "
            f"their scale was raised to fit, which leaves them {kept} steps of {LEVELS}."
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
    uneven = (chosen.largest >= LEAST_WEIGHT) & (chosen.lost_shares > _MOST)
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


def describe_widened(chosen: Sequence[ChannelScales]) -> tuple[Finding, ...]:
    """Say that scales were widened for CPUs that add two products in 16 bits.

    Args:
        chosen: Of all nodes of a model.

    Returns:
        OQ408, once for the model; none where no scale had to be.
    """
    touched = [one for one in chosen if one.overflowing.any()]
    if not touched:
        return ()
    worst = max(touched, key=lambda one: float(one.widened.max()))
    channel = int(np.argmax(worst.widened))
    widened = sum(int(np.count_nonzero(one.widened > 1.0)) for one in touched)
    channels = sum(len(one.widened) for one in chosen)
    pairs = sum(int(one.overflowing.sum()) for one in touched)
    kept = round(LEVELS / float(worst.widened[channel]))
    return (
        Finding(
            code="OQ408",
            subject="weights",
            message=(
                f"{widened} of {count_noun(channels, 'channel')} in {len(touched)} of "
                f"{count_noun(len(chosen), 'node')} got coarser steps, so that sums of two "
                f"products fit 16 bits on CPUs without VNNI: {count_noun(pairs, 'pair')} of "
                f"weights would not have. The coarsest keeps {kept} of {LEVELS} levels."
            ),
            evidence={
                "channels": widened,
                "pairs": pairs,
                "nodes": len(touched),
                "tensor": worst.weight,
                "channel": channel,
                "levels": kept,
            },
            fix="Where every CPU that serves it has VNNI: --target x86-vnni",
        ),
    )
