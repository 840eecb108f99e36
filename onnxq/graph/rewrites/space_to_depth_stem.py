"""A strided convolution of an image becomes one of stride 1 on blocks of its pixels.

Pattern: ``DequantizeLinear → Conv`` near an input of the graph, with a stride of two or more on
both axes and one to three channels. Replacement: on the integers, Reshape and Transpose that lay
each block of ``stride x stride`` pixels into channels (SpaceToDepth, spelled in operators that
onnxruntime has for uint8), behind a Pad where the stride does not divide the size; the weights are
regrouped accordingly, with zeros where a block reaches beyond the window; the stride is 1.
Condition: static rows and columns, group 1, dilation 1, int8 weights of zero point 0, uint8
activations with one scale, 16 outputs or more, at most twice as many multiplications, strides of
eight at most. Bit-exact: the same products in the same int32 sums, beside zeros; pads are zero
points before and after.

Rows are parted while channels still stand apart, so that whole rows are copied; columns then fold
into channels without being moved, because in onnxruntime's layout channels lie innermost.

Why: see :mod:`onnxq.graph.integer_stems`. One thread, x86-64 with AVX512-VNNI, stem with all that
it needs: 7x7 on 224x224 to 64 channels 2.18 to 1.02 ms, 3x3 to 32 channels 0.59 to 0.33 ms, 4x4
patches to 96 channels 0.38 to 0.18 ms. On 32x32 pixels it is as good as padding channels; 11x11
with a stride of four would need more than twice the multiplications and loses (0.49 to 0.60 ms),
and so do patches of 16x16 (189 to 249 us).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper

from onnxq.graph.edits import copy_of, drop_attributes, fresh_name, taken_names
from onnxq.graph.integer_convs import store_constant
from onnxq.graph.integer_stems import (
    CHANNELS_AT_ONCE,
    MOST_PIXELS,
    Stem,
    feed_stem,
    find_stems,
    planes,
)
from onnxq.graph.qdq_pairs import Pairs, index_pairs
from onnxq.graph.rewrites.rewrite import WITH_VNNI, Rewrite, Rewritten

_MOST_CHANNELS = 3
_MOST_WASTE = 2.0


@dataclass(frozen=True)
class Blocks:
    """How the windows of one axis fall into blocks of as many pixels as the stride.

    Attributes:
        stride: Pixels of a block.
        size: Pixels of the axis.
        kernel: Pixels of a window.
        begin: Pixels of padding before the first.
        end: Pixels of padding after the last.
    """

    stride: int
    size: int
    kernel: int
    begin: int
    end: int

    @property
    def count(self) -> int:
        """Blocks of the axis; the last one may be filled up."""
        return -(-self.size // self.stride)

    @property
    def before(self) -> int:
        """Blocks of a window before the one that its output lies at: padding before the first."""
        return -(-self.begin // self.stride)

    @property
    def window(self) -> int:
        """Blocks of a window."""
        return self.before + (self.kernel - 1 - self.begin) // self.stride + 1

    @property
    def after(self) -> int:
        """Blocks of padding after the last; negative if outputs are fewer than blocks."""
        outputs = (self.size + self.begin + self.end - self.kernel) // self.stride + 1
        return outputs - 1 + self.window - self.before - self.count

    def place(self, pixel: int) -> tuple[int, int]:
        """Return the block of a window's pixel, and the place within."""
        block, within = divmod(pixel - self.begin, self.stride)
        return block + self.before, within


def fold_stems(proto: ModelProto) -> Rewritten:
    """Fold blocks of pixels into channels in front of strided convolutions of images.

    Args:
        proto: A model with QuantizeLinear and DequantizeLinear pairs; not changed.

    Returns:
        The model, and the names of the nodes that changed.
    """
    if not any(_is_strided(stem) for stem in find_stems(index_pairs(proto.graph))):
        return Rewritten(proto, ())
    folded = copy_of(proto)
    sizes = planes(proto)
    pairs, taken = index_pairs(folded.graph), taken_names(folded.graph)
    subjects = []
    for stem in find_stems(pairs):
        size = sizes.get(stem.source)
        axes = _blocks(stem, size) if size and _is_strided(stem) else None
        if axes:
            _fold(pairs, stem, axes, taken)
            subjects.append(stem.node.name)
    return Rewritten(folded if subjects else proto, tuple(subjects))


