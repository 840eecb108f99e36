"""An ``.onnx`` file becomes one that onnxruntime and its quantizers can work on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto

from onnxq.conversion.opset_lifting import LOWEST_OPSET, lift_opset
from onnxq.errors import SourceError
from onnxq.graph.cleaning import clean
from onnxq.graph.float_lifting import lift_floats
from onnxq.graph.model_files import load_proto, side_files_of, write_proto
from onnxq.graph.nodes import default_opset, walk_nodes
from onnxq.graph.quantized_sources import describe_quantization
from onnxq.graph.rewrites.inline_functions import inline_functions
from onnxq.runtime import RUNTIME_VERSION

_HIGHEST_OPSET = 26
_HIGHEST_IR = 13
"""What onnxruntime 1.31.1 loads; onnx 1.23 writes opset 28 and IR 14 unless it is told."""

_KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})


@dataclass(frozen=True, kw_only=True)
class NormalizedOnnx:
    """What was written for a given ONNX model.

    Attributes:
        exporter: What wrote the given file, as the file says.
        lifted_from: Opset of the given file where it was converted to a higher one; 0 where it
            was kept.
        floats: What the given file computes in where that was converted to float32, such as
            ``float16``; empty where it was kept.
        changes: Everything else that was changed, each as a person would say it; each is exact.
        quantized: How the given file is quantized already; empty where it is float.
    """

    exporter: str
    lifted_from: int
    floats: str
    changes: tuple[str, ...]
    quantized: str


def convert_onnx(path: Path, destination: Path) -> NormalizedOnnx:
    """Write a given ONNX model as one clean file, in float32 and of opset 13 or above.

    Initializers that are listed as inputs are no longer inputs, external data comes inside,
    local functions are inlined. The opset is kept from 13 up, and a fixed batch is kept. Of a
    model that is quantized already, opset and floats are kept as well.

    Args:
        path: An ``.onnx`` file, with its external data where it names it.
        destination: Where to; must not exist yet.

    Returns:
        Where it came from, and what was changed.

    Raises:
        SourceError: If the file is not a whole model (OQ104), or needs what onnxruntime cannot
            do (OQ111).
    """
    given = load_proto(path)
    name = path.name
    _check_versions(given, name)
    proto = inline_functions(given).proto
    _check_domains(proto, name)
    quantized = describe_quantization(proto)
    lifted_from, floats = 0, ""
    if not quantized:
        proto, lifted_from, floats = _lift(proto, name)
    write_proto(clean(proto, proto.graph), destination)
    return NormalizedOnnx(
        exporter=_producer(given),
        lifted_from=lifted_from,
        floats=floats,
        changes=tuple(_exact_changes(given, path)),
        quantized=quantized,
    )


def _lift(proto: ModelProto, name: str) -> tuple[ModelProto, int, str]:
    opset = default_opset(proto)
    lifted_from = opset if opset < LOWEST_OPSET else 0
    if lifted_from:
        proto = lift_opset(proto, name)
    lifted = lift_floats(proto)
    return lifted.proto, lifted_from, lifted.dtype


def _exact_changes(given: ModelProto, path: Path) -> Iterator[str]:
    if given.functions:
        yield "local functions were inlined"
    initializers = {tensor.name for tensor in given.graph.initializer}
    if any(value.name in initializers for value in given.graph.input):
        yield "weights are no longer listed as inputs"
    if side_files_of(path):
        yield "external data came inside"


def _check_versions(proto: ModelProto, name: str) -> None:
    opset = default_opset(proto)
    if opset > _HIGHEST_OPSET:
        message = (
            f"{name} is at opset {opset}; onnxruntime {RUNTIME_VERSION} runs opsets up to "
            f"{_HIGHEST_OPSET}."
        )
        hint = "Export it again with opset_version=18."
        raise SourceError(message, code="OQ111", hint=hint)
    if proto.ir_version > _HIGHEST_IR:
        message = (
            f"{name} is of IR version {proto.ir_version}; onnxruntime {RUNTIME_VERSION} reads "
            f"versions up to {_HIGHEST_IR}."
        )
        hint = "Make it with onnx.helper.make_model(…, ir_version=10), or set model.ir_version."
        raise SourceError(message, code="OQ111", hint=hint)


def _check_domains(proto: ModelProto, name: str) -> None:
    foreign = sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in walk_nodes(proto.graph)
            if node.domain not in _KNOWN_DOMAINS
        }
    )
    if foreign:
        message = f"{name} uses operators that onnxruntime does not have: {', '.join(foreign[:5])}."
        hint = "Export the model with standard operators; custom libraries are never loaded."
        raise SourceError(message, code="OQ111", hint=hint)


def _producer(proto: ModelProto) -> str:
    words = f"{proto.producer_name} {proto.producer_version}".strip()
    return words or "not named in the file"
