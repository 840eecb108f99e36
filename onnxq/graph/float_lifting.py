"""Models in float16, bfloat16 or float64 become float32, which all that follows computes in.

Every tensor of the other type takes float32: initializers, constants, what Cast and its like make,
and the inputs and outputs. From float16 and bfloat16 each weight keeps its value; from float64 it
is rounded, and what float32 cannot hold becomes its largest number.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, TypeProto

from onnxq.graph.edits import copy_of, element_types, walk_graphs
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.operator_kinds import MULTIPLIERS

_OTHERS: dict[int, str] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "float64",
}
_TYPE_ATTRIBUTES = frozenset({
    "to", "dtype", "output_dtype", "output_datatype", "softmax_precision", "stash_type",
})  # fmt: skip
"""Attributes that hold an element type as an integer (operators of ai.onnx up to opset 26)."""


@dataclass(frozen=True)
class LiftedFloats:
    """A model in float32.

    Attributes:
        proto: The model; the one that was given where it was in float32 already.
        dtype: What it computed in, such as ``float16``; empty where it was float32 already.
    """

    proto: ModelProto
    dtype: str


def lift_floats(proto: ModelProto) -> LiftedFloats:
    """Turn a model that multiplies in another float type into one that does so in float32.

    Args:
        proto: A float model without local functions; not changed.

    Returns:
        The model, inputs and outputs of that type included, without value infos. A float32 model
        that only stores or passes on other floats is kept as it is.
    """
    others = _multiplied_types(proto)
    if not others:
        return LiftedFloats(proto, "")
    lifted = copy_of(proto)
    for graph in walk_graphs(lifted.graph):
        _lift_graph(graph, others)
    return LiftedFloats(lifted, " and ".join(sorted(_OTHERS[other] for other in others)))


def _multiplied_types(proto: ModelProto) -> set[int]:
    types = element_types(proto)
    for graph in walk_graphs(proto.graph):
        types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {
        types[name]
        for node in walk_nodes(proto.graph)
        if node.op_type in MULTIPLIERS
        for name in node.input
        if types.get(name, 0) in _OTHERS
    }


def _lift_graph(graph: GraphProto, others: set[int]) -> None:
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        _lift_type(value.type, others)
    for tensor in graph.initializer:
        _lift_tensor(tensor, others)
    for sparse in graph.sparse_initializer:
        _lift_tensor(sparse.values, others)
    for node in graph.node:
        for attribute in node.attribute:
            _lift_attribute(attribute, others)


def _lift_attribute(attribute: AttributeProto, others: set[int]) -> None:
    if attribute.name in _TYPE_ATTRIBUTES and attribute.i in others:
        attribute.i = TensorProto.FLOAT
    for tensor in _tensors_of(attribute):
        _lift_tensor(tensor, others)
    for declared in (attribute.tp, *attribute.type_protos):
        _lift_type(declared, others)


def _tensors_of(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.type == AttributeProto.TENSOR:
        yield attribute.t
    if attribute.type == AttributeProto.SPARSE_TENSOR:
        yield attribute.sparse_tensor.values
    yield from attribute.tensors


def _lift_type(declared: TypeProto, others: set[int]) -> None:
    kind = declared.WhichOneof("value")
    if kind in {"tensor_type", "sparse_tensor_type"}:
        tensor_type = getattr(declared, kind)
        if tensor_type.elem_type in others:
            tensor_type.elem_type = TensorProto.FLOAT
    elif kind in {"sequence_type", "optional_type"}:
        _lift_type(getattr(declared, kind).elem_type, others)


def _lift_tensor(tensor: TensorProto, others: set[int]) -> None:
    if tensor.data_type not in others:
        return
    array = onnx.numpy_helper.to_array(tensor)
    if tensor.data_type == TensorProto.DOUBLE:
        limits = np.finfo(np.float32)
        array = np.where(np.isfinite(array), np.clip(array, limits.min, limits.max), array)
    tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), tensor.name))
