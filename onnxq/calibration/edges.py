"""Activations inside a graph are made visible: they become graph outputs."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from onnxq.arrays import Predict
from onnxq.runtime import open_predict


def open_exposed(proto: onnx.ModelProto, folder: Path, tensors: Sequence[str]) -> Predict:
    """Load a model as a function that also returns some of its activations.

    Args:
        proto: A model below 2 GB.
        folder: Where a copy of the model lies for a moment.
        tensors: Names of activations; those that are inputs are not returned.

    Returns:
        A function for one-thread runs, which may be called from several threads.

    Raises:
        InferenceError: If onnxruntime cannot load the model.
    """
    path = folder / "exposed.onnx"
    write_exposed(proto, tuple(tensors), path)
    try:
        return open_predict(path, threads=1)
    finally:
        path.unlink()


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
