"""Names that onnxruntime's quantizers will write are kept free.

Pattern: a tensor or node B whose name is the name of another one, A, followed by a suffix that the
quantizers append (``x`` and ``x_scale``). Replacement: B under another name, or A where B belongs
to the interface. Condition: one of the two is internal; two names of the interface are refused.
Bit-exact. Why: onnxruntime 1.31.1's quantizers do not look whether a name is taken, and write a
model that defines one name twice, which does not load.
"""

import re
from collections.abc import Iterable

from onnx import GraphProto, ModelProto

from onnxq.errors import QuantizationError
from onnxq.graph.edits import (
    copy_of,
    fresh_name,
    interface_names,
    node_names,
    taken_names,
    tensor_names,
    walk_graphs,
)
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten

_AFTER_TENSOR = (
    "_scale", "_zero_point", "_quantized", "_output_quantized", "_QuantizeLinear",
    "_DequantizeLinear", "_ReduceMin", "_ReduceMax", "_MatMul", "_Transposed", "_convert",
)  # fmt: skip
_AFTER_NODE = ("_quant", "_MatMul", "_Add", "_Transpose")
_FIXED = frozenset({
    "fixed_quantization_range_uint8", "fixed_quantization_range_int8", "fixed_zero",
    "fixed_zero_zp",
})  # fmt: skip


def avoid_reserved_names(proto: ModelProto) -> Rewritten:
    """Rename tensors and nodes that stand where a quantizer will write.

    Args:
        proto: Any model; not changed. Inputs and outputs keep their names.

    Returns:
        The model, and the old names of what was renamed.

    Raises:
        QuantizationError: OQ111 if an input or output is named like the scale of another.
    """
    interface = interface_names(proto.graph)
    tensors, nodes = tensor_names(proto.graph), node_names(proto.graph)
    clashes = dict(_clashes(tensors, tensors, _AFTER_TENSOR))
    clashes |= {name: name for name in tensors & _FIXED}
    _check_interface(clashes, interface)
    moved = {base if name in interface else name for name, base in clashes.items()}
    labels = dict(_clashes(nodes, tensors, _AFTER_TENSOR))
    labels |= dict(_clashes(nodes, nodes, _AFTER_NODE))
    if not moved and not labels:
        return Rewritten(proto, ())
    renamed = copy_of(proto)
    taken = taken_names(renamed.graph)
    rename_tensors(renamed.graph, {name: _own(name, taken) for name in sorted(moved)})
    for node in walk_nodes(renamed.graph):
        if node.name in labels:
            node.name = _own(node.name, taken)
    return Rewritten(renamed, tuple(sorted({*moved, *labels})))


def rename_tensors(graph: GraphProto, names: dict[str, str]) -> None:
    """Rename tensors of one's own copy wherever they are written or read.

    Args:
        graph: The top graph; its subgraphs follow.
        names: New names by old ones.
    """
    if not names:
        return
    for inner in walk_graphs(graph):
        for value in (*inner.input, *inner.output, *inner.value_info):
            value.name = names.get(value.name, value.name)
        for tensor in inner.initializer:
            tensor.name = names.get(tensor.name, tensor.name)
        for node in inner.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]


def _clashes(
    names: Iterable[str], bases: set[str], suffixes: tuple[str, ...]
) -> Iterable[tuple[str, str]]:
    """Yield names that a suffix behind a base may come to, with the base."""
    for name in names:
        ends = (match.start() for suffix in suffixes for match in re.finditer(suffix, name))
        base = next((name[:end] for end in ends if name[:end] in bases), "")
        if base:
            yield name, base


def _own(name: str, taken: set[str]) -> str:
    # Without underscores it is no other's name with a suffix, whatever is renamed beside it.
    return fresh_name(f"own_{name}".replace("_", "."), taken)


def _check_interface(clashes: dict[str, str], interface: set[str]) -> None:
    for name, base in clashes.items():
        if name in interface and base in interface:
            message = (
                f"the inputs and outputs {base!r} and {name!r} cannot both stay: onnxruntime's "
                f"quantizers write a tensor {name!r} of their own."
            )
            hint = f"Export the model again with another name for {name!r}."
            raise QuantizationError(message, code="OQ111", hint=hint)


AVOID_RESERVED_NAMES = Rewrite(
    "avoid reserved names",
    "bit-exact",
    "names were changed, because onnxruntime's quantizers write the same ones",
    avoid_reserved_names,
    why="onnxruntime's quantizers write names twice, and the result does not load",
)
