"""An attention becomes one node: onnxruntime's MultiHeadAttention.

Pattern: ``Softmax(scale * Q K^T [+ mask]) V`` with Q, K, V split into heads by Reshape and
Transpose, and the heads joined by both again; scales on Q, on K or on their product. Replacement:
``com.microsoft.MultiHeadAttention``, with the mask expanded to a row for each query. Condition:
Q, K and V have a Reshape and Transpose each (one projection for all three whose result is cut apart
behind its Reshape, as ``unflatten`` and ``unbind`` of torch are exported, does not match); tokens,
heads and their width are known sizes; the Softmax is over the keys, and the mask, if there is one,
has a value for each; nothing else reads what is between. Real-exact. Off unless asked for:
the operator is outside the ONNX standard, and whether it pays depends on the CPU: BERT-small with
dynamic int8 ran at 0.90x and ViT-S at 0.96x of the speed without it (1 thread, x86-64 with
AVX512-VNNI and AMX), at 1.02x on Zen 4.
"""

import math
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from onnxq.graph.edits import (
    attribute_int,
    copy_of,
    drop_idle_nodes,
    fresh_name,
    inferred_shapes,
    scalar_of,
    taken_names,
)
from onnxq.graph.rewrites.rewrite import Rewrite, Rewritten
from onnxq.graph.tensor_flow import TensorFlow, trace_tensors

_DOMAIN = "com.microsoft"
_HEADS_FIRST = [0, 2, 1, 3]
_KEYS = [0, 2, 3, 1]
_RANK = 4
_Shapes = dict[str, tuple[int | str, ...]]


@dataclass(frozen=True)
class _Attention:
    """One attention, as tensors of the graph.

    Attributes:
        inputs: Queries, keys and values in front of the split into heads.
        heads: How many.
        tokens: Rows of the queries.
        scale: Of the scores.
        mask: What is added to the scores; empty where nothing.
        joined: The node that returns the joined heads.
    """

    inputs: tuple[str, str, str]
    heads: int
    tokens: int
    scale: float
    mask: str
    joined: NodeProto


def fuse_attention(proto: ModelProto) -> Rewritten:
    """Fuse every attention of the top graph.

    Args:
        proto: Any model; not changed.

    Returns:
        The model, and the names of the nodes that were put in.
    """
    if not any(_is_over_keys(node) for node in proto.graph.node):
        return Rewritten(proto, ())
    fused = copy_of(proto)
    flow = trace_tensors(fused.graph)
    shapes = inferred_shapes(proto)
    taken = taken_names(fused.graph)
    subjects = []
    for node in flow.nodes:
        found = _match(node, flow, shapes) if _is_over_keys(node) else None
        if found is not None:
            subjects.append(_fuse(fused, found, taken))
    drop_idle_nodes(fused.graph)
    if subjects and all(entry.domain != _DOMAIN for entry in fused.opset_import):
        fused.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    return Rewritten(fused if subjects else proto, tuple(subjects))


def _is_over_keys(node: NodeProto) -> bool:
    return node.op_type == "Softmax" and attribute_int(node, "axis", -1) in {-1, _RANK - 1}


def _match(softmax: NodeProto, flow: TensorFlow, shapes: _Shapes) -> _Attention | None:
    """Read an attention around its Softmax; None where there is none that can be fused."""
    masked = flow.producers.get(softmax.input[0])
    scores, mask = softmax.input[0], ""
    if masked is not None and masked.op_type == "Add":
        made = [_product_behind(name, flow) is not None for name in masked.input]
        if made.count(True) != 1:
            return None
        scores, mask = masked.input[made.index(True)], masked.input[made.index(False)]
    unscaled = _product_behind(scores, flow)
    joined = _joined(softmax, flow)
    if unscaled is None or joined is None:
        return None
    (product, scale), (last, shared) = unscaled, joined
    queries, keys = (_unscaled(name, flow) for name in product.input)
    sources = (
        _split_heads(queries[0], _HEADS_FIRST, flow),
        _split_heads(keys[0], _KEYS, flow),
        _split_heads(shared.input[1], _HEADS_FIRST, flow),
    )
    sizes = shapes.get(queries[0], ())
    if not all(sources) or len(sizes) != _RANK or not _fits(mask, shapes):
        return None
    heads, tokens, width = sizes[1:]
    given = [shapes.get(name, ()) for name in (*sources, last.output[0])]
    if not (isinstance(heads, int) and isinstance(tokens, int) and isinstance(width, int)):
        return None
    if any(len(shape) != _RANK - 1 or shape[-1] != heads * width for shape in given):
        return None
    whole = scale * queries[1] * keys[1]
    return _Attention((sources[0], sources[1], sources[2]), heads, tokens, whole, mask, last)


