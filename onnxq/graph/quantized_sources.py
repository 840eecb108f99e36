"""Telling a model that is quantized already from a float one, and how it is quantized."""

from collections import Counter
from collections.abc import Iterable, Iterator

from onnx import ModelProto, NodeProto

from onnxq.errors import SourceError
from onnxq.graph.edits import walk_graphs
from onnxq.graph.nodes import is_quantizing, walk_nodes
from onnxq.graph.quantized_tensors import TensorQuantization, list_quantized
from onnxq.wording import count_noun

_DYNAMIC = ("DynamicQuantize", "MatMulInteger", "ConvInteger")
_BLOCKED = frozenset({"MatMulNBits", "GatherBlockQuantized", "MatMulBnb4"})
_PAIRS = frozenset({"QuantizeLinear", "DequantizeLinear"})
_MOST_OPERATORS = 4


def describe_quantization(proto: ModelProto) -> str:
    """Say how a model is quantized, for a person.

    Args:
        proto: Any model without local functions; not changed.

    Returns:
        Such as ``static, as QuantizeLinear pairs: 20 weights in int8, per channel; 31
        activations in uint8``; empty for a float model.
    """
    operators = (node.op_type for node in walk_nodes(proto.graph))
    found = Counter(filter(is_quantizing, operators))
    tensors = list_quantized(proto)
    if not found and not tensors:
        return ""
    in_blocks = all(tensor.operator in _BLOCKED for tensor in tensors)
    parts = [_part(tensors, role, in_blocks=in_blocks) for role in ("weight", "activation")]
    listed = "; ".join(part for part in parts if part) or _operators(found)
    return f"{', '.join(_kinds(proto, found, tensors))}: {listed}"


def check_repairable(proto: ModelProto, name: str) -> None:
    """Refuse a model that has no activation on a fixed grid.

    Args:
        proto: Any model without local functions; not changed.
        name: As the user named it, for the message.

    Raises:
        SourceError: OQ175.
    """
    activations = [one for one in list_quantized(proto) if one.role == "activation"]
    if any(one.scales.size for one in activations):
        return
    how = describe_quantization(proto)
    message = f"{name} is not quantized: there is nothing to repair."
    hint = f"Quantize it:  onnxq run {name} --data ROWS"
    if how:
        message = f"no activation of {name} has a fixed grid: there is nothing to repair ({how})."
        hint = f"See how fast it is:  onnxq profile {name}"
    raise SourceError(message, code="OQ175", hint=hint)


def _kinds(
    proto: ModelProto, found: Counter[str], tensors: tuple[TensorQuantization, ...]
) -> Iterator[str]:
    """Yield every way of being quantized that a model shows."""
    static = any(t.role == "activation" and t.scales.size for t in tensors)
    dynamic = any(name.startswith(_DYNAMIC) for name in found)
    if found.keys() & _PAIRS:
        if static:
            yield "static, as QuantizeLinear pairs"
        elif not dynamic:
            yield "weights only, as DequantizeLinear"
        if _has_float_weights(proto):
            yield "some weights still in float before their QuantizeLinear (as trained)"
    if dynamic:
        yield "dynamic, activations quantized while it runs"
    forms = ["as integers behind Cast and Mul"] if _has_scaled(tensors) else []
    blocked = ", ".join(sorted(found.keys() & _BLOCKED))
    forms += [f"in blocks ({blocked})"] if blocked else []
    if forms:
        yield f"weights only, {' and '.join(forms)}"
    rest = [name for name in found if name not in _PAIRS | _BLOCKED]
    if any(not name.startswith(_DYNAMIC) for name in rest):
        yield "static, as integer operators"


def _has_scaled(tensors: tuple[TensorQuantization, ...]) -> bool:
    """Tell whether a Cast turns integer weights into floats, as int8-weights models hold them."""
    return any(tensor.operator == "Cast" for tensor in tensors)


def _has_float_weights(proto: ModelProto) -> bool:
    """Tell whether constants are quantized while the model runs, as training leaves them."""
    return any(
        node.op_type == "QuantizeLinear" and node.input[0] in constants
        for graph in walk_graphs(proto.graph)
        for constants in [{tensor.name for tensor in graph.initializer} | _constants(graph.node)]
        for node in graph.node
    )


def _constants(nodes: Iterable[NodeProto]) -> set[str]:
    return {node.output[0] for node in nodes if node.op_type == "Constant"}


def _part(tensors: tuple[TensorQuantization, ...], role: str, *, in_blocks: bool) -> str:
    """Describe all tensors of a role, such as ``3 weights in int8, per channel``."""
    chosen = [tensor for tensor in tensors if tensor.role == role]
    if not chosen:
        return ""
    dtypes = " and ".join(sorted({tensor.dtype for tensor in chosen}))
    counted = f"{count_noun(len(chosen), role)} in {dtypes}"
    if role != "weight" or in_blocks:
        return counted
    apart = sum(tensor.axis >= 0 for tensor in chosen)
    scales = "per channel" if apart == len(chosen) else f"{apart} of them per channel"
    return f"{counted}, {scales if apart else 'per tensor'}"


def _operators(found: Counter[str]) -> str:
    most = found.most_common(_MOST_OPERATORS)
    return ", ".join(f"{count} {name}" for name, count in most)
