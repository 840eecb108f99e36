"""float16 weights, float32 arithmetic: half the file, as TensorFlow Lite's float16 mode does it.

Each large weight is stored as float16, and a Cast makes it float32 again; onnxruntime folds the
Casts at load. So the speed is float's, and no activation can overflow. Models that compute in
float16 are no faster on CPUs: onnxruntime 1.31 has few such kernels there, and puts Casts around
the others (0.84 to 1.0 times float's speed on eight models).
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxq.arrays import Array
from onnxq.findings import Finding
from onnxq.graph.edits import uses_of
from onnxq.graph.integer_count import count_changed
from onnxq.graph.model_files import load_proto
from onnxq.graph.scoped_nodes import why_kept_float
from onnxq.quantization.editing import edit
from onnxq.quantization.finishing import (
    QuantizedModel,
    check_counted,
    finish_quantized,
    write_finished,
)
from onnxq.recipe_kinds import EVERYTHING, Float16, QuantizationScope, alias_of

_LEAST_ELEMENTS = 128
"""Below it, a Cast weighs more than it saves."""

_NOTED_SHARE = 0.01
_HALF = np.finfo(np.float16)
_CONSTANT_READERS = frozenset({"Resize", "Upsample", "Pad", "Clip", "Tile", "Expand", "Range"})
"""Operators whose constants decide shapes or bounds."""


@dataclass(frozen=True)
class _Losses:
    """What float16 lost of the weights that were stored in it.

    Attributes:
        weights: How many there are.
        vanished: Weights besides zero that became zero.
        subnormal: Weights that kept fewer than 11 bits.
        kept: Names of tensors with values beyond float16, which stay float32.
    """

    weights: int
    vanished: int
    subnormal: int
    kept: tuple[str, ...]


def quantize_half(
    source: Path, destination: Path, scope: QuantizationScope = EVERYTHING
) -> QuantizedModel:
    """Store the weights of a prepared model as float16.

    Args:
        source: A model that was prepared.
        destination: Where to write; must not exist yet.
        scope: Which nodes.

    Returns:
        The model on disk. Tensors with values beyond float16 stay float32.

    Raises:
        QuantizationError: OQ163 if no weight can be stored as float16; OQ172 if the result does
            not pass the gates.
        SourceError: If the source is not a whole ONNX model.
    """
    original = load_proto(source)
    proto, changed, losses = _store(original, scope)
    reasons = dict.fromkeys(
        (node.name for node in original.graph.node if set(node.input) & set(losses.kept)),
        "its weights reach beyond float16",
    )
    count = count_changed(original, changed, reasons, scope)
    check_counted(count)
    finished = finish_quantized(proto, original)
    written = write_finished(finished, original, destination, count)
    return written.noting(*_findings(losses))


def _store(
    original: ModelProto, scope: QuantizationScope
) -> tuple[ModelProto, frozenset[str], _Losses]:
    editor = edit(original)
    uses = uses_of(original.graph)
    kept: list[str] = []
    stored: dict[str, str] = {}
    losses = np.zeros(3, np.int64)
    outputs = {value.name for value in original.graph.output}
    for name, tensor in editor.initializers.items():
        readers = [use.node for use in uses.get(name, [])]
        if name in outputs or not readers or not _is_large(tensor):
            continue
        if any(r.op_type in _CONSTANT_READERS or why_kept_float(r, scope) for r in readers):
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > _HALF.max:
            kept.append(name)
            continue
        half = values.astype(np.float16)
        losses += _lost(values, half)
        stored[name] = editor.fresh(f"{name}_float")
        integers = editor.constant(f"{name}_half", half)
        cast = editor.fresh(f"{name}_Cast")
        editor.before_all(
            helper.make_node("Cast", [integers], [stored[name]], name=cast, to=TensorProto.FLOAT)
        )
    changed = {use.node.name for name in stored for use in uses[name]}
    proto = editor.finish()
    for name, uses_now in uses_of(proto.graph).items():
        for use in uses_now:
            use.node.input[use.slot] = stored.get(name, name)
    return (
        proto,
        frozenset(changed),
        _Losses(int(losses[0]), int(losses[1]), int(losses[2]), tuple(kept)),
    )


def _is_large(tensor: TensorProto) -> bool:
    return tensor.data_type == TensorProto.FLOAT and math.prod(tensor.dims) >= _LEAST_ELEMENTS


def _lost(values: Array, half: Array) -> Array:
    magnitudes = np.abs(values)
    vanished = (half == 0) & (magnitudes > 0)
    subnormal = (half != 0) & (magnitudes < _HALF.tiny)
    return np.array([values.size, vanished.sum(), subnormal.sum()], np.int64)


def _findings(losses: _Losses) -> list[Finding]:
    alias = alias_of(Float16())
    findings = []
    if losses.vanished or losses.subnormal > _NOTED_SHARE * losses.weights:
        message = (
            f"{losses.vanished} of {losses.weights} weights are below 6e-8 and became zero; "
            f"{losses.subnormal} are below 6.1e-5 and keep fewer than 11 bits."
        )
        evidence: dict[str, str | int | float] = {
            "weights": losses.weights,
            "vanished": losses.vanished,
            "subnormal": losses.subnormal,
        }
        findings.append(Finding(code="OQ167", subject=alias, message=message, evidence=evidence))
    if losses.kept:
        message = (
            f"{len(losses.kept)} tensors reach beyond {_HALF.max:.0f}, float16's largest value, "
            f"and stay float32: {', '.join(losses.kept[:3])}."
        )
        findings.append(Finding(code="OQ167", subject=alias, message=message, severity="warning"))
    return findings