def _is_strided(stem: Stem) -> bool:
    is_strided = min(stem.strides) > 1 and max(stem.strides) <= MOST_PIXELS
    return is_strided and stem.channels <= _MOST_CHANNELS


def _blocks(stem: Stem, size: tuple[int, int]) -> tuple[Blocks, Blocks] | None:
    """Lay the windows of a stem over blocks; None where that cannot be, or would not pay."""
    kernel = stem.weights.shape[2:]
    axes = tuple(
        Blocks(stem.strides[i], size[i], kernel[i], stem.pads[i], stem.pads[i + 2]) for i in (0, 1)
    )
    pixels = math.prod(stem.strides)
    waste = pixels * axes[0].window * axes[1].window / math.prod(kernel)
    fits = all(one.begin < one.kernel <= one.size and one.after >= 0 for one in axes)
    is_taken = stem.channels * pixels % CHANNELS_AT_ONCE == 0
    return (axes[0], axes[1]) if fits and is_taken and waste <= _MOST_WASTE else None


def _fold(pairs: Pairs, stem: Stem, axes: tuple[Blocks, Blocks], taken: set[str]) -> None:
    moves = _moves(pairs.graph, stem, axes, taken)
    feed_stem(pairs, stem, moves, regroup(stem.weights, axes), taken)
    drop_attributes(stem.node, ["kernel_shape", "strides", "pads", "auto_pad"])
    rows, columns = axes
    stem.node.attribute.extend(
        [
            helper.make_attribute("kernel_shape", [rows.window, columns.window]),
            helper.make_attribute("strides", [1, 1]),
            helper.make_attribute("pads", [rows.before, columns.before, rows.after, columns.after]),
        ]
    )


def _moves(
    graph: GraphProto, stem: Stem, axes: tuple[Blocks, Blocks], taken: set[str]
) -> list[NodeProto]:
    """Make the nodes that lay blocks into channels, in the order columns, rows, channels."""
    rows, columns = axes
    channels, wide = stem.channels, columns.count * columns.stride
    filled = [0] * 6 + [rows.count * rows.stride - rows.size, wide - columns.size]
    steps: tuple[tuple[str, list[int]], ...] = (
        ("Pad", filled),
        ("Reshape", [0, channels, rows.count, rows.stride, wide]),
        ("Transpose", [0, 3, 1, 2, 4]),
        ("Reshape", [0, rows.stride * channels, rows.count, wide]),
        ("Transpose", [0, 2, 3, 1]),
        ("Reshape", [0, rows.count, columns.count, columns.stride * rows.stride * channels]),
        ("Transpose", [0, 3, 1, 2]),
    )
    nodes: list[NodeProto] = []
    read = stem.source
    for operator, values in steps if any(filled) else steps[1:]:
        made = fresh_name(f"{stem.node.name}_blocks_{len(nodes)}", taken)
        node = helper.make_node(operator, [read], [made], made)
        if operator == "Transpose":
            node.attribute.append(helper.make_attribute("perm", values))
        else:
            given = store_constant(graph, f"{made}_{operator}", np.array(values, np.int64), taken)
            node.input.append(given)
        if operator == "Pad":
            node.input.append(store_constant(graph, f"{made}_value", stem.grid.zero_point, taken))
        nodes.append(node)
        read = made
    return nodes


def regroup(weights: NDArray[np.int8], axes: tuple[Blocks, Blocks]) -> NDArray[np.int8]:
    """Regroup the weights of a strided convolution for blocks of pixels.

    Args:
        weights: ``[outputs, channels, rows, columns]``.
        axes: Rows and columns.

    Returns:
        ``[outputs, stride * stride * channels, block rows, block columns]``, zero where a block
        reaches beyond the window.
    """
    rows, columns = axes
    outputs, channels, height, width = weights.shape
    shape = (outputs, columns.stride, rows.stride, channels, rows.window, columns.window)
    regrouped = np.zeros(shape, np.int8)
    for row in range(height):
        block_row, in_row = rows.place(row)
        for column in range(width):
            block_column, in_column = columns.place(column)
            taps = weights[:, :, row, column]
            regrouped[:, in_column, in_row, :, block_row, block_column] = taps
    return regrouped.reshape(outputs, -1, rows.window, columns.window)


SPACE_TO_DEPTH_STEM = Rewrite(
    "space to depth stem",
    "bit-exact",
    "",
    fold_stems,
    why="a strided convolution of three channels has no fast kernel: ResNet-50 1.3x faster",
    targets=WITH_VNNI,
)
