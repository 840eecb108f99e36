"""What a model that is handed over must not carry, and the order that it must have."""

import heapq

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from onnxq.graph.edits import captured_by, copy_of, subgraphs_of, walk_graphs
from onnxq.graph.integer_io import read_integer_io, write_integer_io
from onnxq.graph.nodes import default_opset, walk_nodes
from onnxq.graph.portability import lowest_ir

_PRODUCER = "onnxq"
_MERGED_FROM_BYTES = 1024
_FUNCTIONS_IR = 8
_BIASED = frozenset({"Conv", "ConvTranspose", "Gemm"})
_BIAS_SLOT = 2


def clean(proto: ModelProto, interface: GraphProto) -> ModelProto:
    """Return a model with the interface of another and nothing that is stale.

    Value infos go because old ones make onnxruntime's quantizers crash and tract fail; metadata
    and doc strings go because exporters write the user's paths into them; unused opset imports
    go because older runtimes refuse them; the lowest IR version opens in the most runtimes. A
    bias with an empty name goes, too: onnxruntime 1.31.1's dynamic quantizer adds it to what it
    makes of a Gemm.

    Args:
        proto: A model; not changed.
        interface: Whose inputs and outputs to restore.

    Returns:
        A cleaned copy.
    """
    cleaned = copy_of(proto)
    _restore_interface(cleaned.graph, interface)
    _drop_empty_biases(cleaned.graph)
    _drop_unused_initializers(cleaned.graph)
    _sort_nodes(cleaned.graph)
    _strip_annotations(cleaned)
    _prune_imports(cleaned)
    functions_ir = _FUNCTIONS_IR if cleaned.functions else 0
    cleaned.ir_version = max(lowest_ir(default_opset(cleaned)), functions_ir)
    return cleaned


def merge_equal_initializers(proto: ModelProto) -> ModelProto:
    """Return a model in which equal large initializers are stored once.

    Args:
        proto: A model; not changed.

    Returns:
        A copy in which all readers of equal tensors read the first of them.
    """
    merged = copy_of(proto)
    outputs = {output.name for output in merged.graph.output}
    first: dict[bytes, str] = {}
    renamed: dict[str, str] = {}
    for tensor in list(merged.graph.initializer):
        key = _content(tensor)
        if len(key) < _MERGED_FROM_BYTES or tensor.name in outputs:
            continue
        if key in first:
            renamed[tensor.name] = first[key]
            merged.graph.initializer.remove(tensor)
        else:
            first[key] = tensor.name
    for node in walk_nodes(merged.graph):
        for slot, name in enumerate(node.input):
            node.input[slot] = renamed.get(name, name)
    return merged


def is_sorted(graph: GraphProto, outer: frozenset[str] = frozenset()) -> bool:
    """Tell whether every node stands behind those that it reads from, in subgraphs too.

    Args:
        graph: The graph.
        outer: Names that an enclosing graph provides.

    Returns:
        False if a name is read before it is written, or is never written.
    """
    known = set(outer) | {value.name for value in graph.input}
    known |= {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if not all(name in known for name in node.input if name):
            return False
        if not all(is_sorted(body, frozenset(known)) for body in subgraphs_of(node)):
            return False
        known.update(node.output)
    return all(output.name in known for output in graph.output)


def _content(tensor: onnx.TensorProto) -> bytes:
    anonymous = onnx.TensorProto()
    anonymous.CopyFrom(tensor)
    anonymous.ClearField("name")
    anonymous.ClearField("doc_string")
    return anonymous.SerializeToString(deterministic=True)


def _restore_interface(graph: GraphProto, interface: GraphProto) -> None:
    initializers = {tensor.name for tensor in interface.initializer}
    inputs = [value for value in interface.input if value.name not in initializers]
    outputs = list(interface.output)
    del graph.input[:]
    graph.input.extend(inputs)
    del graph.output[:]
    graph.output.extend(outputs)


def _drop_empty_biases(graph: GraphProto) -> None:
    for node in walk_nodes(graph):
        if node.op_type in _BIASED and len(node.input) > _BIAS_SLOT and not node.input[_BIAS_SLOT]:
            del node.input[_BIAS_SLOT:]


def _drop_unused_initializers(graph: GraphProto) -> None:
    used = {name for node in walk_nodes(graph) for name in node.input}
    used |= {output.name for inner in walk_graphs(graph) for output in inner.output}
    for inner in walk_graphs(graph):
        kept = [tensor for tensor in inner.initializer if tensor.name in used]
        if len(kept) < len(inner.initializer):
            del inner.initializer[:]
            inner.initializer.extend(kept)


def _sort_nodes(graph: GraphProto) -> None:
    """Sort nodes stably, counting what subgraphs read as read by their node.

    onnxruntime 1.31.1's quantizers sort without looking into subgraphs: a MatMul that feeds an
    If body comes out behind the If.
    """
    writer = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    readers: list[list[int]] = [[] for _ in graph.node]
    missing: list[int] = []
    for index, node in enumerate(graph.node):
        needed = {writer[name] for name in {*node.input, *captured_by(node)} if name in writer}
        missing.append(len(needed - {index}))
        for other in needed - {index}:
            readers[other].append(index)
    ready = [index for index, count in enumerate(missing) if not count]
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers[index]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    if len(order) == len(graph.node) and order != sorted(order):
        nodes = [NodeProto.FromString(graph.node[index].SerializeToString()) for index in order]
        del graph.node[:]
        graph.node.extend(nodes)


def _strip_annotations(proto: ModelProto) -> None:
    proto.producer_name, proto.producer_version = _PRODUCER, ""
    proto.domain, proto.doc_string, proto.model_version = "", "", 0
    io = read_integer_io(proto)
    del proto.metadata_props[:]
    if io:
        write_integer_io(proto, io)
    for inner in walk_graphs(proto.graph):
        del inner.value_info[:]
        del inner.metadata_props[:]
        del inner.quantization_annotation[:]
        inner.doc_string = ""
        for tensor in inner.initializer:
            tensor.doc_string = ""
        for value in (*inner.input, *inner.output):
            value.doc_string = ""
            del value.metadata_props[:]
    for node in walk_nodes(proto.graph):
        node.doc_string = ""
        del node.metadata_props[:]


def _prune_imports(proto: ModelProto) -> None:
    used = {node.domain for node in walk_nodes(proto.graph)}
    used = {"" if domain == "ai.onnx" else domain for domain in used} | {""}
    kept: dict[str, onnx.OperatorSetIdProto] = {}
    for entry in proto.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if domain in used:
            kept.setdefault(domain, onnx.helper.make_opsetid(domain, entry.version))
    del proto.opset_import[:]
    proto.opset_import.extend(kept[domain] for domain in sorted(kept))
