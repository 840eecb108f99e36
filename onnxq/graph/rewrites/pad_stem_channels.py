"""The channels of an image are padded to four in front of a convolution.

Pattern: ``DequantizeLinear → Conv`` near an input of the graph, whose channels are no multiple of
four. Replacement: ``Pad`` of the channels, on the integers, with the zero point; the weights get
channels of zeros. Condition: group 1, dilation 1, int8 weights of zero point 0, uint8 activations
with one scale, at most seven channels, windows of at most 5x5, 16 outputs or more. Bit-exact: the
same products in the same int32 sums, beside zeros.

Why: see :mod:`onnxq.graph.integer_stems`. One thread, x86-64 with AVX512-VNNI, stem with all that
it needs: 3x3 on 32x32 to 16 channels 42 to 27 us, to 64 channels 66 to 39 us; 3x3 of one channel
on 28x28 33 to 22 us; 3x3 on 224x224 to 64 channels 6.3 to 2.1 ms. With eight outputs there is
nothing to win (43 to 42 us), with windows of 11x11 it loses (0.49 to 0.75 ms).
"""

import math

import numpy as np
from onnx import ModelProto, helper

from onnxq.graph.edits import copy_of, fresh_name, taken_names
from onnxq.graph.integer_convs import store_constant
from onnxq.graph.integer_stems import CHANNELS_AT_ONCE, Stem, feed_stem, find_stems
from onnxq.graph.qdq_pairs import Pairs, index_pairs
from onnxq.graph.rewrites.rewrite import WITH_VNNI, Rewrite, Rewritten

_MOST_CHANNELS = 7
_MOST_PIXELS = 25


def pad_stems(proto: ModelProto) -> Rewritten:
    """Pad the channels that convolutions of images read.

    Args:
        proto: A model with QuantizeLinear and DequantizeLinear pairs; not changed.

    Returns:
        The model, and the names of the nodes that changed.
    """
    if not any(_is_small(stem) for stem in find_stems(index_pairs(proto.graph))):
        return Rewritten(proto, ())
    padded = copy_of(proto)
    pairs, taken = index_pairs(padded.graph), taken_names(padded.graph)
    stems = [stem for stem in find_stems(pairs) if _is_small(stem)]
    for stem in stems:
        _pad(pairs, stem, taken)
    return Rewritten(padded, tuple(stem.node.name for stem in stems))


def _is_small(stem: Stem) -> bool:
    return stem.channels <= _MOST_CHANNELS and math.prod(stem.weights.shape[2:]) <= _MOST_PIXELS


def _pad(pairs: Pairs, stem: Stem, taken: set[str]) -> None:
    added = -stem.channels % CHANNELS_AT_ONCE
    made = fresh_name(f"{stem.node.name}_padded", taken)
    pads = np.array([0, 0, 0, 0, 0, added, 0, 0], np.int64)
    read = [
        stem.source,
        store_constant(pairs.graph, f"{made}_pads", pads, taken),
        store_constant(pairs.graph, f"{made}_value", stem.grid.zero_point, taken),
    ]
    weights = np.pad(stem.weights, ((0, 0), (0, added), (0, 0), (0, 0)))
    feed_stem(pairs, stem, [helper.make_node("Pad", read, [made], made)], weights, taken)


PAD_STEM_CHANNELS = Rewrite(
    "pad stem channels",
    "bit-exact",
    "",
    pad_stems,
    why="a convolution of one or three channels has no fast kernel: 1.6x faster with four",
    targets=WITH_VNNI,
)
