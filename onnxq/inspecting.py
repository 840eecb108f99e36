"""Inspecting: what a model is, and how each of its tensors is quantized."""

from pathlib import Path

import numpy as np

from onnxq.data_fit import answer_fit
from onnxq.datasets.values import DataRequest
from onnxq.events import Tell
from onnxq.graph import (
    count_parameters,
    describe_model,
    foreign_domains,
    load_proto,
    min_runtime,
    model_size,
    used_domains,
)
from onnxq.graph.integer_io import read_integer_io
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.quantized_sources import describe_quantization
from onnxq.graph.quantized_tensors import TensorQuantization, list_quantized
from onnxq.graph.weight_errors import WeightComparison, compare_weights
from onnxq.stages import (
    FitAnswer,
    InspectRequest,
    InspectResult,
    NamedNode,
    NotCompared,
    QuantizedTensor,
    WeightError,
)
from onnxq.tensors import Signature

_NO_ORIGINAL = "no weight of the reference has its name or resembles it"


def inspect_model(request: InspectRequest, folder: Path, tell: Tell) -> InspectResult:  # noqa: ARG001 - the signature of a stage
    """Describe a model without running it.

    Args:
        request: A private copy of an ``.onnx`` file, float or quantized.
        folder: Takes rows, where any are tried.
        tell: Not told anything.

    Returns:
        Signature, operators, size, and each quantized tensor in graph order. A tensor whose scale
        is computed while the model runs has no scales: 0 of them, from 0 to 0.

    Raises:
        SourceError: If the file is not a whole ONNX model, or takes what onnxq cannot feed.
        MissingDependencyError: OQ108, if reading the rows needs an extra.
    """
    proto = load_proto(request.path)
    model = describe_model(proto, request.path)
    found = compare_weights(proto, load_proto(request.reference)) if request.reference else {}
    errors = {name: _error(comparison) for name, comparison in found.items()}
    return InspectResult(
        model=model,
        size=model_size(request.path),
        parameters=count_parameters(proto),
        domains=used_domains(proto),
        producer=f"{proto.producer_name} {proto.producer_version}".strip(),
        min_runtime=min_runtime(proto),
        quantized=tuple(
            _describe(tensor, errors.get(tensor.name, NotCompared()))
            for tensor in list_quantized(proto)
        ),
        foreign_domains=foreign_domains(proto),
        quantized_already=describe_quantization(proto),
        io=read_integer_io(proto),
        reference=request.reference,
        data_fit=_try_rows(request, model.signature, folder),
        nodes=tuple(
            NamedNode(name=node.name, operator=node.op_type) for node in walk_nodes(proto.graph)
        ),
    )


def _error(comparison: WeightComparison) -> WeightError | NotCompared:
    if not comparison.original:
        return NotCompared(reason=_NO_ORIGINAL)
    return WeightError(
        original=comparison.original,
        mean_abs_error=comparison.mean_abs_error,
        max_abs_error=comparison.max_abs_error,
        mean_error_scales=comparison.mean_error_scales,
    )


def _try_rows(request: InspectRequest, signature: Signature, folder: Path) -> tuple[FitAnswer, ...]:
    if not isinstance(request.data, DataRequest):
        return ()
    return answer_fit(
        request.data,
        signature,
        folder,
        declared=request.declared,
        trusted_folders=request.trusted_folders,
    )


def _describe(tensor: TensorQuantization, error: WeightError | NotCompared) -> QuantizedTensor:
    scales = tensor.scales.astype(np.float64)
    points = tensor.zero_points
    return QuantizedTensor(
        name=tensor.name,
        dtype=tensor.dtype,
        role=tensor.role,
        scheme="symmetric" if _is_symmetric(tensor) else "asymmetric",
        axis=tensor.axis,
        scales=scales.size,
        scale_min=float(scales.min()) if scales.size else 0.0,
        scale_max=float(scales.max()) if scales.size else 0.0,
        zero_point_min=int(points.min()) if points.size else 0,
        zero_point_max=int(points.max()) if points.size else 0,
        error=error,
    )


def _is_symmetric(tensor: TensorQuantization) -> bool:
    """Tell whether zero lies in the middle of the integers, for every scale."""
    if not tensor.zero_points.size:
        return False
    bits = int("".join(c for c in tensor.dtype if c.isdigit()))
    middle = 1 << (bits - 1) if tensor.dtype.startswith("uint") else 0
    return bool(np.all(tensor.zero_points == middle))
