"""Dynamic int8: int8 weights; activations become uint8 while the model runs.

onnxruntime's quantizer is the engine (:mod:`onnxq.quantization.dynamic_quantizer`). What it is
given is what was measured to pay on x86-64 with VNNI and onnxruntime 1.31: MatMul and Gemm (3.7x
on a small BERT), LSTM (2.7x) and large embedding tables (4x smaller), which become int8 row by row.
A Conv stays float, because ConvInteger is not prepacked and runs at 0.13x of float's speed. So do
heads (:mod:`onnxq.graph.heads`), for accuracy.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from onnx import ModelProto, NodeProto, TensorProto

from onnxq.errors import QuantizationError
from onnxq.graph import load_proto
from onnxq.graph.edits import initializers_of
from onnxq.graph.heads import find_heads
from onnxq.graph.scoped_nodes import why_kept_float
from onnxq.quantization.dynamic_quantizer import quantize_weights_of
from onnxq.quantization.editing import edit
from onnxq.quantization.finishing import (
    QuantizedModel,
    check_counted,
    count_quantized,
    load_for_quantizer,
    write_quantized,
)
from onnxq.quantization.weight_rewrites import Channels, store_table
from onnxq.recipe_kinds import EVERYTHING, DynamicInt8, QuantizationScope
from onnxq.targets import TARGETS
from onnxq.tunings import USUAL, Tuning

_OPERATORS = ("MatMul", "LSTM")
"""Gemm is not among them: the quantizer turns it into MatMul and Add before it looks."""

_HEAD = (
    "it is the last, with 1 % of the work at most, and its rounding reaches the outputs as it is"
)
_LEAST_TABLE_ELEMENTS = 4096
_MATRIX_RANK = 2


def quantize_dynamic_int8(
    source: Path,
    destination: Path,
    recipe: DynamicInt8,
    scope: QuantizationScope = EVERYTHING,
    tuning: Tuning = USUAL,
) -> QuantizedModel:
    """Quantize a prepared model's weights; activations are quantized while it runs.

    Args:
        source: A model that was prepared; not written to, nor is its folder.
        destination: Where to write; must not exist yet.
        recipe: Granularity of the scales.
        scope: Which nodes.
        tuning: For which CPU.

    Returns:
        The model on disk, with how much of it became integer.

    Raises:
        QuantizationError: OQ163 if nothing can be quantized, with the reasons; OQ171 if the
            quantizer fails; OQ172 if its result does not pass the gates.
        SourceError: If the source is not a whole ONNX model.
    """
    original = load_proto(source)
    private = load_for_quantizer(source, tuning)
    named = scope.operators or scope.rules or scope.strict
    heads = frozenset[str]() if named else find_heads(private)
    left_out = _left_out(private, scope, heads)
    if not _finds_something(private, left_out):
        # The quantizer would return the float model, bigger than before, without a word.
        check_counted(count_quantized(original, original, "dynamic", scope))
    quantized = _store_tables(_run_quantizer(private, recipe, left_out, tuning), left_out)
    written = write_quantized(quantized, original, destination, "dynamic", scope)
    told = dict.fromkeys(heads & written.count.left_float.keys(), _HEAD)
    count = replace(written.count, left_float=written.count.left_float | told)
    return replace(written, count=count)


def _store_tables(proto: ModelProto, left_out: list[str]) -> ModelProto:
    """Store large tables as int8, each row with a scale of its own.

    onnxruntime's quantizer would give a table one scale: 43.1 instead of 47.2 dB on a small BERT.
    And its DequantizeLinear kills the process in front of a Transpose that a Loop reads (SIGABRT
    with onnxruntime 1.31.1), as it stands in a masked GRU of Keras.
    """
    editor = edit(proto)
    channels = Channels(editor)
    for node in proto.graph.node:
        if node.op_type == "Gather" and node.name not in left_out:
            store_table(node, channels)
    return editor.finish()


def _run_quantizer(
    proto: ModelProto, recipe: DynamicInt8, left_out: list[str], tuning: Tuning
) -> ModelProto:
    try:
        with _quiet_root_logger():
            return quantize_weights_of(
                proto,
                _OPERATORS,
                left_out,
                per_channel=recipe.per_channel,
                # onnxruntime 1.31 multiplies the scales of 4 x 256 channels anew at every step:
                # 1893 against 1739 us for a tagger, and no decibel gained (40.6 against 40.7 dB).
                lstm_per_channel=False,
                saturates=TARGETS[tuning.target].int8_saturates,
            )
    except Exception as error:  # whatever it raises, AssertionError included, is its failure
        message = f"onnxruntime's dynamic quantizer failed: {type(error).__name__}: {error}"
        hint = "Leave this recipe out with -r, or export the model again at another opset."
        raise QuantizationError(message, code="OQ171", hint=hint) from error


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


def _left_out(proto: ModelProto, scope: QuantizationScope, heads: frozenset[str]) -> list[str]:
    """Name the nodes that onnxruntime 1.31.1 would get wrong, or that are not wanted.

    Weights that are not a matrix get scales along an axis for which there is no kernel; Attention
    (not in the list of operators) becomes an invalid QAttention.
    """
    initializers = initializers_of(proto.graph)
    names = []
    for node in proto.graph.node:
        tensors = [initializers[name] for name in node.input if name in initializers]
        match node.op_type:
            case "Gather":
                sizes = [math.prod(t.dims) for t in tensors if t.name == node.input[0]]
                wrong = max(sizes, default=0) < _LEAST_TABLE_ELEMENTS
            case "MatMul":
                wrong = any(len(t.dims) != _MATRIX_RANK for t in tensors if t.name == node.input[1])
            case _:
                wrong = False
        if wrong or node.name in heads or why_kept_float(node, scope):
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
