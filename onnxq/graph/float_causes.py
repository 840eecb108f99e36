"""Why kernels of a quantized model run in float: what onnxruntime 1.31 could fuse, and did not.

onnxruntime makes an integer kernel of a node whose operands all come from DequantizeLinear and
whose result goes to QuantizeLinear alone, if it has one for the operator and for the types. A node
that only has a float neighbour is not blamed: its neighbour is.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from onnxq.graph.float_islands import DEQUANTIZE, LAYOUT, QUANTIZE, Edges, Region
from onnxq.graph.multiply_adds import multiplies
from onnxq.graph.running_graph import Kernel

REPAIR = "Let onnxq rewrite it: onnxq repair FILE."
DYNAMIC = "Dynamic int8 may be faster: onnxq quantize MODEL -r int8-dynamic."
_KEEP = "Keep its neighbours float, too (--keep-float), if that measures faster."
_PRODUCTS = frozenset({"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"})
_JOINING = frozenset({
    "Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid", "Softmax",
    "Where",
})  # fmt: skip
"""Operators with an integer kernel that takes integers of one type and gives them."""

_ABSORBED = frozenset({"Relu", "Clip"})
_MOVING = frozenset({
    "MaxPool", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split",
    "Resize", "Expand", "Tile", "DepthToSpace", "ReduceMax", "ReduceMin", "Gather",
})  # fmt: skip
"""Operators that onnxruntime runs on integers as they are, where both scales are the same."""

_WIDE = frozenset({"int16", "uint16"})
_DYNAMIC_IS_FASTER = frozenset({
    "LayerNormalization", "SkipLayerNormalization", "SimplifiedLayerNormalization", "Erf", "Gelu",
    "FastGelu", "BiasGelu", "Attention", "MultiHeadAttention", "LSTM",
})  # fmt: skip
_REWRITTEN = frozenset({"ReduceMean", "HardSigmoid", "HardSwish"})
"""Operators that repairing has a rewrite for."""

_DATA, _WEIGHT, _BIAS, _ADDED = range(4)
_MOST_REASONS = 2


@dataclass(frozen=True)
class Cause:
    """Why a kernel is not integer, through no fault of its neighbours.

    Attributes:
        reason: A sentence without a full stop.
        fix: What to do; empty where nothing is known.
    """

    reason: str
    fix: str = ""


def explain_region(region: Region, edges: Edges, *, signed_is_fast: bool) -> Cause:
    """Say why a float region is not integer.

    Args:
        region: Of the graph that is run.
        edges: Of that graph.
        signed_is_fast: Whether this kind of CPU has fast kernels for int8 activations (ARM64).

    Returns:
        What holds for most multiply-adds, then for most nodes; two reasons at most.
    """
    if not region.kernels:
        return _requantized(region, edges)
    weights: defaultdict[Cause, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for kernel in region.kernels:
        cause = _why_float(kernel, edges, signed_is_fast=signed_is_fast)
        if cause is not None:
            macs, count = weights[cause]
            weights[cause] = (macs + kernel.macs, count + 1)
    most = max(weights.values(), default=(0, 0))[0]
    if region.macs and not most:
        return _left_float(region)
    if not weights:
        return Cause("onnxruntime has no rule that fuses it")
    heaviest = sorted(weights, key=lambda cause: weights[cause], reverse=True)
    told = [one for one in heaviest if weights[one][0] or not most][:_MOST_REASONS]
    fix = next((cause.fix for cause in told if cause.fix), "")
    return Cause("; ".join(cause.reason for cause in told), fix)


def _left_float(region: Region) -> Cause:
    operators = dict.fromkeys(k.node.op_type for k in region.kernels if multiplies(k.node.op_type))
    return Cause(f"the file leaves {', '.join(operators)} float: no pair stands around it")


def _requantized(region: Region, edges: Edges) -> Cause:
    before = edges.dtypes.get(region.entries[0].node.input[0], "")
    after = edges.dtypes.get(region.exits[0].node.output[0], "")
    what = "one scale to another" if before == after else f"{before} to {after}"
    if edges.is_one_grid(region.entries[0], region.exits[0]):
        return Cause("a pair of one scale stands back to back", REPAIR)
    return Cause(f"integers are only brought from {what}", REPAIR)


def _why_float(kernel: Kernel, edges: Edges, *, signed_is_fast: bool) -> Cause | None:
    operator = kernel.node.op_type
    if operator in _PRODUCTS:
        return _why_product(kernel, edges, signed_is_fast=signed_is_fast)
    if kernel.arithmetic == "conversion":
        return None
    return _RULES.get(operator, _why_no_kernel)(kernel, edges)


def _why_no_kernel(kernel: Kernel, edges: Edges) -> Cause:
    operator = kernel.node.op_type
    if operator == "LSTM" and kernel.node.input[_WEIGHT] not in edges.constants:
        return Cause("the weights of LSTM are computed in each run, not constant", REPAIR)
    fix = REPAIR if operator in _REWRITTEN else _KEEP
    return Cause(
        f"onnxruntime has no integer kernel for {operator}",
        DYNAMIC if operator in _DYNAMIC_IS_FASTER else fix,
    )


def _why_product(kernel: Kernel, edges: Edges, *, signed_is_fast: bool) -> Cause | None:
    operator = kernel.node.op_type.removeprefix("Fused")
    if edges.is_float_constant(kernel.node.input[_WEIGHT]):
        return Cause(f"the weights of {operator} are float", REPAIR)
    data = edges.maker(kernel.node.input[_DATA], DEQUANTIZE)
    if data is None:
        return None
    stored = edges.dtypes.get(data.node.input[0], "")
    cause = _why_type(operator, stored, signed_is_fast=signed_is_fast)
    if cause is None and operator == "Conv":
        cause = (
            _why_fused(kernel, edges)
            or _why_unlike(kernel, {stored}, edges)
            or _who_reads(kernel, edges)
        )
    # Last: where all else is right, onnxruntime mostly quantizes a float bias by itself.
    bias = kernel.node.input[_BIAS : _BIAS + 1]
    if cause is None and any(map(edges.is_float_constant, bias)):
        return Cause(f"the bias of {operator} is float", REPAIR)
    return cause


def _why_type(operator: str, stored: str, *, signed_is_fast: bool) -> Cause | None:
    """Blame the type of the activations."""
    if stored in _WIDE:
        return Cause(f"onnxruntime has no {operator} for activations of 16 bits")
    if stored == "int8" and not signed_is_fast:
        return Cause(
            f"the activations of {operator} are int8: the kernels here take uint8, and "
            "onnxruntime turns one into the other only where one node reads it",
            REPAIR,
        )
    return None


def _why_fused(kernel: Kernel, edges: Edges) -> Cause | None:
    """Name what became part of a float convolution, where only integers should follow it."""
    if len(kernel.node.input) > _ADDED:
        return Cause("Add reads the result of Conv as floats", REPAIR)
    activation = next((a.s.decode() for a in kernel.node.attribute if a.name == "activation"), "")
    if not activation or not _quantizers(kernel, edges):
        return None
    return Cause(f"the QuantizeLinear behind Conv does not absorb the {activation} between", REPAIR)


def _why_joined(kernel: Kernel, edges: Edges) -> Cause | None:
    operator = kernel.node.op_type
    operands = list(
        filter(None, kernel.node.input[1:] if operator == "Where" else kernel.node.input)
    )
    makers = [edges.maker(name, DEQUANTIZE) for name in operands]
    stored = {edges.dtypes.get(one.node.input[0], "") for one in makers if one is not None}
    if not stored and not _quantizers(kernel, edges):
        return None  # it touches no integers: whatever stands between them and it is to blame
    for name, maker in zip(operands, makers, strict=True):
        if maker is None and edges.is_float_constant(name):
            return Cause(f"an operand of {operator} is a float constant", REPAIR)
    if None in makers:
        return None
    if stored & _WIDE:
        return Cause(f"onnxruntime has no {operator} for activations of 16 bits")
    return _why_unlike(kernel, stored, edges) or _who_reads(kernel, edges)


def _why_unlike(kernel: Kernel, stored: set[str], edges: Edges) -> Cause | None:
    """Say which types a node reads and writes, where those are not all one."""
    written = {edges.dtypes.get(one.node.output[0], "") for one in _quantizers(kernel, edges)}
    types = sorted(stored | written)
    if len(types) <= 1:
        return None
    operator = kernel.node.op_type.removeprefix("Fused")
    what = "operands" if len(stored) > 1 else "operand and result"
    return Cause(f"{what} of {operator} are {' and '.join(types)}: its kernel takes one", REPAIR)


def _who_reads(kernel: Kernel, edges: Edges) -> Cause | None:
    """Say who reads a result as floats, though the operands are integer."""
    operator = kernel.node.op_type.removeprefix("Fused")
    readers = edges.readers.get(kernel.node.output[0], [])
    others = {one.node.op_type for one in readers if one.node.op_type != QUANTIZE}
    if not readers:
        return Cause(f"the model gives out the result of {operator} as floats")
    if not others or others <= _ABSORBED:
        return None  # the Relu or Clip is to blame
    return Cause(f"{', '.join(sorted(others))} reads the result of {operator} as floats", REPAIR)


def _why_not_absorbed(kernel: Kernel, edges: Edges) -> Cause | None:
    if not _quantizers(kernel, edges):
        return None
    operator = kernel.node.op_type
    return Cause(
        f"the QuantizeLinear behind {operator} does not absorb it: its range begins or ends "
        "elsewhere",
        REPAIR,
    )


def _why_moved(kernel: Kernel, edges: Edges) -> Cause | None:
    maker = edges.makers.get(kernel.node.input[_DATA])
    while maker is not None and maker.node.op_type in LAYOUT:
        maker = edges.makers.get(maker.node.input[0])
    quantizers = _quantizers(kernel, edges)
    if maker is None or maker.node.op_type != DEQUANTIZE or not quantizers:
        return None
    unlike = _why_unlike(kernel, {edges.dtypes.get(maker.node.input[0], "")}, edges)
    if unlike is not None:
        return unlike
    operator = kernel.node.op_type
    if all(edges.is_one_grid(maker, quantizer) for quantizer in quantizers):
        return Cause(f"onnxruntime moved {operator} into a pair too late to fuse it", REPAIR)
    return Cause(f"the scales before and behind {operator} differ", REPAIR)


def _quantizers(kernel: Kernel, edges: Edges) -> list[Kernel]:
    """Return the QuantizeLinear that read a result, changes of layout between passed over."""
    found, front = [], [kernel]
    while front:
        for reader in edges.readers.get(front.pop().node.output[0], ()):
            if reader.node.op_type == QUANTIZE:
                found.append(reader)
            elif reader.node.op_type in LAYOUT:
                front.append(reader)
    return found


_Rule: TypeAlias = Callable[[Kernel, Edges], Cause | None]

_RULES: dict[str, _Rule] = {
    **dict.fromkeys(_JOINING, _why_joined),
    **dict.fromkeys(_ABSORBED, _why_not_absorbed),
    **dict.fromkeys(_MOVING, _why_moved),
}
