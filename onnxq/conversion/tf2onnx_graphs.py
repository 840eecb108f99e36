"""From what tf2onnx returns to a file that can be handed over."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from onnxq.arrays import Array
from onnxq.errors import ConversionError
from onnxq.findings import Finding
from onnxq.graph.cleaning import clean
from onnxq.graph.edits import copy_of, fresh_name, tensor_names, walk_graphs
from onnxq.graph.nodes import default_opset, walk_nodes
from onnxq.graph.rewrites.settle_padded_pools import settle_padded_pools
from onnxq.tensors import Dim
from onnxq.wording import count_noun

_STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_REPLACE = "Replace the layer that needs them."


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output as the source declares it.

    Attributes:
        name: Its name in the ONNX graph.
        shape: A size for each axis, or a symbol where the axis is free.
    """

    name: str
    shape: tuple[Dim, ...]


def finish_graph(
    proto: onnx.ModelProto,
    *,
    name: str,
    inputs: tuple[Port, ...],
    outputs: tuple[Port, ...],
    constants: Mapping[str, Array],
    hint: str,
) -> onnx.ModelProto:
    """Make a tf2onnx graph what the source declares, and no more than ONNX allows.

    Args:
        proto: What tf2onnx returned; stays as it is.
        name: For the graph; tf2onnx's own holds a counter.
        inputs: In the declared order.
        outputs: In the declared order.
        constants: Values of what the traced function captured, by the name of the graph input
            that tf2onnx makes of each; they become initializers.
        hint: What to do where it fails.

    Returns:
        The model, cleaned.

    Raises:
        ConversionError: If an operator does not exist in the operator sets, or an input or
            output is missing.
    """
    check_operators(proto, hint)
    found = {value.name: value for value in proto.graph.input}
    captured = [key for key in found if key in constants]
    _check_names("inputs", set(found) - set(captured), inputs, hint)
    _check_names("outputs", {value.name for value in proto.graph.output}, outputs, hint)
    found |= {value.name: value for value in proto.graph.output}
    interface = onnx.GraphProto()
    interface.input.extend(_declare(found[port.name], port) for port in inputs)
    interface.output.extend(_declare(found[port.name], port) for port in outputs)
    filled = onnx.ModelProto()
    filled.CopyFrom(proto)
    filled.graph.name = name
    filled.graph.initializer.extend(
        onnx.numpy_helper.from_array(constants[key], key) for key in captured
    )
    finished = clean(settle_padded_pools(filled).proto, interface)
    onnx.checker.check_model(finished)
    return finished


def rename_tensors(proto: onnx.ModelProto, names: Mapping[str, str]) -> onnx.ModelProto:
    """Return a model with other names for some tensors.

    Args:
        proto: A model; stays as it is.
        names: New names by old ones. A tensor that has one of the new names already gives way.

    Returns:
        The renamed copy.
    """
    renamed = copy_of(proto)
    taken = tensor_names(renamed.graph) | set(names.values())
    given_way = (taken & set(names.values())) - set(names)
    new = dict(names) | {name: fresh_name(f"{name}_inner", taken) for name in given_way}
    for graph in walk_graphs(renamed.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            value.name = new.get(value.name, value.name)
        for tensor in graph.initializer:
            tensor.name = new.get(tensor.name, tensor.name)
        for node in graph.node:
            node.input[:] = [new.get(name, name) for name in node.input]
            node.output[:] = [new.get(name, name) for name in node.output]
    return renamed


def loop_findings(proto: onnx.ModelProto, given: str, fix: str) -> tuple[Finding, ...]:
    """Say that a recurrent layer became a loop, which is slow and is never quantized.

    Args:
        proto: What was written.
        given: What the user calls the model.
        fix: What to do about it.

    Returns:
        A finding, or none.
    """
    loops = sum(node.op_type in {"Loop", "Scan"} for node in walk_nodes(proto.graph))
    if not loops:
        return ()
    finding = Finding(
        code="OQ159",
        subject=given,
        message=(
            f"{count_noun(loops, 'loop')} of single steps in place of recurrent operators: about "
            "ten times slower than an LSTM or GRU node, and never quantized."
        ),
        evidence={"loops": loops},
        fix=fix,
        severity="warning",
    )
    return (finding,)


def _check_names(kind: str, found: set[str], ports: tuple[Port, ...], hint: str) -> None:
    expected = {port.name for port in ports}
    if found != expected:
        message = f"tf2onnx changed the {kind}: found {sorted(found)}, expected {sorted(expected)}."
        raise ConversionError(message, code="OQ151", hint=hint)


def _declare(value: onnx.ValueInfoProto, port: Port) -> onnx.ValueInfoProto:
    """Name the free axes; a size that only tf2onnx found out is kept, but not of the batch."""
    found = value.type.tensor_type.shape.dim
    shape = [
        found[axis].dim_value if axis and isinstance(dim, str) and len(found) > axis
        and found[axis].HasField("dim_value") and found[axis].dim_value > 0 else dim
        for axis, dim in enumerate(port.shape)
    ]  # fmt: skip
    return onnx.helper.make_tensor_value_info(port.name, value.type.tensor_type.elem_type, shape)


def check_operators(proto: onnx.ModelProto, hint: str) -> None:
    """Refuse what tf2onnx only logs: operators of the source that it copied into the file.

    Args:
        proto: What tf2onnx returned.
        hint: What to do about it.

    Raises:
        ConversionError: If an operator does not exist in the operator sets (OQ151).
    """
    opset = default_opset(proto)
    unknown = Counter(node.op_type for node in walk_nodes(proto.graph) if not _exists(node, opset))
    if unknown:
        names = ", ".join(f"{name} ({count}x)" for name, count in sorted(unknown.items()))
        message = f"tf2onnx cannot write these operators as ONNX opset {opset}: {names}."
        raise ConversionError(message, code="OQ151", hint=f"{_REPLACE}\n{hint}")


def _exists(node: onnx.NodeProto, opset: int) -> bool:
    if node.domain == "ai.onnx.ml":
        return onnx.defs.has(node.op_type, domain=node.domain)
    if node.domain not in _STANDARD_DOMAINS:
        return False
    try:
        return not onnx.defs.get_schema(node.op_type, opset, "").deprecated
    except onnx.defs.SchemaError:
        return False
