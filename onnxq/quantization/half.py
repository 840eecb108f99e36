"""float16 weights, float32 arithmetic: half the file, as TensorFlow Lite's float16 mode does it.

Each large weight is stored as float16, and a Cast makes it float32 again; onnxruntime folds the
Casts at load. So the speed is float's, and no activation can overflow. Models that compute in
float16 are no faster on CPUs: onnxruntime 1.31 has few such kernels there, and puts Casts around
the others (0.84 to 1.0 times float's speed on eight models).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnxq.arrays import Array
from onnxq.findings import Finding
from onnxq.graph.edits import uses_of, walk_graphs
from onnxq.graph.integer_count import count_changed
from onnxq.graph.model_files import load_proto
from onnxq.graph.scoped_nodes import why_kept_float
from onnxq.quantization.editing import GraphEditor, edit
from onnxq.quantization.finishing import (
    QuantizedModel,
    check_counted,
    finish_quantized,
    write_finished,
)
from onnxq.recipe_kinds import EVERYTHING, Float16, QuantizationScope, alias_of
from onnxq.wording import count_noun

_LEAST_ELEMENTS = 128
"""Below it, a Cast weighs more than it saves."""

_NOTED_SHARE = 0.01
_SHOWN = 3
_HALF = np.finfo(np.float16)
_CONSTANT_READERS = frozenset({"Resize", "Upsample", "Pad", "Clip", "Tile", "Expand", "Range"})
"""Operators whose constants decide shapes or bounds."""


_BEYOND = "its weights reach beyond float16"
_OTHER_READER = "a node or an output that stays float reads its weights too"
_NOT_CONSTANT = "its weights are not constant"


@dataclass(frozen=True)
class _Losses:
    """What float16 lost of the weights that were stored in it.

    Attributes:
        weights: How many there are.
        vanished: Weights besides zero that became zero.
        subnormal: Weights that kept fewer than 11 bits.
    """

    weights: int = 0
    vanished: int = 0
    subnormal: int = 0

    def __add__(self, other: "_Losses") -> "_Losses":
        """Return the losses of both."""
        return _Losses(
            self.weights + other.weights,
            self.vanished + other.vanished,
            self.subnormal + other.subnormal,
        )


@dataclass(frozen=True)
class _Stored:
    """A model with float16 weights.

    Attributes:
        proto: The model.
        changed: Names of the nodes that read them.
        losses: What they lost.
        kept: Why a float tensor was not stored as float16, by its name.
    """

    proto: ModelProto
    changed: frozenset[str]
    losses: _Losses
    kept: dict[str, str]


def quantize_half(
    source: Path, destination: Path, scope: QuantizationScope = EVERYTHING
) -> QuantizedModel:
    """Store the weights of a prepared model as float16.

    Args:
        source: A model that was prepared.
        destination: Where to write; must not exist yet.
        scope: Which nodes.

    Returns:
        The model on disk. Tensors with finite values beyond float16 stay float32.

    Raises:
        QuantizationError: OQ163 if no weight can be stored as float16; OQ172 if the result does
            not pass the gates.
        SourceError: If the source is not a whole ONNX model.
    """
    original = load_proto(source)
    stored = _store(original, scope)
    reasons = {node.name: _why_float(node, stored.kept) for node in original.graph.node}
    count = count_changed(original, stored.changed, reasons, scope)
    check_counted(count)
    finished = finish_quantized(stored.proto, original)
    written = write_finished(finished, original, destination, count)
    beyond = [name for name, why in stored.kept.items() if why == _BEYOND]
    return written.noting(*_findings(stored.losses, beyond))


def _store(original: ModelProto, scope: QuantizationScope) -> _Stored:
    editor = edit(original)
    uses = uses_of(original.graph)
    outputs = {value.name for graph in walk_graphs(original.graph) for value in graph.output}
    kept: dict[str, str] = {}
    stored: dict[str, str] = {}
    losses = _Losses()
    for name, tensor in editor.initializers.items():
        readers = [use.node for use in uses.get(name, [])]
        if tensor.data_type != TensorProto.FLOAT or not readers:
            continue
        values = numpy_helper.to_array(tensor)
        why = _why_kept(values, readers, scope, is_output=name in outputs)
        if why:
            kept[name] = why
            continue
        half = values.astype(np.float16)
        losses += _lost(values, half)
        stored[name] = _cast_back(editor, name, half)
    changed = frozenset(use.node.name for name in stored for use in uses[name])
    proto = editor.finish()
    for name, uses_now in uses_of(proto.graph).items():
        for use in uses_now:
            use.node.input[use.slot] = stored.get(name, name)
    return _Stored(proto, changed, losses, kept)


def _cast_back(editor: GraphEditor, name: str, half: Array) -> str:
    """Store a tensor as float16; return the name of the float32 tensor that comes of it."""
    floats = editor.fresh(f"{name}_float")
    inputs = [editor.constant(f"{name}_half", half)]
    cast = helper.make_node("Cast", inputs, [floats], name=editor.fresh(f"{name}_Cast"), to=1)
    editor.before_all(cast)
    return floats


def _why_kept(
    values: Array, readers: list[NodeProto], scope: QuantizationScope, *, is_output: bool
) -> str:
    """Say why a tensor stays float32; empty where it becomes float16."""
    if values.size < _LEAST_ELEMENTS:
        return f"its weights are fewer than {_LEAST_ELEMENTS}: a Cast would outweigh what it saves"
    if is_output or any(r.op_type in _CONSTANT_READERS for r in readers):
        return _OTHER_READER
    wishes = [why_kept_float(reader, scope) for reader in readers]
    if any(wishes):
        return wishes[0] if all(wishes) else _OTHER_READER
    finite = values[np.isfinite(values)]
    return _BEYOND if np.abs(finite).max(initial=0.0) > _HALF.max else ""


def _why_float(node: NodeProto, kept: dict[str, str]) -> str:
    """Say why a node of the top graph reads no float16 weights, if it reads none."""
    return next((kept[name] for name in node.input if name in kept), _NOT_CONSTANT)


def _lost(values: Array, half: Array) -> _Losses:
    magnitudes = np.abs(values)
    vanished = (half == 0) & (magnitudes > 0)
    subnormal = (half != 0) & (magnitudes < _HALF.tiny)
    return _Losses(values.size, int(vanished.sum()), int(subnormal.sum()))


def _findings(losses: _Losses, beyond: list[str]) -> list[Finding]:
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
    if beyond:
        reach, stay = ("reaches", "stays") if len(beyond) == 1 else ("reach", "stay")
        message = (
            f"{count_noun(len(beyond), 'tensor')} {reach} beyond {_HALF.max:.0f}, the largest "
            f"float16, and {stay} float32: {', '.join(beyond[:_SHOWN])}."
        )
        findings.append(Finding(code="OQ167", subject=alias, message=message, severity="warning"))
    return findings
