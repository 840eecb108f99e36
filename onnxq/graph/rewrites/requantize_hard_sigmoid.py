"""A HardSigmoid between integers becomes a change of their grid.

Pattern: ``DequantizeLinear → HardSigmoid(alpha, beta) → QuantizeLinear(s, z)``. Replacement:
``DequantizeLinear → Add(0) → QuantizeLinear(s / alpha, z + beta / s)``; whoever reads the result
goes on reading it with ``s`` and ``z``. Condition: uint8, one scale for the whole tensor, alpha
above 0, ``beta / s`` an integer that uint8 holds, a grid that ends at 1 or below and begins at 0,
or one step before; nobody else reads the HardSigmoid. Approximate, by a step of the gate at most:
``round(x * alpha / s) + beta / s + z``, saturated to uint8, is what clipping ``alpha * x + beta``
to [0, 1] and rounding gives, but for values half way between two steps, and for those below
``-beta / alpha``, which come to ``-s`` where the grid reaches that far.

Our own grids have steps of 1/254 and begin one step before 0. So 0, one half and 1 are exact, and
1 is where uint8 saturates; what is read begins at ``-beta / alpha``
(:mod:`onnxq.graph.gate_bounds`). That is 1.6 dB more than with steps of 1/256 on MobileNetV3-Small.

Why: onnxruntime 1.31 has no integer kernel for HardSigmoid, which gates HardSwish and
squeeze-and-excite blocks. It has one for Add, vectorized: 20 us for 200,000 values, where that for
LeakyRelu, which looks up a table, takes 49 us, and floats between pairs 190 us (one thread, x86-64
with AVX512-VNNI). The zero that is added is an integer of its own, behind a DequantizeLinear:
onnxruntime would drop the Add of a float zero, and its pair with it.
"""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from onnxq.graph.edits import attribute_float, copy_of, fresh_name, taken_names
from onnxq.graph.integer_convs import put_before, store_constant
from onnxq.graph.qdq_pairs import DEQUANTIZE, QUANTIZE, Pairs, index_pairs
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_ALPHA, _BETA = 0.2, 0.5
_LEVELS = 255
_TOLERANCE = 1e-3  # of a step: what float32 leaves of beta / s
_STEPS_BEYOND = 1


def requantize_hard_sigmoids(proto: ModelProto) -> Rewritten:
    """Turn each HardSigmoid between integers into another grid for what it reads.

    Args:
        proto: A model with QuantizeLinear and DequantizeLinear pairs; not changed.

    Returns:
        The model, and the names of the nodes that changed.
    """
    if all(node.op_type != "HardSigmoid" for node in proto.graph.node):
        return Rewritten(proto, ())
    changed = copy_of(proto)
    pairs, taken = index_pairs(changed.graph), taken_names(changed.graph)
    subjects = []
    for node in list(changed.graph.node):
        if node.op_type != "HardSigmoid":
            continue
        quantizer = _only_quantizer(node, pairs)
        grid = None if quantizer is None else _grid(node, quantizer, pairs)
        if quantizer is not None and grid is not None:
            subjects.append(node.name)
            _requantize(changed, node, quantizer, grid, taken)
    return Rewritten(changed if subjects else proto, tuple(subjects))


def _only_quantizer(node: NodeProto, pairs: Pairs) -> NodeProto | None:
    """Return the QuantizeLinear that alone reads a node which reads integers."""
    readers = pairs.readers(node.output[0])
    if pairs.producer(node.input[0], DEQUANTIZE) is None or node.output[0] in pairs.kept:
        return None
    return readers[0] if len(readers) == 1 and readers[0].op_type == QUANTIZE else None


def _grid(node: NodeProto, quantizer: NodeProto, pairs: Pairs) -> tuple[float, int] | None:
    """Return scale and zero point that stand for slope, offset and bounds of a HardSigmoid."""
    grid = pairs.grid(quantizer)
    if grid is None or grid.dtype != TensorProto.UINT8 or not grid.is_per_tensor:
        return None
    step, first = float(grid.scale), int(grid.zero_point)
    alpha, beta = attribute_float(node, "alpha", _ALPHA), attribute_float(node, "beta", _BETA)
    zero_point = beta / step + first
    whole = round(zero_point)
    is_whole = abs(zero_point - whole) <= _TOLERANCE and 0 <= whole <= _LEVELS
    is_unit = first <= _STEPS_BEYOND and (_LEVELS - first) * step <= 1.0 + _TOLERANCE * step
    return (step / alpha, whole) if is_whole and is_unit and alpha > 0.0 else None


def _requantize(
    changed: ModelProto,
    node: NodeProto,
    quantizer: NodeProto,
    grid: tuple[float, int],
    taken: set[str],
) -> None:
    graph, base = changed.graph, node.output[0]
    scale, zero_point = grid
    quantizer.input[1:] = [
        store_constant(graph, f"{base}_gate_scale", np.array(scale, np.float32), taken),
        store_constant(graph, f"{base}_gate_zero_point", np.array(zero_point, np.uint8), taken),
    ]
    zero = [
        store_constant(graph, f"{base}_zero", np.array(0, np.uint8), taken),
        store_constant(graph, f"{base}_zero_scale", np.array(1.0, np.float32), taken),
    ]
    nothing = fresh_name(f"{base}_zero_dequantized", taken)
    label = fresh_name(f"{nothing}_DequantizeLinear", taken)
    put_before(graph, node, [helper.make_node(DEQUANTIZE, zero, [nothing], label)])
    add = helper.make_node("Add", [node.input[0], nothing], list(node.output), node.name)
    node.CopyFrom(add)


REQUANTIZE_HARD_SIGMOID = Rewrite(
    "requantize hard sigmoid",
    "approximate",
    "HardSigmoid became a change of grid, which onnxruntime computes with integers",
    requantize_hard_sigmoids,
    why="HardSigmoid is float between pairs: 0.75x of float on MobileNetV3-Small, else 1.2x",
)
