"""Tiny models that do what is done where float and integer meet, and nothing else.

On their way to an integer Conv values are quantized and laid out channels last; on their way back
the other way round.
"""

from pathlib import Path
from typing import Final

import numpy as np
from onnx import ModelProto, TensorProto, helper

from onnxq.arrays import Array
from onnxq.graph.model_files import write_proto

_CHANNELS = 16
_SIZES: Final = (7, 56)
_OPSET, _IR = 13, 8

PROBE_ELEMENTS: Final = tuple(_CHANNELS * size * size for size in _SIZES)
"""Of what crosses the seam, by probe."""

PROBE_INPUTS: Final[tuple[dict[str, Array], ...]] = tuple(
    {
        "real": np.linspace(-1, 1, count, dtype=np.float32).reshape(1, _CHANNELS, size, size),
        "integer": (np.arange(count) % 256).astype(np.uint8).reshape(1, size, size, _CHANNELS),
    }
    for size, count in zip(_SIZES, PROBE_ELEMENTS, strict=True)
)


def write_seam_probes(folder: Path) -> tuple[str, ...]:
    """Write one model for each size of a tensor that crosses, both ways.

    Args:
        folder: Where to.

    Returns:
        Paths, of models that take :data:`PROBE_INPUTS`.
    """
    return tuple(write_proto(_probe(size), folder / f"seam-{size}.onnx").path for size in _SIZES)


def _probe(size: int) -> ModelProto:
    first, last = [1, _CHANNELS, size, size], [1, size, size, _CHANNELS]
    nodes = [
        helper.make_node("QuantizeLinear", ["real", "scale", "zero"], ["quantized"], name="in"),
        helper.make_node("Transpose", ["quantized"], ["laid"], name="lay", perm=[0, 2, 3, 1]),
        helper.make_node("Transpose", ["integer"], ["back"], name="unlay", perm=[0, 3, 1, 2]),
        helper.make_node("DequantizeLinear", ["back", "scale", "zero"], ["dequantized"], name="of"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "seam",
        [value("real", TensorProto.FLOAT, first), value("integer", TensorProto.UINT8, last)],
        [value("laid", TensorProto.UINT8, last), value("dequantized", TensorProto.FLOAT, first)],
        [
            helper.make_tensor("scale", TensorProto.FLOAT, [], [2 / 255]),
            helper.make_tensor("zero", TensorProto.UINT8, [], [128]),
        ],
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
