"""A graph is cut down to what makes some of its tensors."""

from collections.abc import Iterable, Sequence

import onnx
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper

from onnxq.graph.edits import captured_by, fresh_name, taken_names


def prune_to(proto: ModelProto, outputs: Sequence[str]) -> ModelProto:
    """Return the part of a model that makes some tensors.

    onnxruntime runs every node of a graph, whatever its outputs are; what is not in the file
    costs neither time nor memory.

    Args:
        proto: A model; not changed.
        outputs: Names of tensors that are no inputs; they become the outputs, without types, which
            onnxruntime finds out itself.

    Returns:
        A model with the inputs that the given one must be fed, all of them.
    """
    needed = _needed_nodes(proto.graph.node, outputs)
    read = {name for node in needed for name in (*node.input, *captured_by(node))} | {*outputs}
    made = {name for node in needed for name in node.output}
    pruned = ModelProto(
        ir_version=proto.ir_version, opset_import=proto.opset_import, functions=proto.functions
    )
    graph = pruned.graph
    graph.name = proto.graph.name
    constants = {one.name for one in proto.graph.initializer}
    graph.input.extend(  # a constant may be an input, too, below IR version 4 and above
        one for one in proto.graph.input if one.name not in constants or one.name in read
    )
    graph.node.extend(needed)
    graph.output.extend(ValueInfoProto(name=name) for name in outputs)
    graph.initializer.extend(one for one in proto.graph.initializer if one.name in read)
    graph.sparse_initializer.extend(
        one for one in proto.graph.sparse_initializer if one.values.name in read
    )
    graph.value_info.extend(one for one in proto.graph.value_info if one.name in made)
    return pruned


def in_graph_order(graph: GraphProto, tensors: Iterable[str]) -> list[str]:
    """Sort tensors: inputs first, and then as nodes make them."""
    made = [name for node in graph.node for name in node.output]
    places = {name: place for place, name in enumerate(made, start=1)}
    return sorted(tensors, key=lambda name: places.get(name, 0))


def count_elements_of(proto: ModelProto, tensors: Sequence[str]) -> tuple[ModelProto, list[str]]:
    """Make a model return how many elements tensors have, in the place of its outputs.

    Exact where a shape depends on values. onnxruntime 1.31 runs these operators last: while it
    runs, the tensors are held.

    Args:
        proto: A model; not changed.
        tensors: Names of tensors that nodes make.

    Returns:
        The model, and the names of its outputs in the order of ``tensors``: int64 scalars, by the
        operator Size (ONNX specification, opset 1).
    """
    part = prune_to(proto, tensors)
    taken = taken_names(part.graph)
    names = [fresh_name(f"{tensor}_elements", taken) for tensor in tensors]
    part.graph.node.extend(
        helper.make_node("Size", [tensor], [name])
        for tensor, name in zip(tensors, names, strict=True)
    )
    del part.graph.output[:]
    part.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.INT64, []) for name in names
    )
    return part, names


def _needed_nodes(nodes: Sequence[NodeProto], outputs: Iterable[str]) -> list[NodeProto]:
    """Return the nodes that outputs depend on, in the order of the graph (which is topological)."""
    wanted = set(outputs)
    needed = []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.output):
            needed.append(node)
            wanted.update(filter(None, (*node.input, *captured_by(node))))
    return needed[::-1]
