"""Activations inside a graph are made visible: they become graph outputs."""

from pathlib import Path

import onnx


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
