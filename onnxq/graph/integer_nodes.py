"""Which nodes of a float graph a static QDQ recipe turns into integer ones.

onnxruntime computes a node between DequantizeLinear and QuantizeLinear with integers only where
it has a kernel for it; elsewhere the pair is pure cost. What was measured of onnxruntime 1.31 on
x86-64 is held here as data:

* ``Conv``, ``Gemm`` and ``MatMul`` with constant weights are what quantizing is for. A ``Conv``
  must have its output quantized as well, else it stays float; ``Gemm`` and ``MatMul`` have
  kernels with a float output, so their output is quantized only where integers are wanted next.
* ``Add``, ``Mul``, ``Concat``, the average pools and ``LeakyRelu`` have integer kernels, which pay
  between integer nodes and nowhere else (in a transformer, quantizing them costs 10 dB *and*
  time). They join in if all that they read is integer and something integer reads their result.
* ``Sigmoid`` has an integer kernel as well, a table; ``HardSigmoid`` gets one by a rewrite of the
  quantized graph. Both pay where they gate what is integer: in SiLU, HardSwish, squeeze-and-excite.
* ``Relu`` and ``Clip`` disappear into the quantization of what they read.
* Operators that only move values run on integers as they are, without a range of their own.
* ``Softmax``, ``Gelu``, ``LayerNormalization``, linear ``Resize``,
  ``ConvTranspose`` and all others stay float.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from onnxq.graph.edits import scalar_of
from onnxq.graph.operator_kinds import (
    ABSORBED,
    COMMUTING,
    JOINING,
    MOVING,
    QDQ_OPERATORS,
    WEIGHTED,
)
from onnxq.graph.scoped_nodes import why_kept_float
from onnxq.graph.tensor_flow import TensorFlow
from onnxq.ranges import LEAST_WIDTH
from onnxq.scopes import EVERYTHING, QuantizationScope

_MATRIX_RANK = 2
_UNLIKE = "a Concat joins tensors that no one scale can hold"


@dataclass(frozen=True)
class IntegerNodes:
    """The nodes that become integer; a node is named by its first output, which is unique.

    Attributes:
        names: All of them.
        quantized: Activations that become integer tensors.
        left_float: Reason, by the first output of each weighted or joining node that stays float.
    """

    names: frozenset[str]
    quantized: frozenset[str]
    left_float: dict[str, str]


def find_integer_nodes(
    flow: TensorFlow,
    scope: QuantizationScope = EVERYTHING,
    kept_float: Collection[str] = (),
) -> IntegerNodes:
    """Choose the nodes that become integer.

    Three sweeps: forward, what *could* be integer given what it reads; backward, which tensors
    an integer node *wants*; forward again, what therefore *is* integer.

    Args:
        flow: The edges of a prepared float graph.
        scope: What may become integer.
        kept_float: First outputs of nodes that may not, because of what calibration saw.

    Returns:
        The nodes.
    """
    able, left_float = _sweep_able(flow, _Wishes(scope, frozenset(kept_float)))
    wanted = _sweep_wanted(flow, able)
    names, quantized = _sweep_chosen(flow, able, wanted)
    for node in flow.nodes:
        name = node.output[0]
        if node.op_type in JOINING and name in able and name not in names:
            left_float[name] = "nothing integer reads its result"
    return IntegerNodes(frozenset(names), frozenset(quantized), left_float)


@dataclass(frozen=True)
class _Wishes:
    """What may become integer."""

    scope: QuantizationScope
    kept_float: frozenset[str]

    def why_not(self, node: onnx.NodeProto) -> str:
        """Say why a node is to stay float; empty if it is not."""
        return why_kept_float(node, self.scope) or (
            _UNLIKE if node.output[0] in self.kept_float else ""
        )


def _sweep_able(flow: TensorFlow, wishes: _Wishes) -> tuple[set[str], dict[str, str]]:
    """Find nodes that could be integer, and why the others could not."""
    left_float = {
        node.output[0]: wishes.why_not(node) or _WEIGHTED_CHECKS[node.op_type](node, flow)
        for node in flow.nodes
        if node.op_type in WEIGHTED
    }
    able = {name for name, reason in left_float.items() if not reason}
    made = {name for name in able if not left_float.pop(name)}
    readable = {flow.producers[name].input[0] for name in able} | made
    for node in flow.nodes:
        if node.op_type in WEIGHTED:
            continue
        reason = wishes.why_not(node) or _why_float(node, flow, made, readable)
        if not reason:
            able.add(node.output[0])
            made.update(node.output)
            readable.update(node.output)
        elif node.op_type in JOINING | {"ConvTranspose"}:
            left_float[node.output[0]] = reason
    return able, left_float


def _why_float(node: onnx.NodeProto, flow: TensorFlow, made: set[str], readable: set[str]) -> str:
    """Say why a node stays float, given the tensors that integer nodes make or read."""
    if node.op_type not in QDQ_OPERATORS:
        return "onnxruntime has no integer kernel for it that pays"
    if node.op_type in JOINING:
        # The quantizer passes over an AveragePool whose input no earlier node made integer.
        return _why_not_joined(node, flow, made if node.op_type == "AveragePool" else readable)
    if node.input[0] not in made:
        return "it reads a float tensor"
    return _why_not_absorbed(node, flow) if node.op_type in ABSORBED else _why_not_moved(node, flow)


def _why_not_moved(node: onnx.NodeProto, flow: TensorFlow) -> str:
    if node.op_type == "Resize" and _attribute(node, "mode", b"nearest") != b"nearest":
        return "onnxruntime interpolates integers in float"
    if node.op_type == "MaxPool" and len(node.output) > 1:
        return "onnxruntime finds the places of integer maxima in float"
    if node.op_type == "Pad" and not _pads_with_zero(node, flow):
        return "it pads with a value that is not zero, or not constant"
    return ""


def _pads_with_zero(node: onnx.NodeProto, flow: TensorFlow) -> bool:
    """Whether a Pad adds nothing but zeros, which every grid has, or values that it reads."""
    if _attribute(node, "mode", b"constant") != b"constant":
        return True
    name = node.input[2] if len(node.input) > 2 else ""  # noqa: PLR2004 - the value is input 2
    return not name or scalar_of(flow.initializers.get(name)) == 0.0


def _why_not_joined(node: onnx.NodeProto, flow: TensorFlow, readable: set[str]) -> str:
    if any(name in flow.initializers for name in node.input):
        return "one operand is constant"
    return "" if readable.issuperset(node.input) else "it reads float tensors"


def _why_not_absorbed(node: onnx.NodeProto, flow: TensorFlow) -> str:
    if not _can_be_absorbed(node, flow):
        return "its bounds are not constants around zero"
    if node.output[0] in flow.kept - flow.outputs:
        return "a body of If, Loop or Scan reads its result"  # and would read what it reads
    tensor = node.input[0]
    while flow.has_one_reader(tensor):
        producer = flow.producers[tensor]
        if producer.op_type not in MOVING:
            return ""
        if producer.op_type not in COMMUTING:
            return f"it cannot change places with {producer.op_type}"
        tensor = producer.input[0]
    return "what it reads is read elsewhere too"


def activation_bounds(node: onnx.NodeProto, flow: TensorFlow) -> tuple[float, float]:
    """Return the bounds that a Relu or a Clip (opset 11 up) gives its result.

    Args:
        node: A Relu, or a Clip whose bounds, where it has any, are constants.
        flow: The edges of its graph.

    Returns:
        Lower and upper bound; infinite where there is none.
    """
    if node.op_type == "Relu":
        return 0.0, np.inf
    low, high = (
        float(numpy_helper.to_array(flow.initializers[node.input[slot]]).reshape(()))
        if len(node.input) > slot and node.input[slot]
        else default
        for slot, default in ((1, -np.inf), (2, np.inf))
    )
    return low, high


def _can_be_absorbed(node: onnx.NodeProto, flow: TensorFlow) -> bool:
    """Whether a range that includes zero can stand for the bounds."""
    if any(name and name not in flow.initializers for name in node.input[1:]):
        return False
    low, high = activation_bounds(node, flow)
    return low <= 0.0 <= high and max(-low, high) >= LEAST_WIDTH


def _sweep_wanted(flow: TensorFlow, able: set[str]) -> set[str]:
    """Find tensors that a node reads as integers, from the outputs up."""
    wanted: set[str] = set()
    for node in reversed(flow.nodes):
        if node.output[0] not in able:
            continue
        if node.op_type in WEIGHTED:
            wanted.add(node.input[0])
        elif any(name in wanted for name in node.output):
            wanted.update(node.input if node.op_type in JOINING else node.input[:1])
    return wanted


def _sweep_chosen(flow: TensorFlow, able: set[str], wanted: set[str]) -> tuple[set[str], set[str]]:
    """Choose nodes, and mark what is quantized, from the inputs down.

    A tensor is quantized where it is wanted, or where its producer has no kernel with a float
    output. Moving and absorbed nodes follow what they read: on integers they cost less.
    """
    names: set[str] = set()
    quantized = {name for name in wanted if name not in flow.producers}
    for node in flow.nodes:
        is_wanted = any(name in wanted for name in node.output)
        if node.output[0] in able and (
            node.op_type in WEIGHTED
            or is_wanted
            or (node.op_type not in JOINING and node.input[0] in quantized)
        ):
            names.add(node.output[0])
            if is_wanted or node.op_type not in {"Gemm", "MatMul"}:
                quantized.update(name for name in node.output if name)
        quantized.update(name for name in node.output if name in wanted)
    return names, quantized


def _why_not_conv(node: onnx.NodeProto, flow: TensorFlow) -> str:
    return (
        _why_not_weight(node.input[1], flow)
        or _why_not_activation(node.input[0], flow)
        or _why_not_bias(node, flow)
    )


def _why_not_gemm(node: onnx.NodeProto, flow: TensorFlow) -> str:
    # onnxruntime 1.31 scales the bias by beta once too often: silently wrong (-4 dB). Preparation
    # folds both into constants; what is left of them is rare.
    if _attribute(node, "alpha", 1.0) != 1.0 or _attribute(node, "beta", 1.0) != 1.0:
        return "alpha or beta is not 1"
    return _why_not_conv(node, flow)


def _why_not_matmul(node: onnx.NodeProto, flow: TensorFlow) -> str:
    if node.input[1] not in flow.initializers:
        return "both operands are activations"
    if len(flow.initializers[node.input[1]].dims) != _MATRIX_RANK:
        return "its weights are not a matrix"
    return _why_not_weight(node.input[1], flow) or _why_not_activation(node.input[0], flow)


_WEIGHTED_CHECKS: dict[str, Callable[[onnx.NodeProto, TensorFlow], str]] = {
    "Conv": _why_not_conv,
    "Gemm": _why_not_gemm,
    "MatMul": _why_not_matmul,
}


def _why_not_weight(name: str, flow: TensorFlow) -> str:
    if name not in flow.initializers:
        return "its weights are not constant"
    tensor = flow.initializers[name]
    if tensor.data_type != onnx.TensorProto.FLOAT:
        return "its weights are not float32"
    if not np.isfinite(numpy_helper.to_array(tensor)).all():
        return "its weights hold values that are not finite"
    return ""


def _why_not_activation(name: str, flow: TensorFlow) -> str:
    return "its input is constant" if name in flow.initializers else ""


def _why_not_bias(node: onnx.NodeProto, flow: TensorFlow) -> str:
    name = node.input[2] if len(node.input) > 2 else ""  # noqa: PLR2004 - the bias is input 2
    if not name:
        return ""
    if name not in flow.initializers:
        return "its bias is not constant"
    if len(flow.initializers[name].dims) != 1:
        return "its bias is not a vector"
    if not np.isfinite(numpy_helper.to_array(flow.initializers[name])).all():
        return "its bias holds values that are not finite"
    return ""


def _attribute(node: onnx.NodeProto, name: str, default: float | bytes) -> float | bytes:
    for attribute in node.attribute:
        if attribute.name == name:
            value: float | bytes = onnx.helper.get_attribute_value(attribute)
            return value
    return default
