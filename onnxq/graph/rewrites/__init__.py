"""Graph rewrites: one file each, with its pattern, its condition and its reason.

``REWRITES`` is what preparation applies, in this order; ``FOR_QUANTIZERS`` is what a quantizer's
private copy gets besides.
"""

from onnxq.graph.rewrites.avoid_reserved_names import AVOID_RESERVED_NAMES
from onnxq.graph.rewrites.detach_passed_inputs import DETACH_PASSED_INPUTS
from onnxq.graph.rewrites.flatten_gemm_bias import FLATTEN_GEMM_BIAS
from onnxq.graph.rewrites.fold_gemm_scales import FOLD_GEMM_SCALES
from onnxq.graph.rewrites.inline_functions import INLINE_FUNCTIONS
from onnxq.graph.rewrites.lift_constants import LIFT_CONSTANTS
from onnxq.graph.rewrites.name_nodes import NAME_NODES
from onnxq.graph.rewrites.pool_spatial_mean import POOL_SPATIAL_MEAN
from onnxq.graph.rewrites.rewrite import (
    EVERYWHERE,
    Exactness,
    Rewrite,
    Rewritten,
    describe_rewrite,
)
from onnxq.graph.rewrites.split_shared_weights import SPLIT_SHARED_WEIGHTS

FIRST: tuple[Rewrite, ...] = (INLINE_FUNCTIONS, LIFT_CONSTANTS)
"""Before general clean-up, which does not look into functions."""

REWRITES: tuple[Rewrite, ...] = (
    LIFT_CONSTANTS,
    POOL_SPATIAL_MEAN,
    FOLD_GEMM_SCALES,
    FLATTEN_GEMM_BIAS,
    NAME_NODES,
    AVOID_RESERVED_NAMES,
)
"""After general clean-up, which leaves Constant nodes and makes nodes without names."""

FOR_QUANTIZERS: tuple[Rewrite, ...] = (SPLIT_SHARED_WEIGHTS, DETACH_PASSED_INPUTS)
"""On a quantizer's private copy only: the float model need not grow for them."""

FOR_INTEGERS: tuple[Rewrite, ...] = ()
"""On a model with QuantizeLinear and DequantizeLinear pairs, as our static recipes write it."""

FOR_REPAIR: tuple[Rewrite, ...] = ()
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
