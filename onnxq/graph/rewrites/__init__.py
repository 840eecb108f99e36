"""Graph rewrites: one file each, with its pattern, its condition and its reason.

``REWRITES`` is what preparation applies, in this order; ``FOR_QUANTIZERS`` is what a quantizer's
private copy gets besides.
"""

from onnxq.graph.rewrites.absorb_rectifiers import ABSORB_RECTIFIERS
from onnxq.graph.rewrites.align_channels import ALIGN_CHANNELS
from onnxq.graph.rewrites.avoid_reserved_names import AVOID_RESERVED_NAMES
from onnxq.graph.rewrites.bound_attention_masks import BOUND_ATTENTION_MASKS
from onnxq.graph.rewrites.center_weights import CENTER_WEIGHTS
from onnxq.graph.rewrites.complete_sums import COMPLETE_SUMS
from onnxq.graph.rewrites.convolve_affine import CONVOLVE_AFFINE
from onnxq.graph.rewrites.detach_passed_inputs import DETACH_PASSED_INPUTS
from onnxq.graph.rewrites.drop_identities import DROP_IDENTITIES
from onnxq.graph.rewrites.drop_inner_pairs import DROP_INNER_PAIRS
from onnxq.graph.rewrites.drop_nan_guards import DROP_NAN_GUARDS
from onnxq.graph.rewrites.drop_zero_states import DROP_ZERO_STATES
from onnxq.graph.rewrites.flatten_gemm_bias import FLATTEN_GEMM_BIAS
from onnxq.graph.rewrites.flatten_grids import FLATTEN_GRIDS
from onnxq.graph.rewrites.fold_affine import FOLD_AFFINE
from onnxq.graph.rewrites.fold_channel_factors import FOLD_CHANNEL_FACTORS
from onnxq.graph.rewrites.fold_constants import FOLD_CONSTANTS
from onnxq.graph.rewrites.fold_gemm_scales import FOLD_GEMM_SCALES
from onnxq.graph.rewrites.fold_stem_columns import FOLD_STEM_COLUMNS
from onnxq.graph.rewrites.fold_weight_quantizers import FOLD_WEIGHT_QUANTIZERS
from onnxq.graph.rewrites.fuse_attention import FUSE_ATTENTION
from onnxq.graph.rewrites.gather_integers import GATHER_INTEGERS
from onnxq.graph.rewrites.inline_functions import INLINE_FUNCTIONS
from onnxq.graph.rewrites.join_matmul_bias import JOIN_MATMUL_BIAS
from onnxq.graph.rewrites.lift_constants import LIFT_CONSTANTS
from onnxq.graph.rewrites.lift_quantized_floats import LIFT_QUANTIZED_FLOATS
from onnxq.graph.rewrites.merge_equal_pairs import MERGE_EQUAL_PAIRS
from onnxq.graph.rewrites.move_channel_scales import MOVE_CHANNEL_SCALES
from onnxq.graph.rewrites.multiply_in_tiles import MULTIPLY_IN_TILES
from onnxq.graph.rewrites.name_hard_sigmoid import NAME_HARD_SIGMOID
from onnxq.graph.rewrites.name_nodes import NAME_NODES
from onnxq.graph.rewrites.order_gelu import ORDER_GELU
from onnxq.graph.rewrites.pad_integers import PAD_INTEGERS
from onnxq.graph.rewrites.pad_stem_channels import PAD_STEM_CHANNELS
from onnxq.graph.rewrites.pool_spatial_mean import POOL_SPATIAL_MEAN
from onnxq.graph.rewrites.read_floats_directly import READ_FLOATS_DIRECTLY
from onnxq.graph.rewrites.requantize_hard_sigmoid import REQUANTIZE_HARD_SIGMOID
from onnxq.graph.rewrites.rewrite import (
    EVERYWHERE,
    Exactness,
    Rewrite,
    Rewritten,
    describe_rewrite,
)
from onnxq.graph.rewrites.settle_biases import SETTLE_BIASES
from onnxq.graph.rewrites.settle_padded_pools import SETTLE_PADDED_POOLS
from onnxq.graph.rewrites.shift_activations_to_int8 import SHIFT_ACTIVATIONS_TO_INT8
from onnxq.graph.rewrites.shift_activations_to_uint8 import SHIFT_ACTIVATIONS_TO_UINT8
from onnxq.graph.rewrites.shift_weights_to_int8 import SHIFT_WEIGHTS_TO_INT8
from onnxq.graph.rewrites.sigmoid_of_two import SIGMOID_OF_TWO
from onnxq.graph.rewrites.space_to_depth_stem import SPACE_TO_DEPTH_STEM
from onnxq.graph.rewrites.split_shared_weights import SPLIT_SHARED_WEIGHTS
from onnxq.graph.rewrites.spread_gates import SPREAD_GATES
from onnxq.graph.rewrites.standardize_pairs import STANDARDIZE_PAIRS
from onnxq.graph.rewrites.sum_before_layer_norm import SUM_BEFORE_LAYER_NORM
from onnxq.graph.rewrites.transpose_keys_once import TRANSPOSE_KEYS_ONCE
from onnxq.graph.rewrites.unfold_integer_operators import UNFOLD_INTEGER_OPERATORS
from onnxq.graph.rewrites.unsign_rectified import UNSIGN_RECTIFIED

