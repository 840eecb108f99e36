"""The bias of a Gemm becomes a vector of one value per output column, or an Add.

Pattern: ``Gemm(A, B, C)`` with a C that is not a constant vector of B's columns. Replacement: a C
of shape (n,) where C is a constant scalar, (1,) or (1, n); else ``Add(Gemm(A, B), C)``. Condition:
B, and C if it is constant, are float32 initializers and beta is 1. Bit-exact for the vector,
real-exact for the Add. Why: onnxruntime 1.31.1's static quantizer dies of "truth value of an
array" or IndexError on other constants, and has no integer kernel for a C that is computed: what
onnxruntime's own fusion makes of a residual connection, ``Add(MatMul(A, B), C)``.
"""

import math

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from onnxq.graph.edits import (
    attribute_float,
    attribute_int,
    copy_of,
    fresh_name,
    initializers_of,
    taken_names,
)
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten


def flatten_gemm_bias(proto: ModelProto) -> Rewritten:
    """Make every bias of a Gemm of the top graph a constant vector, or an Add behind it.

    Args:
        proto: Any model; not changed.

    Returns:
        The model, and the names of the nodes that changed.
    """
    flattened = copy_of(proto)
    taken = taken_names(flattened.graph)
    initializers = initializers_of(flattened.graph)
    subjects = []
    for node in list(flattened.graph.node):
        if not _matches(node, initializers):
            continue
        weight, bias = initializers[node.input[1]], initializers.get(node.input[2])
        columns = int(weight.dims[0 if attribute_int(node, "transB", 0) else 1])
        if bias is not None and tuple(bias.dims) == (columns,):
            continue
        subjects.append(node.name)
        if bias is not None and _is_row(bias) and math.prod(bias.dims) in {1, columns}:
            array = np.broadcast_to(onnx.numpy_helper.to_array(bias).ravel(), (columns,)).copy()
            name = fresh_name(f"{bias.name}_row", taken)
            flattened.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
            node.input[2] = name
        else:
            _move_into_add(flattened.graph, node, taken)
    return Rewritten(flattened if subjects else proto, tuple(subjects))


def _matches(node: NodeProto, initializers: dict[str, TensorProto]) -> bool:
    return (
        node.op_type == "Gemm"
        and node.domain in {"", "ai.onnx"}
        and len(node.input) > 2  # noqa: PLR2004 - the bias is input 2
        and bool(node.input[2])
        and node.input[1] in initializers
        and all(
            initializers[name].data_type == TensorProto.FLOAT
            for name in node.input[1:3]
            if name in initializers
        )
        and attribute_float(node, "beta", 1.0) == 1.0
    )


def _is_row(bias: TensorProto) -> bool:
    """Tell whether a bias is the same for every row of the output."""
    return all(dim == 1 for dim in bias.dims[:-1])


def _move_into_add(graph: GraphProto, node: NodeProto, taken: set[str]) -> None:
    inner = fresh_name(f"{node.output[0]}_before_bias", taken)
    add = onnx.helper.make_node(
        "Add", [inner, node.input[2]], [node.output[0]], fresh_name(f"{node.name}_bias", taken)
    )
    node.output[0] = inner
    del node.input[2:]
    graph.node.insert(list(graph.node).index(node) + 1, add)


FLATTEN_GEMM_BIAS = Rewrite(
    "flatten Gemm bias",
    "real-exact",
    "biases were reshaped or are added behind, because onnxruntime's static quantizer fails on "
    "their shapes, or leaves the Gemm float where they are computed",
    flatten_gemm_bias,
    why="onnxruntime's static quantizer dies of biases that are not vectors",
)
