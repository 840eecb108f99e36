"""Activations are read in the layout that onnxruntime computes convolutions in.

On x86 onnxruntime keeps the activations of a convolution net in blocks of 8 or 16 channels
(``NCHWc``), and copies one back to ``NCHW`` wherever it is a graph output: operator
``ReorderOutput``. That is nearly all that it costs to watch activations: of the CPU time of a run
of MobileNetV2 with 64 of them, 6.8 ms bare, 13.2 watched, 8.2 watched without those copies.
Statistics do not care for the order of values. So onnxruntime optimizes and writes the model
once, and what the copies read becomes the output in their place.

Known of onnxruntime 1.31: tests/test_upstream_quirks.py holds what this module relies on.
"""

from collections.abc import Mapping
from pathlib import Path

import onnx

from onnxq.arrays import Array, Predict
from onnxq.graph.nodes import walk_nodes
from onnxq.runtime import open_session, session_options

_DOMAIN = "com.microsoft.nchwc"
_LARGEST_BLOCK = 16
"""Channels are filled up to whole blocks; where they are whole in the largest, nothing is."""


def write_optimized(path: Path, optimized: Path) -> dict[str, str]:
    """Let onnxruntime optimize a model, and write what it made of it for this machine.

    Args:
        path: The model, below 2 GB.
        optimized: Where to; weights lie beside it, in a file whose name begins with its name. It
            is to be loaded without optimizing again.

    Returns:
        The former name of each output that is in blocks now, by its new name.

    Raises:
        InferenceError: If onnxruntime cannot load the model, or not write it.
    """
    options = session_options(threads=1)
    options.optimized_model_filepath = str(optimized)
    for key, value in (
        ("optimized_model_external_initializers_file_name", _weights_of(optimized).name),
        ("optimized_model_external_initializers_min_size_in_bytes", "1024"),
        ("disable_prepacking", "1"),
    ):
        options.add_session_config_entry(f"session.{key}", value)
    open_session(path, options)
    proto = onnx.load(optimized, load_external_data=False)
    names = uncover_blocks(proto.graph)
    optimized.write_bytes(proto.SerializeToString())
    return names


def _weights_of(optimized: Path) -> Path:
    return optimized.with_name(f"{optimized.name}.weights")


def renaming(predict: Predict, names: Mapping[str, str]) -> Predict:
    """Give results other names: those that ``names`` holds for them."""

    def renamed(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {names.get(name, name): array for name, array in predict(inputs).items()}

    return renamed


def uncover_blocks(graph: onnx.GraphProto) -> dict[str, str]:
    """Return activations in blocks as they are, where they were outputs in another order.

    Args:
        graph: As onnxruntime optimized it; is changed. Outputs whose channels do not fill their
            blocks stay as they are: the blocks hold zeros that are no values.

    Returns:
        The former name of each output that has a new one.
    """
    copies = {
        node.output[0]: node
        for node in graph.node
        if node.domain == _DOMAIN and node.op_type == "ReorderOutput" and _is_whole(node)
    }
    names: dict[str, str] = {}
    for output in graph.output:
        copy = copies.get(output.name)
        if copy is not None and copy.input[0] not in names:
            names[copy.input[0]] = output.name
            output.CopyFrom(onnx.ValueInfoProto(name=copy.input[0]))
    needed = {name for node in walk_nodes(graph) for name in node.input}
    needed |= {output.name for output in graph.output}
    for name, copy in copies.items():
        if name not in needed:
            graph.node.remove(copy)
    return names


def _is_whole(node: onnx.NodeProto) -> bool:
    attributes = {one.name: one.i for one in node.attribute}
    return (
        not attributes.get("channels_last") and not attributes.get("channels", 1) % _LARGEST_BLOCK
    )
