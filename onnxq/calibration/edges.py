"""Activations inside a graph are made visible: they become graph outputs."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from onnxq.arrays import Predict
from onnxq.calibration.blocked_layout import open_unordered
from onnxq.runtime import open_predict


def open_exposed(proto: onnx.ModelProto, folder: Path, tensors: Sequence[str]) -> Predict:
    """Load a model as a function that also returns some of its activations.

    They are for statistics: each has its shape and its values, but those of a row may come in
    another order (:mod:`onnxq.calibration.blocked_layout`).

    Args:
        proto: A model below 2 GB.
        folder: Where copies of the model lie for a moment.
        tensors: Names of activations; those that are inputs are not returned.

    Returns:
        A function for one-thread runs, which may be called from several threads.

    Raises:
        InferenceError: If onnxruntime cannot load the model.
    """
    path = folder / "exposed.onnx"
    write_exposed(proto, tuple(tensors), path)
    has_convolutions = any(node.op_type == "Conv" for node in proto.graph.node)
    try:
        return (
            open_unordered(path)
            if has_convolutions
            else open_predict(path, threads=1, memory_pattern=False)
        )
    finally:
        path.unlink()


def write_exposed(proto: onnx.ModelProto, tensors: tuple[str, ...], path: Path) -> None:
    """Write a copy of a model that also returns some of its activations.

    onnxruntime finds out types and shapes of outputs that have none, so no shape inference is
    needed; its graph optimizations stay possible everywhere else.

    Args:
        proto: A model below 2 GB; is the same again afterwards.
        tensors: Names of activations; graph inputs and outputs are not added.
        path: Where to.
    """
    visible = {value.name for value in (*proto.graph.input, *proto.graph.output)}
    outputs = len(proto.graph.output)
    proto.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in tensors if name not in visible
    )
    try:
        path.write_bytes(proto.SerializeToString())
    finally:  # not in a copy: weights are most of the memory
        del proto.graph.output[outputs:]
