"""What every quantizer of onnxruntime gets, and what becomes of what it returns.

::

    load_for_quantizer(source) -> a quantizer of onnxruntime -> write_quantized(...)

Its return is not believed: it says nothing when it writes models that do not load, scales that are
not finite, or a model in which nothing is quantized (onnxruntime 1.31.1).
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from onnx import ModelProto

from onnxq.errors import InferenceError, QuantizationError
from onnxq.findings import Finding
from onnxq.graph import load_proto, write_proto
from onnxq.graph.cleaning import clean, merge_equal_initializers
from onnxq.graph.edits import initializers_of
from onnxq.graph.gates import check_structure
from onnxq.graph.integer_count import Kind, QuantizedCount, count_quantized
from onnxq.graph.model_files import written_size
from onnxq.graph.rewrites import FOR_QUANTIZERS
from onnxq.integer_tensors import IntegerTensor
from onnxq.measurements import Size
from onnxq.models import OnnxModel
from onnxq.runtime import open_session, session_options
from onnxq.scopes import EVERYTHING, QuantizationScope
from onnxq.tunings import USUAL, Tuning
from onnxq.wording import count_noun

__all__ = [
    "Kind",
    "QuantizedCount",
    "QuantizedModel",
    "count_quantized",
    "finish_quantized",
    "load_for_quantizer",
    "write_finished",
    "write_quantized",
]

_REASONS_SHOWN = 3


@dataclass(frozen=True)
class QuantizedModel:
    """A quantized model on disk that passed its structural gates.

    Attributes:
        model: The file.
        size: What it weighs.
        count: How much of it became integer.
        findings: What was noticed.
        io: Inputs and outputs that became integer.
        followers: Names of nodes that became integer, those that do not count among them.
        remarks: Reason, by name, for nodes that do not count and stay float.
    """

    model: OnnxModel
    size: Size
    count: QuantizedCount
    findings: tuple[Finding, ...] = ()
    io: tuple[IntegerTensor, ...] = ()
    followers: frozenset[str] = frozenset()
    remarks: dict[str, str] = field(default_factory=dict)

    def noting(self, *findings: Finding) -> "QuantizedModel":
        """Return the same with more findings."""
        return replace(self, findings=(*self.findings, *findings))


def load_for_quantizer(source: Path | str, tuning: Tuning = USUAL) -> ModelProto:
    """Load a prepared model as onnxruntime's quantizers, static and dynamic, need it.

    Both start from this proto, never from the file: weights that several nodes share are split
    (onnxruntime transposes or scales them in place), outputs that are inputs are taken off (the
    static quantizer dies of them). :func:`write_quantized` merges what stayed equal and puts the
    interface back. Nodes and activations keep their names; so do the weights' first readers.

    Args:
        source: A model that was prepared.
        tuning: With which rewrites.

    Returns:
        A proto of the caller's own.

    Raises:
        SourceError: If the file is not a whole ONNX model.
    """
    proto = load_proto(source)
    for rewrite in FOR_QUANTIZERS:
        if rewrite.is_taken(tuning):
            proto = rewrite.apply(proto).proto
    return proto


def finish_quantized(proto: ModelProto, original: ModelProto) -> ModelProto:
    """Clean what a quantizer returned, and give it the original's interface.

    A constant that is an output of the model comes back: onnxruntime 1.31.1's dynamic quantizer
    drops it with its last reader, and the static one too, once it is off the list of outputs.

    Args:
        proto: What the quantizer returned; not changed.
        original: The prepared float model.

    Returns:
        A copy: nodes sorted (subgraphs counted), equal weights stored once, without value infos,
        metadata, unused initializers or unused opset imports, at the lowest IR version.
    """
    merged = merge_equal_initializers(proto)
    found = initializers_of(merged.graph)
    outputs = {value.name for value in original.graph.output}
    lost = (outputs & initializers_of(original.graph).keys()) - found.keys()
    merged.graph.initializer.extend(
        tensor for tensor in original.graph.initializer if tensor.name in lost
    )
    return clean(merged, original.graph)


def write_quantized(
    proto: ModelProto,
    original: ModelProto,
    destination: Path,
    kind: Kind,
    scope: QuantizationScope = EVERYTHING,
) -> QuantizedModel:
    """Finish, count, check, write and load what a quantizer of onnxruntime returned.

    Args:
        proto: What the quantizer returned; not changed.
        original: The prepared float model, as :func:`onnxq.graph.load_proto` gives it.
        destination: Where to write; must not exist yet. Nothing stays there on an error.
        kind: Which quantizer it was.
        scope: What it was let at.

    Returns:
        The model on disk.

    Raises:
        QuantizationError: OQ163 if no node became integer, OQ172 if a gate fails.
    """
    finished = finish_quantized(proto, original)
    count = count_quantized(finished, original, kind, scope)
    check_counted(count)
    return write_finished(finished, original, destination, count)


def write_finished(
    finished: ModelProto,
    original: ModelProto,
    destination: Path,
    count: QuantizedCount,
    io: tuple[IntegerTensor, ...] = (),
) -> QuantizedModel:
    """Check, write and load a quantized model.

    Args:
        finished: As :func:`finish_quantized` returns it, or with an integer interface.
        original: The prepared float model.
        destination: Where to write; must not exist yet. Nothing stays there on an error.
        count: How much became integer.
        io: Its inputs and outputs that are integer.

    Returns:
        The model on disk.

    Raises:
        QuantizationError: OQ172 if a gate fails.
    """
    check_structure(finished, original, io)
    model = write_proto(finished, destination)
    try:
        open_session(destination, session_options())
    except InferenceError as error:
        destination.unlink()
        message = f"the quantized model does not load: {error.message}"
        raise QuantizationError(message, code="OQ172", hint=error.hint) from error
    return QuantizedModel(model=model, size=written_size(finished, destination), count=count, io=io)


def check_counted(count: QuantizedCount) -> None:
    """Raise if no node changed.

    Args:
        count: Of a quantized model.

    Raises:
        QuantizationError: OQ163, with the reasons.
    """
    if count.quantized:
        return
    reasons: dict[str, list[str]] = {}
    for name, reason in count.left_float.items():
        reasons.setdefault(reason, []).append(name)
    told = [
        f"{len(names)} of them ({names[0]}, …): {reason}"
        if len(names) > 1
        else f"{names[0]}: {reason}"
        for reason, names in sorted(reasons.items(), key=lambda entry: -len(entry[1]))
    ]
    what = "; ".join(told[:_REASONS_SHOWN]) or "it has no node that multiplies"
    message = f"the recipe finds nothing to do in {count_noun(count.quantizable, 'node')}: {what}."
    hint = "Leave this recipe out with -r; the others tell what pays here."
    raise QuantizationError(message, code="OQ163", hint=hint)