def _fits(mask: str, shapes: _Shapes) -> bool:
    """Whether the operator takes a mask: it must have a value for each key."""
    shape = shapes.get(mask, ())
    return not mask or (len(shape) == _RANK and shape[-1] != 1)


def _product_behind(name: str, flow: TensorFlow) -> tuple[NodeProto, float] | None:
    """Find the MatMul of two activations that makes the scores, and what multiplies it."""
    source, scale = _unscaled(name, flow)
    product = flow.producers.get(source)
    if product is None or product.op_type != "MatMul" or product.input[1] in flow.initializers:
        return None
    return product, scale


def _unscaled(name: str, flow: TensorFlow) -> tuple[str, float]:
    """Look behind a product or quotient with one number."""
    node = flow.producers.get(name)
    if node is None or node.op_type not in {"Mul", "Div"} or not flow.has_one_reader(name):
        return name, 1.0
    factor = scalar_of(flow.initializers.get(node.input[1]))
    if factor is None or factor == 0.0 or not math.isfinite(factor):
        return name, 1.0
    return node.input[0], factor if node.op_type == "Mul" else 1.0 / factor


def _joined(softmax: NodeProto, flow: TensorFlow) -> tuple[NodeProto, NodeProto] | None:
    """Find the Reshape that joins the heads, and the product of shares and values."""
    name, found = softmax.output[0], []
    for operator in ("MatMul", "Transpose", "Reshape"):
        reader = next(iter(flow.read_by(name)), None) if flow.has_one_reader(name) else None
        if reader is None or reader.op_type != operator or reader.input[0] != name:
            return None
        found.append(reader)
        name = reader.output[0]
    product, turned, last = found
    return (last, product) if _perm(turned) == _HEADS_FIRST else None


def _split_heads(name: str, perm: list[int], flow: TensorFlow) -> str:
    """Name what a Reshape and a Transpose split into heads; empty where they do not."""
    turned = flow.producers.get(name)
    if turned is None or turned.op_type != "Transpose" or _perm(turned) != perm:
        return ""
    split = flow.producers.get(turned.input[0])
    return split.input[0] if split is not None and split.op_type == "Reshape" else ""


def _fuse(proto: ModelProto, found: _Attention, taken: set[str]) -> str:
    """Put one node in the place of an attention; return its name."""
    name = fresh_name(f"{found.joined.name}_attention", taken)
    graph = proto.graph
    place = list(graph.node).index(found.joined)
    inputs = list(found.inputs)
    if found.mask:
        rows = fresh_name(f"{name}_rows", taken)
        mask = fresh_name(f"{name}_mask", taken)
        sizes = np.array([1, 1, found.tokens, 1], np.int64)
        graph.initializer.append(numpy_helper.from_array(sizes, rows))
        expand = helper.make_node("Expand", [found.mask, rows], [mask], f"{mask}_node")
        graph.node.insert(place, expand)
        place += 1
        inputs += ["", "", mask]
    graph.node[place].CopyFrom(
        helper.make_node(
            "MultiHeadAttention",
            inputs,
            [found.joined.output[0]],
            name,
            domain=_DOMAIN,
            num_heads=found.heads,
            scale=found.scale,
        )
    )
    return name


def _perm(node: NodeProto) -> list[int]:
    return [int(axis) for given in node.attribute if given.name == "perm" for axis in given.ints]


FUSE_ATTENTION = Rewrite(
    "fuse attention",
    "real-exact",
    "attentions became com.microsoft.MultiHeadAttention, which only onnxruntime knows",
    fuse_attention,
    why="one node for ten: 0.90x to 1.02x of the speed without it, so measure",
    is_optional=True,
    domains=frozenset({_DOMAIN}),
)
