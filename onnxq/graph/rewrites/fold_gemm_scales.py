"""alpha and beta of a Gemm move into its weight and its bias.

Pattern: ``Gemm(A, B, C, alpha, beta)`` with alpha or beta other than 1. Replacement:
``Gemm(A, alpha * B, beta * C)``. Condition: alpha only where B, beta only where C is a float32
initializer. Real-exact (bit-exact for powers of two). Why: onnxruntime 1.31.1's static quantizer
multiplies beta into the bias' scale once too often (-4.1 dB with beta = 0.5), its dynamic one
leaves such a Gemm float.
"""

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import (
    attribute_float,
    copy_of,
    drop_attributes,
    fresh_name,
    initializers_of,
    taken_names,
)
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_SLOTS = (("alpha", 1), ("beta", 2))


def fold_gemm_scales(proto: ModelProto) -> Rewritten:
    """Fold alpha and beta of every Gemm of the top graph into initializers.

    Args:
        proto: Any model; not changed.

    Returns:
        The model, and the names of the nodes that changed.
    """
    folded = copy_of(proto)
    taken = taken_names(folded.graph)
    initializers = initializers_of(folded.graph)
    subjects = []
    for node in folded.graph.node:
        if node.op_type != "Gemm" or node.domain not in {"", "ai.onnx"}:
            continue
        tensors = [_fold(node, name, slot, initializers, taken) for name, slot in _SLOTS]
        added = [tensor for found in tensors for tensor in found]
        folded.graph.initializer.extend(added)
        if added:
            subjects.append(node.name)
    return Rewritten(folded if subjects else proto, tuple(subjects))


def _fold(
    node: NodeProto,
    name: str,
    slot: int,
    initializers: dict[str, TensorProto],
    taken: set[str],
) -> list[TensorProto]:
    """Point a node at a scaled copy of an input; return the copy, or nothing."""
    factor = attribute_float(node, name, 1.0)
    source = initializers.get(node.input[slot]) if len(node.input) > slot else None
    if factor == 1.0 or source is None or source.data_type != TensorProto.FLOAT:
        return []
    scaled = onnx.numpy_helper.to_array(source) * np.float32(factor)
    tensor = onnx.numpy_helper.from_array(
        scaled.astype(np.float32), fresh_name(f"{source.name}_times_{name}", taken)
    )
    node.input[slot] = tensor.name
    drop_attributes(node, [name])
    return [tensor]


FOLD_GEMM_SCALES = Rewrite(
    "fold Gemm scales",
    "real-exact",
    "alpha and beta were folded into weights, because onnxruntime's quantizers get them wrong",
    fold_gemm_scales,
    why="onnxruntime's static quantizer applies beta twice: -4.1 dB",
)
