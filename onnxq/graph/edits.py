"""What every rewrite needs: who reads a tensor, which names are taken, copies and attributes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from onnxq.graph.inferred_values import infer_values
from onnxq.graph.nodes import walk_nodes

_NUMBERS = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.INT32})


@dataclass(frozen=True)
class Use:
    """One place where a tensor is read.

    Attributes:
        node: The reader; for a read inside a subgraph, the node inside.
        slot: Which of its inputs.
    """

    node: NodeProto
    slot: int


def copy_of(proto: ModelProto) -> ModelProto:
    """Return a deep copy: the caller's proto is never edited."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    return copy


def subgraphs_of(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the bodies of a node (If, Loop, Scan)."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def walk_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph and all graphs inside its nodes."""
    yield graph
    for node in graph.node:
        for subgraph in subgraphs_of(node):
            yield from walk_graphs(subgraph)


def captured_by(node: NodeProto) -> set[str]:
    """Return names that the bodies of a node read and may take from outside."""
    return {
        name
        for subgraph in subgraphs_of(node)
        for inner in walk_nodes(subgraph)
        for name in inner.input
        if name
    } | {output.name for subgraph in subgraphs_of(node) for output in subgraph.output}


def captured_names(graph: GraphProto) -> set[str]:
    """Return every name that some body inside a graph may read from outside."""
    return {name for node in graph.node for name in captured_by(node)}


def uses_of(graph: GraphProto) -> dict[str, list[Use]]:
    """Return every place where each tensor is read, subgraphs included, in graph order."""
    uses: dict[str, list[Use]] = {}
    for node in walk_nodes(graph):
        for slot, name in enumerate(node.input):
            if name:
                uses.setdefault(name, []).append(Use(node, slot))
    return uses


def producers_of(graph: GraphProto) -> dict[str, NodeProto]:
    """Return the node that writes each tensor of the top graph."""
    return {name: node for node in graph.node for name in node.output if name}


def initializers_of(graph: GraphProto) -> dict[str, TensorProto]:
    """Return the top graph's initializers by name."""
    return {tensor.name: tensor for tensor in graph.initializer}


def interface_names(graph: GraphProto) -> set[str]:
    """Return the names that users feed and fetch."""
    return {value.name for value in (*graph.input, *graph.output)}


def tensor_names(graph: GraphProto) -> set[str]:
    """Return every tensor name in a graph and its subgraphs."""
    names: set[str] = set()
    for inner in walk_graphs(graph):
        names.update(value.name for value in (*inner.input, *inner.output))
        names.update(tensor.name for tensor in inner.initializer)
        for node in inner.node:
            names.update(name for name in (*node.input, *node.output) if name)
    return names


def node_names(graph: GraphProto) -> set[str]:
    """Return every node name in a graph and its subgraphs; unnamed nodes give none."""
    return {node.name for node in walk_nodes(graph) if node.name}


def taken_names(graph: GraphProto) -> set[str]:
    """Return every name, of tensors and of nodes, in a graph and its subgraphs."""
    return tensor_names(graph) | node_names(graph)


def fresh_name(base: str, taken: set[str]) -> str:
    """Return a name that is not taken, and take it.

    Args:
        base: What the name should begin with.
        taken: Names in use; the answer is added.

    Returns:
        ``base``, or ``base`` with the lowest number that makes it unique.
    """
    name, number = base, 1
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name


def attribute_float(node: NodeProto, name: str, default: float) -> float:
    """Return a float attribute of a node, or its default."""
    return next((float(a.f) for a in node.attribute if a.name == name), default)


def attribute_int(node: NodeProto, name: str, default: int) -> int:
    """Return an integer attribute of a node, or its default."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def drop_attributes(node: NodeProto, names: Iterable[str]) -> None:
    """Remove attributes from a node of one's own copy."""
    dropped = set(names)
    kept = [attribute for attribute in node.attribute if attribute.name not in dropped]
    del node.attribute[:]
    node.attribute.extend(kept)


def element_types(proto: ModelProto) -> dict[str, int]:
    """Infer the element type of every tensor of the top graph that has one.

    Args:
        proto: A model; not changed.

    Returns:
        Values of ``TensorProto.DataType`` by tensor name.
    """
    types = {name: value.type.tensor_type.elem_type for name, value in infer_values(proto).items()}
    return types | {tensor.name: tensor.data_type for tensor in proto.graph.initializer}


def inferred_ranks(proto: ModelProto) -> dict[str, int]:
    """Infer the rank of every tensor of the top graph whose rank is known.

    Args:
        proto: A model; not changed.

    Returns:
        Ranks by tensor name.
    """
    ranks = {
        name: len(value.type.tensor_type.shape.dim)
        for name, value in infer_values(proto).items()
        if value.type.tensor_type.HasField("shape")
    }
    return ranks | {tensor.name: len(tensor.dims) for tensor in proto.graph.initializer}


def inferred_shapes(proto: ModelProto) -> dict[str, tuple[int | str, ...]]:
    """Infer the shape of every tensor of the top graph whose rank is known.

    Args:
        proto: A model; not changed.

    Returns:
        Shapes by tensor name: a size, or the symbol of one, ``""`` where it has none. Equal
        symbols are equal sizes.
    """
    shapes: dict[str, tuple[int | str, ...]] = {
        name: tuple(
            dim.dim_value if dim.HasField("dim_value") else dim.dim_param
            for dim in value.type.tensor_type.shape.dim
        )
        for name, value in infer_values(proto, through_shapes=True).items()
        if value.type.tensor_type.HasField("shape")
    }
    return shapes | {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}


def scalar_of(tensor: TensorProto | None) -> float | None:
    """Return the value of a constant of one element; None for any other tensor.

    Args:
        tensor: An initializer, or nothing.
    """
    if tensor is None or tensor.data_type not in _NUMBERS or any(dim != 1 for dim in tensor.dims):
        return None
    return float(onnx.numpy_helper.to_array(tensor).reshape(()))


def drop_idle_nodes(graph: GraphProto) -> None:
    """Remove nodes of one's own copy whose results nothing reads, and what only they read."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(list(graph.node)):
        if any(name in needed for name in node.output):
            kept.append(NodeProto.FromString(node.SerializeToString()))
            needed.update(node.input)
            needed |= captured_by(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
