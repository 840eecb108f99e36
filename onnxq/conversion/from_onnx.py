"""An ``.onnx`` file becomes one that onnxruntime and its quantizers can work on."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto, version_converter

from onnxq.errors import SourceError
from onnxq.graph.cleaning import clean
from onnxq.graph.model_files import describe_model, load_proto, write_proto
from onnxq.graph.nodes import default_opset, walk_nodes
from onnxq.graph.rewrites.inline_functions import inline_functions
from onnxq.models import OnnxModel
from onnxq.runtime import RUNTIME_VERSION

_HIGHEST_OPSET = 26
_HIGHEST_IR = 13
"""What onnxruntime 1.31.1 loads; onnx 1.23 writes opset 28 and IR 14 unless it is told."""

_LOWEST_OPSET = 13
"""Per-channel QuantizeLinear begins here; onnxruntime's quantizers lie below it."""

_KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_QUANTIZING = ("uantize", "QLinear", "Integer", "NBits", "QGemm", "QAttention")


@dataclass(frozen=True, kw_only=True)
class NormalizedOnnx:
    """What was written for a given ONNX model.

    Attributes:
        exporter: What wrote the given file, as the file says.
        lifted_from: Opset of the given file where it was converted to a higher one, so that it
            has to be compared with the file that was given; 0 where it was kept.
    """

    exporter: str
    lifted_from: int


def convert_onnx(path: Path, destination: Path) -> NormalizedOnnx:
    """Write a given ONNX model as one clean file of opset 13 or above.

    Initializers that are listed as inputs are no longer inputs, external data comes inside,
    local functions are inlined. The opset is kept from 13 up, and a fixed batch is kept.

    Args:
        path: An ``.onnx`` file, with its external data beside it.
        destination: Where to; must not exist yet.

    Returns:
        Where it came from, and whether it has to be compared with the file that was given.

    Raises:
        SourceError: If the file is not a whole model (OQ104), is quantized already (OQ110), or
            needs what onnxruntime cannot do (OQ111).
    """
    given = load_proto(path)
    name = path.name
    _check_versions(given, name)
    proto = inline_functions(given).proto
    _check_domains(proto, name)
    _check_float(describe_model(proto, path), name)
    opset = default_opset(proto)
    if opset < _LOWEST_OPSET:
        proto = _lift(proto, name)
    write_proto(clean(proto, proto.graph), destination)
    return NormalizedOnnx(
        exporter=_producer(given),
        lifted_from=opset if opset < _LOWEST_OPSET else 0,
    )


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


def _check_float(model: OnnxModel, name: str) -> None:
    if not model.quantized_nodes:
        return
    found = ", ".join(
        f"{count} {operator}"
        for operator, count in model.operators.items()
        if any(sign in operator for sign in _QUANTIZING)
    )
    message = f"{name} is quantized already: found {found}."
    hint = f"Give the float model that it was made from. What it is:  onnxq inspect {name}"
    raise SourceError(message, code="OQ110", hint=hint)


def _lift(proto: ModelProto, name: str) -> ModelProto:
    """Convert to opset 13; whether the result computes the same is for the caller to prove."""
    hint = f"Export the model again at opset {_LOWEST_OPSET} or above."
    try:
        lifted = version_converter.convert_version(proto, _LOWEST_OPSET)
    except Exception as error:  # the converter, in C++, raises what it likes
        message = (
            f"{name} is at opset {default_opset(proto)}, and onnx {onnx.__version__} cannot "
            f"convert it to {_LOWEST_OPSET}: {str(error).partition(chr(10))[0]}"
        )
        raise SourceError(message, code="OQ111", hint=hint) from error
    del lifted.graph.value_info[:]
    return lifted


def _producer(proto: ModelProto) -> str:
    words = f"{proto.producer_name} {proto.producer_version}".strip()
    return words or "not named in the file"
