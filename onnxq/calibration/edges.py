"""Activations inside a graph are made visible: they become graph outputs."""

from pathlib import Path

import onnx

from onnxq.graph.qdq_edges import QdqEdges, find_qdq_edges


def find_edges(proto: onnx.ModelProto) -> QdqEdges:
    """Find the activations whose ranges a static QDQ recipe needs.

    Args:
        proto: A prepared float model.

    Returns:
        Its edges.
    """
    return find_qdq_edges(proto.graph)


def write_exposed(proto: onnx.ModelProto, tensors: tuple[str, ...], path: Path) -> None:
    """Write a copy of a model that also returns some of its activations.

    onnxruntime finds out types and shapes of outputs that have none, so no shape inference is
    needed; its graph optimizations stay possible everywhere else.

    Args:
        proto: A model below 2 GB.
        tensors: Names of activations; graph inputs and outputs are not added.
        path: Where to.
    """
    exposed = onnx.ModelProto()
    exposed.CopyFrom(proto)
    visible = {value.name for value in (*proto.graph.input, *proto.graph.output)}
    exposed.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in tensors if name not in visible
    )
    path.write_bytes(exposed.SerializeToString())
