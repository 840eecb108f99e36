"""Dynamic int8: int8 weights; activations become uint8 while the model runs.

onnxruntime's ``quantize_dynamic`` is the engine. What it is given is what was measured to pay on
x86-64 with VNNI and onnxruntime 1.31: MatMul and Gemm (2.6x on a small BERT), LSTM (3.2x) and
large embedding tables (4x smaller). A Conv stays float, because ConvInteger is not prepacked and
runs at 0.13x of float's speed.
"""

import logging
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto, TensorProto
from onnxruntime.quantization import QuantType, quantize_dynamic

from onnxq.errors import QuantizationError
from onnxq.graph import load_proto
from onnxq.graph.edits import captured_names, initializers_of
from onnxq.graph.scoped_nodes import why_kept_float
from onnxq.quantization.finishing import (
    QuantizedModel,
    check_counted,
    count_quantized,
    load_for_quantizer,
    write_quantized,
)
from onnxq.recipe_kinds import EVERYTHING, DynamicInt8, QuantizationScope

_OPERATORS = ("MatMul", "LSTM", "Gather")
"""Gemm is not among them: the quantizer turns it into MatMul and Add before it looks."""

_LEAST_TABLE_ELEMENTS = 4096
_MATRIX_RANK = 2


def quantize_dynamic_int8(
    source: Path,
    destination: Path,
    recipe: DynamicInt8,
    scope: QuantizationScope = EVERYTHING,
) -> QuantizedModel:
    """Quantize a prepared model's weights; activations are quantized while it runs.

    Args:
        source: A model that was prepared; not written to, nor is its folder.
        destination: Where to write; must not exist yet. Its folder takes temporary files.
        recipe: Granularity of the scales.
        scope: Which nodes.

    Returns:
        The model on disk, with how much of it became integer.

    Raises:
        QuantizationError: OQ163 if nothing can be quantized, with the reasons; OQ171 if the
            quantizer fails; OQ172 if its result does not pass the gates.
        SourceError: If the source is not a whole ONNX model.
    """
    original = load_proto(source)
    private = load_for_quantizer(source)
    left_out = _left_out(private, scope)
    if not _finds_something(private, left_out):
        # The quantizer would return the float model, bigger than before, without a word.
        check_counted(count_quantized(original, original, "dynamic", scope))
    quantized = _run_quantizer(private, destination.parent, recipe, left_out)
    return write_quantized(quantized, original, destination, "dynamic", scope)


def _run_quantizer(
    proto: ModelProto, folder: Path, recipe: DynamicInt8, left_out: list[str]
) -> ModelProto:
    """Run onnxruntime's quantizer on files in a private folder: it writes beside its source."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="dynamic-") as private:
        given, returned = Path(private, "float.onnx"), Path(private, "int8.onnx")
        onnx.save_model(proto, given)
        try:
            with _quiet_root_logger():
                quantize_dynamic(
                    given,
                    returned,
                    op_types_to_quantize=list(_OPERATORS),
                    per_channel=recipe.per_channel,
                    weight_type=QuantType.QInt8,
                    nodes_to_exclude=left_out,
                )
        except Exception as error:  # whatever it raises, AssertionError included, is its failure
            message = f"onnxruntime's dynamic quantizer failed: {type(error).__name__}: {error}"
            hint = "Leave this recipe out with -r, or export the model again at another opset."
            raise QuantizationError(message, code="OQ171", hint=hint) from error
        return load_proto(returned)


def _finds_something(proto: ModelProto, left_out: list[str]) -> bool:
    initializers = initializers_of(proto.graph)
    return any(
        _weights_are_constant(node, initializers) and node.name not in left_out
        for node in proto.graph.node
    )


def _weights_are_constant(node: NodeProto, initializers: dict[str, TensorProto]) -> bool:
    slots = {"MatMul": (1,), "Gemm": (1,), "LSTM": (1, 2), "Gather": (0,)}.get(node.op_type, ())
    return bool(slots) and all(
        node.input[slot] in initializers
        and initializers[node.input[slot]].data_type == TensorProto.FLOAT
        for slot in slots
    )


def _left_out(proto: ModelProto, scope: QuantizationScope) -> list[str]:
    """Name the nodes that onnxruntime 1.31.1 would get wrong, or that are not wanted.

    The rows of a Gather that a subgraph reads are never dequantized; weights that are not a
    matrix get scales along an axis for which there is no kernel; Attention (not in the list of
    operators) becomes an invalid QAttention.
    """
    initializers = initializers_of(proto.graph)
    captured = captured_names(proto.graph)
    names = []
    for node in proto.graph.node:
        tensors = [initializers[name] for name in node.input if name in initializers]
        match node.op_type:
            case "Gather":
                sizes = [math.prod(t.dims) for t in tensors if t.name == node.input[0]]
                wrong = max(sizes, default=0) < _LEAST_TABLE_ELEMENTS or node.output[0] in captured
            case "MatMul":
                wrong = any(len(t.dims) != _MATRIX_RANK for t in tensors if t.name == node.input[1])
            case _:
                wrong = False
        if wrong or why_kept_float(node, scope):
            # The MatMul that the quantizer makes of a Gemm has a name of its own.
            names += [node.name, f"{node.name}_MatMul"] if node.op_type == "Gemm" else [node.name]
    return names


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Keep the quantizer's advice off the root logger, and its handlers as they were.

    onnxruntime 1.31.1 calls ``logging.warning`` on the root logger, which installs a handler on
    stderr where there was none.
    """
    root = logging.getLogger()
    silent = logging.NullHandler()
    root.addHandler(silent)
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
        root.removeHandler(silent)