FIRST: tuple[Rewrite, ...] = (INLINE_FUNCTIONS, LIFT_CONSTANTS, SETTLE_PADDED_POOLS)
"""Before general clean-up, which does not look into functions."""

REWRITES: tuple[Rewrite, ...] = (
    LIFT_CONSTANTS,
    POOL_SPATIAL_MEAN,
    NAME_HARD_SIGMOID,
    FOLD_GEMM_SCALES,
    FLATTEN_GEMM_BIAS,
    JOIN_MATMUL_BIAS,
    FOLD_AFFINE,
    CONVOLVE_AFFINE,
    SIGMOID_OF_TWO,
    NAME_NODES,
    ORDER_GELU,
    TRANSPOSE_KEYS_ONCE,
    DROP_NAN_GUARDS,
    BOUND_ATTENTION_MASKS,
    FUSE_ATTENTION,
    SUM_BEFORE_LAYER_NORM,
    DROP_ZERO_STATES,
    AVOID_RESERVED_NAMES,
)
"""After general clean-up, which leaves Constant nodes and makes nodes without names."""

FOR_QUANTIZERS: tuple[Rewrite, ...] = (
    SPLIT_SHARED_WEIGHTS,
    DETACH_PASSED_INPUTS,
)
"""On a quantizer's private copy only: the float model need not grow for them."""

FOR_INTEGERS: tuple[Rewrite, ...] = (
    READ_FLOATS_DIRECTLY,
    PAD_INTEGERS,
    REQUANTIZE_HARD_SIGMOID,
    ALIGN_CHANNELS,
    FOLD_STEM_COLUMNS,
    SPACE_TO_DEPTH_STEM,
    PAD_STEM_CHANNELS,
    SPREAD_GATES,
    MULTIPLY_IN_TILES,
    SHIFT_ACTIVATIONS_TO_INT8,
)
"""On a model with QuantizeLinear and DequantizeLinear pairs, as our static recipes write it."""

FOR_REPAIR: tuple[Rewrite, ...] = (
    LIFT_CONSTANTS,
    LIFT_QUANTIZED_FLOATS,
    FOLD_CONSTANTS,
    DROP_IDENTITIES,
    FLATTEN_GRIDS,
    STANDARDIZE_PAIRS,
    UNFOLD_INTEGER_OPERATORS,
    FOLD_WEIGHT_QUANTIZERS,
    SHIFT_WEIGHTS_TO_INT8,
    CENTER_WEIGHTS,
    FOLD_CHANNEL_FACTORS,
    GATHER_INTEGERS,
    MERGE_EQUAL_PAIRS,
    DROP_INNER_PAIRS,
    POOL_SPATIAL_MEAN,
    MOVE_CHANNEL_SCALES,
    COMPLETE_SUMS,
    UNSIGN_RECTIFIED,
    SHIFT_ACTIVATIONS_TO_UINT8,
    ABSORB_RECTIFIERS,
    SETTLE_BIASES,
    NAME_NODES,
)
"""On somebody else's quantized model, before those for integers."""

ALL_REWRITES: tuple[Rewrite, ...] = tuple(
    dict.fromkeys((*FIRST, *REWRITES, *FOR_QUANTIZERS, *FOR_REPAIR, *FOR_INTEGERS))
)
"""Every rewrite once, in the order in which they are taken."""

__all__ = [
    "ALL_REWRITES",
    "EVERYWHERE",
    "FIRST",
    "FOR_INTEGERS",
    "FOR_QUANTIZERS",
    "FOR_REPAIR",
    "REWRITES",
    "Exactness",
    "Rewrite",
    "Rewritten",
    "describe_rewrite",
]
