"""What a Conv multiplies a weight with, at every position: its window, taken from the input."""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from onnxq.arrays import Array
from onnxq.graph.edits import attribute_int


@dataclass(frozen=True, eq=False)
class Windows:
    """The inputs of a Conv, weight by weight.

    Attributes:
        padded: ``[rows, channels, *spatial]``, with what the Conv pads with around it.
        kernel: Spatial shape of the weights.
        group_channels: Channels that an output channel reads.
        outputs: Output channels of a group.
        strides: Of the positions, by axis.
        dilations: Of the kernel, by axis.
    """

    padded: Array
    kernel: tuple[int, ...]
    group_channels: int
    outputs: int
    strides: tuple[int, ...]
    dilations: tuple[int, ...]

    def take(self, product: int, channel: int) -> Array:
        """Return what a weight is multiplied with, at every position.

        Args:
            product: Place of the weight: by kernel position first, by input channel last.
            channel: Output channel.

        Returns:
            ``[rows, *positions]``.
        """
        place, within = divmod(product, self.group_channels)
        offsets = np.unravel_index(place, self.kernel) if self.kernel else ()
        spatial = zip(
            offsets,
            self.kernel,
            self.strides,
            self.dilations,
            self.padded.shape[2:],
            strict=True,
        )
        slices = [
            slice(int(at) * by, size - (width - 1 - int(at)) * by, stride)
            for at, width, stride, by, size in spatial
        ]
        source = channel // self.outputs * self.group_channels + within
        where: tuple[slice | int, ...] = (slice(None), source, *slices)
        taken: Array = self.padded[where]
        return taken


def conv_windows(
    node: NodeProto, shape: tuple[int, ...], activation: Array, padding: int
) -> Windows:
    """Open the windows of a Conv.

    Args:
        node: A Conv, ConvInteger or QLinearConv.
        shape: Of its weights, ``[outputs, channels of a group, *kernel]``.
        activation: ``[rows, channels, *spatial]``.
        padding: What it pads with: the zero point.

    Returns:
        The windows.
    """
    kernel, axes = shape[2:], len(shape) - 2
    strides = _ints(node, "strides", 1, axes)
    dilations = _ints(node, "dilations", 1, axes)
    pads = _pads(node, activation.shape[2:], kernel, strides, dilations)
    widths = ((0, 0), (0, 0), *zip(pads[:axes], pads[axes:], strict=True))
    return Windows(
        padded=np.pad(activation, widths, constant_values=padding),
        kernel=kernel,
        group_channels=shape[1],
        outputs=shape[0] // attribute_int(node, "group", 1),
        strides=strides,
        dilations=dilations,
    )


def _ints(node: NodeProto, name: str, default: int, count: int) -> tuple[int, ...]:
    given = next((tuple(a.ints) for a in node.attribute if a.name == name), ())
    return given or (default,) * count


def _pads(
    node: NodeProto,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[int, ...]:
    """Return explicit pads; ``auto_pad`` is read as the specification of Conv has it."""
    kind = next((a.s.decode() for a in node.attribute if a.name == "auto_pad"), "NOTSET")
    if not kind.startswith("SAME"):
        return _ints(node, "pads", 0, 2 * len(sizes))
    totals = [
        max(0, (-(-size // stride) - 1) * stride + (width - 1) * by + 1 - size)
        for size, width, stride, by in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    less = tuple(total // 2 for total in totals)
    more = tuple(total - half for total, half in zip(totals, less, strict=True))
    return (*less, *more) if kind == "SAME_UPPER" else (*more, *less)
